//! The targets of what the library tells through [`tracing`](https://docs.rs/tracing), to filter by.
//!
//! All of them begin with `atomic_streams`, so that `RUST_LOG=warn,atomic_streams=info` shows what a person on call wants to see.
//! A message's spans can be left out by `atomic_streams::span=off`.

/// The spans: one around each try of an entry, one around each [`Producer::publish`](crate::Producer::publish).
pub const SPAN: &str = "atomic_streams::span";
