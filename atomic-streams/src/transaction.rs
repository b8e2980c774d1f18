//! What a handler may do for one entry besides changing its own fields.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::entry::{self, EncodeError, Fields, MAX_PUBLISH_FIELDS};
use crate::id::EntryId;
use crate::staged::{Publish, Staged, Trim};
use crate::trace_context;

/// How many entries one transaction may publish.
pub const MAX_PUBLISHES: usize = 10_000;

/// How many bytes the names and values of one transaction's publishes may have together: 64 MiB.
pub const MAX_TRANSACTION_BYTES: usize = 64 << 20;

/// What a handler stages for one entry: it becomes visible with the handler's state, or not at all.
///
/// Nothing here talks to Redis. When the handler returns `Ok`, its changed fields, the acknowledgement of the entry and
/// everything staged go into one commit; when it fails, all of it is dropped.
#[derive(Debug)]
pub struct Transaction {
    message: Message,
    staged: Staged,
    bytes: usize,
}

impl Transaction {
    pub(crate) fn new(message: Message) -> Self {
        Self { message, staged: Staged::default(), bytes: 0 }
    }

    pub(crate) fn into_staged(self) -> Staged {
        self.staged
    }

    /// The entry that is being handled.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Stages an entry for `stream`: one field for each member of `message`, or the fields of a [`Fields`] as they are.
    ///
    /// Entries appear in the output in the order in which they were staged. Publishing to the consumer's own input stream
    /// is allowed: the entry is handled later. Nothing is trimmed unless [`trim`](Self::trim) asks for it.
    ///
    /// With the feature `opentelemetry`, where an OpenTelemetry layer listens, the entry gets the fields `traceparent` and
    /// `tracestate` of the current span, unless it has a `traceparent`. They are left out where they would exceed
    /// [`MAX_PUBLISH_FIELDS`], and do not count towards [`MAX_TRANSACTION_BYTES`].
    ///
    /// # Errors
    /// `message` is not a set of named fields; it has more than [`MAX_PUBLISH_FIELDS`] of them; `stream` is no name for a
    /// key; or the transaction grows past [`MAX_PUBLISHES`] or [`MAX_TRANSACTION_BYTES`].
    pub fn publish<T: Serialize + ?Sized>(
        &mut self,
        stream: impl Into<String>,
        message: &T,
    ) -> Result<(), PublishError> {
        let stream = stream.into();
        let fields =
            entry::encode(message).map_err(|source| PublishError::Encode { stream: shown(&stream), source })?;
        self.stage(stream, fields)
    }

    /// Asks that the output `stream` is cut to `trim` after this transaction's publishes.
    ///
    /// The output need not be one that this transaction publishes to. The last call for a stream counts. Without the right to
    /// trim, the commit is refused as a whole; a trim that fails otherwise is logged and does not undo the commit.
    ///
    /// # Errors
    /// `stream` is no name for a key.
    pub fn trim(&mut self, stream: impl Into<String>, trim: Trim) -> Result<(), PublishError> {
        let stream = stream.into();
        check_stream(&stream)?;
        if self.staged.trims.len() == MAX_PUBLISHES {
            return Err(PublishError::TooMany);
        }
        self.staged.trims.push((stream, trim));
        Ok(())
    }

    fn stage(&mut self, stream: String, mut fields: Fields) -> Result<(), PublishError> {
        check_stream(&stream)?;
        if fields.len() > MAX_PUBLISH_FIELDS {
            return Err(PublishError::TooManyFields { stream: shown(&stream), fields: fields.len() });
        }
        if self.staged.publishes.len() == MAX_PUBLISHES {
            return Err(PublishError::TooMany);
        }
        let bytes = self.bytes + fields.size_bytes();
        if bytes > MAX_TRANSACTION_BYTES {
            return Err(PublishError::TooLarge { stream: shown(&stream), bytes });
        }
        self.bytes = bytes;
        // After the bounds, so that tracing lets no publish fail. It is small.
        trace_context::add_to(&mut fields, MAX_PUBLISH_FIELDS);
        self.staged.publishes.push(Publish { stream, fields });
        Ok(())
    }
}

/// Why something could not be staged. The transaction is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The message is not a set of named fields.
    #[error("cannot publish to `{stream}`: {source}")]
    Encode {
        /// The output stream.
        stream: String,
        /// What was wrong.
        source: EncodeError,
    },
    /// One script can add an entry of so many fields and no more.
    #[error(
        "cannot publish to `{stream}`: the entry has {fields} fields and a script can add at most {MAX_PUBLISH_FIELDS}: put some of them into one field"
    )]
    TooManyFields {
        /// The output stream.
        stream: String,
        /// Fields of the entry.
        fields: usize,
    },
    /// The transaction is at its bound.
    #[error(
        "one transaction stages at most {MAX_PUBLISHES} publishes and as many trims: split the input into smaller entries"
    )]
    TooMany,
    /// The transaction would be too large for one commit.
    #[error(
        "cannot publish to `{stream}`: the transaction would have {bytes} bytes and at most {MAX_TRANSACTION_BYTES} are allowed"
    )]
    TooLarge {
        /// The output stream.
        stream: String,
        /// Bytes of the transaction with this entry.
        bytes: usize,
    },
    /// The name cannot be a stream's.
    #[error("the output's name {name:?} {problem}")]
    InvalidName {
        /// The name, cut.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn check_stream(stream: &str) -> Result<(), PublishError> {
    match crate::name::stream_problem(stream) {
        Some(problem) => Err(PublishError::InvalidName { name: shown(stream), problem }),
        None => Ok(()),
    }
}

fn shown(stream: &str) -> String {
    stream.chars().take(64).collect()
}

/// Which entry is being handled, and for the how-manieth time.
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) id: EntryId,
    pub(crate) attempt: u32,
    pub(crate) origin: Arc<Origin>,
}

/// What all messages of a session have in common.
#[derive(Debug)]
pub(crate) struct Origin {
    pub stream: Arc<str>,
    pub group: Arc<str>,
    pub cancelled: CancellationToken,
}

impl Message {
    /// The entry's ID.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The stream that it was read from.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.origin.stream
    }

    /// The group that handles it.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.origin.group
    }

    /// How often this consumer has tried this entry, this time included: 1 at first.
    ///
    /// Counted in memory: a new process begins at 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the entry was added, by the server's clock (or whatever the producer put into its ID).
    #[must_use]
    pub fn timestamp(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.id.ms)).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The same text at every attempt and in every process, and another one for every other entry or group.
    ///
    /// Effects outside Redis are not part of the commit and may be repeated after a failure: give this key to a service
    /// that accepts one.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}/{}", self.stream(), self.group(), self.id)
    }

    /// Fires when the result of this call will not be committed, or is no longer waited for: ownership was lost, or
    /// shutdown has begun.
    ///
    /// A handler that returns soon after shutdown has begun is still committed. One that has not returned when the grace
    /// period ends is dropped where it awaits, and its entry is handled again by the next owner.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.origin.cancelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        Transaction::new(Message {
            id: EntryId::new(1_000, 2),
            attempt: 1,
            origin: Arc::new(Origin {
                stream: "sales".into(),
                group: "billing".into(),
                cancelled: CancellationToken::new(),
            }),
        })
    }

    #[test]
    fn a_message_says_what_it_is() {
        let tx = transaction();
        assert_eq!(tx.message().idempotency_key(), "sales/billing/1000-2");
        assert_eq!(tx.message().timestamp(), SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    }

    #[test]
    fn what_redis_could_not_add_is_refused_when_it_is_staged() {
        let mut tx = transaction();
        let wide: Fields = (0..=MAX_PUBLISH_FIELDS).map(|n| (n.to_string(), "x")).collect();
        assert!(matches!(tx.publish("out", &wide), Err(PublishError::TooManyFields { .. })));
        let heavy: Fields = [("x", vec![0; MAX_TRANSACTION_BYTES])].into_iter().collect();
        assert!(matches!(tx.publish("out", &heavy), Err(PublishError::TooLarge { .. })));
        assert!(matches!(
            tx.publish("", &[("a", "b")].into_iter().collect::<Fields>()),
            Err(PublishError::InvalidName { .. })
        ));
        assert!(tx.publish("out", &17).is_err());
        assert_eq!(tx.into_staged(), Staged::default());
    }

    #[test]
    fn what_is_staged_keeps_its_order() {
        let mut tx = transaction();
        for value in ["1", "2"] {
            tx.publish("out", &[("n", value)].into_iter().collect::<Fields>()).unwrap();
        }
        tx.trim("out", Trim::max_len(5)).unwrap();
        let staged = tx.into_staged();
        assert_eq!(staged.publishes[1].fields.get_str("n"), Some("2"));
        assert_eq!(staged.trims, [("out".to_owned(), Trim::max_len(5))]);
    }
}
