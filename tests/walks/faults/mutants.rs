//! Scripts with one check taken out: each check is needed, and these walks find what happens without it.

use std::borrow::Cow;

use support::Server;

use super::Faults;
use crate::place::Place;
use crate::walking::{Course, Wrong, first_wrong, listed, seed_or, shortest};

/// The first walk's seed: the same each time, so that what finds a mutant today finds it tomorrow.
const SEED: u64 = 1;

/// Walks within which each mutant must be found.
const WALKS: u64 = 100;

/// A change to a script's text.
struct Mutant {
    /// Begins the script's second line.
    script: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Walks on a server whose scripts were changed, until one goes wrong.
async fn found(mutant: Mutant) {
    let Mutant { script, from, to } = mutant;
    let change = |text: &'static str| match text.lines().nth(1).unwrap().starts_with(&format!("-- {script}:")) {
        true => {
            assert_eq!(text.matches(from).count(), 1, "the text to change is not in {script}.lua just once");
            Cow::Owned(text.replace(from, to))
        }
        false => Cow::Borrowed(text),
    };
    let place = Place::on(Server::start().await, |store| store.with_scripts(change)).await;
    let mut course = Faults::new(place).await;
    let wrong: Wrong<_> = first_wrong(&mut course, seed_or(SEED), WALKS).await.expect("nothing goes wrong");
    println!("walk {} goes wrong: {}", wrong.walks, wrong.why);
    let (shortest, why) = shortest(&mut course, &wrong).await;
    println!("{why}\n{}", listed(&shortest));
    assert!(!why.contains("a script failed"), "the mutant does not run: {why}");
    let held = Faults::new(Place::real().await).await.walk(&shortest).await;
    assert_eq!(held, Ok(()), "it goes wrong with the scripts as they are, too");
}

#[tokio::test]
async fn a_number_in_place_of_the_token_is_found() {
    found(Mutant {
        script: "attach",
        from: "head = string.format('%s.%s.%d.%s%06d:%s', ARGV[1], ARGV[2], epoch, time[1], time[2], sequence)",
        to: "head = string.format('any.0.%d.0:%s', epoch, sequence)",
    })
    .await;
}

#[tokio::test]
async fn a_commit_without_a_fence_is_found() {
    found(Mutant {
        script: "commit",
        from: "if head ~= ARGV[1] then\n",
        to: "if head and head:match(':%d+$') ~= ARGV[1]:match(':%d+$') or not head then\n",
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_follows_anything_is_found() {
    found(Mutant {
        script: "commit",
        from: "if head ~= ARGV[1] then\n",
        to: "if not head or head:match('^(.*):') ~= ARGV[1]:match('^(.*):') then\n",
    })
    .await;
}

#[tokio::test]
async fn a_read_without_a_witness_is_found() {
    found(Mutant {
        script: "commit",
        from: "        if not entry then return {'DIVERGED', head, position, 'gone'} end
        if digest(entry[2]) ~= ARGV[i + 3] then return {'DIVERGED', head, position, 'gone'} end
",
        to: "",
    })
    .await;
}

#[tokio::test]
async fn a_read_that_need_not_follow_the_position_is_found() {
    found(Mutant {
        script: "commit",
        from: "        if entry and entry[1] ~= ARGV[i + 1] then return {'DIVERGED', head, position, 'gap'} end\n",
        to: "        entry = redis.call('XRANGE', stream, ARGV[i + 1], ARGV[i + 1])[1]\n",
    })
    .await;
}

#[tokio::test]
async fn a_witness_without_a_digest_is_found() {
    found(Mutant {
        script: "commit",
        from: "if digest(entry[2]) ~= ARGV[i + 3] then return {'DIVERGED', head, position, 'gone'} end",
        to: "",
    })
    .await;
}
