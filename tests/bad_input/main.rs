//! Bad input: what is wrong in an entry, in the record, beside it, among dead letters or in a name is told in words, costs
//! bounded memory, and overwrites nothing.
//!
//! `ATOMIC_STREAMS_SEED` repeats a run of the random tests.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod collections;
mod corpus;
mod entries;
mod huge;
mod letters;
mod memory;
mod names;
mod outputs;
mod record;
#[path = "../../fuzz/src/corpus.rs"]
mod seeds;
mod state;
#[path = "../../fuzz/src/targets.rs"]
mod targets;
