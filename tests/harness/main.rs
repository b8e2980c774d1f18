//! The harness itself: servers start, stop, are killed and come back; the proxy does what it says.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used)]

mod processes;
mod proxy;
mod rollback;
mod servers;
