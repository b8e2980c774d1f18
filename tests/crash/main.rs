//! Whole processes, killed and frozen at random and at named points: whatever happens, the outcome is exact.
//!
//! `ATOMIC_STREAMS_SEED` repeats the choices of a run. `ATOMIC_STREAMS_TURNS_SECONDS` sets for how long the two
//! processes of `turns` are frozen and thawed: 10 where it is not set, more for a thorough run.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod culprit;
mod every_step;
mod idle;
mod ledger;
mod parking;
mod random_instants;
mod script;
mod shop;
mod signals;
mod turns;
mod twice;
mod worker;
mod zombie;

use support::{Process, Server};

/// The example as a process that consumes from `server` until it is asked to end.
fn inventory(server: &Server, lease_ms: u64) -> Process {
    let builder = Process::example("inventory").args(["--consume", "--lease-ms", &lease_ms.to_string()]);
    builder.env("REDIS_URL", server.url()).env("NO_COLOR", "1").start()
}
