//! What several commits change in one collection.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::persist::{CollectionChanges, CollectionKind, EntryChanges};

/// The entries of a collection, on their way through several commits: the last word on each key counts.
pub(super) struct Entries {
    kind: CollectionKind,
    field: Cow<'static, str>,
    cleared: bool,
    /// In the order of their first change; `None` for one that was removed.
    entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    places: HashMap<Vec<u8>, usize>,
    before: Option<u64>,
    after: Option<u64>,
}

impl Entries {
    pub fn of(first: CollectionChanges) -> Self {
        let CollectionChanges { kind, ref field, before, .. } = first;
        let (entries, places) = (Vec::new(), HashMap::new());
        let mut open = Self { kind, field: field.clone(), cleared: false, entries, places, before, after: None };
        open.add(first);
        open
    }

    pub fn is_of(&self, other: &CollectionChanges) -> bool {
        self.kind == other.kind && self.field == other.field
    }

    pub fn add(&mut self, next: CollectionChanges) {
        let EntryChanges { cleared, set, removed } = next.changes;
        if cleared {
            self.cleared = true;
            self.entries.clear();
            self.places.clear();
        }
        for (key, value) in set {
            self.put(key, Some(value));
        }
        for key in removed {
            self.put(key, None);
        }
        self.after = next.after.or(self.after);
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match self.places.get(&key) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
            }
        }
    }

    pub fn into_changes(self) -> CollectionChanges {
        let mut changes = EntryChanges { cleared: self.cleared, ..EntryChanges::default() };
        for (key, value) in self.entries {
            match value {
                Some(value) => changes.set.push((key, value)),
                None if self.cleared => {}
                None => changes.removed.push(key),
            }
        }
        CollectionChanges { kind: self.kind, field: self.field, changes, before: self.before, after: self.after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(cleared: bool, set: &[(&str, &str)], removed: &[&str], sizes: (u64, Option<u64>)) -> CollectionChanges {
        let bytes = |text: &&str| text.as_bytes().to_vec();
        let set = set.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        let changes = EntryChanges { cleared, set, removed: removed.iter().map(bytes).collect() };
        CollectionChanges {
            kind: CollectionKind::Map,
            field: "f".into(),
            changes,
            before: Some(sizes.0),
            after: sizes.1,
        }
    }

    #[test]
    fn the_last_word_on_each_key_counts() {
        let mut entries = Entries::of(changes(false, &[("a", "1"), ("b", "1")], &["c"], (4, Some(5))));
        entries.add(changes(false, &[("a", "2"), ("c", "2")], &["b"], (5, None)));
        let folded = changes(false, &[("a", "2"), ("c", "2")], &["b"], (4, Some(5)));
        assert_eq!(entries.into_changes(), folded);
    }

    #[test]
    fn nothing_is_left_of_what_comes_before_a_clearing() {
        let mut entries = Entries::of(changes(false, &[("a", "1")], &["b"], (4, None)));
        entries.add(changes(true, &[("c", "2")], &[], (4, Some(1))));
        entries.add(changes(false, &[("d", "3")], &["c"], (1, None)));
        assert_eq!(entries.into_changes(), changes(true, &[("d", "3")], &[], (4, Some(1))));
    }
}
