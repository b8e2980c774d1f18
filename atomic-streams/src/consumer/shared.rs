//! What the outside sees of a running consumer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::figures::{Fate, Figures};
use super::in_flight::InFlight;
use super::recorder::{Gauge, Labels};
use super::recovery::RecoveryCause;
use super::stats::{Report, Stats};
use crate::id::EntryId;
use crate::persist::Snapshot;
use crate::protocol::{Cause, Lag, Losses, Owned};

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

/// The state behind a handle.
#[derive(Debug)]
pub(crate) struct Shared {
    status: watch::Sender<Status>,
    /// Since when the consumer has been neither active nor standby; `None` while it is one of them.
    lost_since: Mutex<Option<Instant>>,
    /// It was active or standby once.
    was_settled: AtomicBool,
    figures: Figures,
    /// Entries that will be so when the position has passed them, in their order.
    fates: Mutex<VecDeque<(EntryId, Fate)>>,
    losses: Mutex<Losses>,
    /// The present session has been confirmed by a reply.
    progress: AtomicBool,
}

impl Shared {
    pub fn new(stream: &str, group: &str) -> Self {
        Self {
            status: watch::Sender::new(Status::Starting),
            lost_since: Mutex::new(Some(Instant::now())),
            was_settled: AtomicBool::new(false),
            figures: Figures::new(Labels { stream, group }),
            fates: Mutex::default(),
            losses: Mutex::default(),
            progress: AtomicBool::new(false),
        }
    }

    pub fn set_status(&self, status: Status) {
        let is_active = matches!(status, Status::Active | Status::Retrying { .. });
        self.figures.set_active(is_active);
        let is_settled = is_active || matches!(status, Status::Standby { .. });
        self.was_settled.fetch_or(is_settled, Relaxed);
        {
            let mut lost_since = self.lost_since.lock().unwrap_or_else(PoisonError::into_inner);
            *lost_since = if is_settled { None } else { lost_since.or_else(|| Some(Instant::now())) };
        }
        self.status.send_if_modified(|now| {
            let changes = *now != status;
            *now = status;
            changes
        });
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// For how long the consumer has been neither active nor standby.
    pub fn lost_for(&self) -> Duration {
        let lost_since = *self.lost_since.lock().unwrap_or_else(PoisonError::into_inner);
        lost_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub fn was_settled(&self) -> bool {
        self.was_settled.load(Relaxed)
    }

    pub fn stats(&self) -> Stats {
        self.figures.stats()
    }

    pub fn position(&self) -> Option<EntryId> {
        self.figures.position()
    }

    pub fn report(&self, released: bool) -> Report {
        let stats = self.stats();
        Report { processed: stats.processed, position: stats.position, vanished: stats.vanished, released }
    }

    pub fn set_position(&self, position: EntryId) {
        self.figures.set_position(position);
        let mut fates = self.fates();
        while let Some((_, fate)) = fates.front().filter(|(entry, _)| *entry <= position) {
            self.figures.count_fate(*fate);
            fates.pop_front();
        }
    }

    /// A session begins here: what the one before had not committed is handled again.
    pub fn begin(&self, owned: &Owned, state: &Snapshot) {
        self.set_position(owned.position);
        self.fates().clear();
        self.figures.set_lag(owned.lag);
        self.set_state(state);
    }

    /// The entry is passed without being handled, once the position has passed it.
    pub(super) fn will_be(&self, entry: EntryId, fate: Fate) {
        self.fates().push_back((entry, fate));
    }

    fn fates(&self) -> MutexGuard<'_, VecDeque<(EntryId, Fate)>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has confirmed a round trip that committed these.
    pub fn count_committed(&self, entries: u64, published: u64, unparked: u64, latency: Duration) {
        self.figures.count_committed(entries, published, unparked, latency);
        self.progress.store(true, Relaxed);
    }

    pub fn count_failure(&self) {
        self.figures.count_failure();
    }

    /// What failed is tried again.
    pub fn count_retry(&self) {
        self.figures.count_retry();
    }

    pub(super) fn count_recovery(&self, cause: RecoveryCause) {
        self.figures.count_recovery(cause);
    }

    pub fn count_vanished(&self, entries: u64, cause: Cause) {
        self.figures.count_vanished(entries, cause);
    }

    pub fn set_lag(&self, lag: Lag) {
        self.figures.set_lag(lag);
    }

    pub fn set_state(&self, state: &Snapshot) {
        self.figures.set_state(state.bytes(), state.entries());
    }

    /// What has been told of in all sessions.
    pub fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_in_flight(&self, in_flight: Arc<InFlight>) {
        self.figures.set_in_flight(in_flight);
    }

    pub(super) fn commits_in_flight(&self) -> Gauge {
        self.figures.commits_in_flight()
    }

    pub fn mark_progress(&self) {
        self.progress.store(true, Relaxed);
    }

    /// Whether the server has confirmed anything since the last call.
    pub fn take_progress(&self) -> bool {
        self.progress.swap(false, Relaxed)
    }
}
