//! A running consumer, from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::consumer::{Report, Shared, Stats, Status};
use crate::error::{Error, ErrorKind};
use crate::health::Health;

/// A running consumer.
///
/// Dropping the handle leaves the consumer running; it can then be stopped only by the token given to
/// [`cancellation_token`](crate::ConsumerBuilder::cancellation_token), or with the runtime.
pub struct ConsumerHandle {
    shutdown: CancellationToken,
    shared: Arc<Shared>,
    outcome: watch::Receiver<Option<Result<Report, Error>>>,
}

impl ConsumerHandle {
    pub(crate) fn new(
        shutdown: CancellationToken,
        shared: Arc<Shared>,
        outcome: watch::Receiver<Option<Result<Report, Error>>>,
    ) -> Self {
        Self { shutdown, shared, outcome }
    }

    /// Asks the consumer to end, and waits until it has.
    ///
    /// It stops reading, lets a running handler finish within the grace period, commits what is done and releases the
    /// lease, so that a standby takes over at once. May be called more than once and from several places; each call
    /// returns the same.
    ///
    /// # Errors
    /// The error that had stopped the consumer already, if one did.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the request back.
    pub async fn shutdown(&self) -> Result<Report, Error> {
        self.shutdown.cancel();
        self.wait().await
    }

    /// Waits until the consumer has ended, by itself or because it was asked to.
    ///
    /// # Errors
    /// What only a person can mend; see [`ErrorKind`]. Everything else the consumer outlasts.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait(&self) -> Result<Report, Error> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            // The sender is gone without a result: the task panicked, or the runtime is shutting down.
            _ => Err(Error::new(ErrorKind::Internal, "the consumer's task ended without a result")),
        }
    }

    /// What the consumer is doing, now and whenever it changes.
    ///
    /// Clone what [`borrow`](watch::Receiver::borrow) returns rather than hold it across an `await`: the consumer cannot
    /// change its status meanwhile, and stands still.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status()
    }

    /// The figures since it was spawned.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether it does its work: what a readiness probe and a liveness probe ask for.
    ///
    /// A consumer that recovers counts as ready for [`Health::RECOVERY`]; see [`health_within`](Self::health_within).
    #[must_use]
    pub fn health(&self) -> Health {
        self.health_within(Health::RECOVERY)
    }

    /// [`health`](Self::health), where a consumer that recovers counts as ready for so long.
    #[must_use]
    pub fn health_within(&self, recovery: Duration) -> Health {
        match &*self.outcome.borrow() {
            Some(Ok(_)) => return Health::ended("it was shut down"),
            Some(Err(error)) => return Health::ended(&error.to_string()),
            None if self.outcome.has_changed().is_err() => return Health::ended("its task is gone"),
            None => {}
        }
        let shared = &self.shared;
        Health::of(&shared.status().borrow(), shared.was_settled(), shared.lost_for(), recovery)
    }

    pub(crate) fn shutdown_on_drop(&self) -> DropGuard {
        self.shutdown.clone().drop_guard()
    }
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("status", &*self.shared.status().borrow())
            .field("stats", &self.stats())
            .finish()
    }
}
