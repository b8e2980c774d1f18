//! Entries that went from a stream before they were read, as its counters tell.

use super::keys::ErrorReply;
use super::stream::Stream;
use crate::id::EntryId;
use crate::protocol::{Cause, Lag};

/// What a record knows of the entries up to its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub position: EntryId,
    pub processed: i64,
    /// Entries that were added and not processed, and are not left to be read; as far as they have been counted.
    pub base: Option<i64>,
    /// The position at which all of them were counted last.
    pub settled: EntryId,
}

/// What has become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Uncounted ones; below 0, the stream has counted fewer entries than were read.
    pub vanished: i64,
    pub cause: Cause,
    /// There are no more of them.
    pub all: bool,
    /// What the base is with them.
    pub base: Option<i64>,
}

impl Stream {
    /// Every entry ever added was processed, is left to be read, or has vanished.
    pub fn count(&self, known: Known) -> Result<Count, ErrorReply> {
        let Known { position, processed, base, settled } = known;
        let (first, last) = (self.entries.first().map(|entry| entry.id), self.entries.last().map(|entry| entry.id));
        let (left, all) = match (first, last) {
            (Some(first), _) if position < first => (self.length(), true),
            (_, Some(last)) if position < last => (self.length() - 1, false),
            _ => (0, true),
        };
        let gone = i64::try_from(self.added).ok().and_then(|added| added.checked_sub_unsigned(left));
        let with_them = gone.ok_or_else(|| ErrorReply::new("ERR too many entries"))? - processed;
        let cause = if self.max_deleted <= settled {
            Cause::Trimmed
        } else if first.is_some_and(|first| first <= settled) {
            Cause::Deleted
        } else {
            Cause::Either
        };
        let vanished = base.map_or(0, |base| with_them - base);
        let vanished = if all { vanished } else { vanished.max(0) };
        let base = if all { Some(with_them) } else { base.map(|base| base + vanished) };
        Ok(Count { vanished, cause, all, base })
    }

    /// What is left to be read behind a position, if the base there is known.
    pub fn left_behind(&self, position: EntryId, processed: i64, base: Option<i64>, now_ms: u64) -> Lag {
        let added = i64::try_from(self.added).ok();
        let entries = base.and_then(|base| added?.checked_sub(processed)?.checked_sub(base));
        let oldest = self.entries.after(position).next();
        Lag {
            entries: entries.map(|entries| entries.max(0).unsigned_abs()),
            waited_ms: Some(oldest.map_or(0, |entry| now_ms.saturating_sub(entry.id.ms))),
        }
    }
}
