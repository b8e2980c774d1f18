//! Handling the dead letters of keys that are to be unparked, between two entries of the input.
//!
//! Nothing of the input is handled meanwhile, so that no letter of the key can come behind the last one: the step that removes
//! it unparks the key. The letters are read when every step has its reply, with the head that the last one has left; the removal
//! in each step then finds out what else has become of them.

use std::collections::HashSet;

use tokio::sync::watch;
use tracing::{info, warn};

use super::{Halt, Handling, Worker, reader_ended};
use crate::entry::Entry;
use crate::handler::Handler;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::persist::Changes;
use crate::protocol::{Head, Operation, Parking, SessionEnd};
use crate::staged::Staged;
use crate::store::{Letters, StoreError};
use crate::targets;

/// Entries of the dead-letter stream that are looked at at once.
const PART: usize = 256;

/// Keys that are read at once.
const KEYS: usize = 100;

/// Waits until keys are to be unparked.
pub(super) async fn asked(asked: &mut Option<watch::Receiver<u64>>) {
    let told = match asked {
        Some(asked) => asked.changed().await.is_ok(),
        None => false,
    };
    if !told {
        // Without parking, or when the committer has ended, which is heard of otherwise.
        std::future::pending().await
    }
}

impl<H: Handler> Worker<H> {
    /// What tells of keys to unpark, if any can be parked. It tells at once what may have been asked of the owner before.
    pub(super) fn hears_of_unparking(&self, mut asked: watch::Receiver<u64>) -> Option<watch::Receiver<u64>> {
        self.parking.letters()?;
        if !self.parking.is_empty() {
            asked.mark_changed();
        }
        Some(asked)
    }

    /// Unparks what is to be unparked.
    pub(super) async fn unpark_asked(&mut self, handling: &mut Handling) -> Result<(), Halt> {
        // What is asked for from here on is told again.
        handling.asked.as_mut().map(watch::Receiver::borrow_and_update);
        let store = self.store.clone();
        let subscription = self.settings.subscription.clone();
        let mut letters = store.letters().await.map_err(lost)?;
        let (mut done, mut cursor) = (HashSet::new(), None);
        loop {
            let part = letters.scan(&subscription, Parking::ASKED, cursor.as_deref(), KEYS).await.map_err(lost)?;
            for (key, number) in part.entries {
                if !done.contains(&key) {
                    let request = Some((key.clone(), number));
                    if self.unparking != request {
                        // Its letters are tried as if for the first time; another session may go on with the same request.
                        self.unparking = request;
                        self.forget_failures(handling.sequencer.position());
                    }
                    self.unpark(handling, &mut *letters, &key).await?;
                    done.insert(key);
                }
            }
            match part.cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Handles the letters of one key, as far as they can be.
    async fn unpark(&mut self, handling: &mut Handling, letters: &mut dyn Letters, key: &[u8]) -> Result<(), Halt> {
        let subscription = self.settings.subscription.clone();
        let dead = self.parking.letters().unwrap_or_default().to_owned();
        let shown = key.escape_ascii().to_string();
        let mut after = EntryId::MIN;
        let mut handled = 0_u64;
        // One that is not parked needs nothing but an answer.
        let mut is_done = !self.parking.has(key);
        while !is_done {
            self.settled(handling).await?;
            let part = letters.waiting(&subscription, &dead, key, after, PART).await.map_err(lost)?;
            if !self.is_at(handling, part.head.as_ref()) {
                return Err(lost(StoreError::unexpected("the record changed while dead letters were read")));
            }
            // Others are of an earlier parking, which a reset has ended: their entries were handled since.
            let behind = self.parking.behind(key);
            let is_of_it = |letter: &Entry| {
                DeadLetter::of(letter.clone())
                    .is_none_or(|letter| Some(letter.parked_behind.unwrap_or(letter.entry.id)) == behind)
            };
            let waiting: Vec<Entry> = part.letters.into_iter().filter(is_of_it).collect();
            let last = waiting.last().map(|letter| letter.id).filter(|_| part.next.is_none());
            for letter in waiting {
                let (id, is_last) = (letter.id, Some(letter.id) == last);
                if let Err(why) = self.handle_letter(handling, &dead, letter, key, is_last).await? {
                    warn!(
                        name: "key.kept",
                        target: targets::KEY,
                        stream = self.stream(),
                        group = self.group(),
                        key = shown,
                        letter = %id,
                        handled,
                        error = why,
                        "a dead letter cannot be handled this time either; its key stays parked"
                    );
                    return self.stay_parked(handling, key).await;
                }
                handled += 1;
            }
            match part.next {
                Some(next) => after = next,
                None if last.is_some() => {
                    self.tell_of_unparked(&shown, handled);
                    return Ok(());
                }
                None => is_done = true,
            }
        }
        let collections = self.parking.unpark(key);
        let commit = handling.sequencer.nothing(Changes { fields: Vec::new(), collections }, Vec::new());
        handling.stage(commit);
        self.tell_of_unparked(&shown, handled);
        Ok(())
    }

    fn tell_of_unparked(&self, key: &str, handled: u64) {
        info!(
            name: "key.unparked",
            target: targets::KEY,
            stream = self.stream(),
            group = self.group(),
            key,
            handled,
            "a key is unparked"
        );
    }

    /// Handles one letter until it is staged, or given up, and says why.
    async fn handle_letter(
        &mut self,
        handling: &mut Handling,
        dead: &str,
        letter: Entry,
        key: &[u8],
        is_last: bool,
    ) -> Result<Result<(), String>, Halt> {
        let removal = Operation::Remove { stream: dead.to_owned(), id: letter.id, digest: letter.digest() };
        let Some(DeadLetter { entry, .. }) = DeadLetter::of(letter) else {
            return Ok(Err("it cannot be read".to_owned()));
        };
        loop {
            if self.shutdown.is_cancelled() {
                return Err(Halt::Shutdown);
            }
            self.room(handling).await?;
            self.judge_crashes(&entry);
            if let Some(why) = self.why_given_up(entry.id) {
                return Ok(Err(why));
            }
            self.note_try(handling, &entry).await?;
            match self.handle_once(handling, &entry).await? {
                Ok((mut changes, staged)) => {
                    if is_last {
                        changes.collections.extend(self.parking.unpark(key));
                    }
                    self.stage_letter(handling, entry.id, removal, changes, staged).await;
                    return Ok(Ok(()));
                }
                Err(failed) => self.pause_after_failure(handling, &entry, failed).await?,
            }
        }
    }

    async fn stage_letter(
        &mut self,
        handling: &mut Handling,
        entry: EntryId,
        removal: Operation,
        changes: Changes,
        staged: Staged,
    ) {
        let commit = handling.sequencer.letter(entry, removal, changes, staged);
        self.stage_commit(handling, commit).await;
    }

    /// Answers that a key cannot be unparked now.
    async fn stay_parked(&mut self, handling: &mut Handling, key: &[u8]) -> Result<(), Halt> {
        let collections = vec![self.parking.answered(key)];
        let commit = handling.sequencer.nothing(Changes { fields: Vec::new(), collections }, Vec::new());
        self.stage_commit(handling, commit).await;
        Ok(())
    }

    /// Waits until every step that was staged has its reply.
    async fn settled(&mut self, handling: &mut Handling) -> Result<(), Halt> {
        tokio::select! {
            biased;
            settled = handling.in_flight.settled() => settled.map_err(|_| self.halted()),
            end = &mut handling.reader => Err(reader_ended(end)),
        }
    }

    /// Whether this is the head that the last staged step leaves.
    fn is_at(&self, handling: &Handling, head: Option<&Head>) -> bool {
        head.is_some_and(|head| {
            head.sequence == handling.sequencer.sequence() && self.token.as_ref() == Some(&head.token)
        })
    }
}

fn lost(error: StoreError) -> Halt {
    let StoreError { failure, words, .. } = error;
    Halt::Lost(SessionEnd::Failed { failure, words })
}
