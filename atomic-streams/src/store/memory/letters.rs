//! `requeue.lua`, check by check, and what is read of dead letters.

use std::sync::Arc;

use async_trait::async_trait;

use super::keys::{ErrorReply, Keys};
use super::server::Shared;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::store::{Letters, Requeued, StoreError};

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
    let added = match keys.add(source, held.entry.fields, now_ms) {
        Ok(added) => added,
        Err(why) => return Ok(Requeued::Refused { key: source.to_owned(), why: why.to_string() }),
    };
    delete(keys, letters, letter.id)?;
    Ok(Requeued::Added(added))
}

fn delete(keys: &mut Keys, stream: &str, id: EntryId) -> Result<bool, ErrorReply> {
    let is_there = keys.stream(stream)?.is_some_and(|stream| stream.has(id));
    if is_there && let Some(stream) = keys.change_stream(stream)? {
        stream.delete(id);
    }
    Ok(is_there)
}
