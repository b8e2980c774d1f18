//! One session: entries in, commits out, until the session ends or the user asks for the end.

mod careful;
mod handling;
mod telling;
mod unparking;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

use super::committer::{Committer, Settled};
use super::failing::Next;
use super::hold::{Held, Panicked, guard};
use super::in_flight::InFlight;
use super::reader::{self, Batch, Progress};
use super::unread::Unread;
use super::{Settings, Status, Worker, ending, span};
use crate::entry::{self, Entry};
use crate::error::Error;
use crate::handler::{Handler, HandlerError, Retry};
use crate::persist::Changes;
use crate::protocol::{Commit, Failure, Owned, Sequencer, SessionEnd, Transient};
use crate::staged::Staged;
use crate::store::Link;
use crate::transaction::{Message, Origin, Transaction};

/// An attach and its two connections.
pub(super) struct Session {
    pub owned: Owned,
    pub committer: Box<dyn Link>,
    pub reader: reader::Source,
    /// What must be written before the first entry: the fields of a new record or of a new schema.
    pub opening: Vec<Commit>,
    pub sequencer: Sequencer,
}

/// How a session ended.
pub(super) enum End {
    Shutdown {
        released: bool,
    },
    Lost(SessionEnd),
    /// An entry cannot be handled, and the user wants the consumer to end there.
    Stopped(Error),
}

/// Why the handling side stops.
enum Halt {
    /// The user asked for it.
    Shutdown,
    /// The committer has ended, and knows why.
    Committer,
    /// What a connection said, or is missing.
    Lost(SessionEnd),
    /// The handler's fields could not be rolled back.
    Damaged(String),
    /// The entry at hand ends the consumer.
    Stop(Error),
}

/// A try that failed, and its span.
struct Failed {
    error: HandlerError,
    span: Span,
}

/// The handling side of a session: what the tasks of the other two sides are reached by.
struct Handling {
    sequencer: Sequencer,
    commits: mpsc::UnboundedSender<Commit>,
    in_flight: Arc<InFlight>,
    batches: mpsc::Receiver<Batch>,
    reader: AbortOnDropHandle<SessionEnd>,
    /// Fires when the session ends or shutdown begins: for the handler to see.
    cancelled: CancellationToken,
    /// What the handler sees of all this.
    origin: Arc<Origin>,
    /// The status says so.
    retrying: bool,
    /// When the proof of the read in hand is sent by itself.
    proof_due: Option<Instant>,
    /// When other tasks had a turn last.
    turn_began: Instant,
    /// Tells that keys are to be unparked, where keys are parked.
    asked: Option<watch::Receiver<u64>>,
}

impl<H: Handler> Worker<H> {
    pub(super) async fn run_session(&mut self, session: Session) -> End {
        let Session { owned, committer, reader, opening, sequencer } = session;
        let settings = &self.settings;
        let in_flight = Arc::new(InFlight::new(
            settings.max_in_flight,
            Settings::MAX_IN_FLIGHT_BYTES,
            self.shared.commits_in_flight(),
        ));
        self.shared.set_in_flight(Arc::clone(&in_flight));
        let progress = Arc::new(Progress::default());
        let (commits, staged) = mpsc::unbounded_channel();
        let (batch_sender, batches) = mpsc::channel(1);
        let cancelled = self.shutdown.child_token();
        let (asked_sender, asked) = watch::channel(0);
        let committer = Committer {
            link: committer,
            owned: owned.clone(),
            settings: settings.clone(),
            staged,
            in_flight: Arc::clone(&in_flight),
            reader: Arc::clone(&progress),
            shared: Arc::clone(&self.shared),
            unread: Unread::new(settings, &self.shared),
            cancelled: cancelled.clone(),
            alone_until: self.alone_until,
            asked: asked_sender,
        };
        let mut committer = AbortOnDropHandle::new(tokio::spawn(committer.run()));
        let reader =
            AbortOnDropHandle::new(tokio::spawn(reader::run(reader, owned, settings.clone(), batch_sender, progress)));
        let origin = Origin {
            stream: Arc::clone(&settings.stream),
            group: Arc::clone(&settings.group),
            cancelled: cancelled.clone(),
        };
        let mut handling = Handling {
            sequencer,
            commits,
            in_flight,
            batches,
            reader,
            cancelled,
            origin: Arc::new(origin),
            retrying: false,
            proof_due: None,
            turn_began: Instant::now(),
            asked: self.hears_of_unparking(asked),
        };
        for commit in opening {
            handling.stage(commit);
        }

        let halt = self.handle_all(&mut handling).await;
        handling.cancelled.cancel();
        // Dropping the staging end lets the committer send what is left, and then release.
        drop(handling.commits);
        match halt {
            Halt::Lost(end) => {
                if ending::is_final(&end) {
                    // What is staged is still good, and the lease is of no more use.
                    let _ = (&mut committer).await;
                }
                End::Lost(end)
            }
            Halt::Damaged(words) => {
                End::Lost(SessionEnd::Failed { failure: Failure::Transient(Transient::Other), words })
            }
            Halt::Stop(error) => {
                // What came before it is committed, and the lease released.
                let _ = (&mut committer).await;
                End::Stopped(error)
            }
            Halt::Shutdown | Halt::Committer => match (&mut committer).await {
                Ok(Settled::Released) => End::Shutdown { released: true },
                Ok(Settled::Lost { end, released }) => {
                    if self.shutdown.is_cancelled() {
                        self.tell_of_unconfirmed(&end);
                        return End::Shutdown { released };
                    }
                    End::Lost(end)
                }
                Err(error) => End::Lost(SessionEnd::Failed {
                    failure: Failure::Transient(Transient::Other),
                    words: format!("the committing task failed: {error}"),
                }),
            },
        }
    }

    async fn handle_all(&mut self, handling: &mut Handling) -> Halt {
        loop {
            let batch = tokio::select! {
                biased;
                () = handling.cancelled.cancelled() => return self.halted(),
                () = unparking::asked(&mut handling.asked) => match self.unpark_asked(handling).await {
                    Ok(()) => continue,
                    Err(halt) => return halt,
                },
                batch = handling.batches.recv() => batch,
                end = &mut handling.reader => return reader_ended(end),
            };
            let Some(Batch { entries, proof, _share }) = batch else {
                return reader_ended((&mut handling.reader).await);
            };
            handling.sequencer.begin_read(proof);
            handling.proof_due = Some(Instant::now() + self.settings.timing.proof_wait());
            for entry in entries {
                if handling.is_asked()
                    && let Err(halt) = self.unpark_asked(handling).await
                {
                    return halt;
                }
                if let Err(halt) = self.handle_until_done(handling, &entry).await {
                    return halt;
                }
            }
        }
    }

    fn halted(&self) -> Halt {
        if self.shutdown.is_cancelled() { Halt::Shutdown } else { Halt::Committer }
    }

    /// Handles one entry until it is staged.
    async fn handle_until_done(&mut self, handling: &mut Handling, entry: &Entry) -> Result<(), Halt> {
        loop {
            if self.shutdown.is_cancelled() {
                return Err(Halt::Shutdown);
            }
            self.room(handling).await?;
            if self.adopted.as_ref().is_some_and(|adopted| adopted.has_done(entry.id)) {
                self.stage(handling, entry, Changes::default(), Staged::default()).await;
                return Ok(());
            }
            self.judge_crashes(entry);
            if let Some((changes, staged)) = self.last_word(entry).map_err(Halt::Stop)? {
                self.stage(handling, entry, changes, staged).await;
                return Ok(());
            }
            self.note_try(handling, entry).await?;
            match self.handle_once(handling, entry).await? {
                Ok((changes, staged)) => {
                    self.tell_of_large_fields();
                    self.stage(handling, entry, changes, staged).await;
                    return Ok(());
                }
                Err(failed) => self.pause_after_failure(handling, entry, failed).await?,
            }
        }
    }

    /// Stages the commit of one entry.
    async fn stage(&mut self, handling: &mut Handling, entry: &Entry, changes: Changes, staged: Staged) {
        if !changes.is_empty() {
            self.shared.set_state(&self.snapshot);
        }
        let commit = handling.sequencer.entry(entry.id, changes, staged);
        self.stage_commit(handling, commit).await;
    }

    /// Stages the commit of what was handled or given up.
    async fn stage_commit(&mut self, handling: &mut Handling, mut commit: Commit) {
        if self.careful.passed() {
            commit.deleted.push(careful::FIELD.to_owned());
        }
        handling.stage(commit);
        if std::mem::take(&mut handling.retrying) {
            self.shared.set_status(Status::Active);
        }
        handling.give_turn().await;
    }

    /// Calls the handler once, in a span of its own. After an error its persisted fields are as before.
    async fn handle_once(
        &mut self,
        handling: &mut Handling,
        entry: &Entry,
    ) -> Result<Result<(Changes, Staged), Failed>, Halt> {
        let about = Message { id: entry.id, attempt: self.attempt(entry.id), origin: Arc::clone(&handling.origin) };
        let span = span::of_try(&about, &entry.fields);
        let decoded = guard("decoding the entry", || span.in_scope(|| entry::decode::<H::Message>(&entry.fields)));
        let message = match decoded {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => return Ok(Err(Failed { error: HandlerError::permanent(error), span })),
            Err(panic) => return Ok(Err(Failed { error: HandlerError::permanent(Panicked(panic)), span })),
        };
        let mut transaction = Transaction::new(about);
        // What has expired by the time of this entry goes with its commit; the keys' code is the user's.
        if let Err(panic) = guard("removing what has expired", || self.snapshot.begin(&mut self.handler, entry.id.ms)) {
            span::failed(&span, "panic", &panic);
            self.count_failure(entry.id, Retry::Backoff, &panic);
            return Err(Halt::Damaged(panic));
        }
        // A handler written by hand may panic before there is a future.
        let result = match guard("the handler", || span.in_scope(|| self.handler.handle(message, &mut transaction))) {
            Ok(call) => {
                let mut call = Held::new(call, &span);
                match call.now().await {
                    Some(result) => Some(result),
                    None => handling.wait_for(&mut call, self.settings.grace_period).await,
                }
            }
            Err(panic) => Some(Err(HandlerError::from(Panicked(panic)))),
        };
        let result = match result {
            Some(Ok(())) => match guard("encoding the state", || self.snapshot.changes(&mut self.handler)) {
                Ok(changes) => changes.map_err(HandlerError::from),
                Err(panic) => Err(HandlerError::from(Panicked(panic))),
            },
            Some(Err(error)) => Err(error),
            None => {
                span::failed(&span, "cancelled", "the handler outlasted the grace period");
                span.in_scope(|| self.tell_of_abandoned(entry.id));
                return Err(self.halted());
            }
        };
        Ok(match result {
            Ok(changes) => Ok((changes, transaction.into_staged())),
            Err(error) => {
                if handling.cancelled.is_cancelled() {
                    span::failed(&span, "cancelled", &shown(&error));
                    // It may have failed because it was told so; the next attach restores all fields.
                    return Err(self.halted());
                }
                let put_back = guard("restoring the state", || self.snapshot.roll_back(&mut self.handler));
                if let Err(damage) = put_back.and_then(|result| result.map_err(|damage| damage.to_string())) {
                    // What the fields hold now is nobody's state: attach again, which restores all of them.
                    let (retry, kind, error) = (error.retry(), span::error_type(&error), shown(&error));
                    span::failed(&span, kind, &error);
                    self.count_failure(entry.id, retry, &error);
                    return Err(Halt::Damaged(format!("{error}; and its fields cannot be put back: {damage}")));
                }
                Err(Failed { error, span })
            }
        })
    }

    /// Shows a failed entry and waits for its next try, if there is one.
    async fn pause_after_failure(
        &mut self,
        handling: &mut Handling,
        entry: &Entry,
        Failed { error, span }: Failed,
    ) -> Result<(), Halt> {
        self.note_failure(handling, entry);
        let (retry, kind) = (error.retry(), span::error_type(&error));
        let error = shown(&error);
        span::failed(&span, kind, &error);
        let Next::Retry { attempt, pause } = self.count_failure(entry.id, retry, &error) else { return Ok(()) };
        span.in_scope(|| self.tell_of_retry(entry.id, attempt, &error, pause));
        // The pause is not part of the try.
        drop(span);
        handling.retrying = true;
        self.shared.set_status(Status::Retrying { entry: entry.id, attempt, error, pause });
        let until = from_now(pause);
        loop {
            tokio::select! {
                biased;
                () = handling.cancelled.cancelled() => return Err(self.halted()),
                end = &mut handling.reader => return Err(reader_ended(end)),
                () = due(handling.proof_due) => handling.prove(),
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }
}

/// What the handler said; the words are code of the user too.
fn shown(error: &HandlerError) -> String {
    guard("an error of the handler, when it was shown,", || error.to_string()).unwrap_or_else(|panic| panic)
}

/// The end of a span that the user chose, who may have meant for ever: decades are as good and can be reckoned with.
fn from_now(span: Duration) -> Instant {
    const DECADES: Duration = Duration::from_secs(30 * 365 * 86_400);
    Instant::now() + span.min(DECADES)
}

/// Waits until then, or for ever.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn reader_ended(end: Result<SessionEnd, tokio::task::JoinError>) -> Halt {
    Halt::Lost(end.unwrap_or_else(|error| SessionEnd::Failed {
        failure: Failure::Transient(Transient::Other),
        words: format!("the reading task failed: {error}"),
    }))
}
