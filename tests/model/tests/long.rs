//! Every promise again, in more states than every run of the tests can visit.
//!
//! `cargo test --release -p model --features long --test long -- --test-threads 1`

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
fn b_readers_on_the_old_primary_and_three_entries() {
    holds(Adversary { entries: 3, stale_readers: true, ..ANY }, 1);
}

#[test]
fn c_two_takeovers_and_two_roll_backs() {
    holds(Adversary { attaches: 3, roll_backs: 2, ..ANY }, 1);
}

#[test]
fn d_a_trim_and_three_entries() {
    holds(Adversary { entries: 3, trims: 1, ..ANY }, 1);
}

#[test]
fn e_processes_that_end_without_roll_backs() {
    holds(Adversary { entries: 3, attaches: 4, roll_backs: 0, crashes: true, ..ANY }, 1);
}

#[test]
fn f_two_takeovers_with_lost_replies() {
    holds(Adversary { attaches: 3, lost_replies: true, ..ANY }, 1);
}

#[test]
fn g_four_entries() {
    holds(Adversary { entries: 4, ..ANY }, 1);
}

#[test]
fn h_everything_at_once() {
    let all = Adversary {
        stale_readers: true,
        lost_replies: true,
        resends: 1,
        late_attaches: 1,
        trims: 1,
        renewals: 1,
        ..ANY
    };
    holds(Adversary { lone_proofs: false, ..all }, 1);
}

#[test]
fn i_three_entries_and_two_takeovers() {
    holds(Adversary { entries: 3, attaches: 3, ..ANY }, 1);
}
