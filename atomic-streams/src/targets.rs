//! The targets of what the library tells through [`tracing`](https://docs.rs/tracing), to filter by.
//!
//! All of them begin with `atomic_streams`, so that `RUST_LOG=warn,atomic_streams=info` shows what a person on call wants to see:
//! who took over, what was lost, what failed and what became of it. Every event has a name, such as `entry.retried`, which stays
//! as it is; so do its target, its level and its fields. `docs/tracing.md` in the repository lists them all.
//!
//! - Each try of an entry is in a span `process`, with what the handler logs inside it; [`Producer::publish`](crate::Producer::publish)
//!   is one, `publish`. Both are at the level `INFO`, under the target [`SPAN`], with the names and attributes of OpenTelemetry's
//!   conventions for messaging. `RUST_LOG=info,atomic_streams::span=off` leaves the spans out and keeps the rest.
//! - With the feature `opentelemetry`, an entry's field `traceparent` continues the trace that it came from, and what is published
//!   gets that field of its own.

/// The spans.
pub const SPAN: &str = "atomic_streams::span";

/// A consumer ends.
pub const CONSUMER: &str = "atomic_streams::consumer";

/// What becomes of a single entry.
pub const ENTRY: &str = "atomic_streams::entry";

/// Keys whose entries wait behind a dead letter.
pub const KEY: &str = "atomic_streams::key";

/// Dead letters.
pub const LETTER: &str = "atomic_streams::letter";

/// Who owns a subscription.
pub const OWNERSHIP: &str = "atomic_streams::ownership";

/// What is found out about a server, and how it is reached.
pub const SERVER: &str = "atomic_streams::server";

/// A consumer loses its connections or its footing, and recovers.
pub const SESSION: &str = "atomic_streams::session";

/// The handler's persisted fields.
pub const STATE: &str = "atomic_streams::state";

/// Streams: what went from them, and what was trimmed.
pub const STREAM: &str = "atomic_streams::stream";

/// The subscription's record, and the group's cursor.
pub const SUBSCRIPTION: &str = "atomic_streams::subscription";
