//! An entry that cannot be handled: when it is tried again, when it is given up, and what is left of it then.

use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use super::Worker;
use super::figures::Fate;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::handler::{Handler, Retry};
use crate::id::EntryId;
use crate::letter::{About, Key, MAX_KEY_BYTES, MAX_PARKED_KEYS};
use crate::persist::Changes;
use crate::protocol::Unparkable;
use crate::random;
use crate::retry::OnFailure;
use crate::staged::{Publish, Staged};
use crate::targets;

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
        self.shared.count_retry();
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

    /// What was said of an entry that was given up.
    pub(super) fn why_given_up(&self, entry: EntryId) -> Option<String> {
        self.given_up.as_ref().filter(|given_up| given_up.entry == entry).map(|given_up| given_up.error.clone())
    }

    /// What failed up to the position, which are dead letters, is to be tried as if for the first time when its turn comes again.
    pub(super) fn forget_failures(&mut self, position: EntryId) {
        self.failing.take_if(|(entry, _)| *entry <= position);
        self.given_up.take_if(|given_up| given_up.entry <= position);
    }

    /// What the commit of an entry does in place of handling it, if it was given up or its key is parked; `None`: handle it.
    ///
    /// # Errors
    /// The user wants the consumer to end there, or the entry's key cannot be parked.
    pub(super) fn last_word(&mut self, entry: &Entry) -> Result<Option<(Changes, Staged)>, Error> {
        if let Some((bytes, behind)) = self.parking.waits(&entry.fields) {
            let key = Some(Key { bytes, behind: Some(behind) });
            let error = format!("its key is parked behind entry {behind}");
            debug!(
                name: "entry.parked",
                target: targets::ENTRY,
                stream = self.stream(),
                group = self.group(),
                id = %entry.id,
                key = %bytes.escape_ascii(),
                %behind,
                "an entry follows a dead letter of its key"
            );
            return Ok(Some((Changes::default(), self.letter(entry, 0, &error, key)?)));
        }
        let Some(GivenUp { attempts, error, .. }) = self.given_up.as_ref().filter(|held| held.entry == entry.id) else {
            return Ok(None);
        };
        let (attempts, error) = (*attempts, error.clone());
        let (stream, group) = (self.stream(), self.group());
        match &self.settings.on_failure {
            OnFailure::Block => Ok(None),
            OnFailure::Stop => {
                let words = format!(
                    "entry {} cannot be handled, tried {attempts} times, and `OnFailure::Stop` says to end there: {error}",
                    entry.id
                );
                Err(Error::new(ErrorKind::EntryFailed, words))
            }
            OnFailure::Skip => {
                warn!(
                    name: "entry.skipped",
                    target: targets::ENTRY,
                    stream,
                    group,
                    id = %entry.id,
                    attempt = attempts,
                    error,
                    "an entry cannot be handled and is skipped"
                );
                self.shared.will_be(entry.id, Fate::Skipped);
                Ok(Some((Changes::default(), Staged::default())))
            }
            OnFailure::DeadLetter(letters) => {
                warn!(
                    name: "entry.dead_lettered",
                    target: targets::ENTRY,
                    stream,
                    group,
                    id = %entry.id,
                    attempt = attempts,
                    error,
                    letters,
                    "an entry cannot be handled and becomes a dead letter"
                );
                Ok(Some((Changes::default(), self.letter(entry, attempts, &error, None)?)))
            }
            OnFailure::Park { letters, .. } => {
                let key = self.parking.key_of(&entry.fields);
                warn!(
                    name: "entry.dead_lettered",
                    target: targets::ENTRY,
                    stream,
                    group,
                    id = %entry.id,
                    attempt = attempts,
                    error,
                    letters,
                    key = key.map(|key| display(key.escape_ascii())),
                    "an entry cannot be handled and becomes a dead letter; later ones of its key follow it"
                );
                let staged = self.letter(entry, attempts, &error, key.map(|bytes| Key { bytes, behind: None }))?;
                let parked = match key {
                    Some(key) => self.parking.park(key, entry.id).map_err(|why| unparkable(entry.id, &error, why))?,
                    None => Changes::default(),
                };
                Ok(Some((parked, staged)))
            }
        }
    }

    /// What a commit publishes so that the entry becomes a dead letter.
    fn letter(&self, entry: &Entry, attempts: u32, error: &str, key: Option<Key<'_>>) -> Result<Staged, Error> {
        let (OnFailure::DeadLetter(letters) | OnFailure::Park { letters, .. }) = &self.settings.on_failure else {
            return Err(Error::new(ErrorKind::Internal, "a dead letter was made where there is no stream for it"));
        };
        let about = About { stream: self.stream(), group: self.group(), time: SystemTime::now(), attempts, error, key };
        let fields = about.fields_of(entry).map_err(|error| {
            let words = format!("entry {} cannot be packed into a dead letter: {error}", entry.id);
            Error::new(ErrorKind::Internal, words).with_source(error)
        })?;
        self.shared.will_be(entry.id, Fate::DeadLettered);
        Ok(Staged { publishes: vec![Publish { stream: letters.clone(), fields }], trims: Vec::new() })
    }
}

/// A failed entry after which the order of its key cannot be kept.
fn unparkable(entry: EntryId, error: &str, why: Unparkable) -> Error {
    let why = match why {
        Unparkable::TooMany => format!(
            "{MAX_PARKED_KEYS} keys are parked already: correct what is wrong and unpark them with `DeadLetters::unpark`"
        ),
        Unparkable::TooLong { bytes } => format!(
            "it has {bytes} bytes, and at most {MAX_KEY_BYTES} are allowed: park by a field with shorter values"
        ),
    };
    let words = format!("entry {entry} cannot be handled ({error}), and its key cannot be parked: {why}");
    Error::new(ErrorKind::EntryFailed, words)
}
