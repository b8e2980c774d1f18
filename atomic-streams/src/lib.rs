//! Crash-safe, stateful, exactly-once processing on Redis Streams.
//!
//! Put [`#[derive(Persistable)]`](macro@Persistable) on a struct, implement [`Handler`] for it, spawn a [`Consumer`]. For every
//! entry of a stream, the handler's changed fields, the acknowledgement and everything that it publishes are committed
//! **together, by one Lua script, or not at all**.
//!
//! ```no_run
//! use atomic_streams::{Consumer, Handler, HandlerResult, Persistable, Transaction, async_trait};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Sale {
//!     sku: String,
//!     quantity: i64,
//! }
//!
//! #[derive(Serialize)]
//! struct RestockAlert<'a> {
//!     sku: &'a str,
//!     stock: i64,
//! }
//!
//! #[derive(Persistable)]
//! struct InventoryTracker {
//!     #[persist(default = 100)]
//!     stock: i64,
//! }
//!
//! #[async_trait]
//! impl Handler for InventoryTracker {
//!     type Message = Sale;
//!
//!     async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
//!         self.stock -= sale.quantity;
//!         if self.stock <= 10 {
//!             tx.publish("restock-alerts", &RestockAlert { sku: &sale.sku, stock: self.stock })?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let consumer = Consumer::builder("sales", "inventory-tracker")
//!     .redis_url("redis://127.0.0.1:6379")
//!     .handler(InventoryTracker { stock: 100 })
//!     .spawn()
//!     .await?;
//! # std::future::pending::<()>().await;
//! let report = consumer.shutdown().await?;
//! # let _ = report;
//! # Ok(())
//! # }
//! ```
//!
//! # In the order in which you write it
//!
//! 1. **State** is the fields of a struct: [`#[derive(Persistable)]`](macro@Persistable) says what is kept, what a new field
//!    begins with, and how old state becomes new state.
//! 2. **Messages** are serde types: an entry's fields are a struct's members. [`Fields`] lists the rules, and is itself the
//!    message of those who want an entry as it is.
//! 3. **A handler** ([`Handler`], or [`handler_fn`] where there is no state) changes its fields and stages publishes in its
//!    [`Transaction`]. When it fails, both are as before; see [`HandlerError`] for when it is tried again.
//! 4. **A consumer** ([`Consumer::builder`]) runs it. One consumer of a group is active at a time; others stand by.
//! 5. **The handle** ([`ConsumerHandle`]) shows what it does and shuts it down.
//! 6. **What cannot be handled** blocks, or is given up as [`OnFailure`] says, with or without the later entries of its key;
//!    [`DeadLetters`] shows it and puts it back.
//! 7. **The stream grows** until it is trimmed: [`Retention`] removes what every group has committed.
//! 8. **A server** is examined by a [`Doctor`], which says what its settings mean and can lose; [`Durability`] says what a
//!    commit must have reached before it counts.
//! 9. **What happens** is told by spans and events of `tracing`, which [`targets`] describes.
//! 10. **From outside**, a [`StateReader`] gives consistent snapshots of a state, and [`admin`] finds, moves and copies subscriptions.
//! 11. **Tests** need no server: [`TestDriver`] adds the crashes, lost replies and rollbacks.
//!
//! # Delivery
//!
//! Exactly once, of what: the handler's persisted fields, the position in the stream, and its publishes. Across which
//! failures: of the handler, the process, the connection, the server as far as it persists, and the promotion of a replica;
//! what the server itself loses, it loses of all three together, and processing goes on from there. Effects outside Redis
//! are not part of it; [`Message::idempotency_key`] helps with those.
//!
//! Redis 7.0 or later, or Valkey, is needed; it runs nothing beside it.
//!
//! # Guides
//!
//! [Running in production](https://github.com/atomic-streams/atomic-streams/blob/main/docs/production.md),
//! [troubleshooting by symptom](https://github.com/atomic-streams/atomic-streams/blob/main/docs/troubleshooting.md),
//! [moving over](https://github.com/atomic-streams/atomic-streams/blob/main/docs/moving-over.md) from the Python library
//! or from a loop of `XREADGROUP`.

pub mod admin;
mod builder;
mod consumer;
pub mod dead_letters;
mod diagnosis;
pub mod doctor;
mod durability;
pub mod entry;
mod error;
mod handle;
pub mod handler;
mod health;
mod id;
mod letter;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
mod metrics;
mod name;
pub mod persist;
mod producer;
#[cfg_attr(feature = "internals", allow(missing_docs, reason = "shown to this repository's tests alone"))]
mod protocol;
mod random;
mod read_size;
pub mod retention;
mod retry;
mod script;
mod staged;
mod state_reader;
#[cfg_attr(feature = "internals", allow(missing_docs, reason = "shown to this repository's tests alone"))]
mod store;
pub mod targets;
mod test_driver;
mod trace_context;
pub mod transaction;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;

pub use async_trait::async_trait;
pub use atomic_streams_derive::Persistable;
pub use builder::{Consumer, ConsumerBuilder, NoHandler, RecordLost, StreamReplaced, UnreadTrimmed};
pub use consumer::{Histogram, Recoveries, RecoveryCause, Report, Stats, Status};
pub use dead_letters::DeadLetters;
pub use doctor::Doctor;
pub use durability::Durability;
pub use entry::{Entry, Fields};
pub use error::{Error, ErrorKind};
pub use handle::ConsumerHandle;
pub use handler::{Handler, HandlerError, HandlerResult, Retry, handler_fn};
pub use health::Health;
pub use id::{EntryId, InvalidEntryId};
pub use letter::DeadLetter;
pub use persist::{Persistable, StateDeque, StateError, StateFields, StateMap, StateSet};
pub use producer::Producer;
pub use redis;
pub use retention::Retention;
pub use retry::{OnFailure, RetryPolicy};
pub use staged::Trim;
pub use state_reader::{StateReader, StateSnapshot};
pub use store::memory::{GroupInfo, MemoryStore, StreamInfo};
pub use store::redis::Sentinel;
pub use test_driver::{Sent, TestDriver};
pub use transaction::{Message, PublishError, Transaction};

/// The README's code blocks are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
