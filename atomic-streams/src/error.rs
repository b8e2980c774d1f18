//! The errors that a consumer ends with.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why a consumer could not be built or had to end, or a producer could not publish.
///
/// What passes by itself (a lost connection, a failover, a full server) is not among these: a consumer waits for it and
/// says so in its [`Status`](crate::Status). Match on [`kind`](Self::kind), not on the text.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    subscription: Option<(String, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What an [`Error`] asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Change the call: a name, an URL or a combination of settings cannot work.
    InvalidConfig,
    /// Try again later: the server cannot be reached or cannot serve now.
    Unavailable,
    /// Correct the credentials or the ACL rule.
    Denied,
    /// No TLS connection can be made: correct the certificates, or the beginning of the address (`redis://` or `rediss://`).
    TlsFailed,
    /// A key that should be a stream or the record holds something else: rename or remove it.
    WrongType,
    /// The stored state was written with other fields, or its migration failed: the text says which, and what to do.
    SchemaMismatch,
    /// The stored state cannot be decoded.
    StateDamaged,
    /// The record is gone though the group is there: restore it, or allow a new start with
    /// [`on_record_lost`](crate::ConsumerBuilder::on_record_lost).
    RecordLost,
    /// Another program made the group: choose another name, or take it over with
    /// [`adopt_group`](crate::ConsumerBuilder::adopt_group).
    GroupInUse,
    /// The stream was replaced by one with lower IDs: choose with
    /// [`on_stream_replaced`](crate::ConsumerBuilder::on_stream_replaced).
    StreamReplaced,
    /// Entries were trimmed before they were read, and
    /// [`UnreadTrimmed::Stop`](crate::UnreadTrimmed::Stop) says to end there: keep more in the stream, and choose with
    /// [`on_unread_trimmed`](crate::ConsumerBuilder::on_unread_trimmed) to go on without them.
    UnreadTrimmed,
    /// There is no such stream: correct its name, or wait until it has entries.
    NoStream,
    /// The stream has no group, so nothing of it was committed: start a consumer first, or say with
    /// [`without_groups`](crate::Retention::without_groups) that none is needed.
    NoGroup,
    /// The server is too old or configured in a way that can lose the record.
    UnsupportedServer,
    /// An entry cannot be handled, and [`OnFailure::Stop`](crate::OnFailure::Stop) says to end there, or its key cannot be
    /// [parked](crate::OnFailure::Park): the text says which entry and why.
    EntryFailed,
    /// A dead letter cannot be read or requeued, and the others can: the text says which one, and what is wrong with it.
    LetterDamaged,
    /// The letter's key is parked, and elsewhere its entry would come out of its order: unpark the key with
    /// [`DeadLetters::unpark`](crate::DeadLetters::unpark).
    KeyParked,
    /// The message cannot be published: it is no set of named fields, or too large.
    InvalidMessage,
    /// There is no such subscription or copy on this server: look at the names, and at the database.
    NotFound,
    /// A living owner, or a copy of that name, is in the way: the text says which.
    InUse,
    /// There is more than can be read at once.
    TooLarge,
    /// What was waited for did not come in the time that was given for it.
    TimedOut,
    /// The consumer's own task failed; please report it.
    Internal,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), subscription: None, source: None }
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn of(mut self, stream: &str, group: &str) -> Self {
        self.subscription = Some((stream.to_owned(), group.to_owned()));
        self
    }

    /// What the error asks of the caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stream of the subscription that it concerns.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        self.subscription.as_ref().map(|(stream, _)| stream.as_str())
    }

    /// The group of the subscription that it concerns.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.subscription.as_ref().map(|(_, group)| group.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((stream, group)) = &self.subscription {
            write!(f, "group `{group}` on stream `{stream}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
