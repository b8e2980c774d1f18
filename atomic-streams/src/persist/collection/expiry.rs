//! When entries expire.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// The times of those entries that have one, ms.
#[derive(Clone, Debug)]
pub(super) struct Expiry<K> {
    times: HashMap<K, u64>,
    due: BTreeMap<u64, HashSet<K>>,
}

impl<K> Default for Expiry<K> {
    fn default() -> Self {
        Self { times: HashMap::new(), due: BTreeMap::new() }
    }
}

impl<K: Eq + Hash> Expiry<K> {
    /// When the entry expires, if it does.
    pub fn at<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<u64>
    where
        K: Borrow<Q>,
    {
        if self.times.is_empty() { None } else { self.times.get(key).copied() }
    }

    /// Whether it has expired by then.
    pub fn is_over<Q: Eq + Hash + ?Sized>(&self, key: &Q, now_ms: u64) -> bool
    where
        K: Borrow<Q>,
    {
        self.at(key).is_some_and(|at| at <= now_ms)
    }

    /// The entry expires then, or never.
    pub fn set(&mut self, key: &K, at_ms: Option<u64>)
    where
        K: Clone,
    {
        self.forget(key);
        if let Some(at) = at_ms {
            self.times.insert(key.clone(), at);
            self.due.entry(at).or_default().insert(key.clone());
        }
    }

    /// The entry is gone.
    pub fn forget<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if self.times.is_empty() {
            return;
        }
        let Some(at) = self.times.remove(key) else { return };
        if let Some(keys) = self.due.get_mut(&at) {
            keys.remove(key);
            if keys.is_empty() {
                self.due.remove(&at);
            }
        }
    }

    /// How many entries have expired by then.
    pub fn count_over(&self, now_ms: u64) -> usize {
        self.due.range(..=now_ms).map(|(_, keys)| keys.len()).sum()
    }

    /// Up to `most` of them, those that expired first.
    pub fn over(&self, now_ms: u64, most: usize) -> Vec<K>
    where
        K: Clone,
    {
        self.due.range(..=now_ms).flat_map(|(_, keys)| keys).take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_time_replaces_the_old_one_and_leaves_nothing_behind() {
        let mut expiry = Expiry::default();
        for at in 1..=100 {
            expiry.set(&"a", Some(at));
        }
        expiry.set(&"b", Some(50));
        assert_eq!(expiry.due.len(), 2);
        assert_eq!((expiry.at("a"), expiry.count_over(99)), (Some(100), 1));
        assert_eq!(expiry.over(100, 1), ["b"]);
        assert!(expiry.is_over("a", 100) && !expiry.is_over("a", 99));
        expiry.set(&"a", None);
        expiry.forget("b");
        assert!(expiry.times.is_empty() && expiry.due.is_empty());
    }
}
