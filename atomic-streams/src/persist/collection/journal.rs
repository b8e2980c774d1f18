//! What a message has changed in a collection, and what was there before.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::{EntryChanges, StoredEntry, stored, within_limit};
use crate::persist::msgpack::StateError;
use serde::Serialize;

/// Kept from one settling to the next. `C` is everything that the collection held when it was emptied.
#[derive(Debug)]
pub(super) struct Journal<K, C> {
    /// For each key that was touched: the stored value that it had, if it was there.
    touched: HashMap<K, Option<Vec<u8>>>,
    /// What was there before all entries were dropped at once. From then on, everything that is there is new.
    cleared: Option<C>,
    /// A value that was to be remembered could not be encoded: nothing can be taken back.
    trouble: Option<String>,
}

impl<K, C> Default for Journal<K, C> {
    fn default() -> Self {
        Self { touched: HashMap::new(), cleared: None, trouble: None }
    }
}

/// What to do to take changes back.
pub(super) struct Undo<K, C> {
    pub cleared: Option<C>,
    pub touched: HashMap<K, Option<Vec<u8>>>,
}

impl<K: Eq + Hash, C> Journal<K, C> {
    /// Whether what this key holds must be remembered before it is changed.
    pub fn needs<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.cleared.is_none() && !self.touched.contains_key(key)
    }

    /// Remembers what a key held.
    pub fn remember(&mut self, key: K, before: Option<Result<Vec<u8>, StateError>>) {
        let before = before.transpose().unwrap_or_else(|error| {
            self.fail(&error);
            None
        });
        self.touched.insert(key, before);
    }

    /// What was there before is not known any more: the message fails, and so does taking it back.
    pub fn fail(&mut self, error: &StateError) {
        self.trouble.get_or_insert_with(|| error.to_string());
    }

    /// Remembers that everything was dropped: `contents` as they were before any change.
    pub fn remember_all(&mut self, contents: C) {
        self.touched.clear();
        self.cleared = Some(contents);
    }

    pub fn is_cleared(&self) -> bool {
        self.cleared.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.cleared.is_none() && self.touched.is_empty()
    }

    pub fn forget(&mut self) {
        self.touched.clear();
        self.cleared = None;
        self.trouble = None;
    }

    /// Hands out what was remembered, and forgets it.
    pub fn take(&mut self) -> Result<Undo<K, C>, StateError> {
        self.check()?;
        Ok(Undo { cleared: self.cleared.take(), touched: std::mem::take(&mut self.touched) })
    }

    /// What differs from before. `now` gives the stored value that a key has now; `all` all entries.
    pub fn changes(
        &self,
        now: impl Fn(&K) -> Option<Result<Vec<u8>, StateError>>,
        all: impl FnOnce() -> Result<Vec<StoredEntry>, StateError>,
        len: usize,
    ) -> Result<EntryChanges, StateError>
    where
        K: Serialize,
    {
        self.check()?;
        if self.is_cleared() {
            within_limit(len)?;
            return Ok(EntryChanges { cleared: true, set: all()?, removed: Vec::new() });
        }
        within_limit(self.touched.len())?;
        let mut changes = EntryChanges::default();
        for (key, before) in &self.touched {
            match (before, now(key).transpose()?) {
                (Some(before), Some(now)) if *before == now => {}
                (_, Some(now)) => changes.set.push((stored::encode(key)?, now)),
                (Some(_), None) => changes.removed.push(stored::encode(key)?),
                (None, None) => {}
            }
        }
        Ok(changes)
    }

    fn check(&self) -> Result<(), StateError> {
        match &self.trouble {
            Some(trouble) => Err(StateError::new(format!("what an entry held could not be remembered: {trouble}"))),
            None => Ok(()),
        }
    }
}
