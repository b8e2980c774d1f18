//! The store and the protocol, for this repository's own tests. No promise of stability.

pub use crate::diagnosis::Facts;
pub use crate::durability::Durability;
pub use crate::entry::Entry;
pub use crate::persist::{Changes, CollectionChanges, CollectionKind, EntryChanges, StoredEntry};
pub use crate::protocol::*;
pub use crate::staged::{Publish, Staged};
pub use crate::store::memory::{GroupInfo, MemoryStore, StreamInfo};
pub use crate::store::redis::RedisStore;
pub use crate::store::{Letters, Link, Loaded, Requeued, Scanned, Store, StoreError, Trimmer, Waiting};

/// What a proof says of the last entry of a read.
pub fn digest(entry: &Entry) -> String {
    entry.digest()
}

/// Reads a message as a consumer does.
pub fn decode<T: serde::de::DeserializeOwned>(fields: &crate::Fields) -> Result<T, crate::entry::DecodeError> {
    crate::entry::decode(fields)
}

/// Writes a message as a publish does.
pub fn encode<T: serde::Serialize>(message: &T) -> Result<crate::Fields, crate::entry::EncodeError> {
    crate::entry::encode(message)
}

/// The fields of an entry's dead letter.
pub fn dead_letter_of(entry: &Entry, error: &str) -> Result<crate::Fields, rmp_serde::encode::Error> {
    let time = std::time::SystemTime::UNIX_EPOCH;
    crate::letter::About { stream: "stream", group: "group", time, attempts: 1, error, key: None }.fields_of(entry)
}

pub use crate::store::redis::read_reply;
