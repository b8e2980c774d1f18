//! A set whose entries are stored one by one.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::map::StateMap;
use super::{Collection, EntryChanges, Mark, StoredEntry};
use crate::persist::msgpack::{StateError, decode_of_any_length, encode_of_any_length};

/// A set of any size as a field of a handler: it is read from memory, and only what was added or removed is written.
///
/// It lies in a Redis hash beside the record (`RECORD@set:FIELD`), one field for each entry. Everything that is said of
/// [`StateMap`] holds for it, entries with a time to live included, which make it a memory of what was seen lately:
///
/// ```
/// use std::time::Duration;
///
/// use atomic_streams::StateSet;
///
/// const DAY: Duration = Duration::from_secs(86_400);
///
/// let mut seen: StateSet<String> = StateSet::new();
/// assert!(seen.insert_with_ttl("order-7".to_owned(), DAY), "it is new");
/// assert!(!seen.insert_with_ttl("order-7".to_owned(), DAY), "it was seen already, and lives on from now");
/// ```
///
/// A field that was a `HashSet`, `BTreeSet` or `Vec` of the same entries becomes a `StateSet` by changing its type.
pub struct StateSet<T> {
    entries: StateMap<T, ()>,
}

impl<T> StateSet<T> {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: StateMap::new() }
    }
}

impl<T: Eq + Hash> StateSet<T> {
    /// Whether it holds `entry`.
    pub fn contains<Q: Eq + Hash + ?Sized>(&self, entry: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.entries.contains_key(entry)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.keys()
    }

    /// For how much longer the entry lives, if it is there and has a time to live.
    pub fn ttl<Q: Eq + Hash + ?Sized>(&self, entry: &Q) -> Option<Duration>
    where
        T: Borrow<Q>,
    {
        self.entries.ttl(entry)
    }
}

impl<T: Clone + Eq + Hash + Serialize> StateSet<T> {
    /// Adds an entry; it then has no time to live. Whether it is new.
    pub fn insert(&mut self, entry: T) -> bool {
        self.entries.insert(entry, ()).is_none()
    }

    /// Adds an entry for as long as `ttl` from the time of the message. Whether it is new.
    pub fn insert_with_ttl(&mut self, entry: T, ttl: Duration) -> bool {
        self.entries.insert_with_ttl(entry, (), ttl).is_none()
    }

    /// Removes an entry. Whether it was there.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, entry: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.entries.remove(entry).is_some()
    }

    /// Keeps the entries of which `keep` says so; all are looked at.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.entries.retain(|entry, ()| keep(entry));
    }

    /// Removes all entries. On the server this is one command, however many there are.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl<T: Clone + Eq + Hash + Serialize + DeserializeOwned> Collection for StateSet<T> {
    fn begin(&mut self, now_ms: u64) {
        self.entries.begin(now_ms);
    }

    fn changes(&self) -> Result<EntryChanges, StateError> {
        self.entries.changes()
    }

    fn settle(&mut self) {
        self.entries.settle();
    }

    fn roll_back(&mut self) -> Result<(), StateError> {
        self.entries.roll_back()
    }

    fn reset(&mut self) {
        self.entries.reset();
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.entries.put(key, value)
    }

    fn complete(&mut self, entries: u64) -> Result<(), StateError> {
        self.entries.complete(entries)
    }

    fn all(&self) -> Result<Vec<StoredEntry>, StateError> {
        self.entries.all()
    }

    fn stored_len(&self) -> u64 {
        self.entries.stored_len()
    }

    fn encode_plain(&self, into: &mut Vec<u8>) -> Result<(), StateError> {
        encode_of_any_length(&self.iter().collect::<Vec<_>>(), into)
    }

    fn decode_plain(&mut self, from: &[u8]) -> Result<(), StateError> {
        let entries: HashSet<T> = decode_of_any_length(from)?;
        *self = entries.into_iter().collect();
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.entries.mark()
    }

    fn renew_mark(&mut self) {
        self.entries.renew_mark();
    }
}

impl<T> Default for StateSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy is another set: assigned to a field, it replaces what is stored, entry by entry.
impl<T: Clone> Clone for StateSet<T> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone() }
    }
}

impl<T: Eq + Hash> FromIterator<T> for StateSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|entry| (entry, ())).collect() }
    }
}

impl<T: Clone + Eq + Hash + Serialize> Extend<T> for StateSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        for entry in entries {
            self.insert(entry);
        }
    }
}

impl<T: Eq + Hash> PartialEq for StateSet<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T: Eq + Hash> Eq for StateSet<T> {}

impl<T: Eq + Hash + fmt::Debug> fmt::Debug for StateSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
