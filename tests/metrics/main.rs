//! What is counted, and what a recorder, `stats()`, a probe and an autoscaler are told of it, on a real server.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod counted;
mod health;
mod keda;
mod lag;
mod meter;
mod pages;
mod shop;
