#![deny(warnings)]

use std::hash::Hash;

use atomic_streams::{Persistable, StateDeque, StateMap, StateSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Persistable)]
struct Shop {
    stock: StateMap<String, i64>,
    #[persist(default)]
    seen: atomic_streams::StateSet<u64>,
    #[persist(default = (0..3).map(|n| vec![n]).collect(), rename = "window", alias = "last")]
    r#last_ones: ::atomic_streams::StateDeque<Vec<u8>>,
    #[persist(skip)]
    cache: StateMap<String, Vec<StateSet<u8>>>,
}

#[derive(Persistable)]
struct Generic<K: Clone + Eq + Hash + Serialize + DeserializeOwned, V> {
    #[persist(default)]
    by_key: StateMap<K, V>,
    keys: StateSet<K>,
    queue: StateDeque<(K, V)>,
    plain: Vec<V>,
}

fn run<H: Persistable>(mut handler: H, collections: &[bool]) {
    assert_eq!(H::schema().fields().len(), collections.len());
    for (index, is_collection) in collections.iter().enumerate() {
        assert_eq!(handler.collection(index).is_some(), *is_collection);
    }
}

fn main() {
    let shop = Shop {
        stock: StateMap::new(),
        seen: StateSet::new(),
        last_ones: StateDeque::new(),
        cache: StateMap::new(),
    };
    assert!(shop.cache.is_empty());
    run(shop, &[true; 3]);
    let generic = Generic::<String, u8> {
        by_key: StateMap::new(),
        keys: StateSet::new(),
        queue: StateDeque::new(),
        plain: Vec::new(),
    };
    run(generic, &[true, true, true, false]);
}
