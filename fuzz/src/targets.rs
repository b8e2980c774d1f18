//! What the fuzzer and the plain test of its corpus run: each target takes any bytes, and must neither panic nor overflow the
//! stack, and what it accepts must be the same when it is written and read again.

use std::collections::BTreeMap;

use atomic_streams::internals::{dead_letter_of, decode, encode, read_reply};
use atomic_streams::persist::Collection;
use atomic_streams::{DeadLetter, Entry, EntryId, Fields, Persistable, StateDeque, StateMap, StateSet, redis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A name, under which the corpus lies, and what to do with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 4] = [("entry", entry), ("state", state), ("reply", reply), ("letter", letter)];

/// No error is longer, whatever it is about.
const MAX_ERROR_BYTES: usize = 2_048;

/// Names and values, each a byte for its length and so many bytes; the last may be cut.
pub fn pairs(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut text = || {
        let (length, rest) = bytes.split_first()?;
        let (text, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = rest;
        Some(text)
    };
    let mut pairs = Vec::new();
    while let Some(name) = text() {
        pairs.push((name, text().unwrap_or_default()));
    }
    pairs
}

fn fields(bytes: &[u8]) -> Fields {
    pairs(bytes).into_iter().collect()
}

#[derive(Serialize, Deserialize)]
struct Sale {
    sku: String,
    quantity: i64,
    price: Option<f64>,
    #[serde(default)]
    tags: Vec<String>,
    big: Option<u128>,
    address: Option<Address>,
    kind: Option<Shape>,
    express: Option<bool>,
    grade: Option<char>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    street: String,
    lines: (u8, Option<f32>),
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Pair(Box<Shape>, Box<Shape>),
    Group(Vec<Shape>),
    Named(BTreeMap<String, Shape>),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internal {
    Moved { to: String, after_ms: Option<u64> },
    Node { left: Option<Box<Internal>> },
    Gone,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum Adjacent {
    Moved(String),
    Counted { n: i32, of: Vec<u16> },
    Gone,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Many(Vec<Either>),
    Named(BTreeMap<String, Either>),
    Text(String),
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, Either>,
}

fn both_ways<M: Serialize + DeserializeOwned>(fields: &Fields) {
    match decode::<M>(fields) {
        Err(error) => assert!(error.to_string().len() <= MAX_ERROR_BYTES, "{error}"),
        Ok(message) => {
            let Ok(written) = encode(&message) else { return };
            let again = decode::<M>(&written).expect("what was written can be read");
            assert_eq!(encode(&again).expect("what was read can be written"), written);
        }
    }
}

/// An entry, as messages of many types.
pub fn entry(bytes: &[u8]) {
    let fields = fields(bytes);
    both_ways::<Fields>(&fields);
    both_ways::<Sale>(&fields);
    both_ways::<BTreeMap<String, String>>(&fields);
    both_ways::<BTreeMap<i16, Option<f32>>>(&fields);
    both_ways::<BTreeMap<String, serde_json::Value>>(&fields);
    both_ways::<BTreeMap<String, Vec<serde_json::Value>>>(&fields);
    both_ways::<Shape>(&fields);
    both_ways::<Internal>(&fields);
    both_ways::<Adjacent>(&fields);
    both_ways::<Either>(&fields);
    both_ways::<Flat>(&fields);
    let _ = decode::<()>(&fields);
}

#[derive(Persistable, Default)]
struct Everything {
    count: i64,
    shape: Option<Shape>,
    names: BTreeMap<String, Vec<Option<f32>>>,
    parts: (u8, char, Vec<(bool, ())>),
    any: Option<serde_json::Value>,
    list: Vec<u8>,
    map: StateMap<String, Option<u32>>,
    set: StateSet<(u8, Option<bool>)>,
    deque: StateDeque<Vec<i8>>,
}

/// A field of the state: the first byte says which one. A collection's bytes are its entries.
pub fn state(bytes: &[u8]) {
    let Some((field, bytes)) = bytes.split_first() else { return };
    let field = usize::from(*field) % Everything::schema().fields().len();
    let mut state = Everything::default();
    if let Some(collection) = state.collection(field) {
        if fill(collection, &pairs(bytes)).is_some() {
            let stored = collection.all().expect("what was read can be written");
            let again: Vec<(&[u8], &[u8])> = stored.iter().map(|(key, value)| (&**key, &**value)).collect();
            let mut copy = Everything::default();
            let copy = copy.collection(field).expect("the same field");
            fill(copy, &again).expect("what was written can be read");
            assert_eq!(copy.all().expect("what was read can be written").len(), stored.len());
            use_it(&mut state);
        }
        return;
    }
    match state.restore(field, bytes) {
        Err(error) => assert!(error.to_string().len() <= MAX_ERROR_BYTES, "{error}"),
        Ok(()) => {
            let (mut written, mut again) = (Vec::new(), Vec::new());
            // What is not shorter than what was read may be too deep no more than that.
            state.snapshot(field, &mut written).expect("what was read can be written");
            let mut copy = Everything::default();
            copy.restore(field, &written).expect("what was written can be read");
            copy.snapshot(field, &mut again).expect("what was read can be written");
            assert_eq!(written, again);
        }
    }
}

/// Puts entries in; `None` if they are refused.
fn fill(collection: &mut dyn Collection, entries: &[(&[u8], &[u8])]) -> Option<()> {
    let put = |(key, value): &(&[u8], &[u8])| collection.put(key, value);
    let refused = match entries.iter().try_for_each(put) {
        Ok(()) => collection.complete(entries.len() as u64),
        Err(error) => Err(error),
    };
    if let Err(error) = &refused {
        assert!(error.to_string().len() <= MAX_ERROR_BYTES, "{error}");
    }
    refused.ok()
}

/// Changes every collection, and takes it back.
fn use_it(state: &mut Everything) {
    state.map.insert_with_ttl("k".to_owned(), Some(1), std::time::Duration::from_secs(u64::MAX));
    state.set.insert((1, None));
    let before = state.deque.len();
    for n in 0..3 {
        state.deque.push_back(vec![n]);
        state.deque.push_front(vec![n]);
    }
    state.deque.pop_front();
    for field in 0..Everything::schema().fields().len() {
        let Some(collection) = state.collection(field) else { continue };
        collection.begin(u64::MAX);
        let _ = collection.changes();
        collection.roll_back().expect("what was changed can be taken back");
    }
    assert_eq!(state.deque.len(), before);
}

/// What a server may answer, to every reader of replies.
pub fn reply(bytes: &[u8]) {
    if let Ok(value) = redis::parse_redis_value(bytes) {
        for words in read_reply(&value) {
            assert!(words.len() <= MAX_ERROR_BYTES, "{words}");
        }
    }
}

const ABOUT: [&str; 7] = ["@stream", "@group", "@id", "@time_ms", "@attempts", "@error", "@fields"];

/// A dead letter: the first byte says how many of the last fields get the names that those about the entry have.
pub fn letter(bytes: &[u8]) {
    let Some((named, bytes)) = bytes.split_first() else { return };
    let pairs = pairs(bytes);
    let first = pairs.len().saturating_sub(usize::from(*named).min(ABOUT.len()));
    let skipped = ABOUT.len().saturating_sub(pairs.len() - first);
    let name = |(at, (name, value)): (usize, &(&[u8], &[u8]))| match at.checked_sub(first) {
        Some(place) => (ABOUT[place + skipped].as_bytes().to_vec(), value.to_vec()),
        None => (name.to_vec(), value.to_vec()),
    };
    let entry = Entry { id: EntryId::new(9, 0), fields: pairs.iter().enumerate().map(name).collect() };
    if let Some(letter) = DeadLetter::of(entry.clone()) {
        goes_both_ways(&letter.entry);
    }
    goes_both_ways(&entry);
}

fn goes_both_ways(entry: &Entry) {
    let fields = dead_letter_of(entry, "no").expect("any entry can be a dead letter");
    let letter = DeadLetter::of(Entry { id: EntryId::new(10, 0), fields }).expect("what was written can be read");
    assert_eq!(letter.entry, *entry);
}
