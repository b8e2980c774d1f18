//! What a session tells of the entries that it handles.

use std::time::Duration;

use tracing::{debug, warn};

use super::{Worker, ending};
use crate::handler::Handler;
use crate::id::EntryId;
use crate::protocol::SessionEnd;
use crate::targets;

impl<H: Handler> Worker<H> {
    /// Of a failed try, or of a commit that the server refuses.
    pub(in crate::consumer) fn tell_of_retry(&self, entry: EntryId, attempt: u32, error: &str, pause: Duration) {
        warn!(
            name: "entry.retried",
            target: targets::ENTRY,
            stream = self.stream(),
            group = self.group(),
            id = %entry,
            attempt,
            error,
            ?pause,
            "an entry cannot be handled; it is tried again"
        );
    }

    pub(super) fn tell_of_abandoned(&self, entry: EntryId) {
        debug!(
            name: "entry.abandoned",
            target: targets::ENTRY,
            stream = self.stream(),
            group = self.group(),
            id = %entry,
            attempt = self.attempt(entry),
            "the handler outlasted the grace period"
        );
    }

    pub(super) fn tell_of_large_fields(&mut self) {
        while let Some((field, bytes)) = self.snapshot.newly_large() {
            warn!(
                name: "state.large",
                target: targets::STATE,
                stream = self.stream(),
                group = self.group(),
                field,
                bytes,
                "a field is large: all of it is encoded for every message and written with every change; \
                 a StateMap, StateSet or StateDeque writes only what changes"
            );
        }
    }

    pub(super) fn tell_of_unconfirmed(&self, end: &SessionEnd) {
        warn!(
            name: "session.unconfirmed",
            target: targets::SESSION,
            stream = self.stream(),
            group = self.group(),
            reason = ending::reason(end),
            "the last commits are not confirmed"
        );
    }
}
