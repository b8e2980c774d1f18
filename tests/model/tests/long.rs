//! Every promise again, in more states than every run of the tests can visit.
//!
//! `cargo test --release -p model --features long --test long -- --test-threads 1` takes minutes and several GiB.

use model::{Adversary, Exclusive};

const ANY: Adversary = Adversary::LEAST;

#[track_caller]
fn holds(adversary: Adversary, states: usize) {
    Exclusive { adversary, ..Exclusive::default() }.holds_in(states);
}

#[test]
fn a_fold_of_three_entries() {
    holds(Adversary { entries: 3, folds: true, ..ANY }, 448_011);
}

#[test]
fn readers_on_the_old_primary_and_three_entries() {
    holds(Adversary { entries: 3, stale_readers: true, ..ANY }, 299_646);
}

#[test]
fn two_takeovers_and_two_roll_backs() {
    holds(Adversary { attaches: 3, roll_backs: 2, ..ANY }, 667_686);
}

#[test]
fn a_trim_and_three_entries() {
    holds(Adversary { entries: 3, trims: 1, ..ANY }, 620_861);
}

#[test]
fn processes_that_end_without_roll_backs() {
    holds(Adversary { entries: 3, attaches: 4, roll_backs: 0, crashes: true, ..ANY }, 622_944);
}

#[test]
fn two_takeovers_with_lost_replies() {
    holds(Adversary { attaches: 3, lost_replies: true, ..ANY }, 296_842);
}

#[test]
fn four_entries() {
    holds(Adversary { entries: 4, ..ANY }, 995_065);
}

#[test]
fn late_and_repeated_deliveries_and_stale_readers_at_once() {
    holds(Adversary { stale_readers: true, lost_replies: true, resends: 1, ..ANY }, 156_668);
}

#[test]
fn a_late_attach_and_a_trim_at_once() {
    holds(Adversary { late_attaches: 1, trims: 1, ..ANY }, 231_421);
}

#[test]
fn three_entries_and_two_takeovers() {
    holds(Adversary { entries: 3, attaches: 3, ..ANY }, 4_268_048);
}
