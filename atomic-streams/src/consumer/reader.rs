//! Reads ahead of the handler, within bounds, on a connection of its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Settings;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::protocol::{Owned, Proof, SessionEnd};
use crate::store::{Link, StoreError};

/// Entries that one read takes at most.
const MAX_COUNT: usize = 256;

/// Entries that the first read takes, before their size is known. One: whatever the line takes for it in the time that a
/// read has, every session gets on.
const FIRST_COUNT: usize = 1;

/// What one read brought.
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    pub proof: Proof,
    /// Keeps the batch's share of the read-ahead until it is dropped.
    pub _share: OwnedSemaphorePermit,
}

/// What the committer may know of the reader: after which entry it waits, while it does.
#[derive(Debug, Default)]
pub(super) struct Progress {
    waits_after: Mutex<Option<EntryId>>,
}

impl Progress {
    pub fn waits_after(&self) -> Option<EntryId> {
        *self.waits_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, after: Option<EntryId>) {
        *self.waits_after.lock().unwrap_or_else(PoisonError::into_inner) = after;
    }
}

/// Reads from the position on until something fails.
pub(super) async fn run(
    mut link: Box<dyn Link>,
    owned: Owned,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    progress: Arc<Progress>,
) -> SessionEnd {
    let budget = settings.read_ahead_bytes.clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(budget));
    // The two connections may have reached different servers.
    match link.load(&[]).await {
        Ok(Some(loaded)) if loaded.head.token == owned.head.token => {}
        Ok(_) => return SessionEnd::ReaderStale,
        Err(error) => return failed(error),
    }
    let mut after = owned.position;
    // One batch is being handled, one waits, one is being read.
    let max_count = (settings.read_ahead_entries / 3).clamp(1, MAX_COUNT);
    let mut count = FIRST_COUNT.min(max_count);
    loop {
        progress.set(Some(after));
        let read = link.read(after, count, settings.timing.block()).await;
        progress.set(None);
        let entries = match read {
            Ok(entries) => entries,
            Err(error) => return failed(error),
        };
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
        let proof = Proof { first: first.id, last: last.id, digest: last.digest() };
        let bytes: usize = entries.iter().map(|entry| entry.fields.size_bytes() + 64 * entry.fields.len() + 64).sum();
        after = last.id;
        // So many of this size fill a quarter of the room.
        count = (budget / 4 * entries.len() / bytes.max(1)).clamp(1, max_count);
        let share = bytes.clamp(1, budget) as u32;
        let Ok(share) = Arc::clone(&room).acquire_many_owned(share).await else { return SessionEnd::ReaderStale };
        if batches.send(Batch { entries, proof, _share: share }).await.is_err() {
            // The session is ending; whoever ended it knows why.
            return std::future::pending().await;
        }
    }
}

fn failed(error: StoreError) -> SessionEnd {
    SessionEnd::Failed { failure: error.failure, words: error.words }
}
