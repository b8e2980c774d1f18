//! Collections against plain ones: random changes, and everything that can go wrong between them.
//!
//! `ATOMIC_STREAMS_SEED` repeats a run.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used)]

mod alone;
mod driver;
mod large;
mod model;
mod server;
mod shelf;
