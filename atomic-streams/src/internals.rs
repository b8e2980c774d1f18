//! The store and the protocol, for this repository's own tests. No promise of stability.

pub use crate::diagnosis::Facts;
pub use crate::durability::Durability;
pub use crate::entry::Entry;
pub use crate::persist::{Changes, CollectionChanges, CollectionKind, EntryChanges, StoredEntry};
pub use crate::protocol::*;
pub use crate::staged::{Publish, Staged};
pub use crate::store::memory::{GroupInfo, MemoryStore, StreamInfo};
pub use crate::store::redis::RedisStore;
pub use crate::store::{Letters, Link, Loaded, Requeued, Scanned, Store, StoreError, Trimmer};

/// What a proof says of the last entry of a read.
pub fn digest(entry: &Entry) -> String {
    entry.digest()
}
