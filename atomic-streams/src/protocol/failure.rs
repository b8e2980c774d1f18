//! What a server's error reply, or the lack of a reply, asks for.

use std::fmt;

use crate::error::ErrorKind;

/// An error reply, a broken connection or a time-out, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// End the session, wait, attach again.
    Transient(Transient),
    /// End the consumer: somebody must change something.
    Permanent(Permanent),
}

/// What will pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transient {
    ConnectionLost,
    TimedOut,
    Loading,
    ReadOnly,
    MasterDown,
    ClusterDown,
    Busy,
    OutOfMemory,
    CannotPersist,
    NotEnoughReplicas,
    ScriptsFlushed,
    Unblocked,
    SlotMoving,
    TooManyClients,
    NoPrimary,
    /// A commit was applied, and not received by as many replicas as it should be.
    WaitingForReplicas,
    /// A commit was applied, and is not on the server's disk as it should be.
    WaitingForDisk,
    /// Any other error reply; the server's words say which.
    Other,
}

/// What only a person can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permanent {
    Denied,
    WrongType,
    CrossSlot,
    ServerTooOld,
    NoSuchDatabase,
    BadAddress,
    Tls,
}

impl Failure {
    /// What it asks of a caller who does not wait.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Transient(_) => ErrorKind::Unavailable,
            Self::Permanent(what) => what.kind(),
        }
    }
}

impl Permanent {
    /// What it asks of a person.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Denied => ErrorKind::Denied,
            Self::WrongType => ErrorKind::WrongType,
            Self::CrossSlot | Self::NoSuchDatabase | Self::BadAddress => ErrorKind::InvalidConfig,
            Self::ServerTooOld => ErrorKind::UnsupportedServer,
            Self::Tls => ErrorKind::TlsFailed,
        }
    }
}

impl Failure {
    /// Classifies an error reply by its code and its words.
    ///
    /// Refusals of the ACL inside a script come as plain `ERR` on some servers, so the words count too.
    pub fn of_reply(code: &str, words: &str) -> Self {
        let has = |text: &str| words.contains(text);
        let transient = match code {
            "NOAUTH" | "WRONGPASS" | "NOPERM" => return Self::Permanent(Permanent::Denied),
            "WRONGTYPE" => return Self::Permanent(Permanent::WrongType),
            "CROSSSLOT" => return Self::Permanent(Permanent::CrossSlot),
            "LOADING" => Transient::Loading,
            "READONLY" => Transient::ReadOnly,
            "MASTERDOWN" => Transient::MasterDown,
            "CLUSTERDOWN" => Transient::ClusterDown,
            "BUSY" => Transient::Busy,
            "OOM" => Transient::OutOfMemory,
            "MISCONF" => Transient::CannotPersist,
            "NOREPLICAS" => Transient::NotEnoughReplicas,
            "NOSCRIPT" => Transient::ScriptsFlushed,
            "UNBLOCKED" => Transient::Unblocked,
            "MOVED" | "ASK" | "TRYAGAIN" => Transient::SlotMoving,
            _ if has("ACL failure in script") || has("The user executing the script can't") || has("NOPERM") => {
                return Self::Permanent(Permanent::Denied);
            }
            _ if has("WRONGTYPE") => return Self::Permanent(Permanent::WrongType),
            _ if has("Error compiling script") || has("unknown command") || has("Unknown Redis command") => {
                return Self::Permanent(Permanent::ServerTooOld);
            }
            _ if has("DB index is out of range") => return Self::Permanent(Permanent::NoSuchDatabase),
            _ if has("max number of clients") => Transient::TooManyClients,
            _ => Transient::Other,
        };
        Self::Transient(transient)
    }
}

impl fmt::Display for Transient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionLost => "connection lost",
            Self::TimedOut => "no reply in time",
            Self::Loading => "the server is loading its data",
            Self::ReadOnly => "the server is a read-only replica",
            Self::MasterDown => "the replica has lost its primary",
            Self::ClusterDown => "the cluster is down",
            Self::Busy => "the server is busy with a script",
            Self::OutOfMemory => "the server is out of memory (maxmemory)",
            Self::CannotPersist => "the server cannot write to its disk and refuses writes",
            Self::NotEnoughReplicas => "the server has too few replicas and refuses writes (min-replicas-to-write)",
            Self::ScriptsFlushed => "the server's scripts were flushed",
            Self::Unblocked => "a blocking read was ended by the server",
            Self::SlotMoving => "another node of the cluster has the slot, or gets it",
            Self::TooManyClients => "the server has too many clients",
            Self::NoPrimary => "the sentinels know no primary now",
            Self::WaitingForReplicas => "waiting for replicas",
            Self::WaitingForDisk => "waiting for the server's disk",
            Self::Other => "the server refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_decide() {
        use Failure::{Permanent as Never, Transient as Later};
        for (code, words, failure) in [
            ("OOM", "command not allowed when used memory > 'maxmemory'.", Later(Transient::OutOfMemory)),
            ("NOSCRIPT", "No matching script.", Later(Transient::ScriptsFlushed)),
            ("ERR", "max number of clients reached", Later(Transient::TooManyClients)),
            ("ERR", "something new", Later(Transient::Other)),
            ("ERR", "DB index is out of range", Never(Permanent::NoSuchDatabase)),
            ("WRONGPASS", "invalid username-password pair", Never(Permanent::Denied)),
            (
                "ERR",
                "ACL failure in script: User x has no permissions to run the 'hset' command",
                Never(Permanent::Denied),
            ),
            (
                "ERR",
                "The user executing the script can't run this command or subcommand script: 1f",
                Never(Permanent::Denied),
            ),
            (
                "ERR",
                "The user executing the script can't access at least one of the keys mentioned in the command arguments",
                Never(Permanent::Denied),
            ),
            ("WRONGTYPE", "Operation against a key holding the wrong kind of value", Never(Permanent::WrongType)),
            (
                "ERR",
                "Error compiling script (new function): user_script:1: unexpected symbol near '#'",
                Never(Permanent::ServerTooOld),
            ),
        ] {
            assert_eq!(Failure::of_reply(code, words), failure, "{code} {words}");
        }
    }
}
