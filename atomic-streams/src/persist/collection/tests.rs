//! Collections against the hash that their changes make, message by message.

mod deque;
mod expiry;
mod map;

use std::collections::BTreeMap;

use super::{Collection, EntryChanges};

/// A collection, and the hash beside a record that its commits have made.
struct Kept<C> {
    held: C,
    hash: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<C: Collection + Default> Kept<C> {
    fn new() -> Self {
        Self { held: C::default(), hash: BTreeMap::new() }
    }

    /// One message whose handler succeeds. Returns what was written.
    fn commit<T>(&mut self, change: impl FnOnce(&mut C) -> T) -> EntryChanges {
        change(&mut self.held);
        let changes = self.held.changes().unwrap();
        self.held.settle();
        self.apply(&changes);
        self.check();
        changes
    }

    /// One message whose handler fails at its end.
    fn fail<T>(&mut self, change: impl FnOnce(&mut C) -> T) {
        change(&mut self.held);
        self.held.roll_back().unwrap();
        self.check();
        assert_eq!(self.held.changes().unwrap(), EntryChanges::default());
    }

    /// One that fails, and then succeeds with the same changes.
    fn fail_and_commit<T>(&mut self, change: impl Fn(&mut C) -> T) -> EntryChanges {
        self.fail(&change);
        self.commit(change)
    }

    fn restart(&mut self) {
        self.held = C::default();
        for (key, value) in &self.hash {
            self.held.put(key, value).unwrap();
        }
        self.held.complete(self.hash.len() as u64).unwrap();
        self.check();
    }

    fn apply(&mut self, changes: &EntryChanges) {
        if changes.cleared {
            self.hash.clear();
        }
        for (key, value) in &changes.set {
            self.hash.insert(key.clone(), value.clone());
        }
        for key in &changes.removed {
            assert!(self.hash.remove(key).is_some(), "an entry is removed that is not stored");
        }
    }

    /// What the collection holds is what is stored.
    fn check(&self) {
        let all = self.held.all().unwrap();
        assert_eq!(all.len(), self.hash.len(), "some entries are stored twice, or not at all");
        assert_eq!(all.into_iter().collect::<BTreeMap<_, _>>(), self.hash);
        assert_eq!(self.held.stored_len(), self.hash.len() as u64);
    }
}

/// How much a step writes: entries set and removed, and whether all were dropped before.
fn written(changes: &EntryChanges) -> (usize, usize, bool) {
    (changes.set.len(), changes.removed.len(), changes.cleared)
}

/// What a change returns.
fn ignore<T>(_: T) {}
