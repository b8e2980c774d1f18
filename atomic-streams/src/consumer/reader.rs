//! Reads ahead of the handler, within bounds, on a connection of its own, which it gives up for a shared one while idle.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Settings;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::protocol::{Owned, Proof, SessionEnd, Token};
use crate::read_size::ReadSize;
use crate::store::{Link, Place, Store, StoreError, Watch};

/// Entries that one read takes at most.
const MAX_COUNT: usize = 512;

/// Empty reads after which a session that has come back from a shared connection asks for one again: an entry now and then
/// would make it go to and fro, which costs more than these reads.
const EMPTY_READS: u32 = 8;

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

/// Where the entries come from.
pub(super) struct Source {
    pub store: Arc<dyn Store>,
    /// The session's reading connection.
    pub link: Box<dyn Link>,
}

/// Reads from the position on until something fails.
pub(super) async fn run(
    source: Source,
    owned: Owned,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    progress: Arc<Progress>,
) -> SessionEnd {
    let line = Line { store: source.store, settings, token: owned.head.token, link: None, empty_reads: 1 };
    let Err(end) = read_all(line, source.link, owned.position, batches, &progress).await;
    end
}

async fn read_all(
    mut line: Line,
    link: Box<dyn Link>,
    mut after: EntryId,
    batches: mpsc::Sender<Batch>,
    progress: &Progress,
) -> Result<Infallible, SessionEnd> {
    let budget = line.settings.read_ahead_bytes.clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(budget));
    // One batch is being handled, one waits, one is being read.
    let max_count = (line.settings.read_ahead_entries / 3).clamp(1, MAX_COUNT);
    // The first read takes one: whatever the line takes for it in the time that a read has, every session gets on.
    let mut size = ReadSize::new(max_count, budget);
    line.check(link).await?;
    loop {
        line.open().await?;
        progress.set(Some(after));
        let read = line.read(after, size.count()).await;
        progress.set(None);
        let entries = read.map_err(failed)?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
        let proof = Proof { first: first.id, last: last.id, digest: last.digest() };
        after = last.id;
        let bytes = size.learn(&entries);
        let share = bytes.clamp(1, budget) as u32;
        let Ok(share) = Arc::clone(&room).acquire_many_owned(share).await else { return Err(SessionEnd::ReaderStale) };
        if batches.send(Batch { entries, proof, _share: share }).await.is_err() {
            // The session is ending; whoever ended it knows why.
            return std::future::pending().await;
        }
    }
}

/// The reading side's way to the server.
struct Line {
    store: Arc<dyn Store>,
    settings: Settings,
    token: Token,
    /// `None` when a shared connection has taken its place.
    link: Option<Box<dyn Link>>,
    /// So many in a row before it asks for a shared connection.
    empty_reads: u32,
}

impl Line {
    /// Opens the connection again, where a shared one has taken its place.
    async fn open(&mut self) -> Result<(), SessionEnd> {
        if self.link.is_some() {
            return Ok(());
        }
        let link = self.store.connect_to_read(&self.settings.subscription).await.map_err(failed)?;
        self.check(link).await
    }

    /// Takes a new connection into use: it may have reached another server than the committing one.
    async fn check(&mut self, mut link: Box<dyn Link>) -> Result<(), SessionEnd> {
        match link.load(&[]).await.map_err(failed)? {
            Some(loaded) if loaded.head.token == self.token => {
                self.link = Some(link);
                Ok(())
            }
            _ => Err(SessionEnd::ReaderStale),
        }
    }

    /// Waits for entries, however long that takes, and takes at most `count`; none if the connection must be opened again.
    async fn read(&mut self, after: EntryId, count: usize) -> Result<Vec<Entry>, StoreError> {
        let mut watch: Option<Box<dyn Watch>> = None;
        let mut empty = 0;
        while let Some(link) = &mut self.link {
            let entries = link.read(after, count, self.settings.timing.block()).await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            empty += 1;
            // Somebody waits on this connection until somebody waits on the shared one.
            match watch.as_mut().map_or(Place::Refused, |watch| watch.place()) {
                Place::Refused if empty < self.empty_reads => {}
                Place::Refused => watch = self.store.watch(&self.settings.subscription, &self.token, after),
                Place::Asked => {}
                Place::Given => {
                    self.link = None;
                    self.empty_reads = EMPTY_READS;
                }
            }
        }
        match watch {
            Some(mut watch) => watch.entries().await,
            None => Ok(Vec::new()),
        }
    }
}

fn failed(error: StoreError) -> SessionEnd {
    SessionEnd::Failed { failure: error.failure, words: error.words }
}
