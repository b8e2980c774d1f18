//! Changes to collections, made to plain ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use support::Rng;

/// One change of a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Insert(u8, i64),
    InsertFor(u8, i64, u64),
    GetOrInsert(u8, i64),
    Add(u8, i64),
    Look(u8),
    Remove(u8),
    Retain(i64),
    ClearMap,
    /// Another map is assigned to the field.
    ReplaceMap(Vec<(u8, i64)>),
    /// The two maps change places.
    SwapMaps,
    /// The map is taken out and put back.
    BorrowMap(u8, i64),
    Note(u8),
    NoteFor(u8, u64),
    Unnote(u8),
    RetainNotes(u8),
    ClearSet,
    PushBack(i64),
    PushFront(i64),
    PopBack,
    PopFront,
    AddAt(usize, i64),
    ClearQueue,
    ReplaceQueue(Vec<i64>),
}

/// How the first try of a message ends, before all its changes are made or after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum FirstTry {
    Succeeds,
    Fails { after: usize },
    Panics { after: usize },
}

/// What one message does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub changes: Vec<Change>,
    pub first: FirstTry,
}

/// Everything that a message leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub map: BTreeMap<u8, i64>,
    pub other: BTreeMap<u8, i64>,
    pub set: BTreeSet<u8>,
    pub queue: Vec<i64>,
    pub count: u64,
}

impl Work {
    pub fn random(rng: &mut Rng) -> Self {
        let mut changes: Vec<Change> = (0..rng.below(9)).map(|_| change(rng)).collect();
        // A map that was made anew knows the time of the next message only.
        if let Some(made) = changes.iter().position(|change| matches!(change, Change::ReplaceMap(_))) {
            let mut n = 0;
            changes.retain(|change| {
                n += 1;
                n <= made || !matches!(change, Change::InsertFor(..))
            });
        }
        let after = rng.below(changes.len() as u64 + 1) as usize;
        let first = match rng.below(10) {
            0 | 1 => FirstTry::Fails { after },
            2 => FirstTry::Panics { after },
            _ => FirstTry::Succeeds,
        };
        Self { changes, first }
    }
}

fn change(rng: &mut Rng) -> Change {
    // Few keys, so that most changes meet others.
    let (key, value, ms) = (rng.below(24) as u8, rng.below(100) as i64, 1 + rng.below(40));
    match rng.below(100) {
        0..16 => Change::Insert(key, value),
        16..24 => Change::InsertFor(key, value, ms),
        24..30 => Change::GetOrInsert(key, value),
        30..36 => Change::Add(key, value),
        36..38 => Change::Look(key),
        38..47 => Change::Remove(key),
        47..48 => Change::Retain(2 + value % 5),
        48..49 => Change::ClearMap,
        49..50 => Change::ReplaceMap((0..value % 7).map(|n| (n as u8 * 3, value + n)).collect()),
        50..51 => Change::SwapMaps,
        51..53 => Change::BorrowMap(key, value),
        53..59 => Change::Note(key),
        59..66 => Change::NoteFor(key, ms),
        66..71 => Change::Unnote(key),
        71..72 => Change::RetainNotes(2 + key % 3),
        72..73 => Change::ClearSet,
        73..80 => Change::PushBack(value),
        80..85 => Change::PushFront(value),
        85..90 => Change::PopBack,
        90..94 => Change::PopFront,
        94..98 => Change::AddAt(usize::from(key) % 8, value),
        98..99 => Change::ClearQueue,
        _ => Change::ReplaceQueue((0..value % 7).collect()),
    }
}

/// The plain collections, with the time at which an entry ends, if it does.
#[derive(Clone, Debug, Default)]
pub struct Model {
    map: HashMap<u8, (i64, Option<u64>)>,
    other: HashMap<u8, (i64, Option<u64>)>,
    set: HashSet<u8>,
    set_times: HashMap<u8, u64>,
    queue: VecDeque<i64>,
    count: u64,
}

impl Model {
    /// A message of this time.
    pub fn handle(&mut self, now: u64, changes: &[Change]) {
        let lives = |until: Option<u64>| until.is_none_or(|until| until > now);
        self.map.retain(|_, (_, until)| lives(*until));
        self.other.retain(|_, (_, until)| lives(*until));
        let Self { set, set_times, .. } = self;
        set.retain(|key| lives(set_times.get(key).copied()));
        set_times.retain(|key, _| set.contains(key));
        changes.iter().for_each(|change| self.change(now, change));
        self.count += 1;
    }

    fn change(&mut self, now: u64, change: &Change) {
        match change.clone() {
            Change::Insert(key, value) | Change::BorrowMap(key, value) => drop(self.map.insert(key, (value, None))),
            Change::InsertFor(key, value, ms) => drop(self.map.insert(key, (value, Some(now + ms)))),
            Change::GetOrInsert(key, value) => self.map.entry(key).or_insert((value, None)).0 += 1,
            Change::Add(key, value) => {
                if let Some((held, _)) = self.map.get_mut(&key) {
                    *held += value;
                }
            }
            Change::Look(_) => {}
            Change::Remove(key) => drop(self.map.remove(&key)),
            Change::Retain(by) => self.map.retain(|_, (value, _)| *value % by != 0),
            Change::ClearMap => self.map.clear(),
            Change::ReplaceMap(entries) => {
                self.map = entries.into_iter().map(|(key, value)| (key, (value, None))).collect();
            }
            Change::SwapMaps => std::mem::swap(&mut self.map, &mut self.other),
            Change::Note(key) => {
                self.set.insert(key);
                self.set_times.remove(&key);
            }
            Change::NoteFor(key, ms) => {
                self.set.insert(key);
                self.set_times.insert(key, now + ms);
            }
            Change::Unnote(key) => drop(self.set.remove(&key).then(|| self.set_times.remove(&key))),
            Change::RetainNotes(by) => self.set.retain(|key| key % by != 0),
            Change::ClearSet => self.set.clear(),
            Change::PushBack(value) => self.queue.push_back(value),
            Change::PushFront(value) => self.queue.push_front(value),
            Change::PopBack => drop(self.queue.pop_back()),
            Change::PopFront => drop(self.queue.pop_front()),
            Change::AddAt(index, value) => {
                if let Some(held) = self.queue.get_mut(index) {
                    *held += value;
                }
            }
            Change::ClearQueue => self.queue.clear(),
            Change::ReplaceQueue(entries) => self.queue = entries.into(),
        }
        let Self { set, set_times, .. } = self;
        set_times.retain(|key, _| set.contains(key));
    }

    pub fn view(&self) -> View {
        let plain =
            |map: &HashMap<u8, (i64, Option<u64>)>| map.iter().map(|(key, (value, _))| (*key, *value)).collect();
        View {
            map: plain(&self.map),
            other: plain(&self.other),
            set: self.set.iter().copied().collect(),
            queue: self.queue.iter().copied().collect(),
            count: self.count,
        }
    }
}
