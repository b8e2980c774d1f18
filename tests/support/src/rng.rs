//! Random choices that a failed run can repeat.

use std::env;
use std::hash::{BuildHasher, RandomState};

/// The seed of this run: `ATOMIC_STREAMS_SEED` where it is set, else a new one. Printed, so that a failed run can
/// be repeated.
pub fn seed() -> u64 {
    let seed = match env::var("ATOMIC_STREAMS_SEED") {
        Ok(text) => text.trim().parse().expect("ATOMIC_STREAMS_SEED must be a number from 0 to 2^64 - 1"),
        Err(_) => arbitrary(),
    };
    println!("to repeat this run: ATOMIC_STREAMS_SEED={seed}");
    seed
}

/// A number that differs from call to call and from process to process.
pub(crate) fn arbitrary() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A small deterministic random number generator (splitmix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        // The bias of the remainder is far too small to matter to a test.
        self.next_u64() % bound
    }

    /// True in `percent` of 100 calls.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Brings `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
