//! `requeue.lua` and `unpark.lua`, check by check, and what is read of dead letters.

use std::sync::Arc;

use async_trait::async_trait;

use super::keys::{ErrorReply, Keys};
use super::record::{named, number};
use super::server::Shared;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::protocol::{Head, Parking, Subscription};
use crate::store::{Letters, Requeued, Scanned, StoreError, Waiting, parked_keys};

pub(super) struct MemoryLetters {
    pub shared: Arc<Shared>,
    /// That of its connection.
    pub number: u64,
}

#[async_trait]
impl Letters for MemoryLetters {
    async fn list(&mut self, letters: &str, first: EntryId, count: usize) -> Result<Vec<Entry>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(self.number)?;
        let stream = server.keys.stream(letters)?;
        let entries = stream.into_iter().flat_map(|stream| stream.entries.iter());
        Ok(entries.filter(|entry| entry.id >= first).take(count).cloned().collect())
    }

    async fn newest(&mut self, letters: &str) -> Result<Option<EntryId>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(self.number)?;
        Ok(server.keys.stream(letters)?.and_then(|stream| stream.entries.iter().last()).map(|entry| entry.id))
    }

    async fn requeue(&mut self, letters: &str, letter: &DeadLetter) -> Result<Requeued, StoreError> {
        self.shared.by_hand(|server| {
            server.faults.check_connection(self.number)?;
            server.faults.check_memory()?;
            let now_ms = server.now_ms();
            Ok(requeue(&mut server.keys, letters, letter, now_ms)?)
        })
    }

    async fn unpark(&mut self, subscription: &Subscription, key: &[u8]) -> Result<bool, StoreError> {
        self.shared.by_hand(|server| {
            server.faults.check_connection(self.number)?;
            server.faults.check_memory()?;
            Ok(unpark(&mut server.keys, subscription, key)?)
        })
    }

    async fn waiting(
        &mut self,
        subscription: &Subscription,
        letters: &str,
        key: &[u8],
        after: EntryId,
        count: usize,
    ) -> Result<Waiting, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(self.number)?;
        let record = server.keys.hash(subscription.record())?;
        let head = record.and_then(|record| Head::parse(&named(record, "@head")?));
        let mut entries =
            server.keys.stream(letters)?.into_iter().flat_map(|stream| stream.entries.after(after)).peekable();
        let (mut letters, mut next) = (Vec::new(), None);
        for entry in entries.by_ref().take(count) {
            next = Some(entry.id);
            let of = DeadLetter::of(entry.clone()).filter(|letter| {
                letter.stream == subscription.stream()
                    && letter.group == subscription.group()
                    && letter.key.as_deref() == Some(key)
            });
            letters.extend(of.map(|_| entry.clone()));
        }
        Ok(Waiting { head, next: next.filter(|_| entries.peek().is_some()), letters })
    }

    async fn scan(
        &mut self,
        subscription: &Subscription,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(self.number)?;
        server.scan(subscription, &subscription.collection(Parking::KIND, field), cursor, count)
    }

    async fn remove(&mut self, letters: &str, id: EntryId) -> Result<bool, StoreError> {
        self.shared.by_hand(|server| {
            server.faults.check_connection(self.number)?;
            Ok(delete(&mut server.keys, letters, id)?)
        })
    }
}

fn requeue(keys: &mut Keys, letters: &str, letter: &DeadLetter, now_ms: u64) -> Result<Requeued, ErrorReply> {
    let source = letter.stream.as_str();
    for key in [letters, source] {
        if let Some(kind) = keys.get(key).map(|value| value.kind()).filter(|kind| *kind != "stream") {
            let why = format!("WRONGTYPE the key holds a {kind}, not a stream");
            return Ok(Requeued::Refused { key: key.to_owned(), why });
        }
    }
    let held = keys.stream(letters)?.and_then(|stream| stream.entries.get(letter.id).cloned());
    let Some(held) = held else { return Ok(Requeued::Gone) };
    let Some(held) = DeadLetter::of(held).filter(|held| held.stream == source) else { return Ok(Requeued::Foreign) };
    if held.key.is_some() && parked_keys(letter).is_none_or(|_| held.group != letter.group) {
        return Ok(Requeued::Foreign);
    }
    if let (Some(parked), Some(key)) = (parked_keys(&held), &held.key)
        && keys.hash(&parked)?.is_some_and(|parked| parked.contains_key(key.as_slice()))
    {
        return Ok(Requeued::Parked);
    }
    let added = match keys.add(source, held.entry.fields, now_ms) {
        Ok(added) => added,
        Err(why) => return Ok(Requeued::Refused { key: source.to_owned(), why: why.to_string() }),
    };
    delete(keys, letters, letter.id)?;
    Ok(Requeued::Added(added))
}

fn unpark(keys: &mut Keys, subscription: &Subscription, key: &[u8]) -> Result<bool, ErrorReply> {
    let [parked, asked] = [Parking::FIELD, Parking::ASKED].map(|field| subscription.collection(Parking::KIND, field));
    keys.hash(&asked)?;
    let Some(record) = keys.hash(subscription.record())?.filter(|record| named(record, "@head").is_some()) else {
        return Ok(false);
    };
    if !keys.hash(&parked)?.is_some_and(|parked| parked.contains_key(key)) {
        return Ok(false);
    }
    let times = (number(record, "@unparking")? + 1).to_string();
    keys.set_fields(subscription.record(), [("@unparking", times.as_bytes())])?;
    if !keys.hash(&asked)?.is_some_and(|asked| asked.contains_key(key)) {
        keys.set_fields(&asked, [(key, times.as_bytes())])?;
    }
    Ok(true)
}

fn delete(keys: &mut Keys, stream: &str, id: EntryId) -> Result<bool, ErrorReply> {
    let is_there = keys.stream(stream)?.is_some_and(|stream| stream.has(id));
    if is_there && let Some(stream) = keys.change_stream(stream)? {
        stream.delete(id);
    }
    Ok(is_there)
}
