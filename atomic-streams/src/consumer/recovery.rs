//! Why a session ended without being asked to, in few words.

use crate::protocol::{Divergence, Failure, SessionEnd, Transient};

/// Why a consumer had to attach again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryCause {
    /// A connection was lost, or a reply did not come in time.
    Connection,
    /// The server is there and refuses for the moment: it loads its data, is full, is a replica, moves a slot.
    Server,
    /// Another process has taken the subscription over, or the record is gone.
    Fenced,
    /// The server holds an older state than the one that was committed: a failover or a restart has lost writes.
    RolledBack,
    /// The stream, a collection or a dead letter is not what this consumer has read.
    Diverged,
    /// The server refused what a commit would do.
    Refused,
    /// A commit was not as durable in time as [`durability`](crate::ConsumerBuilder::durability) asks for.
    NotDurable,
    /// Anything else.
    Other,
}

impl RecoveryCause {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Connection,
        Self::Server,
        Self::Fenced,
        Self::RolledBack,
        Self::Diverged,
        Self::Refused,
        Self::NotDurable,
        Self::Other,
    ];

    /// Its name in metrics, such as `rolled_back`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Fenced => "fenced",
            Self::RolledBack => "rolled_back",
            Self::Diverged => "diverged",
            Self::Refused => "refused",
            Self::NotDurable => "not_durable",
            Self::Other => "other",
        }
    }

    /// What ended a session.
    pub(super) fn of(end: &SessionEnd) -> Self {
        match end {
            SessionEnd::Fenced { .. } => Self::Fenced,
            SessionEnd::Diverged { why: Divergence::Sequence } | SessionEnd::RolledBack => Self::RolledBack,
            SessionEnd::Diverged { .. } | SessionEnd::Behind(_) | SessionEnd::Trimmed(_) => Self::Diverged,
            SessionEnd::Refused { .. } => Self::Refused,
            SessionEnd::OfGroup { end, .. } => Self::of(end),
            SessionEnd::ReaderStale => Self::Server,
            SessionEnd::Failed { failure: Failure::Transient(what), .. } => match what {
                Transient::ConnectionLost | Transient::TimedOut => Self::Connection,
                Transient::WaitingForReplicas | Transient::WaitingForDisk => Self::NotDurable,
                Transient::Other => Self::Other,
                _ => Self::Server,
            },
            SessionEnd::Failed { failure: Failure::Permanent(_), .. } => Self::Refused,
        }
    }
}

/// How often a consumer had to attach again, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recoveries(pub(super) [u64; RecoveryCause::ALL.len()]);

impl Recoveries {
    /// How often it was for this cause.
    #[must_use]
    pub fn of(&self, cause: RecoveryCause) -> u64 {
        self.0[cause as usize]
    }

    /// How often it was in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_place() {
        for (index, cause) in RecoveryCause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index, "{cause:?}");
        }
    }

    #[test]
    fn a_group_ends_for_the_cause_of_its_end() {
        let end = SessionEnd::Failed { failure: Failure::Transient(Transient::OutOfMemory), words: String::new() };
        let of_group = SessionEnd::OfGroup { last: crate::EntryId::MIN, end: Box::new(end) };
        assert_eq!(RecoveryCause::of(&of_group), RecoveryCause::Server);
    }
}
