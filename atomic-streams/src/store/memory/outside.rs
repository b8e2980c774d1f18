//! What is read from outside, of one instant.

use std::collections::BTreeMap;

use super::MemoryStore;
use super::keys::Hash;
use super::record::{id, named, number};
use crate::id::EntryId;
use crate::persist::StoredEntry;
use crate::protocol::{Head, Subscription};
use crate::store::StoreError;
use crate::store::administration::{Collections, Declined, State, collections_of};

impl MemoryStore {
    /// As `read.lua`, the state with its collections.
    pub(crate) fn state(
        &self,
        subscription: &Subscription,
        most_entries: usize,
    ) -> Result<Result<(State, Collections), Declined>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(u64::MAX)?;
        let Some(record) = server.keys.hash(subscription.record())? else { return Ok(Err(Declined::None)) };
        let head = named(record, "@head").and_then(|head| Head::parse(&head));
        let head = head.ok_or_else(|| StoreError::unexpected("@head"))?;
        let schema = named(record, "@schema").unwrap_or_default();
        let collections = collections_of(&schema);
        let (mut total, mut entries) = (record.len(), Vec::with_capacity(collections.len()));
        for (kind, field) in &collections {
            let held = server.keys.hash(&subscription.collection(*kind, field))?;
            total += held.map_or(0, Hash::len);
            entries.push(held);
        }
        if total > most_entries {
            return Ok(Err(Declined::Large { entries: total as u64 }));
        }
        let (mut fields, mut sizes) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in record {
            let Ok(name) = std::str::from_utf8(name) else { return Err(StoreError::unexpected("a field name")) };
            if let Some(collection) = name.strip_prefix("@size:").filter(|name| !name.starts_with('@')) {
                sizes.insert(collection.to_owned(), number(record, name)?.unsigned_abs());
            } else if !name.starts_with('@') {
                fields.insert(name.to_owned(), value.to_vec());
            }
        }
        let state = State {
            head,
            position: id(record, "@position")?,
            processed: number(record, "@processed")?.unsigned_abs(),
            schema,
            fields,
            sizes,
            collections: entries.into_iter().map(copied).collect(),
        };
        Ok(Ok((state, collections)))
    }

    /// The position alone.
    pub(crate) fn position(&self, subscription: &Subscription) -> Result<Result<EntryId, Declined>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(u64::MAX)?;
        match server.keys.hash(subscription.record())? {
            Some(record) => Ok(Ok(id(record, "@position")?)),
            None => Ok(Err(Declined::None)),
        }
    }
}

fn copied(hash: Option<&Hash>) -> Vec<StoredEntry> {
    hash.into_iter().flatten().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
