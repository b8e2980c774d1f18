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
    /// Why what was there before is not known any more: nothing can be written or taken back.
    trouble: Option<String>,
}

impl<K, C> Default for Journal<K, C> {
    fn default() -> Self {
        Self { touched: HashMap::new(), cleared: None, trouble: None }
    }
}

/// Touched keys for which room is kept: a table that was large once would make every later message walk over it.
const KEPT_ROOM: usize = 1_024;

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
    fn fail(&mut self, error: &StateError) {
        self.trouble.get_or_insert_with(|| format!("what an entry held could not be remembered: {error}"));
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
        self.cleared.is_none() && self.touched.is_empty() && self.trouble.is_none()
    }

    pub fn forget(&mut self) {
        self.touched.clear();
        self.touched.shrink_to(KEPT_ROOM);
        self.cleared = None;
        self.trouble = None;
    }

    /// Hands out what was remembered. Until [`forget`](Self::forget) says that it was put back, nothing is known.
    pub fn take(&mut self) -> Result<Undo<K, C>, StateError> {
        self.check()?;
        self.trouble = Some("its changes could not be taken back".to_owned());
        Ok(Undo { cleared: self.cleared.take(), touched: std::mem::take(&mut self.touched) })
    }

    /// What differs from before. `now` gives the entry that is at a key now, as it is stored; `all` all entries.
    pub fn changes(
        &self,
        now: impl Fn(&K) -> Option<Result<StoredEntry, StateError>>,
        all: impl FnOnce() -> Result<Vec<StoredEntry>, StateError>,
        len: usize,
    ) -> Result<EntryChanges, StateError>
    where
        K: Serialize,
    {
        self.check()?;
        if self.is_cleared() {
            within_limit(len as u64)?;
            return Ok(EntryChanges { cleared: true, set: all()?, removed: Vec::new() });
        }
        let mut changes = EntryChanges::default();
        for (key, before) in &self.touched {
            let now = now(key).transpose()?;
            if let Some(before) = before {
                let key = stored::encode(key)?;
                match &now {
                    Some((now_key, now)) if *now_key == key && now == before => continue,
                    // The same place, or an equal key that is written otherwise takes the place of this one.
                    Some((now_key, _)) if *now_key == key => {}
                    _ => changes.removed.push(key),
                }
            }
            changes.set.extend(now);
        }
        within_limit((changes.set.len() + changes.removed.len()) as u64)?;
        Ok(changes)
    }

    fn check(&self) -> Result<(), StateError> {
        match &self.trouble {
            Some(trouble) => Err(StateError::new(trouble.clone())),
            None => Ok(()),
        }
    }
}
