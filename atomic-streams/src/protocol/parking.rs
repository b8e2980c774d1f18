//! Keys whose entries follow a dead letter until they are unparked: the owner's knowledge of what the server has.
//!
//! They are a collection of the record, as those of a handler are: changed by the steps of the chain alone, restored with the
//! head, and dropped with the session. So the owner knows them as of the last step that it has staged.

use std::collections::HashMap;

use crate::entry::Fields;
use crate::id::EntryId;
use crate::letter::{MAX_KEY_BYTES, MAX_PARKED_KEYS};
use crate::persist::{Changes, CollectionChanges, CollectionKind, EntryChanges};

/// The parked keys of one subscription.
#[derive(Clone, Debug, Default)]
pub struct Parking {
    by: Option<By>,
    /// The entry that each of them waits behind.
    keys: HashMap<Vec<u8>, EntryId>,
}

/// By what keys are parked.
#[derive(Clone, Debug)]
struct By {
    letters: String,
    field: String,
}

/// Why a key cannot be parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unparkable {
    TooMany,
    TooLong { bytes: usize },
}

impl Parking {
    /// The collection: keys as they are, each with the ID of the entry that failed. No field of a handler has such a name.
    pub const KIND: CollectionKind = CollectionKind::Map;
    pub const FIELD: &str = "@parked";
    /// The collection of keys that are to be unparked, each with a number that tells it from earlier ones. Others than the
    /// owner add to it, and so it belongs to no head.
    pub const ASKED: &str = "@unparking";
    /// The record's field that says by what the keys are parked.
    pub const BY: &str = "@parked_by";

    /// Where entries that cannot be handled go, and the field whose value is their key; `None`: nothing is parked.
    pub fn new(by: Option<(&str, &str)>) -> Self {
        let by = by.map(|(letters, field)| By { letters: letters.to_owned(), field: field.to_owned() });
        Self { by, keys: HashMap::new() }
    }

    /// A record is taken over; its keys follow.
    pub fn reset(&mut self) {
        self.keys.clear();
    }

    /// Whether keys that were parked by what the record says can be kept in their order.
    pub fn keeps(&self, recorded: &[u8]) -> bool {
        self.by.as_ref().is_some_and(|by| by.text().as_bytes() == recorded)
    }

    /// A key of the record. Whether it can be read.
    pub fn put(&mut self, key: Vec<u8>, entry: &[u8]) -> bool {
        EntryId::from_bytes(entry).map(|entry| self.keys.insert(key, entry)).is_some()
    }

    /// Whether the key is parked.
    pub fn has(&self, key: &[u8]) -> bool {
        self.keys.contains_key(key)
    }

    /// The entry that a parked key waits behind.
    pub fn behind(&self, key: &[u8]) -> Option<EntryId> {
        self.keys.get(key).copied()
    }

    /// Where the letters of parked keys are.
    pub fn letters(&self) -> Option<&str> {
        self.by.as_ref().map(|by| by.letters.as_str())
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of an entry, where keys are parked.
    pub fn key_of<'a>(&self, fields: &'a Fields) -> Option<&'a [u8]> {
        fields.get(&self.by.as_ref()?.field)
    }

    /// The parked key of an entry, and the entry that it waits behind.
    pub fn waits<'a>(&self, fields: &'a Fields) -> Option<(&'a [u8], EntryId)> {
        if self.keys.is_empty() {
            return None;
        }
        let key = self.key_of(fields)?;
        self.keys.get(key).map(|behind| (key, *behind))
    }

    /// Parks the key of an entry that failed. What its commit does to the record.
    pub fn park(&mut self, key: &[u8], entry: EntryId) -> Result<Changes, Unparkable> {
        if key.len() > MAX_KEY_BYTES {
            return Err(Unparkable::TooLong { bytes: key.len() });
        }
        if self.keys.len() == MAX_PARKED_KEYS {
            return Err(Unparkable::TooMany);
        }
        let before = self.keys.len() as u64;
        self.keys.insert(key.to_vec(), entry);
        let set = vec![(key.to_vec(), entry.to_string().into_bytes())];
        let fields = self.by.iter().map(|by| (Self::BY, by.text().into_bytes())).collect();
        let changes = EntryChanges { set, ..EntryChanges::default() };
        Ok(Changes { fields, collections: vec![self.changes(changes, before)] })
    }

    /// Unparks a key, none of whose letters is left. What the step that removes the last one does to the record.
    pub fn unpark(&mut self, key: &[u8]) -> Vec<CollectionChanges> {
        let before = self.keys.len() as u64;
        let mut changes = vec![self.answered(key)];
        if self.keys.remove(key).is_some() {
            let removed = EntryChanges { removed: vec![key.to_vec()], ..EntryChanges::default() };
            changes.push(self.changes(removed, before));
        }
        changes
    }

    /// Nobody waits any more for the key to be unparked.
    pub fn answered(&self, key: &[u8]) -> CollectionChanges {
        let changes = EntryChanges { removed: vec![key.to_vec()], ..EntryChanges::default() };
        CollectionChanges { kind: Self::KIND, field: Self::ASKED.into(), changes, before: None, after: None }
    }

    fn changes(&self, changes: EntryChanges, before: u64) -> CollectionChanges {
        let (before, after) = (Some(before), Some(self.keys.len() as u64));
        CollectionChanges { kind: Self::KIND, field: Self::FIELD.into(), changes, before, after }
    }
}

impl By {
    /// As the record has it.
    fn text(&self) -> String {
        format!("{} by {}", self.letters, self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parking() -> Parking {
        Parking::new(Some(("dead", "customer")))
    }

    fn of(customer: &str) -> Fields {
        [("n", "1"), ("customer", customer), ("customer", "second")].into_iter().collect()
    }

    const FIRST: EntryId = EntryId::new(7, 1);

    #[test]
    fn entries_of_a_parked_key_wait_behind_the_first() {
        let mut parking = parking();
        assert_eq!(parking.waits(&of("a")), None);
        assert_eq!(parking.key_of(&of("a")), Some(&b"a"[..]));
        let changes = parking.park(b"a", FIRST).unwrap();
        assert_eq!(changes.fields, [(Parking::BY, b"dead by customer".to_vec())]);
        let [collection] = &changes.collections[..] else { panic!("{changes:?}") };
        assert_eq!(collection.changes.set, [(b"a".to_vec(), b"7-1".to_vec())]);
        assert_eq!((collection.before, collection.after), (Some(0), Some(1)));
        assert_eq!(parking.waits(&of("a")), Some((&b"a"[..], FIRST)));
        assert_eq!(parking.waits(&of("b")), None);
        assert_eq!(parking.waits(&[("n", "1")].into_iter().collect()), None);
    }

    #[test]
    fn an_unparked_key_is_gone_with_the_request() {
        let mut parking = parking();
        parking.park(b"a", FIRST).unwrap();
        let changes = parking.unpark(b"a");
        let shown: Vec<_> = changes.iter().map(|each| (&*each.field, each.before, each.after)).collect();
        assert_eq!(shown, [(Parking::ASKED, None, None), (Parking::FIELD, Some(1), Some(0))]);
        assert!(changes.iter().all(|each| each.changes.removed == [b"a"]));
        assert_eq!((parking.waits(&of("a")), parking.has(b"a")), (None, false));
        assert_eq!(parking.unpark(b"a").len(), 1, "the request alone");
    }

    #[test]
    fn nothing_is_parked_where_nobody_asked_for_it() {
        let parking = Parking::new(None);
        assert_eq!(parking.key_of(&of("a")), None);
        assert!(!parking.keeps(b"dead by customer"));
    }

    #[test]
    fn keys_of_a_record_are_kept_by_the_same_stream_and_field_alone() {
        let mut parking = parking();
        assert!(parking.keeps(b"dead by customer"));
        assert!(!parking.keeps(b"dead by order") && !parking.keeps(b"other by customer") && !parking.keeps(b""));
        assert!(parking.put(b"a".to_vec(), b"7-1"));
        assert!(!parking.put(b"b".to_vec(), b"x"));
        assert_eq!((parking.waits(&of("a")), parking.len()), (Some((&b"a"[..], FIRST)), 1));
        parking.reset();
        assert!(parking.is_empty());
    }

    #[test]
    fn keys_are_bounded() {
        let mut parking = parking();
        let long = vec![b'x'; MAX_KEY_BYTES + 1];
        assert_eq!(parking.park(&long, FIRST), Err(Unparkable::TooLong { bytes: MAX_KEY_BYTES + 1 }));
        for n in 0..MAX_PARKED_KEYS {
            parking.put(n.to_string().into_bytes(), b"7-1");
        }
        assert_eq!(parking.park(b"more", FIRST), Err(Unparkable::TooMany));
        assert_eq!(parking.len(), MAX_PARKED_KEYS);
    }
}
