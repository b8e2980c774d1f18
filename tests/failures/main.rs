//! What happens when servers, connections, data and permissions fail under running consumers: nothing is lost, repeated
//! or reordered, and the consumer goes on by itself or ends with an error that says what to do.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod clusters;
mod coalescing;
mod connections;
mod failovers;
mod groups;
mod ledger;
mod permissions;
mod records;
mod refusals;
mod rollbacks;
mod sentinels;
mod servers;
mod streams;
mod takeovers;
mod torn;
mod trimming;
mod watch;
