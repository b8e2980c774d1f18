//! Each check is needed: taken out, it lets a promise be broken.
//!
//! The adversaries are as small as will do. The numbers are those of the shortest counterexample's steps.

use model::properties::{FENCE, OUTPUTS, PROGRESS, STATE};
use model::{Adversary, Checks, Exclusive, Fence, MintedBy, ProofOf};

/// Enough for most.
const ANY: Adversary = Adversary { ids_return: false, ..Adversary::LEAST };

#[track_caller]
fn breaks(adversary: Adversary, checks: Checks, promise: &'static str, steps: usize) {
    assert_eq!(Exclusive { adversary, checks }.breaks(promise).len(), steps, "another number of steps");
}

fn proof(proof: ProofOf) -> Checks {
    Checks { proof, ..Checks::default() }
}

#[test]
fn an_epoch_in_place_of_the_token() {
    let checks = Checks { fence: Fence::Epoch, ..Checks::default() };
    breaks(ANY, checks, FENCE, 7);
    breaks(ANY, checks, STATE, 13);
}

#[test]
fn no_fence() {
    let checks = Checks { fence: Fence::Nothing, ..Checks::default() };
    breaks(ANY, checks, FENCE, 6);
    breaks(ANY, checks, STATE, 13);
}

#[test]
fn no_chain() {
    breaks(ANY, Checks { without_chain: true, ..Checks::default() }, OUTPUTS, 9);
}

#[test]
fn no_proof() {
    breaks(ANY, proof(ProofOf::Nothing), STATE, 6);
}

#[test]
fn a_proof_that_the_id_was_given_out() {
    breaks(ANY, proof(ProofOf::LastGeneratedId), STATE, 7);
}

#[test]
fn a_proof_without_the_digest_where_ids_may_come_back() {
    breaks(Adversary { ids_return: true, ..ANY }, proof(ProofOf::LastOfReadById), STATE, 7);
}

#[test]
fn a_proof_of_the_last_entry_at_hand() {
    breaks(ANY, proof(ProofOf::LastAtHand), STATE, 8);
}

#[test]
fn a_proof_that_takes_a_lost_entry_for_a_trimmed_one() {
    breaks(ANY, proof(ProofOf::LastOfReadOrTrimmed), STATE, 7);
}

#[test]
fn no_look_between_the_position_and_the_read() {
    breaks(Adversary { trims: 1, ..ANY }, Checks { without_gap: true, ..Checks::default() }, STATE, 8);
}

#[test]
fn no_comparison_at_a_renewal() {
    breaks(ANY, Checks { without_comparison: true, ..Checks::default() }, PROGRESS, 6);
}

#[test]
fn a_token_that_the_client_makes_where_an_attach_may_come_twice() {
    let checks = Checks { minted_by: MintedBy::Client, ..Checks::default() };
    breaks(Adversary { late_attaches: 1, ..ANY }, checks, STATE, 14);
}
