//! What goes to the server and what comes back: the arguments and replies of the scripts, as types.

use std::fmt;
use std::sync::Arc;

use crate::durability::Durability;
use crate::entry::Fields;
use crate::id::EntryId;
use crate::persist::CollectionChanges;
use crate::staged::Trim;

use super::adopted::Adopted;
use super::head::Head;

/// Where a new subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Start {
    /// Before the first entry that the stream still has.
    #[default]
    Beginning,
    /// After the last entry that the stream has at the first attach.
    End,
    /// After this entry.
    After(EntryId),
}

/// What the user allows an attach to do beyond the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Take over a group that another program made, at its cursor.
    pub adopt_group: bool,
    /// Also if entries of it are pending: they are handled, and those between them that are not pending are passed over.
    pub adopt_pending: bool,
    /// Start anew though the record is lost.
    pub start_over: bool,
    /// The stream was replaced by one with lower IDs: read it from its beginning.
    pub read_replaced: bool,
    /// The stream was replaced by one with lower IDs: skip what it holds.
    pub skip_replaced: bool,
    /// Less than the ordinary: do not go on where entries were trimmed before they were read.
    pub stop_at_trimmed: bool,
}

/// The arguments of one attach.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttachRequest {
    pub instance: String,
    pub attempt: u64,
    pub owner: String,
    pub lease_ms: u64,
    pub start: Start,
    /// The stored schema that the caller accepts.
    pub accepted_schema: String,
    /// The schema that a new record gets.
    pub new_schema: String,
    /// A value of `@lease` seen unchanged for a whole lease by the caller's own clock.
    pub expired_lease: Option<String>,
    pub permissions: Permissions,
}

/// What an attach found and took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub head: Head,
    /// How many attaches the record has had; for people.
    pub epoch: u64,
    /// The record was made by this attach.
    pub created: bool,
    /// The previous owner released its lease; it left nothing behind.
    pub released: bool,
    /// Another instance had the lease and did not release it: it died, or has lost its way.
    pub abandoned: bool,
    /// The entry that was being tried after an unclean end.
    pub trying: Option<Trying>,
    pub position: EntryId,
    pub processed: u64,
    /// Entries added to the stream up to the position, minus entries processed, where known.
    pub base: Option<i64>,
    pub last_id: EntryId,
    /// Entries in the stream.
    pub length: u64,
    /// Entries that went unread from the stream, for a renewal to count; below 0, the stream was made anew.
    pub vanished: i64,
    pub lag: Lag,
    /// What another program has left undone behind the position.
    pub adopted: Option<Arc<Adopted>>,
}

/// What the stream holds beyond a position, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    pub entries: Option<u64>,
    /// How long the first of them has waited, by its ID and the server's clock; 0 where there is none.
    pub waited_ms: Option<u64>,
}

impl Lag {
    /// What an attach can tell, of a stream to which `added` entries were ever added.
    pub fn of(owned: &Owned, added: u64) -> Self {
        let Owned { position, last_id, processed, base, vanished, .. } = *owned;
        let left = || {
            let before = base?.checked_add_unsigned(processed)?.checked_add(vanished)?;
            added.checked_sub(u64::try_from(before).ok()?)
        };
        let entries = if position >= last_id {
            Some(0)
        } else if vanished < 0 {
            None
        } else {
            left()
        };
        Self { entries, waited_ms: entries.filter(|entries| *entries == 0) }
    }
}

/// An entry that may have killed its process, as `@trying` says it: `ID tries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trying {
    pub entry: EntryId,
    /// How many tries did not come back, this one included.
    pub crashes: u32,
}

impl Trying {
    pub fn parse(text: &str) -> Option<Self> {
        let (entry, crashes) = text.split_once(' ')?;
        Some(Self { entry: entry.parse().ok()?, crashes: crashes.parse().ok()? })
    }
}

impl fmt::Display for Trying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.entry, self.crashes)
    }
}

/// The stream's last ID is before the position, and it holds entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    pub last_id: EntryId,
    pub position: EntryId,
    /// Entries in the stream.
    pub length: u64,
}

/// How entries went from the stream before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Trimmed,
    /// One by one, by name.
    Deleted,
    /// One or the other: the stream's counters do not tell.
    Either,
}

/// Entries were trimmed before they were read, and the user wants to end there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub entries: u64,
    /// There are no more of them.
    pub all: bool,
    pub cause: Cause,
    pub position: EntryId,
    /// The first entry that the stream still has.
    pub first: Option<EntryId>,
}

/// The replies of `attach.lua`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachReply {
    Owned(Owned),
    Standby {
        owner: String,
        left_ms: u64,
        lease: String,
    },
    Stale {
        attempt: u64,
    },
    Schema {
        stored: String,
    },
    Lost {
        cursor: EntryId,
    },
    Adopt {
        cursor: EntryId,
        pending: u64,
        /// The oldest of them, where the user may ask.
        oldest: Option<EntryId>,
    },
    Behind(Behind),
    Trimmed(Hole),
    Foreign {
        stream: String,
        group: String,
    },
    Format {
        format: String,
    },
    /// A field of the record holds something else than the scripts write; `found` is the beginning of it.
    Damaged {
        field: String,
        found: String,
    },
    WrongType {
        key: String,
        holds: String,
    },
    Denied {
        command: String,
        key: String,
    },
}

/// Proves that a read happened in the history in which its first commit is applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    pub first: EntryId,
    pub last: EntryId,
    /// Digest of the last entry's fields.
    pub digest: String,
}

/// What a commit does to an output stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds an entry. `check`: first use of this output under the token.
    Publish { stream: String, fields: Fields, check: bool },
    /// Trims the output, after everything else.
    Trim { stream: String, trim: Trim },
    /// Removes the dead letter whose entry is handled by this step; it must be as it was.
    Remove { stream: String, id: EntryId, digest: String },
}

/// One step of the chain; several of them folded into one are a step too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The sequence that this step follows.
    pub follows: u64,
    /// The sequence after it: one more, or as many more as commits were folded into it.
    pub leads_to: u64,
    /// The entry whose effects these are, the last one of several; `None` for a step of nothing, which moves the sequence
    /// alone.
    pub entry: Option<EntryId>,
    /// Of how many entries the effects are these.
    pub entries: u64,
    pub position: EntryId,
    pub processed: u64,
    /// For the group's lag, where known.
    pub entries_read: Option<u64>,
    pub proof: Option<Proof>,
    /// Names and encoded values of the state fields that changed.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// State fields to delete.
    pub deleted: Vec<String>,
    /// Changes to collections beside the record.
    pub collections: Vec<CollectionChanges>,
    /// Publishes first, then trims.
    pub operations: Vec<Operation>,
    /// What [`measure`](Self::measure) gave when it was made.
    pub size_bytes: usize,
}

impl Commit {
    /// Bytes on the way of a commit of nothing.
    pub(crate) const ENVELOPE_BYTES: usize = 512;
    /// Bytes that a field takes beside its name and value.
    pub(super) const FIELD_BYTES: usize = 32;

    /// About how many bytes it takes on its way.
    pub fn measure(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + Self::FIELD_BYTES).sum();
        let operations: usize = self
            .operations
            .iter()
            .map(|operation| match operation {
                Operation::Publish { stream, fields, .. } => stream.len() + fields.size_bytes() + 32 * fields.len(),
                Operation::Trim { stream, .. } => stream.len() + 64,
                Operation::Remove { stream, .. } => stream.len() + 112,
            })
            .sum();
        let collections: usize = self.collections.iter().map(CollectionChanges::size_bytes).sum();
        Self::ENVELOPE_BYTES + fields + collections + operations
    }
}

/// What the committer sends, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every step is a commit: a box would cost more than it saves")]
pub enum Step {
    Commit(Commit),
    Renew {
        lease_ms: u64,
        /// Nothing is written where entries were trimmed before they were read.
        stop_at_trimmed: bool,
    },
    Release,
    /// Waits until everything before it on this connection is as durable as that.
    Wait {
        durability: Durability,
        timeout_ms: u64,
    },
}

/// Where a commit's assumption failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Divergence {
    /// The record is at another sequence: a step before this one is missing, or the server was rolled back.
    Sequence,
    /// Entries lie between the position and the read that was to follow it.
    Gap,
    /// The last entry of the read is not there any more, or is another one.
    Gone,
    /// A collection holds more or fewer entries than the step before left there.
    Entries,
    /// The dead letter that was handled is not there any more, or is another one.
    Letter,
}

/// What a renewal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    pub head: Head,
    pub position: EntryId,
    pub last_id: EntryId,
    /// The last entry that the stream holds.
    pub last_entry: Option<EntryId>,
    pub base: Option<i64>,
    /// Entries that went unread from the stream; below 0, the stream was made anew.
    pub vanished: i64,
    pub cause: Cause,
    /// No other entry has vanished that is not counted.
    pub all: bool,
    /// The group's cursor had to be put right.
    pub cursor_repaired: bool,
    /// Why the cursor could not be put right.
    pub cursor_trouble: Option<String>,
    /// How often it was asked, in the life of the record, that a key is unparked.
    pub unparking: u64,
    pub lag: Lag,
}

/// The replies of `commit.lua`, `renew.lua` and `release.lua`, and of `WAIT` and `WAITAOF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepReply {
    Committed {
        cursor_trouble: Option<String>,
        trim_trouble: Option<String>,
    },
    Renewed(Renewed),
    Released {
        was_owner: bool,
    },
    /// Whether the primary has it on its disk, and how many replicas have it.
    Waited {
        on_disk: bool,
        replicas: u64,
    },
    Fenced {
        owner: String,
    },
    Diverged {
        found: String,
        position: String,
        why: Divergence,
    },
    Refused {
        key: String,
        why: String,
    },
    Behind(Behind),
    Trimmed(Hole),
}
