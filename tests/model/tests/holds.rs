//! Every promise holds in every state that the adversary can bring about.
//!
//! The numbers of states are exact: another one means that the protocol, the model or the adversary has changed.

use model::{Adversary, Exclusive};

/// Each test adds to it.
const ANY: Adversary = Adversary::LEAST;

#[track_caller]
fn holds(adversary: Adversary, states: usize) {
    Exclusive { adversary, ..Exclusive::default() }.holds_in(states);
}

#[test]
fn where_ids_come_back() {
    holds(Adversary { entries: 3, ..ANY }, 133_499);
}

#[test]
fn where_ids_never_come_back() {
    holds(Adversary { ids_return: false, ..ANY }, 11_675);
}

#[test]
fn with_a_second_takeover() {
    holds(Adversary { attaches: 3, ..ANY }, 173_573);
}

#[test]
fn with_a_second_roll_back() {
    holds(Adversary { roll_backs: 2, ..ANY }, 27_703);
}

#[test]
fn with_steps_that_arrive_twice() {
    holds(Adversary { resends: 1, ..ANY }, 39_956);
}

#[test]
fn with_replies_that_are_lost_one_by_one() {
    holds(Adversary { lost_replies: true, ..ANY }, 18_934);
}

#[test]
fn with_readers_on_the_old_primary() {
    holds(Adversary { stale_readers: true, ..ANY }, 25_450);
}

#[test]
fn with_attaches_that_arrive_twice_or_late() {
    holds(Adversary { late_attaches: 1, ..ANY }, 69_395);
}

#[test]
fn with_a_trim_that_may_be_lost_too() {
    holds(Adversary { trims: 1, ..ANY }, 35_972);
}

#[test]
fn with_trims_and_without_roll_backs() {
    holds(Adversary { entries: 3, trims: 2, roll_backs: 0, ..ANY }, 14_336);
}

#[test]
fn with_a_renewal_among_the_commits() {
    holds(Adversary { renewals: 1, ..ANY }, 81_959);
}

#[test]
fn with_proofs_that_go_alone() {
    holds(Adversary { lone_proofs: true, ..ANY }, 130_424);
}

#[test]
fn with_folded_commits() {
    holds(Adversary { folds: true, ..ANY }, 22_496);
}

#[test]
fn with_processes_that_end() {
    holds(Adversary { entries: 1, attaches: 3, crashes: true, ..ANY }, 30_148);
}
