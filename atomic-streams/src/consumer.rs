//! The consumer's own task: attach, run the session, and attach again, until it is shut down or must stop.

mod attach;
mod committer;
mod cursor;
mod durable;
mod ending;
mod examine;
mod failing;
mod figures;
mod gathering;
mod histogram;
mod hold;
mod in_flight;
mod instruments;
mod parts;
mod reader;
mod recorder;
mod recovery;
mod renewals;
mod restore;
mod session;
mod settings;
mod shared;
mod span;
mod stats;
mod unread;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::attach::Attached;
use self::ending::Reattach;
use self::failing::{GivenUp, Next};
pub use self::histogram::Histogram;
pub use self::recovery::{Recoveries, RecoveryCause};
pub(crate) use self::settings::{Coalescing, Settings};
pub(crate) use self::shared::Shared;
pub use self::shared::Status;
pub use self::stats::{Report, Stats};
use crate::error::{Error, ErrorKind};
use crate::handler::{Handler, Retry};
use crate::id::EntryId;
use crate::persist::{Schema, Snapshot, StateError};
use crate::protocol::{Adopted, Attaching, Careful, Parking, SessionEnd, Token, Transient};
use crate::random;
use crate::retry::OnFailure;
use crate::store::Store;
use crate::targets;

/// Everything that one consumer keeps from session to session.
pub(crate) struct Worker<H> {
    settings: Settings,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    /// Fires when the user asks for the end.
    shutdown: CancellationToken,
    handler: H,
    schema: Schema,
    /// What the handler's persisted fields hold when the last staged entry was done.
    snapshot: Snapshot,
    /// What they held when the consumer was built.
    initial: Snapshot,
    attaching: Attaching,
    /// The entry that failed last, and how often it has been tried.
    failing: Option<(EntryId, u32)>,
    /// The entry that was given up last.
    given_up: Option<GivenUp>,
    /// After an unclean end: which entries are handled one at a time.
    careful: Careful,
    /// What a program that had the group before has left undone.
    adopted: Option<Arc<Adopted>>,
    /// Keys whose entries follow a dead letter, as of the last staged entry.
    parking: Parking,
    /// The last key that was to be unparked, and the number of that request.
    unparking: Option<(Vec<u8>, Vec<u8>)>,
    /// Entries up to this one are committed one at a time: a step of several of them failed.
    alone_until: Option<EntryId>,
    /// Attaches that failed, or sessions that ended without a commit or renewal, in a row.
    setbacks: u32,
    examined: bool,
    /// The record may still name this consumer as its owner.
    holds_lease: bool,
    /// The token of the last session, or of the last attach that led to none.
    token: Option<Token>,
    /// That of an attach whose record is not as durable as it should be.
    unconfirmed: Option<Token>,
    clock: Instant,
    /// Tells `spawn` how the first attach went.
    ready: Option<oneshot::Sender<Result<(), Error>>>,
}

impl<H: Handler> Worker<H> {
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        handler: H,
        shutdown: CancellationToken,
        ready: oneshot::Sender<Result<(), Error>>,
    ) -> Result<(Self, Arc<Shared>), Error> {
        let schema = H::schema();
        let initial = hold::guard("encoding them", || Snapshot::of(&handler, &schema))
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(|error| {
                Error::new(ErrorKind::InvalidConfig, format!("the handler's own values cannot be stored: {error}"))
                    .with_source(error)
            })?;
        let attaching = Attaching::new(
            random::instance_name(),
            settings.owner.clone(),
            settings.timing,
            settings.start,
            settings.permissions,
            schema.text(),
        );
        let shared = Arc::new(Shared::new(&settings.stream, &settings.group));
        let parking = match &settings.on_failure {
            OnFailure::Park { letters, field } => Parking::new(Some((letters, field))),
            _ => Parking::default(),
        };
        let worker = Self {
            settings,
            store,
            shared: Arc::clone(&shared),
            shutdown,
            handler,
            schema,
            snapshot: initial.clone(),
            initial,
            attaching,
            failing: None,
            given_up: None,
            careful: Careful::default(),
            adopted: None,
            parking,
            unparking: None,
            alone_until: None,
            setbacks: 0,
            examined: false,
            holds_lease: false,
            token: None,
            unconfirmed: None,
            clock: Instant::now(),
            ready: Some(ready),
        };
        Ok((worker, shared))
    }

    /// Runs until shutdown or an error that only a person can mend.
    pub async fn run(mut self) -> Result<Report, Error> {
        let result = hold::caught("the consumer", self.run_sessions()).await;
        let result = result.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, panic)));
        let result =
            result.map_err(|error| error.of(self.settings.subscription.stream(), self.settings.subscription.group()));
        self.shared.set_status(Status::Stopped);
        match result {
            Ok(released) => {
                self.report_ready(Ok(()));
                let report = self.shared.report(released);
                info!(
                    name: "consumer.shut_down",
                    target: targets::CONSUMER,
                    stream = self.stream(),
                    group = self.group(),
                    processed = report.processed,
                    released,
                    "consumer shut down"
                );
                Ok(report)
            }
            Err(error) => {
                // `spawn` returns the error, if it still waits.
                if !self.report_ready(Err(error.clone())) {
                    tracing::error!(
                        name: "consumer.stopped",
                        target: targets::CONSUMER,
                        stream = self.stream(),
                        group = self.group(),
                        %error,
                        "consumer stopped"
                    );
                }
                Err(error)
            }
        }
    }

    /// Whether the lease was released at the end.
    async fn run_sessions(&mut self) -> Result<bool, Error> {
        loop {
            let session = match self.attach().await? {
                Attached::Session(session) => session,
                Attached::Shutdown => return Ok(!self.holds_lease),
            };
            // Whoever awaits `spawn` may look at the status at once.
            self.shared.set_status(Status::Active);
            self.report_ready(Ok(()));
            let end = self.run_session(*session).await;
            if self.shared.take_progress() {
                self.setbacks = 0;
            }
            let next = match end {
                session::End::Shutdown { released } => return Ok(released),
                session::End::Stopped(error) => return Err(error),
                session::End::Lost(end) => self.after(end)?,
            };
            self.setbacks += 1;
            let pause = match next {
                Reattach::Now if self.setbacks == 1 => continue,
                Reattach::Now | Reattach::AfterPause => {
                    self.settings.attach_backoff().pause(self.setbacks, random::random())
                }
                Reattach::After(pause) => pause,
            };
            if !self.pause(pause).await {
                return Ok(!self.holds_lease);
            }
        }
    }

    /// What the end of a session asks for.
    fn after(&mut self, end: SessionEnd) -> Result<Reattach, Error> {
        let reason = ending::reason(&end);
        warn!(
            name: "session.ended",
            target: targets::SESSION,
            stream = self.stream(),
            group = self.group(),
            reason,
            "session ended"
        );
        if let SessionEnd::Fenced { owner } = &end {
            self.holds_lease = false;
            // Nobody owns a record that is gone.
            if !owner.is_empty() {
                warn!(
                    name: "ownership.lost",
                    target: targets::OWNERSHIP,
                    stream = self.stream(),
                    group = self.group(),
                    owner,
                    "ownership lost: another process has taken over"
                );
            }
        }
        if let SessionEnd::OfGroup { last, .. } = end {
            self.alone_until = Some(last);
        }
        let refused = if let SessionEnd::Refused { entry, .. } = &end { *entry } else { None };
        let cause = RecoveryCause::of(&end);
        let next = ending::next(end)?;
        self.shared.count_recovery(cause);
        let Some(entry) = refused else {
            self.shared.set_status(Status::Recovering { reason });
            return Ok(next);
        };
        // The server refuses what this entry would do: it failed, as if its handler had said so.
        Ok(match self.count_failure(entry, Retry::Backoff, &reason) {
            Next::GiveUp => Reattach::Now,
            Next::Retry { attempt, pause } => {
                self.tell_of_retry(entry, attempt, &reason, pause);
                self.shared.set_status(Status::Retrying { entry, attempt, error: reason, pause });
                Reattach::After(pause)
            }
        })
    }

    /// Waits before the next attach; `false` if shutdown came first.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn setback(&mut self, what: Transient, words: &str) {
        self.setbacks += 1;
        let reason = format!("{what}: {words}");
        warn!(
            name: "session.refused",
            target: targets::SESSION,
            stream = self.stream(),
            group = self.group(),
            reason,
            attempt = self.setbacks,
            "cannot attach yet"
        );
        self.shared.set_status(Status::Recovering { reason });
    }

    /// Tells `spawn` how it went, once. Whether it was still waiting.
    fn report_ready(&mut self, result: Result<(), Error>) -> bool {
        // Nobody hears it when the future of `spawn` was dropped.
        self.ready.take().is_some_and(|ready| ready.send(result).is_ok())
    }

    fn stream(&self) -> &str {
        self.settings.subscription.stream()
    }

    fn group(&self) -> &str {
        self.settings.subscription.group()
    }
}
