//! From nothing to ownership, with the handler's state restored.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::reader::Source;
use super::restore::damaged;
use super::session::Session;
use super::unread::Unread;
use super::{Status, Worker, ending};
use crate::error::Error;
use crate::handler::Handler;
use crate::persist::{Plan, Stored, mismatch};
use crate::protocol::{AttachNext, Failure, Owned, Step, StepReply, Trying};
use crate::random;
use crate::store::{Link, StoreError};
use crate::targets;

/// How trying to attach ended.
pub(super) enum Attached {
    Session(Box<Session>),
    Shutdown,
}

/// What one attach came to.
enum Attempt {
    Owned(Box<Session>),
    /// The connection may serve for the next one.
    Again,
    Standby {
        owner: String,
        wait: Duration,
    },
}

/// Why an attach did not come to its end.
pub(super) enum Trouble {
    /// What the server or the connection said.
    Store(StoreError),
    /// What only a person can mend.
    Stop(Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

impl<H: Handler> Worker<H> {
    /// Tries until ownership is taken, waiting as long as it must.
    pub(super) async fn attach(&mut self) -> Result<Attached, Error> {
        let shutdown = self.shutdown.clone();
        let mut link = None;
        let store = Arc::clone(&self.store);
        let subscription = self.settings.subscription.clone();
        let mut released = store.released(&subscription);
        let patience = self.settings.timing.last_reply();
        loop {
            if shutdown.is_cancelled() {
                self.give_back().await;
                return Ok(Attached::Shutdown);
            }
            let attempt = {
                let mut attempt = pin!(self.attach_once(&mut link));
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {
                        // A lease that is on its way to us would keep everybody waiting: take it, to give it back.
                        match tokio::time::timeout(patience, attempt).await {
                            Ok(Ok(Attempt::Owned(session))) => return Ok(Attached::Session(session)),
                            _ => None,
                        }
                    }
                    attempt = &mut attempt => Some(attempt),
                }
            };
            let Some(attempt) = attempt else { continue };
            match attempt {
                Ok(Attempt::Owned(session)) => return Ok(Attached::Session(session)),
                Ok(Attempt::Again) => {}
                Ok(Attempt::Standby { owner, wait }) => {
                    self.setbacks = 0;
                    self.stand_by(owner);
                    self.report_ready(Ok(()));
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(Attached::Shutdown),
                        () = &mut released => released = store.released(&subscription),
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                Err(Trouble::Stop(error)) => return Err(error),
                Err(Trouble::Store(error)) => match error.failure {
                    Failure::Permanent(what) => return Err(ending::permanent(what, &error.words).with_source(error)),
                    Failure::Transient(what) => {
                        link = None;
                        self.setback(what, &error.words);
                        self.report_ready(Ok(()));
                        let pause = self.settings.attach_backoff().pause(self.setbacks, random::random());
                        self.pause(pause).await;
                    }
                },
            }
        }
    }

    async fn attach_once(&mut self, link: &mut Option<Box<dyn Link>>) -> Result<Attempt, Trouble> {
        if !self.examined {
            self.examine().await?;
        }
        let mut open = match link.take() {
            Some(open) => open,
            None => self.store.connect(&self.settings.subscription).await?,
        };
        let request = self.attaching.request(self.clock.elapsed());
        // Until a reply says otherwise: the server may have given the lease when shutdown ends the wait for it.
        let held = std::mem::replace(&mut self.holds_lease, true);
        let reply = open.attach(&request).await?;
        let next = self.attaching.reply(self.clock.elapsed(), reply);
        match next {
            AttachNext::StandBy { .. } => self.holds_lease = false,
            AttachNext::Compare { .. } | AttachNext::Stop(_) => self.holds_lease = held,
            AttachNext::Own(_) | AttachNext::Again | AttachNext::Rename => {}
        }
        let attempt = match next {
            AttachNext::Own(owned) => return Ok(Attempt::Owned(Box::new(self.begin(open, owned).await?))),
            AttachNext::Again => Attempt::Again,
            AttachNext::Rename => {
                self.attaching.rename(random::instance_name());
                Attempt::Again
            }
            AttachNext::StandBy { owner, wait } => Attempt::Standby { owner, wait },
            AttachNext::Compare { stored } => {
                self.plan(&stored)?;
                self.attaching.accept_schema(stored);
                Attempt::Again
            }
            AttachNext::Stop(stop) => {
                if let (true, Some(token)) = (held, &self.token) {
                    // The record may still name this consumer: nobody should have to wait for its lease.
                    let _ = open.send(token.as_str(), &[Step::Release]).await;
                }
                return Err(ending::stop(stop).into());
            }
        };
        *link = Some(open);
        Ok(attempt)
    }

    /// Shows that another process is the owner, and tells of it once.
    fn stand_by(&self, owner: String) {
        let is_known = matches!(&*self.shared.status().borrow(), Status::Standby { owner: known } if *known == owner);
        if !is_known {
            info!(
                name: "ownership.standby",
                target: targets::OWNERSHIP,
                stream = self.stream(),
                group = self.group(),
                owner,
                "standing by: another process is the owner"
            );
        }
        self.shared.set_status(Status::Standby { owner });
    }

    /// How the stored fields become the handler's.
    pub(super) fn plan(&self, stored: &str) -> Result<(Plan, Stored), Error> {
        let stored = Stored::parse(stored).map_err(damaged)?;
        match self.schema.plan(&stored) {
            Ok(plan) => Ok((plan, stored)),
            Err(changes) => Err(mismatch(&changes)),
        }
    }

    /// Restores the state and opens the second connection.
    async fn begin(&mut self, mut committer: Box<dyn Link>, owned: Owned) -> Result<Session, Trouble> {
        info!(
            name: "ownership.taken",
            target: targets::OWNERSHIP,
            stream = self.stream(),
            group = self.group(),
            epoch = owned.epoch,
            position = %owned.position,
            created = owned.created,
            clean = owned.released,
            "ownership taken"
        );
        if owned.created && self.shared.position().is_some() {
            warn!(
                name: "subscription.replaced",
                target: targets::SUBSCRIPTION,
                stream = self.stream(),
                group = self.group(),
                start = %owned.position,
                "record and group are gone: a new subscription begins"
            );
        } else if owned.created {
            info!(
                name: "subscription.created",
                target: targets::SUBSCRIPTION,
                stream = self.stream(),
                group = self.group(),
                start = %owned.position,
                "this is a new subscription"
            );
        }
        Unread::new(&self.settings, &self.shared).attached(&owned);
        if let Some(confirmed) = self.shared.position().filter(|confirmed| owned.position < *confirmed) {
            // Somebody has put it back, or a rollback has: what was given up up to there has had its commit, and may come anew.
            self.forget_failures(confirmed);
        }
        self.adopted.clone_from(&owned.adopted);
        self.careful.attached(&owned, self.token.is_none(), self.settings.max_in_flight);
        if self.careful.is_on() {
            info!(
                name: "session.careful",
                target: targets::SESSION,
                stream = self.stream(),
                group = self.group(),
                "the last owner ended uncleanly: entries are handled one at a time for a while"
            );
        }
        if let Some(Trying { entry, crashes }) = owned.trying.filter(|_| owned.abandoned) {
            warn!(
                name: "entry.crashed",
                target: targets::ENTRY,
                stream = self.stream(),
                group = self.group(),
                id = %entry,
                crashes,
                "the last owner ended while it handled this entry"
            );
        }
        // Whatever comes of this attach, the next one is not the first.
        self.token = Some(owned.head.token.clone());
        let ready = match self.confirm(&mut *committer, &owned).await {
            Ok(()) => self.restore(&mut *committer, &owned).await,
            Err(trouble) => Err(trouble),
        };
        let (opening, sequencer) = match ready {
            Ok(restored) => restored,
            Err(trouble) => {
                if matches!(trouble, Trouble::Stop(_)) || self.shutdown.is_cancelled() {
                    // Nobody else should have to wait for a lease whose owner has given up.
                    let replies = committer.send(owned.head.token.as_str(), &[Step::Release]).await;
                    self.holds_lease &= !matches!(replies.first(), Some(Ok(StepReply::Released { .. })));
                }
                return Err(trouble);
            }
        };
        let link = self.store.connect_to_read(&self.settings.subscription).await?;
        let reader = Source { store: Arc::clone(&self.store), link };
        self.shared.begin(&owned, &self.snapshot);
        Ok(Session { owned, committer, reader, opening, sequencer })
    }
}
