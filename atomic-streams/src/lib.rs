//! Crash-safe, stateful, exactly-once processing on Redis Streams.

mod entry;
mod error;
mod handler;
mod id;
mod name;
mod persist;
mod protocol;
mod random;
mod retry;
mod script;
mod staged;
mod store;
mod transaction;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use async_trait::async_trait;
pub use atomic_streams_derive::Persistable;
pub use entry::{DecodeError, EncodeError, Entry, Fields, MAX_PUBLISH_FIELDS};
pub use error::{Error, ErrorKind};
pub use handler::{AsyncHandlerFn, Handler, HandlerError, HandlerFn, HandlerResult, Retry, handler_fn};
pub use id::{EntryId, InvalidEntryId};
pub use persist::{Field, MAX_DEPTH, MAX_FIELD_BYTES, Persistable, Schema, SchemaChange, StateError, StateFields};
pub use redis;
pub use staged::Trim;
pub use store::memory::{GroupInfo, MemoryStore, StreamInfo};
pub use transaction::{MAX_PUBLISHES, MAX_TRANSACTION_BYTES, Message, PublishError, Transaction};
