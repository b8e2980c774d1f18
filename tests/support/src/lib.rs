//! Servers, fault proxies and worker processes for the tests and the examples.
//!
//! - [`Server`]: a real Redis or Valkey server of the test's own, which it may kill, pause and restart.
//! - [`Sentinels`]: a real Redis Sentinel set that watches such servers.
//! - [`Proxy`]: a TCP proxy in front of a server, with faults and named points to wait for.
//! - [`Process`]: a built example run as a child process, as a worker in production would be.
//! - [`Snapshot`]: takes a server's data back to an earlier moment while its connections stay open.
//! - [`contents`]: what a key holds, to be compared.
//! - [`Tmux`]: a real terminal.
//! - [`eventually`]: the one place where a test waits.
//! - [`Rng`] and [`seed`]: random choices that can be repeated.
//! - [`example_server`]: a server for an example.
//!
//! Nothing a test starts outlives it: a [`Server`] or [`Process`] ends when it is dropped, and on Linux also
//! when the test process itself is killed (through `setpriv`, of util-linux; elsewhere such an orphan stays).
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod contents;
mod for_examples;
mod port;
mod process;
mod proxy;
mod rng;
mod rollback;
mod server;
mod tmux;
mod wait;

pub use contents::contents;
pub use for_examples::{ExampleServer, HOW_TO_GET_A_SERVER, example_server};
pub use process::{Process, ProcessBuilder};
pub use proxy::{Existing, Fault, Hold, Proxy};
pub use rng::{Rng, seed};
pub use rollback::Snapshot;
#[cfg(feature = "containers")]
pub use server::container_engine_answers;
pub use server::{Product, SentinelSettings, Sentinels, Server, ServerBuilder, Version};
pub use tmux::Tmux;
pub use wait::{Outcome, eventually, eventually_within};
