//! Handling one entry at a time after an owner that ended uncleanly, so that an entry that kills the process is known.

use tracing::warn;

use super::{Halt, Handling, Worker, reader_ended};
use crate::entry::Entry;
use crate::handler::Handler;
use crate::persist::Changes;
use crate::protocol::Trying;
use crate::retry::OnFailure;
use crate::targets;

/// The record's field that names the entry under suspicion.
pub(super) const FIELD: &str = "@trying";

impl<H: Handler> Worker<H> {
    /// Waits until the next entry may be handled: there is room for its commit, or everything before it is committed.
    pub(super) async fn room(&mut self, handling: &mut Handling) -> Result<(), Halt> {
        let (in_flight, is_careful) = (&handling.in_flight, self.careful.is_on());
        let room = async { if is_careful { in_flight.settled().await } else { in_flight.room().await } };
        tokio::select! {
            biased;
            room = room => room.map_err(|_| self.halted()),
            end = &mut handling.reader => Err(reader_ended(end)),
        }
    }

    /// Gives an entry up that has killed the process too often.
    pub(super) fn judge_crashes(&mut self, entry: &Entry) {
        let (id, crashes) = (entry.id, self.careful.crashes(entry.id));
        if crashes < self.settings.max_crashes || self.is_given_up(id) {
            return;
        }
        if self.settings.on_failure == OnFailure::Block {
            warn!(
                name: "entry.suspected",
                target: targets::ENTRY,
                stream = self.stream(),
                group = self.group(),
                id = %id,
                crashes,
                "this entry may be what kills the process; it is tried again, since `on_failure` does not say what else to do"
            );
        } else {
            self.give_up(id, crashes, &format!("the process ended {crashes} times while it handled this entry"));
            self.careful.given_up();
        }
    }

    /// Notes the entry in the record before it is tried, if it is the first after an unclean end.
    pub(super) async fn note_try(&mut self, handling: &mut Handling, entry: &Entry) -> Result<(), Halt> {
        let Some(trying) = self.careful.before_try(entry.id) else { return Ok(()) };
        handling.note(Some(trying));
        self.room(handling).await
    }

    /// Takes the note back: the try came back, if in vain.
    pub(super) fn note_failure(&mut self, handling: &mut Handling, entry: &Entry) {
        if let Some(trying) = self.careful.after_failure(entry.id) {
            handling.note(trying);
        }
    }
}

impl Handling {
    fn note(&mut self, trying: Option<Trying>) {
        let (mut fields, mut deleted) = (Vec::new(), Vec::new());
        match trying {
            Some(trying) => fields.push((FIELD, trying.to_string().into_bytes())),
            None => deleted.push(FIELD.to_owned()),
        }
        let note = self.sequencer.nothing(Changes { fields, collections: Vec::new() }, deleted);
        self.stage(note);
    }
}
