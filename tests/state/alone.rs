//! Collections without a consumer: each step is staged or taken back, and the hash that the stages make is compared.

use std::collections::BTreeMap;

use atomic_streams::__private::Collection;
use atomic_streams::Persistable;
use support::{Rng, seed};

use crate::model::{Change, Model, Work};
use crate::shelf::Shelf;

const FIELDS: [usize; 4] = [0, 1, 2, 3];

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

fn collection(shelf: &mut Shelf, index: usize) -> &mut dyn Collection {
    shelf.collection(index).unwrap()
}

/// What changes places or is made anew cannot be taken back without a server.
fn stays(change: &Change) -> bool {
    !matches!(change, Change::ReplaceMap(_) | Change::SwapMaps | Change::ReplaceQueue(_))
}

#[test]
fn staged_and_taken_back_they_equal_plain_ones_after_every_step() {
    let mut rng = Rng::new(seed());
    let (mut shelf, mut model, mut hashes) = (Shelf::default(), Model::default(), [const { Hash::new() }; 4]);
    let mut now = 1_000;
    for step in 0..30_000 {
        now += rng.below(12);
        let mut work = Work::random(&mut rng);
        work.changes.retain(stays);
        FIELDS.iter().for_each(|index| collection(&mut shelf, *index).begin(now));
        work.changes.iter().for_each(|change| shelf.change(change));
        if rng.percent(30) {
            FIELDS.iter().for_each(|index| collection(&mut shelf, *index).roll_back().unwrap());
        } else {
            shelf.count += 1;
            model.handle(now, &work.changes);
            for (index, hash) in FIELDS.iter().zip(&mut hashes) {
                let changes = collection(&mut shelf, *index).changes().unwrap();
                if changes.cleared {
                    hash.clear();
                }
                hash.extend(changes.set);
                changes.removed.iter().for_each(|key| assert!(hash.remove(key).is_some()));
                collection(&mut shelf, *index).settle();
            }
            assert_eq!(shelf.view(), model.view(), "step {step}: {work:?}");
        }
        for (index, hash) in FIELDS.iter().zip(&hashes) {
            let collection = collection(&mut shelf, *index);
            let all: Hash = collection.all().unwrap().into_iter().collect();
            assert!(all == *hash && collection.stored_len() == hash.len() as u64, "step {step}: {work:?}");
        }
        if rng.percent(2) {
            shelf = Shelf { count: shelf.count, ..Shelf::default() };
            for (index, hash) in FIELDS.iter().zip(&hashes) {
                let collection = collection(&mut shelf, *index);
                hash.iter().for_each(|(key, value)| collection.put(key, value).unwrap());
                collection.complete(hash.len() as u64).unwrap();
            }
        }
    }
}
