//! What administration asks of a server, and what it is told.

use std::collections::BTreeMap;

use crate::id::EntryId;
use crate::persist::{CollectionKind, Stored, StoredEntry};
use crate::protocol::Head;

/// One subscription, as its record and its stream show it at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// The key of the record.
    pub record: String,
    /// Who holds it or held it last, as its builder named it: `host/process` by default.
    pub owner: String,
    /// Takeovers so far.
    pub epoch: u64,
    /// Token and sequence number of the last commit.
    pub head: String,
    /// Whether somebody works on it.
    pub lease: Lease,
    /// The last entry whose effects are committed.
    pub position: EntryId,
    /// Entries whose effects are committed.
    pub processed: u64,
    /// Entries behind the position; `None` where the server's counters do not tell.
    pub lag: Option<u64>,
    /// How long the oldest of them waits, in ms of the server's clock, by its ID; `None` if none waits.
    pub lag_ms: Option<u64>,
    /// The newest ID that the stream has given.
    pub last_id: EntryId,
    /// Entries that the stream holds.
    pub length: u64,
    /// Its oldest entry.
    pub first_id: Option<EntryId>,
    /// Entries of all that the stream has ever had that were neither handled nor are left to be read: from before the
    /// subscription began, left out by a seek, trimmed or deleted unread. Where it grows under one epoch, entries go unread.
    ///
    /// Exact where the position is outside of what the stream holds; else it may be too low. Below 0, the stream was made
    /// anew. `None` where the counters do not tell.
    pub passed_over: Option<i64>,
    /// Names of the state's plain fields.
    pub fields: Vec<String>,
    /// Names of its collections, and how many entries each has.
    pub collections: BTreeMap<String, u64>,
    /// Keys that are [parked](crate::OnFailure::Park).
    pub parked_keys: u64,
    /// Names and types of the fields as the owner wrote them, in JSON; `dropped` after a reset.
    pub schema: String,
    /// When the record was made, in ms.
    pub created_ms: u64,
    /// Memory of the record in bytes, without collections, as the server reckons it; `None` if it does not tell.
    pub memory_bytes: Option<u64>,
    /// The entry that is noted before each try after an unclean end, and how many tries did not come back.
    pub trying: Option<(EntryId, u32)>,
}

/// Whether somebody holds a subscription, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lease {
    /// Its owner is alive, and has renewed it for so many ms from now.
    Held {
        /// ms left.
        left_ms: u64,
    },
    /// Its owner has not renewed it for so many ms: nobody works on it.
    Expired {
        /// ms since then.
        since_ms: u64,
    },
    /// Its last owner shut down and nobody has taken it since.
    Released,
}

/// Where a subscription is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Here,
    End,
    After(EntryId),
}

/// What a change of position did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The position before.
    pub from: EntryId,
    /// The position after.
    pub to: EntryId,
    /// Fields of the state that were dropped.
    pub dropped_fields: u64,
    /// Collections that were dropped.
    pub dropped_collections: u64,
}

/// What a removal did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// The last position; `None` if the record was lost before.
    pub position: Option<EntryId>,
    /// Entries that it had handled.
    pub processed: u64,
    /// Collections that went with it.
    pub collections: u64,
}

/// What putting a copy back did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutBack {
    /// The position before; `None` if there was no record.
    pub from: Option<EntryId>,
    /// The position of the copy.
    pub to: EntryId,
    /// Entries that the copy's state is made of.
    pub processed: u64,
    /// Entries behind the copy's position may have been trimmed since: the stream now begins with this one.
    pub trimmed_up_to: Option<EntryId>,
}

/// What making a subscription from outside did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// Where it goes on.
    pub position: EntryId,
    /// The newest ID that the stream has given.
    pub last_id: EntryId,
    /// Entries that the stream holds.
    pub length: u64,
    /// Entries behind the position may have been trimmed: the stream begins with this one.
    pub trimmed_up_to: Option<EntryId>,
}

/// A kept copy of a record and its collections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// When it was made, in ms of the server's clock.
    pub kept_ms: u64,
    /// The position that it has.
    pub position: EntryId,
    /// Entries that its state is made of.
    pub processed: u64,
}

/// What a stream says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSummary {
    /// Entries that it holds.
    pub length: u64,
    /// The newest ID that it has given.
    pub last_id: EntryId,
    /// Its oldest entry.
    pub first_id: Option<EntryId>,
    /// Its groups.
    pub groups: u64,
}

/// Collections by kind and field, in the order of the fields' names.
pub(crate) type Collections = Vec<(CollectionKind, String)>;

/// The collections that a schema names.
pub(crate) fn collections_of(schema: &str) -> Collections {
    let fields = Stored::parse(schema).map(|stored| stored.fields).unwrap_or_default();
    fields.into_iter().filter_map(|(name, of)| Some((CollectionKind::of_type(&of)?, name))).collect()
}

/// A state as it is stored, of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub head: Head,
    pub position: EntryId,
    pub processed: u64,
    pub schema: String,
    pub fields: BTreeMap<String, Vec<u8>>,
    /// How many entries each collection has; those that are not written whole yet are missing.
    pub sizes: BTreeMap<String, u64>,
    /// In the order in which their keys were given.
    pub collections: Vec<Vec<StoredEntry>>,
}

/// Why something was not done; nothing was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    /// There is no such subscription, or no such copy.
    None,
    /// The key is another subscription's.
    Foreign {
        stream: String,
        group: String,
    },
    WrongType {
        key: String,
        holds: String,
    },
    /// There is such a subscription.
    There,
    /// Its group is there, and its record is not.
    Lost {
        cursor: EntryId,
    },
    /// Another program has a group of that name.
    Adopt {
        cursor: EntryId,
        pending: u64,
    },
    /// The string that was to be as it was holds this.
    Moved {
        holds: String,
    },
    /// The position is behind the end of the stream.
    Beyond {
        last_id: EntryId,
    },
    /// The owner is alive.
    Running {
        owner: String,
        left_ms: u64,
    },
    /// There is a copy of that name.
    Exists,
    /// So many fields and entries are too many for one reply.
    Large {
        entries: u64,
    },
    /// The record has got other collections meanwhile.
    Changed,
}
