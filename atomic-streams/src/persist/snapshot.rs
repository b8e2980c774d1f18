//! The last known good state of a handler: what is compared, and what is rolled back to.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Persistable;
use super::collection::{CollectionChanges, CollectionKind, EntryChanges, Mark, within_limit};
use super::msgpack::StateError;
use super::schema::Schema;

/// Size of a plain field's encoded value from which the consumer warns of it, once: 64 KiB.
///
/// Every message encodes the whole value to see whether it has changed, and every change writes all of it. From here on
/// that is likely to be most of what a message costs; a [`StateMap`](super::StateMap), `StateSet` or `StateDeque` writes
/// only the entries that change.
pub const LARGE_FIELD_BYTES: usize = 64 << 10;

/// Encoded values of all plain fields of one handler, and what is known of its collections.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    names: Vec<&'static str>,
    /// Empty for collections: they remember for themselves what has changed.
    values: Vec<Vec<u8>>,
    stamps: Vec<u64>,
    collections: Vec<Held>,
    /// Some collections know their changes as staged, and others do not.
    is_torn: bool,
    /// Of all values together.
    bytes: usize,
    /// Fields that may have changed, and where each one's value ends in `scratch`.
    suspects: Vec<usize>,
    ends: Vec<usize>,
    scratch: Vec<u8>,
    /// Fields whose values were found large, the last ones not told yet.
    large: Vec<usize>,
    told: usize,
}

/// A collection as it is stored.
#[derive(Clone, Copy, Debug)]
struct Held {
    index: usize,
    kind: CollectionKind,
    mark: Mark,
    entries: u64,
}

/// A field and its new encoded value.
pub type Changed = (&'static str, Vec<u8>);

/// What a message has changed in the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Plain fields.
    pub fields: Vec<Changed>,
    /// Collections.
    pub collections: Vec<CollectionChanges>,
}

impl Changes {
    /// Nothing is different.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.collections.is_empty()
    }
}

impl From<Vec<Changed>> for Changes {
    fn from(fields: Vec<Changed>) -> Self {
        Self { fields, collections: Vec::new() }
    }
}

/// Where the value of a field is to come from.
pub(crate) enum Restored {
    /// Its stored value; for a collection, that of the plain field which it was.
    Value(Vec<u8>),
    /// Its default, else what the handler was built with.
    Default,
    /// It is a collection that was filled already.
    Filled,
}

impl Snapshot {
    /// The values that the handler holds now.
    pub fn of<H: Persistable>(handler: &H, schema: &Schema) -> Result<Self, StateError> {
        let fields = schema.fields();
        let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
        let collections = fields.iter().enumerate().filter_map(|(index, field)| {
            Some(Held { index, kind: field.collection_kind()?, mark: Mark::default(), entries: 0 })
        });
        let mut snapshot = Self {
            values: vec![Vec::new(); names.len()],
            stamps: vec![0; names.len()],
            collections: collections.collect(),
            is_torn: false,
            bytes: 0,
            suspects: Vec::new(),
            ends: Vec::new(),
            scratch: Vec::new(),
            large: Vec::new(),
            told: 0,
            names,
        };
        for (index, name) in snapshot.names.iter().enumerate() {
            handler.snapshot(index, &mut snapshot.values[index]).map_err(|error| error.in_field(name))?;
        }
        snapshot.bytes = snapshot.values.iter().map(Vec::len).sum();
        snapshot.take_stamps(handler);
        Ok(snapshot)
    }

    /// Sets every field of the handler, then remembers them. Collections that are not filled already are to be written
    /// whole.
    pub fn restore<H: Persistable>(
        &mut self,
        handler: &mut H,
        restored: &[Restored],
        initial: &Self,
    ) -> Result<(), StateError> {
        for (index, name) in self.names.iter().enumerate() {
            let result = match restored.get(index).unwrap_or(&Restored::Default) {
                Restored::Value(value) => handler.restore(index, value),
                Restored::Default => {
                    let built = handler.restore(index, &initial.values[index]);
                    handler.set_default(index);
                    built
                }
                Restored::Filled => Ok(()),
            };
            result.map_err(|error| error.in_field(name))?;
        }
        for (index, name) in self.names.iter().enumerate() {
            self.values[index].clear();
            match handler.collection(index) {
                Some(_) => {}
                None => handler.snapshot(index, &mut self.values[index]).map_err(|error| error.in_field(name))?,
            }
        }
        self.bytes = self.values.iter().map(Vec::len).sum();
        for held in &mut self.collections {
            let Some(collection) = handler.collection(held.index) else { continue };
            collection.settle();
            collection.renew_mark();
            (held.mark, held.entries) = (collection.mark(), collection.stored_len());
        }
        self.is_torn = false;
        self.take_stamps(handler);
        Ok(())
    }

    /// A message of this time is about to be handled.
    pub fn begin<H: Persistable>(&self, handler: &mut H, now_ms: u64) {
        for held in &self.collections {
            if let Some(collection) = handler.collection(held.index) {
                collection.begin(now_ms);
            }
        }
    }

    /// What differs from what is remembered. Remembers the new values, all or (after an error) none; then
    /// [`roll_back`](Self::roll_back) must follow.
    pub fn changes<H: Persistable>(&mut self, handler: &mut H) -> Result<Changes, StateError> {
        self.suspects.clear();
        handler.suspects(&mut self.stamps, &mut self.suspects);
        self.scratch.clear();
        self.ends.clear();
        for index in &self.suspects {
            handler.snapshot(*index, &mut self.scratch).map_err(|error| error.in_field(self.names[*index]))?;
            self.ends.push(self.scratch.len());
        }
        let collections = self.collection_changes(handler)?;

        let mut fields = Vec::new();
        let mut start = 0;
        for (index, end) in self.suspects.iter().copied().zip(self.ends.iter().copied()) {
            let value = &self.scratch[start..end];
            if value.len() > LARGE_FIELD_BYTES && !self.large.contains(&index) {
                self.large.push(index);
            }
            if self.values[index] != value {
                self.bytes += value.len();
                self.bytes -= self.values[index].len();
                self.values[index].clear();
                self.values[index].extend_from_slice(value);
                fields.push((self.names[index], value.to_vec()));
            }
            start = end;
        }
        Ok(Changes { fields, collections })
    }

    fn collection_changes<H: Persistable>(&mut self, handler: &mut H) -> Result<Vec<CollectionChanges>, StateError> {
        let mut changed = Vec::new();
        for held in &self.collections {
            let Some(collection) = handler.collection(held.index) else { continue };
            let changes = if collection.mark() == held.mark {
                collection.changes()
            } else {
                // Another one was assigned to the field: it knows nothing of what is stored.
                within_limit(collection.stored_len()).and_then(|()| collection.all()).map(|set| EntryChanges {
                    cleared: true,
                    set,
                    removed: Vec::new(),
                })
            };
            let changes = changes.map_err(|error| error.in_field(self.names[held.index]))?;
            if changes.is_empty() {
                continue;
            }
            let after = collection.stored_len();
            changed.push(CollectionChanges {
                kind: held.kind,
                field: self.names[held.index].into(),
                changes,
                before: Some(held.entries),
                after: (after != held.entries).then_some(after),
            });
        }
        // Settling drops what was there before, and that is code of the user: a panic in it must not end half way.
        self.is_torn = true;
        for held in &mut self.collections {
            let Some(collection) = handler.collection(held.index) else { continue };
            if collection.mark() != held.mark {
                collection.renew_mark();
                held.mark = collection.mark();
            }
            collection.settle();
            held.entries = collection.stored_len();
        }
        self.is_torn = false;
        Ok(changed)
    }

    /// Puts the remembered values back into the handler.
    pub fn roll_back<H: Persistable>(&mut self, handler: &mut H) -> Result<(), StateError> {
        if self.is_torn {
            return Err(StateError::new("some of its changes count as staged already"));
        }
        for held in &self.collections {
            let Some(collection) = handler.collection(held.index) else { continue };
            let result = if collection.mark() == held.mark {
                collection.roll_back()
            } else {
                Err(StateError::new("another collection was assigned to it, and what it held is gone"))
            };
            result.map_err(|error| error.in_field(self.names[held.index]))?;
        }
        let mut encoded = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            if handler.collection(index).is_some() {
                continue;
            }
            encoded.clear();
            // A hash map that is decoded again is written in another order: leave what has not changed. A value that
            // cannot be written, or panics, has.
            let written = catch_unwind(AssertUnwindSafe(|| handler.snapshot(index, &mut encoded)));
            if !matches!(written, Ok(Ok(()))) || encoded != *value {
                handler.restore(index, value).map_err(|error| error.in_field(self.names[index]))?;
            }
        }
        self.take_stamps(handler);
        Ok(())
    }

    /// All plain fields with the remembered values.
    pub fn all(&self) -> Vec<Changed> {
        let is_plain = |index: &usize| self.collections.iter().all(|held| held.index != *index);
        (0..self.names.len()).filter(is_plain).map(|index| (self.names[index], self.values[index].clone())).collect()
    }

    /// A field that was found large since this was asked last, and its bytes.
    pub fn newly_large(&mut self) -> Option<(&'static str, usize)> {
        let index = *self.large.get(self.told)?;
        self.told += 1;
        Some((self.names[index], self.values[index].len()))
    }

    /// Bytes of all plain fields' values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries of all collections.
    pub fn entries(&self) -> u64 {
        self.collections.iter().map(|held| held.entries).sum()
    }

    fn take_stamps<H: Persistable>(&mut self, handler: &H) {
        self.suspects.clear();
        handler.suspects(&mut self.stamps, &mut self.suspects);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Field, decode_value, encode_value};
    use super::*;

    struct Log(String);

    impl Persistable for Log {
        fn schema() -> Schema {
            Schema::new(vec![Field::new("log", "String")])
        }

        fn snapshot(&self, _index: usize, into: &mut Vec<u8>) -> Result<(), StateError> {
            encode_value(&self.0, into)
        }

        fn restore(&mut self, _index: usize, from: &[u8]) -> Result<(), StateError> {
            self.0 = decode_value(from)?;
            Ok(())
        }

        fn set_default(&mut self, _index: usize) {}
    }

    #[test]
    fn a_field_that_grows_large_is_named_once() {
        let mut log = Log(String::new());
        let mut snapshot = Snapshot::of(&log, &Log::schema()).unwrap();
        for (bytes, named) in
            [(LARGE_FIELD_BYTES - 3, None), (LARGE_FIELD_BYTES - 2, Some(LARGE_FIELD_BYTES + 1)), (99_999, None)]
        {
            log.0 = "x".repeat(bytes);
            snapshot.changes(&mut log).unwrap();
            assert_eq!(snapshot.bytes(), snapshot.values[0].len());
            assert_eq!(snapshot.newly_large(), named.map(|bytes| ("log", bytes)));
            assert_eq!(snapshot.newly_large(), None);
        }
    }
}
