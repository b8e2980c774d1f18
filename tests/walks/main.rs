//! Random walks: sequences of operations that nobody has thought of, and the shortest of those that go wrong.
//!
//! - `twins`: the same operations on the store in memory and on a real server, compared after each one: replies, record,
//!   streams, group, collections. What the test driver shows is what a server does.
//! - `faults`: two workers made of the library's own decisions ([`Attaching`], [`Sequencer`], [`Reconciler`], [`Fold`]) and its
//!   scripts. Deliveries are lost, late and repeated; the server loses its newest writes with all connections kept; entries
//!   come under IDs that others had, or below those that were read; streams are trimmed, owners taken over. Whatever happens,
//!   the state is the fold of the entries up to the position, and the outputs are exactly theirs; in the end everything is
//!   handled.
//! - `faults::mutants`: each check of the scripts taken out, one at a time, on a real server. These walks must find what happens
//!   then, and the same walk must go well with the scripts as they are: no check is there in vain, and none goes missing.
//!
//! A walk that goes wrong is made as short as it can be, and printed with the seed that repeats it:
//! `ATOMIC_STREAMS_SEED=… ATOMIC_STREAMS_WALKS=1 cargo test --test walks NAME`. More walks: `ATOMIC_STREAMS_WALKS=100000`.
//! The mutants' walks begin with the same seed each time, if none is given.
//!
//! What walks leave out, because a proof does not hold it: entries that a rollback has lost come back with the same contents
//! under the same IDs, but not all of one read, or with others in between.
//!
//! [`Attaching`]: atomic_streams::internals::Attaching
//! [`Sequencer`]: atomic_streams::internals::Sequencer
//! [`Reconciler`]: atomic_streams::internals::Reconciler
//! [`Fold`]: atomic_streams::internals::Fold
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod place;
mod twins;
mod walking;
