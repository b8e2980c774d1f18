//! Maps and sets: what is written, and what is taken back.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};

use super::super::{Collection, MAX_ENTRY_CHANGES, StateMap, StateSet};
use super::{Kept, ignore, written};

type Stock = StateMap<String, i64>;

fn stock() -> Kept<Stock> {
    let mut kept = Kept::new();
    kept.commit(|map: &mut Stock| map.extend([("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]));
    kept
}

#[test]
fn only_what_changed_is_written() {
    let mut kept = stock();
    assert_eq!(written(&kept.fail_and_commit(|map| map.insert("a".to_owned(), 9))), (1, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|map| map.insert("d".to_owned(), 4))), (1, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|map| *map.get_mut("b").unwrap() += 1)), (1, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|map| map.remove("c"))), (0, 1, false));
    assert_eq!(written(&kept.fail_and_commit(|map| *map.get_or_insert_with("e".to_owned(), || 5) += 1)), (1, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|map| map.retain(|_, value| *value > 4))), (0, 2, false));
    kept.restart();
    assert_eq!(kept.held, [("a".to_owned(), 9), ("e".to_owned(), 6)].into_iter().collect());
}

#[test]
fn changes_back_and_forth_write_nothing() {
    let mut kept = stock();
    for change in [
        |map: &mut Stock| ignore(map.get_mut("a")),
        |map: &mut Stock| ignore(map.get_mut("missing")),
        |map: &mut Stock| ignore(map.remove("missing")),
        |map: &mut Stock| ignore(map.insert("a".to_owned(), 1)),
        |map: &mut Stock| {
            *map.get_mut("a").unwrap() = 7;
            *map.get_mut("a").unwrap() = 1;
        },
        |map: &mut Stock| {
            map.insert("d".to_owned(), 4);
            map.remove("d");
        },
        |map: &mut Stock| {
            let value = map.remove("b").unwrap();
            map.insert("b".to_owned(), value);
        },
        |map: &mut Stock| map.retain(|_, _| true),
    ] {
        assert_eq!(written(&kept.fail_and_commit(change)), (0, 0, false));
    }
}

#[test]
fn everything_may_go_at_once() {
    let mut kept = stock();
    let half = |map: &mut Stock| {
        map.insert("x".to_owned(), 7);
        map.remove("a");
        map.clear();
        map.insert("b".to_owned(), 8);
        map.insert("y".to_owned(), 9);
        map.remove("y");
    };
    assert_eq!(written(&kept.fail_and_commit(half)), (1, 0, true));
    let twice = |map: &mut Stock| {
        map.clear();
        map.insert("z".to_owned(), 1);
        map.clear();
    };
    assert_eq!(written(&kept.fail_and_commit(twice)), (0, 0, true));
    assert!(kept.hash.is_empty());
    let empty = |map: &mut Stock| {
        map.insert("z".to_owned(), 1);
        map.clear();
    };
    assert_eq!(written(&kept.fail_and_commit(empty)), (0, 0, false), "nothing was there to go");
}

#[test]
fn a_set_is_a_map_without_values() {
    let mut kept = Kept::<StateSet<u64>>::new();
    assert_eq!(written(&kept.fail_and_commit(|set| set.extend(0..10))), (10, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|set| assert!(!set.insert(3)))), (0, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|set| set.retain(|n| n % 2 == 0))), (0, 5, false));
    assert_eq!(written(&kept.fail_and_commit(StateSet::clear)), (0, 0, true));
}

/// Equal however it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Word(String);

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

#[test]
fn an_equal_key_in_another_spelling_is_the_same_entry() {
    let word = |text: &str| Word(text.to_owned());
    let mut kept = Kept::<StateMap<Word, i64>>::new();
    kept.commit(|map| map.insert(word("Ada"), 1));
    assert_eq!(written(&kept.fail_and_commit(|map| map.insert(word("ADA"), 2))), (1, 0, false));
    let respelled = |value| {
        move |map: &mut StateMap<Word, i64>| {
            map.remove(&Word("ada".to_owned()));
            map.insert(Word("aDa".to_owned()), value);
        }
    };
    assert_eq!(written(&kept.fail_and_commit(respelled(2))), (1, 1, false), "the key is what it was last added as");
    kept.restart();
    assert_eq!(written(&kept.fail_and_commit(|map| *map.get_mut(&word("ADA")).unwrap() = 5)), (1, 0, false));
    kept.fail_and_commit(|map| {
        map.clear();
        map.insert(word("ADA"), 5);
    });
    kept.fail_and_commit(|map| map.remove(&word("ada")));
}

/// Cannot be written when it is odd; decoding may be refused too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
struct Even(u8);

impl Serialize for Even {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            255 => panic!("255 was never meant to be written"),
            odd if odd % 2 == 1 => Err(serde::ser::Error::custom("it is odd")),
            even => serializer.serialize_u8(even),
        }
    }
}

#[test]
fn a_value_that_cannot_be_written_fails_the_message_and_nothing_else() {
    let mut kept = Kept::<StateMap<u8, Even>>::new();
    kept.commit(|map| map.insert(1, Even(2)));
    for change in [
        |map: &mut StateMap<u8, Even>| ignore(map.insert(1, Even(3))),
        |map: &mut StateMap<u8, Even>| ignore(map.insert(2, Even(3))),
        |map: &mut StateMap<u8, Even>| map.get_mut(&1).unwrap().0 = 5,
        |map: &mut StateMap<u8, Even>| {
            map.clear();
            map.insert(2, Even(3));
        },
    ] {
        kept.held.insert(9, Even(4));
        change(&mut kept.held);
        assert!(kept.held.changes().unwrap_err().to_string().contains("it is odd"));
        kept.held.roll_back().unwrap();
        kept.check();
    }
}

/// Written as a number, and not to be read back.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Lost(u8);

impl<'de> Deserialize<'de> for Lost {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it cannot be read"))
    }
}

#[test]
fn what_cannot_be_taken_back_is_neither_written_nor_forgotten() {
    let mut map: StateMap<u8, Lost> = [(1, Lost(1)), (2, Lost(2))].into_iter().collect();
    map.insert(1, Lost(3));
    map.clear();
    assert!(map.changes().unwrap_err().to_string().contains("could not be taken back"));
    map.insert(5, Lost(5));
    map.clear();
    assert!(map.changes().is_err());
    assert!(map.roll_back().is_err());
    map.reset();
    assert_eq!(written(&map.changes().unwrap()), (0, 0, false));
}

#[test]
fn one_message_changes_so_many_entries_and_no_more() {
    let most = MAX_ENTRY_CHANGES as u64;
    let mut kept = Kept::<StateSet<u64>>::new();
    kept.held.extend(0..=most);
    let error = kept.held.changes().unwrap_err().to_string();
    assert!(error.contains("100001") && error.contains("100000") && error.contains("several messages"), "{error}");
    kept.held.roll_back().unwrap();
    kept.check();
    assert_eq!(written(&kept.commit(|set| set.extend(0..most))).0, MAX_ENTRY_CHANGES);
    kept.commit(|set| set.extend(most..most + 10));
    // What is only looked at does not count, and neither do entries that go all at once.
    assert_eq!(written(&kept.commit(|set| set.extend(0..most + 10))), (0, 0, false));
    assert_eq!(written(&kept.commit(StateSet::clear)), (0, 0, true));
}
