//! What a map does as the standard library's does.

use std::fmt;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StateMap;

impl<K, V> Default for StateMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy is another map: assigned to a field, it replaces what is stored, entry by entry.
impl<K: Clone, V: Clone> Clone for StateMap<K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), expiry: self.expiry.clone(), now_ms: self.now_ms, ..Self::new() }
    }
}

impl<K: Eq + Hash, V> FromIterator<(K, V)> for StateMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::new() }
    }
}

impl<K, V> Extend<(K, V)> for StateMap<K, V>
where
    K: Clone + Eq + Hash + Serialize,
    V: Serialize + DeserializeOwned,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Eq + Hash, V: PartialEq> PartialEq for StateMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Eq + Hash, V: Eq> Eq for StateMap<K, V> {}

impl<K: Eq + Hash + fmt::Debug, V: fmt::Debug> fmt::Debug for StateMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
