//! What a handler stages for one entry, before it is committed.

use crate::entry::Fields;
use crate::id::EntryId;

/// How an output stream is cut when a commit asks for it. Nothing is trimmed unasked.
///
/// Trimming runs after the commit's publishes, in the same script, so an output never grows past its bound between two
/// commits. By default Redis may leave a little more than the bound, whole nodes, which costs it far less
/// (`XTRIM … ~`); [`exact`](Self::exact) asks for the bound itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    pub(crate) bound: Bound,
    pub(crate) exact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    MaxLen(u64),
    MinId(EntryId),
}

impl Trim {
    /// Keeps about the newest `entries` entries.
    #[must_use]
    pub const fn max_len(entries: u64) -> Self {
        Self { bound: Bound::MaxLen(entries), exact: false }
    }

    /// Drops entries with IDs before `id`.
    #[must_use]
    pub const fn min_id(id: EntryId) -> Self {
        Self { bound: Bound::MinId(id), exact: false }
    }

    /// Keeps no more than the bound says, at a higher cost on the server.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.exact = true;
        self
    }
}

/// One outgoing entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The output stream.
    pub stream: String,
    /// What the entry will hold.
    pub fields: Fields,
}

/// Everything that one transaction has staged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// Outgoing entries, in the order in which they were staged.
    pub publishes: Vec<Publish>,
    /// Outputs to trim after the publishes.
    pub trims: Vec<(String, Trim)>,
}
