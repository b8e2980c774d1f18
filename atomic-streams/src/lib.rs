//! Crash-safe, stateful, exactly-once processing on Redis Streams.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod entry;
mod id;
mod persist;

pub use atomic_streams_derive::Persistable;
pub use entry::{DecodeError, EncodeError, Entry, Fields, MAX_PUBLISH_FIELDS};
pub use id::{EntryId, InvalidEntryId};
pub use persist::{Field, MAX_DEPTH, MAX_FIELD_BYTES, Persistable, Schema, SchemaChange, StateError, StateFields};
