//! A map whose entries are stored one by one.

mod standard;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::expiry::Expiry;
use super::journal::Journal;
use super::{Collection, EntryChanges, Mark, StoredEntry, stored};
use crate::persist::msgpack::{StateError, decode_of_any_length, encode_of_any_length};

/// Expired entries that one message removes at most; the rest, invisible already, go with the next ones.
const MAX_EXPIRED: usize = 1_000;

/// A map of any size as a field of a handler: it is read from memory, and only entries that changed are written.
///
/// A plain `HashMap` in a field is one value, which is encoded for every message and written whole when one of its
/// entries changes. A `StateMap` keeps each entry by itself, in a Redis hash beside the record
/// (`RECORD@map:FIELD`), written by the same commit as everything else. What a message costs depends on how many entries
/// it changes (at most [`MAX_ENTRY_CHANGES`](crate::persist::MAX_ENTRY_CHANGES)), not on how many there are. When its
/// handler fails, the entries are as they were before.
///
/// ```
/// use atomic_streams::{Handler, HandlerResult, Persistable, StateMap, Transaction, async_trait};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Sale {
///     sku: String,
///     quantity: i64,
/// }
///
/// #[derive(Persistable)]
/// struct Stock {
///     #[persist(default)]
///     by_sku: StateMap<String, i64>,
/// }
///
/// #[async_trait]
/// impl Handler for Stock {
///     type Message = Sale;
///
///     async fn handle(&mut self, sale: Sale, _tx: &mut Transaction) -> HandlerResult {
///         *self.by_sku.get_or_insert_with(sale.sku, || 100) -= sale.quantity;
///         Ok(())
///     }
/// }
/// ```
///
/// # What it asks of its types
/// Keys that are equal must be encoded alike. Write the type by its own name in the struct (`StateMap<…>`, with a path or
/// without): behind a type alias the derive takes it for a plain field, and says so.
///
/// # Entries with a time to live
/// [`insert_with_ttl`](Self::insert_with_ttl) adds an entry that expires. Time is that of the messages: the milliseconds of
/// the ID of the entry that is being handled, so that a handler that runs again sees the same. An entry that has expired is
/// invisible to the next handler, and is removed by the commit of that message, a thousand at a time. Redis removes none
/// by itself: while no messages come, they stay where other tools see them. A map that a handler makes anew knows the time
/// from the next message on; until then, and in a unit test without a consumer, times to live are reckoned from the clock's,
/// and nothing expires.
///
/// # Another map in the field
/// A handler may assign another map to the field, or swap two: that map is written whole in place of what is stored. If
/// the handler fails then, what was there is gone from memory, and is read back from the server.
///
/// # At the start
/// All entries are read back at attach, in chunks; about as much memory is needed as for a `HashMap`. A field that was a
/// `HashMap` or `BTreeMap` with the same keys and values becomes a `StateMap` by changing its type: the first attach of the
/// new version moves its entries. To go back, or to change keys or values, write a `migrate` function, which sees the
/// entries as a plain map. Times to live are kept by neither.
pub struct StateMap<K, V> {
    entries: HashMap<K, V>,
    expiry: Expiry<K>,
    journal: Journal<K, (HashMap<K, V>, Expiry<K>)>,
    mark: Mark,
    /// The time of the message that is being handled; 0 before the first.
    now_ms: u64,
}

impl<K, V> StateMap<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: HashMap::new(),
            expiry: Expiry::default(),
            journal: Journal::default(),
            mark: Mark::default(),
            now_ms: 0,
        }
    }
}

impl<K: Eq + Hash, V> StateMap<K, V> {
    /// The value at `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).filter(|_| !self.expiry.is_over(key, self.now_ms))
    }

    /// Whether there is an entry at `key`.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.expiry.count_over(self.now_ms)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter(|(key, _)| !self.expiry.is_over(*key, self.now_ms))
    }

    /// All keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// For how much longer the entry lives, if it is there and has a time to live.
    pub fn ttl<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        let left_ms = self.expiry.at(key)?.checked_sub(self.now_ms()).filter(|left_ms| *left_ms > 0)?;
        Some(Duration::from_millis(left_ms))
    }

    /// Outside a consumer, as in a unit test of a handler, time is the clock's.
    fn now_ms(&self) -> u64 {
        if self.now_ms > 0 {
            return self.now_ms;
        }
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl<K: Clone + Eq + Hash + Serialize, V: Serialize + DeserializeOwned> StateMap<K, V> {
    /// The value at `key`, to be changed in place.
    ///
    /// What it is when the handler is done is written, if it is another one.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if self.expiry.is_over(key, self.now_ms) {
            return None;
        }
        self.touch_present(key);
        self.entries.get_mut(key)
    }

    /// The value at `key`, to be changed in place; where there is none, `new` makes it.
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if self.expiry.is_over(&key, self.now_ms) {
            self.remove(&key);
        }
        self.touch(&key);
        self.entries.entry(key).or_insert_with(new)
    }

    /// Sets the value at `key`; it then has no time to live. The value that was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.insert_until(key, value, None)
    }

    /// Sets the value at `key` for as long as `ttl` from the time of the message. The value that was there before.
    pub fn insert_with_ttl(&mut self, key: K, value: V, ttl: Duration) -> Option<V> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let until = self.now_ms().saturating_add(ttl_ms);
        self.insert_until(key, value, Some(until))
    }

    /// Removes the entry at `key`. The value that was there.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.touch_present(key);
        let was_over = self.expiry.is_over(key, self.now_ms);
        self.expiry.forget(key);
        self.entries.remove(key).filter(|_| !was_over)
    }

    /// Keeps the entries of which `keep` says so; all are looked at.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let gone: Vec<K> = self.iter().filter(|(key, value)| !keep(key, value)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Removes all entries. On the server this is one command, however many there are.
    pub fn clear(&mut self) {
        if self.journal.is_cleared() {
            self.entries.clear();
            self.expiry = Expiry::default();
            return;
        }
        // What is remembered is what was there before the message. If it cannot be had, the journal knows.
        if self.undo().is_ok() && !self.entries.is_empty() {
            let contents = (std::mem::take(&mut self.entries), std::mem::take(&mut self.expiry));
            self.journal.remember_all(contents);
        }
    }

    fn insert_until(&mut self, key: K, value: V, until_ms: Option<u64>) -> Option<V> {
        self.touch(&key);
        let was_over = self.expiry.is_over(&key, self.now_ms);
        self.expiry.set(&key, until_ms);
        self.entries.insert(key, value).filter(|_| !was_over)
    }

    /// Remembers what is at `key`.
    fn touch(&mut self, key: &K) {
        if self.journal.needs(key) && !self.touch_present(key) {
            self.journal.remember(key.clone(), None);
        }
    }

    /// Remembers what is at `key`, if anything is. Whether there is.
    fn touch_present<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        if !self.journal.needs(key) {
            return true;
        }
        let Some((held, value)) = self.entries.get_key_value(key) else { return false };
        self.journal.remember(held.clone(), Some(stored::encode_expiring(value, self.expiry.at(key))));
        true
    }

    fn stored(&self, key: &K, value: &V) -> Result<StoredEntry, StateError> {
        Ok((stored::encode(key)?, stored::encode_expiring(value, self.expiry.at(key))?))
    }

    /// Puts back what was there before the message.
    fn undo(&mut self) -> Result<(), StateError> {
        let undo = self.journal.take()?;
        if let Some((entries, expiry)) = undo.cleared {
            (self.entries, self.expiry) = (entries, expiry);
        }
        for (key, before) in undo.touched {
            // An equal key may be written otherwise, and would stay.
            self.expiry.forget(&key);
            self.entries.remove(&key);
            if let Some(bytes) = before {
                let (value, expires_ms) = stored::decode_expiring(&bytes)?;
                self.expiry.set(&key, expires_ms);
                self.entries.insert(key, value);
            }
        }
        self.journal.forget();
        Ok(())
    }
}

impl<K, V> Collection for StateMap<K, V>
where
    K: Clone + Eq + Hash + Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    fn begin(&mut self, now_ms: u64) {
        // Entries are read in the order of their IDs; a clock that was set back must not bring anything to life.
        self.now_ms = self.now_ms.max(now_ms);
        for key in self.expiry.over(self.now_ms, MAX_EXPIRED) {
            self.remove(&key);
        }
    }

    fn changes(&self) -> Result<EntryChanges, StateError> {
        if self.journal.is_empty() {
            return Ok(EntryChanges::default());
        }
        let now = |key: &K| self.entries.get_key_value(key).map(|(key, value)| self.stored(key, value));
        self.journal.changes(now, || self.all(), self.entries.len())
    }

    fn settle(&mut self) {
        self.journal.forget();
    }

    fn roll_back(&mut self) -> Result<(), StateError> {
        self.undo()
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let key: K = stored::decode(key)?;
        let (value, expires_ms) = stored::decode_expiring(value)?;
        if expires_ms.is_some() {
            self.expiry.set(&key, expires_ms);
        }
        self.entries.insert(key, value);
        Ok(())
    }

    fn complete(&mut self, _entries: u64) -> Result<(), StateError> {
        Ok(())
    }

    fn all(&self) -> Result<Vec<StoredEntry>, StateError> {
        self.entries.iter().map(|(key, value)| self.stored(key, value)).collect()
    }

    fn stored_len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn encode_plain(&self, into: &mut Vec<u8>) -> Result<(), StateError> {
        encode_of_any_length(&self.entries, into)
    }

    fn decode_plain(&mut self, from: &[u8]) -> Result<(), StateError> {
        let entries = decode_of_any_length(from)?;
        self.reset();
        self.entries = entries;
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn renew_mark(&mut self) {
        self.mark = Mark::unique();
    }
}
