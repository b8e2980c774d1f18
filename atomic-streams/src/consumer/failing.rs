//! An entry that cannot be handled: when it is tried again, when it is given up, and what is left of it then.

use std::time::{Duration, SystemTime};

use tracing::warn;

use super::Worker;
use super::shared::Fate;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::handler::{Handler, Retry};
use crate::id::EntryId;
use crate::letter::About;
use crate::random;
use crate::retry::OnFailure;
use crate::staged::{Publish, Staged};

/// An entry that is not tried again.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    entry: EntryId,
    attempts: u32,
    error: String,
}

/// What follows a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Retry { attempt: u32, pause: Duration },
    GiveUp,
}

impl<H: Handler> Worker<H> {
    /// Which try of an entry is next, counted from 1.
    pub(super) fn attempt(&self, entry: EntryId) -> u32 {
        match self.failing {
            Some((failing, attempts)) if failing == entry => attempts.saturating_add(1),
            _ => 1,
        }
    }

    /// Counts one more failed try of an entry.
    pub(super) fn count_failure(&mut self, entry: EntryId, retry: Retry, error: &str) -> Next {
        self.shared.count_failure();
        let attempt = self.attempt(entry);
        self.failing = Some((entry, attempt));
        let policy = self.settings.retry;
        let is_last = retry == Retry::Never || policy.max_attempts.is_some_and(|most| attempt >= most);
        // What is refused after it was given up is its dead letter: nothing is left but to try that again.
        if is_last && self.settings.on_failure != OnFailure::Block && !self.is_given_up(entry) {
            self.give_up(entry, attempt, error);
            return Next::GiveUp;
        }
        let pause = match retry {
            Retry::Backoff => policy.backoff.pause(attempt, random::random()),
            Retry::After(pause) => pause,
            Retry::Never => policy.backoff.longest,
        };
        Next::Retry { attempt, pause }
    }

    /// From now on the entry is not handled any more.
    pub(super) fn give_up(&mut self, entry: EntryId, attempts: u32, error: &str) {
        self.given_up = Some(GivenUp { entry, attempts, error: error.to_owned() });
    }

    /// Kept also when the commit that moves past the entry is lost: it was tried often enough.
    pub(super) fn is_given_up(&self, entry: EntryId) -> bool {
        self.given_up.as_ref().is_some_and(|given_up| given_up.entry == entry)
    }

    /// What the commit of an entry that was given up publishes in place of handling it; `None`: handle it.
    ///
    /// # Errors
    /// The user wants the consumer to end there.
    pub(super) fn last_word(&self, entry: &Entry) -> Result<Option<Staged>, Error> {
        let Some(GivenUp { attempts, error, .. }) = self.given_up.as_ref().filter(|held| held.entry == entry.id) else {
            return Ok(None);
        };
        let (stream, group, attempts) = (self.stream(), self.group(), *attempts);
        let mut staged = Staged::default();
        match &self.settings.on_failure {
            OnFailure::Block => return Ok(None),
            OnFailure::Stop => {
                let words = format!(
                    "entry {} cannot be handled, tried {attempts} times, and `OnFailure::Stop` says to end there: {error}",
                    entry.id
                );
                return Err(Error::new(ErrorKind::EntryFailed, words));
            }
            OnFailure::Skip => {
                warn!(stream, group, entry = %entry.id, attempts, error, "an entry cannot be handled and is skipped");
                self.shared.will_be(entry.id, Fate::Skipped);
            }
            OnFailure::DeadLetter(letters) => {
                warn!(stream, group, entry = %entry.id, attempts, error, letters, "an entry cannot be handled and becomes a dead letter");
                let about = About { stream, group, time: SystemTime::now(), attempts, error };
                let fields = about.fields_of(entry).map_err(|error| {
                    let words = format!("entry {} cannot be packed into a dead letter: {error}", entry.id);
                    Error::new(ErrorKind::Internal, words).with_source(error)
                })?;
                staged.publishes.push(Publish { stream: letters.clone(), fields });
                self.shared.will_be(entry.id, Fate::DeadLettered);
            }
        }
        Ok(Some(staged))
    }
}
