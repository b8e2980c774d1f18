//! Walks: many random sequences of operations, and the shortest one that goes wrong.

use std::env;
use std::fmt::Debug;

use support::{Rng, seed};

/// How often a walk is repeated on the way to its shortest form.
const MAX_REPEATS: usize = 3_000;

/// What walks do.
///
/// An operation that cannot be done where the walk is does nothing, so that any part of a walk is a walk.
pub trait Course {
    type Operation: Clone + Debug;

    /// A random walk.
    fn draw(&self, rng: &mut Rng) -> Vec<Self::Operation>;

    /// The same operation with less in it, in the ways that there are.
    fn simpler(&self, _operation: &Self::Operation) -> Vec<Self::Operation> {
        Vec::new()
    }

    /// Does the operations one after the other, from nothing. An error says what went wrong.
    async fn walk(&mut self, operations: &[Self::Operation]) -> Result<(), String>;
}

/// A walk that went wrong.
#[derive(Debug)]
pub struct Wrong<O> {
    pub seed: u64,
    /// How many walks there were up to this one.
    pub walks: u64,
    pub operations: Vec<O>,
    pub why: String,
}

/// How many walks a test makes: so many, or as many as `ATOMIC_STREAMS_WALKS` says.
pub fn walks(usual: u64) -> u64 {
    match env::var("ATOMIC_STREAMS_WALKS") {
        Ok(text) => text.trim().parse().expect("ATOMIC_STREAMS_WALKS must be a number"),
        Err(_) => usual,
    }
}

/// The seed that the variable gives, else this one: for tests that must do the same each time.
pub fn seed_or(usual: u64) -> u64 {
    if env::var_os("ATOMIC_STREAMS_SEED").is_some() { seed() } else { usual }
}

/// Walks until one goes wrong. Each walk has the seed after that of the one before it.
pub async fn first_wrong<C: Course>(course: &mut C, seed: u64, walks: u64) -> Option<Wrong<C::Operation>> {
    for n in 0..walks {
        let seed = seed.wrapping_add(n);
        let operations = course.draw(&mut Rng::new(seed));
        if let Err(why) = course.walk(&operations).await {
            return Some(Wrong { seed, walks: n + 1, operations, why });
        }
    }
    println!("{walks} walks from seed {seed} on went well");
    None
}

/// All walks must go well; one that does not is shown in its shortest form.
pub async fn all_well<C: Course>(course: &mut C, seed: u64, walks: u64) {
    let Some(wrong) = first_wrong(course, seed, walks).await else { return };
    println!("walk {} of {walks} went wrong: {}", wrong.walks, wrong.why);
    let (shortest, why) = shortest(course, &wrong).await;
    panic!(
        "{why}\n\nThe shortest way there, {} operations of {}:\n{}\nTo repeat it: \
         ATOMIC_STREAMS_SEED={} ATOMIC_STREAMS_WALKS=1 cargo test --test walks {}",
        shortest.len(),
        wrong.operations.len(),
        listed(&shortest),
        wrong.seed,
        std::thread::current().name().unwrap_or_default(),
    );
}

/// One operation a line, as Rust.
pub fn listed(operations: &[impl Debug]) -> String {
    operations.iter().map(|operation| format!("    {operation:?},\n")).collect()
}

/// Leaves out whatever can be left out: halves first, then ever smaller parts, the last ones first; then parts of the
/// operations that are left.
pub async fn shortest<C: Course>(course: &mut C, wrong: &Wrong<C::Operation>) -> (Vec<C::Operation>, String) {
    let mut shrinking = Shrinking { shortest: wrong.operations.clone(), why: wrong.why.clone(), repeats: 0 };
    let mut part = shrinking.shortest.len().div_ceil(2).max(1);
    loop {
        let mut shorter = false;
        let mut end = shrinking.shortest.len();
        while end > 0 {
            let begin = end.saturating_sub(part);
            let rest = shrinking.shortest[..begin].iter().chain(&shrinking.shortest[end..]).cloned().collect();
            shorter |= shrinking.is_wrong(course, rest).await;
            end = begin;
        }
        if part == 1 && !shorter && !shrinking.simplify(course).await {
            return (shrinking.shortest, shrinking.why);
        }
        part = part.div_ceil(2);
    }
}

struct Shrinking<O> {
    shortest: Vec<O>,
    why: String,
    repeats: usize,
}

impl<O: Clone + Debug> Shrinking<O> {
    /// Takes these operations if they go wrong as well.
    async fn is_wrong(&mut self, course: &mut impl Course<Operation = O>, operations: Vec<O>) -> bool {
        self.repeats += 1;
        if self.repeats > MAX_REPEATS {
            return false;
        }
        let outcome = course.walk(&operations).await;
        if let Err(why) = outcome {
            (self.shortest, self.why) = (operations, why);
            return true;
        }
        false
    }

    async fn simplify(&mut self, course: &mut impl Course<Operation = O>) -> bool {
        let mut simplified = false;
        let mut at = 0;
        'each: while at < self.shortest.len() {
            for simpler in course.simpler(&self.shortest[at]) {
                let mut operations = self.shortest.clone();
                operations[at] = simpler;
                if self.is_wrong(course, operations).await {
                    simplified = true;
                    continue 'each;
                }
            }
            at += 1;
        }
        simplified
    }
}

/// Walks on a course of numbers that ends at a wrong pair of them.
#[tokio::test]
async fn what_has_no_part_in_it_is_left_out() {
    struct Numbers;

    impl Course for Numbers {
        type Operation = u64;

        fn draw(&self, rng: &mut Rng) -> Vec<u64> {
            (0..60).map(|_| rng.below(10)).collect()
        }

        async fn walk(&mut self, numbers: &[u64]) -> Result<(), String> {
            let seven = numbers.iter().position(|number| *number == 7);
            match seven.is_some_and(|at| numbers[at..].contains(&3)) {
                true => Err("a 3 after a 7".into()),
                false => Ok(()),
            }
        }
    }

    let wrong = first_wrong(&mut Numbers, 1, 100).await.unwrap();
    assert_eq!(shortest(&mut Numbers, &wrong).await.0, [7, 3]);
    assert_eq!(Numbers.draw(&mut Rng::new(wrong.seed)), wrong.operations);
}
