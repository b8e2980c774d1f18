//! What a consumer tells through `tracing`, on a real server.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod events;
mod listener;
mod shop;
mod spans;
mod tracer;
mod traces;
