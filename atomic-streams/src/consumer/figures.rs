//! The only place where figures are counted: `stats()` and the metrics both come from here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::in_flight::InFlight;
use super::instruments::{Count, Level, Spread};
use super::recorder::{Gauge, Labels};
use super::recovery::{Recoveries, RecoveryCause};
use super::stats::Stats;
use crate::id::EntryId;
use crate::metrics as names;
use crate::protocol::{Cause, Lag};

/// What becomes of an entry that is not handled, once its commit is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    DeadLettered,
    Skipped,
}

/// What one consumer has counted since it was spawned.
#[derive(Debug)]
pub(super) struct Figures {
    processed: Count,
    published: Count,
    dead_lettered: Count,
    skipped: Count,
    unparked: Count,
    failed: Count,
    retried: Count,
    fenced: Count,
    recoveries: [Count; RecoveryCause::ALL.len()],
    vanished_unknown: Count,
    trimmed: Count,
    deleted: Count,
    commit_latency: Spread,
    commit_batch: Spread,
    /// That of the session that began last.
    in_flight: Mutex<Option<Arc<InFlight>>>,
    commits_in_flight: Gauge,
    lag_entries: Level,
    waited_ms: Level,
    state_bytes: Level,
    state_entries: Level,
    position: Mutex<Option<EntryId>>,
    position_ms: Level,
    active: Level,
}

impl Figures {
    /// All at zero. Whoever records metrics now is shown all of them for as long as this lives.
    pub fn new(of: Labels<'_>) -> Self {
        #[cfg(feature = "metrics")]
        names::describe_once();
        Self {
            processed: Count::new(of, names::PROCESSED),
            published: Count::new(of, names::PUBLISHED),
            dead_lettered: Count::new(of, names::DEAD_LETTERED),
            skipped: Count::new(of, names::SKIPPED),
            unparked: Count::new(of, names::UNPARKED),
            failed: Count::new(of, names::FAILED),
            retried: Count::new(of, names::RETRIED),
            fenced: Count::new(of, names::FENCED),
            recoveries: RecoveryCause::ALL.map(|cause| Count::for_reason(of, names::RECOVERIES, cause.as_str())),
            vanished_unknown: Count::for_reason(of, names::VANISHED, "unknown"),
            trimmed: Count::for_reason(of, names::VANISHED, "trimmed"),
            deleted: Count::for_reason(of, names::VANISHED, "deleted"),
            commit_latency: Spread::new(of, names::COMMIT_LATENCY, 1e6),
            commit_batch: Spread::new(of, names::COMMIT_BATCH, 1.0),
            in_flight: Mutex::new(None),
            commits_in_flight: of.gauge(names::COMMITS_IN_FLIGHT),
            lag_entries: Level::new(of, names::LAG_ENTRIES, 1.0, None),
            waited_ms: Level::new(of, names::LAG_TIME, 1e3, None),
            state_bytes: Level::new(of, names::STATE_BYTES, 1.0, Some(0)),
            state_entries: Level::new(of, names::STATE_ENTRIES, 1.0, Some(0)),
            position: Mutex::new(None),
            position_ms: Level::new(of, names::POSITION, 1e3, None),
            active: Level::new(of, names::ACTIVE, 1.0, Some(0)),
        }
    }

    /// All of them, at one instant as far as nothing is counted meanwhile.
    pub fn stats(&self) -> Stats {
        let recoveries = Recoveries(std::array::from_fn(|index| self.recoveries[index].get()));
        let (trimmed, deleted) = (self.trimmed.get(), self.deleted.get());
        Stats {
            processed: self.processed.get(),
            published: self.published.get(),
            dead_lettered: self.dead_lettered.get(),
            unparked: self.unparked.get(),
            skipped: self.skipped.get(),
            failed: self.failed.get(),
            retried: self.retried.get(),
            fenced: self.fenced.get(),
            recoveries: recoveries.total(),
            recoveries_by_cause: recoveries,
            in_flight: self.in_flight().as_ref().map_or(0, |in_flight| in_flight.commits() as u64),
            commit_latency_us: self.commit_latency.get(),
            commit_batch_entries: self.commit_batch.get(),
            position: self.position(),
            lag: self.lag_entries.get(),
            lag_time: self.waited_ms.get().map(Duration::from_millis),
            state_bytes: self.state_bytes.get().unwrap_or(0),
            state_entries: self.state_entries.get().unwrap_or(0),
            vanished: self.vanished_unknown.get() + trimmed + deleted,
            trimmed,
            deleted,
        }
    }

    /// A round trip has committed these.
    pub fn count_committed(&self, entries: u64, published: u64, unparked: u64, latency: Duration) {
        self.processed.add(entries);
        self.published.add(published);
        self.unparked.add(unparked);
        if entries > 0 {
            self.commit_latency.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            self.commit_batch.record(entries);
        }
    }

    pub fn count_fate(&self, fate: Fate) {
        match fate {
            Fate::DeadLettered => self.dead_lettered.add(1),
            Fate::Skipped => self.skipped.add(1),
        }
    }

    pub fn count_failure(&self) {
        self.failed.add(1);
    }

    pub fn count_retry(&self) {
        self.retried.add(1);
    }

    pub fn count_recovery(&self, cause: RecoveryCause) {
        self.recoveries[cause as usize].add(1);
        if cause == RecoveryCause::Fenced {
            self.fenced.add(1);
        }
    }

    pub fn count_vanished(&self, entries: u64, cause: Cause) {
        let count = match cause {
            Cause::Trimmed => &self.trimmed,
            Cause::Deleted => &self.deleted,
            Cause::Either => &self.vanished_unknown,
        };
        count.add(entries);
    }

    /// A session begins, with so many commits in flight as this says.
    pub fn set_in_flight(&self, in_flight: Arc<InFlight>) {
        *self.in_flight() = Some(in_flight);
    }

    /// Where a session shows its commits in flight.
    pub fn commits_in_flight(&self) -> Gauge {
        self.commits_in_flight.clone()
    }

    pub fn set_lag(&self, lag: Lag) {
        self.lag_entries.set(lag.entries);
        self.waited_ms.set(lag.waited_ms);
    }

    /// Whether this consumer owns the subscription now. Nobody else's lag is known.
    pub fn set_active(&self, active: bool) {
        self.active.set(Some(u64::from(active)));
        if !active {
            self.set_lag(Lag::default());
        }
    }

    pub fn set_state(&self, bytes: usize, entries: u64) {
        self.state_bytes.set(Some(bytes as u64));
        self.state_entries.set(Some(entries));
    }

    pub fn set_position(&self, position: EntryId) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
        self.position_ms.set(Some(position.ms));
    }

    pub fn position(&self) -> Option<EntryId> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> MutexGuard<'_, Option<Arc<InFlight>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
