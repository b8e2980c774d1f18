//! A handler that does to collections what its messages say, and shows what it holds.

use atomic_streams::{
    EntryId, Fields, Handler, HandlerError, HandlerResult, Persistable, StateDeque, StateMap, StateSet, Transaction,
    async_trait,
};
use std::time::Duration;

use crate::model::{Change, FirstTry, View, Work};

/// Where it shows what it holds after each message.
pub const VIEWS: &str = "views";

#[derive(Persistable, Default)]
pub struct Shelf {
    #[persist(default)]
    pub map: StateMap<u8, i64>,
    #[persist(default)]
    pub other: StateMap<u8, i64>,
    #[persist(default)]
    pub set: StateSet<u8>,
    #[persist(default)]
    pub queue: StateDeque<i64>,
    #[persist(default = 0)]
    pub count: u64,
}

impl Shelf {
    pub fn change(&mut self, change: &Change) {
        match change.clone() {
            Change::Insert(key, value) => drop(self.map.insert(key, value).map(drop)),
            Change::InsertFor(key, value, ms) => {
                self.map.insert_with_ttl(key, value, Duration::from_millis(ms));
            }
            Change::GetOrInsert(key, value) => *self.map.get_or_insert_with(key, || value) += 1,
            Change::Add(key, value) => {
                if let Some(held) = self.map.get_mut(&key) {
                    *held += value;
                }
            }
            Change::Look(key) => assert_eq!(self.map.get_mut(&key).is_some(), self.map.contains_key(&key)),
            Change::Remove(key) => assert_eq!(self.map.get(&key).copied(), self.map.remove(&key)),
            Change::Retain(by) => self.map.retain(|_, value| *value % by != 0),
            Change::ClearMap => self.map.clear(),
            Change::ReplaceMap(entries) => self.map = entries.into_iter().collect(),
            Change::SwapMaps => std::mem::swap(&mut self.map, &mut self.other),
            Change::BorrowMap(key, value) => {
                let mut map = std::mem::take(&mut self.map);
                map.insert(key, value);
                self.map = map;
            }
            Change::Note(key) => assert_ne!(self.set.contains(&key), self.set.insert(key)),
            Change::NoteFor(key, ms) => {
                assert_ne!(self.set.contains(&key), self.set.insert_with_ttl(key, Duration::from_millis(ms)));
            }
            Change::Unnote(key) => assert_eq!(self.set.contains(&key), self.set.remove(&key)),
            Change::RetainNotes(by) => self.set.retain(|key| key % by != 0),
            Change::ClearSet => self.set.clear(),
            Change::PushBack(value) => self.queue.push_back(value),
            Change::PushFront(value) => self.queue.push_front(value),
            Change::PopBack => assert_eq!(self.queue.back().copied(), self.queue.pop_back()),
            Change::PopFront => assert_eq!(self.queue.front().copied(), self.queue.pop_front()),
            Change::AddAt(index, value) => {
                if let Some(held) = self.queue.get_mut(index) {
                    *held += value;
                }
            }
            Change::ClearQueue => self.queue.clear(),
            Change::ReplaceQueue(entries) => self.queue = entries.into_iter().collect(),
        }
    }

    pub fn view(&self) -> View {
        assert_eq!((self.map.len(), self.set.len()), (self.map.iter().count(), self.set.iter().count()));
        View {
            map: self.map.iter().map(|(key, value)| (*key, *value)).collect(),
            other: self.other.iter().map(|(key, value)| (*key, *value)).collect(),
            set: self.set.iter().copied().collect(),
            queue: self.queue.iter().copied().collect(),
            count: self.count,
        }
    }
}

#[async_trait]
impl Handler for Shelf {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let work = work(&fields);
        let first = if tx.message().attempt() == 1 { work.first } else { FirstTry::Succeeds };
        self.count += 1;
        for (n, change) in work.changes.iter().enumerate() {
            end(first, n)?;
            self.change(change);
        }
        end(first, work.changes.len())?;
        tx.publish(VIEWS, &shown(&self.view()))?;
        Ok(())
    }
}

fn end(first: FirstTry, n: usize) -> Result<(), HandlerError> {
    match first {
        FirstTry::Fails { after } if after == n => Err(HandlerError::retry_after("not yet", Duration::from_millis(1))),
        FirstTry::Panics { after } if after == n => panic!("as ordered"),
        _ => Ok(()),
    }
}

/// A message as an entry.
pub fn entry(work: &Work) -> Fields {
    [("work", serde_json::to_string(work).unwrap())].into_iter().collect()
}

pub fn work(fields: &Fields) -> Work {
    serde_json::from_str(fields.get_str("work").unwrap()).unwrap()
}

pub fn shown(view: &View) -> Fields {
    [("view", serde_json::to_string(view).unwrap())].into_iter().collect()
}

pub fn view(fields: &Fields) -> View {
    serde_json::from_str(fields.get_str("view").unwrap()).unwrap()
}

/// The ID of a message of this time.
pub fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 0)
}
