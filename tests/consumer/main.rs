//! What a consumer does, on a real server.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod building;
mod coalescing;
mod conversion;
mod damage;
mod dead_letters;
mod doctor;
mod durability;
mod ending;
mod evolution;
mod idle;
mod in_flight;
mod messages;
mod migration;
mod panics;
mod parking;
mod publishing;
mod puppet;
mod read_ahead;
mod reading;
mod requeue;
mod restoring;
mod retention;
mod retries;
mod retry_policy;
mod schema;
mod several;
mod showing;
mod shutdown;
mod site;
mod start;
mod state;
mod status;
mod without_end;
