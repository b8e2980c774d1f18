//! What a look at the server shows, as plain values: nothing here asks, and nothing here draws.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use atomic_streams::EntryId;
use atomic_streams::admin::Lease;

/// Which subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub stream: String,
    pub group: String,
}

impl Name {
    pub fn new(stream: impl Into<String>, group: impl Into<String>) -> Self {
        Self { stream: stream.into(), group: group.into() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stream, self.group)
    }
}

/// One round of looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub looks: Vec<Look>,
    /// Dead letters by subscription; `None` where they could not be asked for, for the reason in `notes`.
    pub letters: Option<BTreeMap<Name, Letters>>,
    /// The state of the one subscription that was asked for.
    pub state: Option<(Name, State)>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}

/// One look at one subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    pub name: Name,
    /// When its answer came, since the start.
    pub at: Duration,
    pub seen: Seen,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Record(Box<Record>),
    /// It has no record (any more).
    Gone,
    /// The server's refusal, in words.
    Refused(String),
}

/// A record, as far as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub key: String,
    pub owner: String,
    pub epoch: u64,
    /// Token and sequence number of the last commit.
    pub head: String,
    pub lease: Lease,
    /// Consumers that wait to take over; `None` where the server does not tell.
    pub standbys: Option<u64>,
    pub position: EntryId,
    pub processed: u64,
    pub lag: Option<u64>,
    /// How long the oldest entry behind the position waits; `None` if none waits.
    pub lag_ms: Option<u64>,
    pub last_id: EntryId,
    pub first_id: Option<EntryId>,
    pub length: u64,
    /// Entries that were neither handled nor are left to be read, of all that the stream has ever had.
    pub passed_over: Option<i64>,
    pub parked_keys: u64,
    /// The entry noted before each try after an unclean end, and how many tries did not come back.
    pub trying: Option<(EntryId, u32)>,
    pub schema: String,
    pub fields: Vec<String>,
    pub collections: BTreeMap<String, u64>,
    pub created_ms: u64,
    pub memory_bytes: Option<u64>,
}

/// Whether somebody works on a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It has no record any more.
    Gone,
    /// The server refuses to show it.
    Refused,
    /// Its owner's lease has run out, and nobody waits to take over.
    Lost,
    /// Nobody holds it, and a consumer waits to take over.
    Standby,
    /// Its last owner shut down, and nobody waits.
    Released,
    /// Its owner is alive.
    Active,
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Standby => "standby",
            Self::Released => "released",
            Self::Active => "active",
        }
    }
}

impl Seen {
    pub fn standing(&self) -> Standing {
        match self {
            Self::Gone => Standing::Gone,
            Self::Refused(_) => Standing::Refused,
            Self::Record(record) => record.standing(),
        }
    }

    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Gone | Self::Refused(_) => None,
        }
    }
}

impl Record {
    pub fn standing(&self) -> Standing {
        let is_waited_for = self.standbys.is_some_and(|count| count > 0);
        match self.lease {
            Lease::Held { .. } => Standing::Active,
            _ if is_waited_for => Standing::Standby,
            Lease::Released => Standing::Released,
            _ => Standing::Lost,
        }
    }

    /// Whether `passed_over` is exact: the position is outside of what the stream holds.
    pub fn tells_passed_over(&self) -> bool {
        self.lag_ms.is_none() || self.first_id.is_none_or(|first| self.position < first)
    }

    /// Entries of all its collections.
    pub fn collected(&self) -> u64 {
        self.collections.values().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

/// The dead letters of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Letters {
    pub count: u64,
    /// There may be more: the stream has more than were looked at.
    pub may_be_more: bool,
    /// The streams that they lie in.
    pub streams: Vec<String>,
    /// The newest, from the newest on.
    pub newest: Vec<Letter>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub id: EntryId,
    /// The ID that the entry had.
    pub entry: EntryId,
    pub time_ms: u64,
    pub attempts: u32,
    pub error: String,
    pub key: Option<String>,
    /// It was not tried itself: its key was parked.
    pub is_behind: bool,
}

/// The state of a subscription, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Names and values, these as JSON.
    Fields(Vec<(String, String)>),
    /// Too large to be read in every round.
    Large,
    /// Why it could not be read.
    Unreadable(String),
}

/// What was found by going through the server's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovery {
    /// In the order of their names, at most so many as are shown.
    pub names: Vec<Name>,
    /// How many there are beyond these.
    pub left_out: usize,
    /// Streams whose newest entry is a dead letter; `None` where they cannot be looked for.
    pub letter_streams: Option<Vec<String>>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}
