//! What a consumer has counted, as it is shown.

use std::time::Duration;

use super::histogram::Histogram;
use super::recovery::Recoveries;
use crate::id::EntryId;

/// Figures of one consumer since it was spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries whose effects are committed, as far as the server's replies have come: a commit whose reply was lost is not
    /// counted, though the position shows it.
    pub processed: u64,
    /// Entries published by those commits.
    pub published: u64,
    /// Entries that could not be handled and went to the dead-letter stream; `processed` counts them too.
    pub dead_lettered: u64,
    /// Dead letters of parked keys that were handled when their key was [unparked](crate::DeadLetters::unpark). `processed`
    /// counted them when they became dead letters.
    pub unparked: u64,
    /// Entries that could not be handled and were left out; `processed` counts them too.
    pub skipped: u64,
    /// Tries of entries that failed, panicked, could not be decoded or were refused by the server.
    pub failed: u64,
    /// Those of them after which the entry is tried again; after the others it is given up.
    pub retried: u64,
    /// Sessions that ended because another process took the subscription over, or because the record was gone;
    /// `recoveries` counts them too.
    pub fenced: u64,
    /// Sessions that ended without being asked to: lost connections, failovers, lost ownership.
    pub recoveries: u64,
    /// The same by what ended them.
    pub recoveries_by_cause: Recoveries,
    /// Commits that wait for the server's reply.
    pub in_flight: u64,
    /// How long committing took, in microseconds: from sending commits until their replies were there, a value for each round
    /// trip that committed an entry.
    pub commit_latency_us: Histogram,
    /// How many entries such a round trip committed.
    pub commit_batch_entries: Histogram,
    /// The last entry whose effects are committed; `None` before the first attach.
    pub position: Option<EntryId>,
    /// Entries in the stream behind the position, when this was counted last: at the attach, and by renewals, every third of the
    /// lease. `None` where this consumer is not active, or began in the midst of a stream and has never caught up.
    pub lag: Option<u64>,
    /// How long the first of them had waited then, by its ID and the server's clock; zero where there was none. `None` as
    /// `lag`, and until the first renewal where entries were waiting at the attach. It means nothing where the IDs are not the
    /// server's time, as `XADD *` makes them.
    pub lag_time: Option<Duration>,
    /// Bytes of the handler's plain fields as they are stored: a `StateMap`, `StateSet` or `StateDeque` is not among them.
    pub state_bytes: u64,
    /// Entries of all collections of the handler.
    pub state_entries: u64,
    /// Entries that went from the stream before they were read, trimmed or deleted: they are lost to this group.
    ///
    /// They are counted by renewals, every third of the lease, from the stream's own counters. The count is exact whenever the
    /// consumer has read everything, or nothing of what the stream still holds; in between it may be too low for a while. A
    /// stream that is deleted as a whole takes its counters with it: what it held unread is not counted. Nor is what goes
    /// before the counters are known, where a subscription began in the midst of a stream.
    pub vanished: u64,
    /// Those of them that are known to have been trimmed: since the last exact count, no entry behind it was deleted by name.
    pub trimmed: u64,
    /// Those of them that are known to have been deleted by name (`XDEL`): the stream still has an entry from before the last
    /// exact count, so none behind it was trimmed. Of the rest (`vanished` less these two) the server does not
    /// tell, or its reply was lost.
    pub deleted: u64,
}

/// What a consumer did until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Entries whose effects were committed since it was spawned; see [`Stats::processed`].
    pub processed: u64,
    /// The last entry whose effects are committed; `None` if it never attached.
    pub position: Option<EntryId>,
    /// Entries that went from the stream before they were read, trimmed or deleted; see [`Stats::vanished`].
    pub vanished: u64,
    /// Ownership was given up cleanly, so that a standby takes over at once; `false` if the server could not be told.
    pub released: bool,
}
