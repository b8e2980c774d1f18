//! What the outside sees of a running consumer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::in_flight::InFlight;
use crate::id::EntryId;
use crate::protocol::{Cause, Losses};

/// What a consumer is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It has not attached yet.
    Starting,
    /// Another process owns the subscription; this one takes over when it is released or its lease ends.
    Standby {
        /// The owner, as `host/process`.
        owner: String,
    },
    /// It owns the subscription and handles entries as they come.
    Active,
    /// It owns the subscription; one entry fails and is tried again. Entries behind it wait.
    Retrying {
        /// The entry.
        entry: EntryId,
        /// How often it has been tried.
        attempt: u32,
        /// What the last try said.
        error: String,
        /// The pause before the next try.
        pause: Duration,
    },
    /// It lost its connection or its footing and attaches again; nothing is read meanwhile.
    Recovering {
        /// What happened, in words.
        reason: String,
    },
    /// It has ended: shut down, or stopped by an error that [`wait`](crate::ConsumerHandle::wait) returns.
    Stopped,
}

/// Figures of one consumer since it was spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries whose effects are committed, as far as the server's replies have come: a commit whose reply was lost is not
    /// counted, though the position shows it.
    pub processed: u64,
    /// Entries published by those commits.
    pub published: u64,
    /// Entries that could not be handled and went to the dead-letter stream; `processed` counts them too.
    pub dead_lettered: u64,
    /// Dead letters of parked keys that were handled when their key was [unparked](crate::DeadLetters::unpark). `processed`
    /// counted them when they became dead letters.
    pub unparked: u64,
    /// Entries that could not be handled and were left out; `processed` counts them too.
    pub skipped: u64,
    /// Tries of entries that failed, panicked, could not be decoded or were refused by the server.
    pub failed: u64,
    /// Sessions that ended without being asked to: lost connections, failovers, lost ownership.
    pub recoveries: u64,
    /// Commits that wait for the server's reply.
    pub in_flight: u64,
    /// The last entry whose effects are committed; `None` before the first attach.
    pub position: Option<EntryId>,
    /// Entries that went from the stream before they were read, trimmed or deleted: they are lost to this group.
    ///
    /// They are counted by renewals, every third of the lease, from the stream's own counters. The count is exact whenever the
    /// consumer has read everything, or nothing of what the stream still holds; in between it may be too low for a while. A
    /// stream that is deleted as a whole takes its counters with it: what it held unread is not counted. Nor is what goes
    /// before the counters are known, where a subscription began in the midst of a stream.
    pub vanished: u64,
    /// Those of them that are known to have been trimmed: since the last exact count, no entry behind it was deleted by name.
    pub trimmed: u64,
    /// Those of them that are known to have been deleted by name (`XDEL`): the stream still has an entry from before the last
    /// exact count, so none behind it was trimmed. Of the rest (`vanished` less these two) the server does not
    /// tell, or its reply was lost.
    pub deleted: u64,
}

/// What a consumer did until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Entries whose effects were committed since it was spawned; see [`Stats::processed`].
    pub processed: u64,
    /// The last entry whose effects are committed; `None` if it never attached.
    pub position: Option<EntryId>,
    /// Entries that went from the stream before they were read, trimmed or deleted; see [`Stats::vanished`].
    pub vanished: u64,
    /// Ownership was given up cleanly, so that a standby takes over at once; `false` if the server could not be told.
    pub released: bool,
}

/// What becomes of an entry that is not handled, once its commit is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    DeadLettered,
    Skipped,
}

/// The state behind a handle.
#[derive(Debug)]
pub(crate) struct Shared {
    status: watch::Sender<Status>,
    processed: AtomicU64,
    published: AtomicU64,
    dead_lettered: AtomicU64,
    unparked: AtomicU64,
    skipped: AtomicU64,
    /// Entries that will be so when the position has passed them, in their order.
    fates: Mutex<VecDeque<(EntryId, Fate)>>,
    failed: AtomicU64,
    recoveries: AtomicU64,
    /// That of the session that began last.
    in_flight: Mutex<Option<Arc<InFlight>>>,
    vanished: AtomicU64,
    trimmed: AtomicU64,
    deleted: AtomicU64,
    losses: Mutex<Losses>,
    position: Mutex<Option<EntryId>>,
    /// The present session has been confirmed by a reply.
    progress: AtomicBool,
}

impl Shared {
    pub fn new() -> Self {
        Self {
            status: watch::Sender::new(Status::Starting),
            processed: AtomicU64::new(0),
            published: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            unparked: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            fates: Mutex::default(),
            failed: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
            in_flight: Mutex::new(None),
            vanished: AtomicU64::new(0),
            trimmed: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            losses: Mutex::default(),
            position: Mutex::new(None),
            progress: AtomicBool::new(false),
        }
    }

    pub fn set_status(&self, status: Status) {
        self.status.send_if_modified(|now| {
            let changes = *now != status;
            *now = status;
            changes
        });
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub fn stats(&self) -> Stats {
        Stats {
            processed: self.processed.load(Relaxed),
            published: self.published.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            unparked: self.unparked.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            failed: self.failed.load(Relaxed),
            recoveries: self.recoveries.load(Relaxed),
            in_flight: self.in_flight().as_ref().map_or(0, |in_flight| in_flight.commits() as u64),
            position: *self.position.lock().unwrap_or_else(PoisonError::into_inner),
            vanished: self.vanished.load(Relaxed),
            trimmed: self.trimmed.load(Relaxed),
            deleted: self.deleted.load(Relaxed),
        }
    }

    pub fn report(&self, released: bool) -> Report {
        let stats = self.stats();
        Report { processed: stats.processed, position: stats.position, vanished: stats.vanished, released }
    }

    pub fn set_position(&self, position: EntryId) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
        let mut fates = self.fates();
        while let Some((_, fate)) = fates.front().filter(|(entry, _)| *entry <= position) {
            let count = match fate {
                Fate::DeadLettered => &self.dead_lettered,
                Fate::Skipped => &self.skipped,
            };
            count.fetch_add(1, Relaxed);
            fates.pop_front();
        }
    }

    /// A session begins here: what the one before had not committed is handled again.
    pub fn begin_at(&self, position: EntryId) {
        self.set_position(position);
        self.fates().clear();
    }

    /// The entry is passed without being handled, once the position has passed it.
    pub(super) fn will_be(&self, entry: EntryId, fate: Fate) {
        self.fates().push_back((entry, fate));
    }

    fn fates(&self) -> MutexGuard<'_, VecDeque<(EntryId, Fate)>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count_committed(&self, entries: u64, published: u64) {
        self.processed.fetch_add(entries, Relaxed);
        self.published.fetch_add(published, Relaxed);
        self.progress.store(true, Relaxed);
    }

    pub fn count_unparked(&self, letters: u64) {
        self.unparked.fetch_add(letters, Relaxed);
    }

    pub fn count_failure(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub fn count_recovery(&self) {
        self.recoveries.fetch_add(1, Relaxed);
    }

    pub fn count_vanished(&self, entries: u64, cause: Cause) {
        self.vanished.fetch_add(entries, Relaxed);
        match cause {
            Cause::Trimmed => self.trimmed.fetch_add(entries, Relaxed),
            Cause::Deleted => self.deleted.fetch_add(entries, Relaxed),
            Cause::Either => return,
        };
    }

    /// What has been told of in all sessions.
    pub fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_in_flight(&self, in_flight: Arc<InFlight>) {
        *self.in_flight() = Some(in_flight);
    }

    fn in_flight(&self) -> MutexGuard<'_, Option<Arc<InFlight>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mark_progress(&self) {
        self.progress.store(true, Relaxed);
    }

    /// Whether the server has confirmed anything since the last call.
    pub fn take_progress(&self) -> bool {
        self.progress.swap(false, Relaxed)
    }
}
