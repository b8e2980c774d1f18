//! What the end of a session or a refused attach means for the consumer, in words and in deeds.

use std::time::Duration;

use super::restore::damaged;
use super::unread::REMEDY;
use crate::error::{Error, ErrorKind};
use crate::persist::StateError;
use crate::protocol::{Behind, Cause, Divergence, Failure, Hole, MAX_ADOPTED, Permanent, SessionEnd, Stop, Transient};

/// How to go on after a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reattach {
    Now,
    AfterPause,
    After(Duration),
}

/// Why the session ended, for the log and the status.
pub(super) fn reason(end: &SessionEnd) -> String {
    match end {
        SessionEnd::Fenced { owner } if owner.is_empty() => "the record is gone".to_owned(),
        SessionEnd::Fenced { owner } => format!("ownership was taken over by {owner}"),
        SessionEnd::Diverged { why: Divergence::Sequence } => {
            "the server lost writes: it holds an older state".to_owned()
        }
        SessionEnd::Diverged { why: Divergence::Gap } => "entries appeared before those that were read".to_owned(),
        SessionEnd::Diverged { why: Divergence::Gone } => "entries that were read are gone or have changed".to_owned(),
        SessionEnd::Diverged { why: Divergence::Entries } => {
            "a collection beside the record has lost or gained entries".to_owned()
        }
        SessionEnd::Diverged { why: Divergence::Letter } => {
            "a dead letter of a parked key was removed while it was handled".to_owned()
        }
        SessionEnd::RolledBack => "the server lost writes: a renewal found an older state".to_owned(),
        SessionEnd::Refused { key, why, .. } => format!("a commit was refused at `{key}`: {why}"),
        SessionEnd::OfGroup { end, .. } => reason(end),
        SessionEnd::Behind(behind) => behind_words(*behind),
        SessionEnd::Trimmed(hole) => hole_words(*hole),
        SessionEnd::ReaderStale => "the reading connection does not see the newest entries".to_owned(),
        SessionEnd::Failed { failure: Failure::Transient(what), words } => format!("{what}: {words}"),
        SessionEnd::Failed { failure: Failure::Permanent(_), words } => words.clone(),
    }
}

/// Whether to attach again, and how soon; or the error that ends the consumer.
pub(super) fn next(end: SessionEnd) -> Result<Reattach, Error> {
    match end {
        SessionEnd::Fenced { .. } | SessionEnd::Diverged { .. } | SessionEnd::RolledBack => Ok(Reattach::Now),
        // The attach finds it again, and knows what the user allows.
        SessionEnd::Behind(_) => Ok(Reattach::Now),
        SessionEnd::Trimmed(hole) => Err(trimmed(hole)),
        SessionEnd::ReaderStale => Ok(Reattach::AfterPause),
        SessionEnd::Refused { key, why, .. } => {
            let code = why.split(' ').next().unwrap_or_default();
            match Failure::of_reply(code, &why) {
                Failure::Permanent(what) => {
                    Err(permanent(what, &format!("a commit was refused at `{key}` and nothing of it was done: {why}")))
                }
                Failure::Transient(_) => Ok(Reattach::AfterPause),
            }
        }
        // One of several entries, or all of them together: nothing is final before each was tried alone.
        SessionEnd::OfGroup { end, .. } => match *end {
            SessionEnd::Failed { failure: Failure::Transient(_), .. } => Ok(Reattach::AfterPause),
            _ => Ok(Reattach::Now),
        },
        SessionEnd::Failed { failure: Failure::Permanent(what), words } => Err(permanent(what, &words)),
        SessionEnd::Failed { failure: Failure::Transient(_), .. } => Ok(Reattach::AfterPause),
    }
}

/// Whether the consumer ends with it.
pub(super) fn is_final(end: &SessionEnd) -> bool {
    next(end.clone()).is_err()
}

/// Whether commits are applied and not as durable as they should be, on a connection that stands.
pub(super) fn is_undurable(end: &SessionEnd) -> bool {
    matches!(
        end,
        SessionEnd::Failed {
            failure: Failure::Transient(Transient::WaitingForReplicas | Transient::WaitingForDisk),
            ..
        }
    )
}

/// An error reply that only a person can mend.
pub(super) fn permanent(what: Permanent, words: &str) -> Error {
    let advice = match what {
        Permanent::Denied => "the server denies access; correct the credentials or the ACL rule",
        Permanent::WrongType => "a key holds another type than it must; rename or remove that key, or use another name",
        Permanent::CrossSlot => {
            "stream and outputs lie in different cluster slots; give their names one hash tag, such as `{app}:sales`"
        }
        Permanent::NoSuchDatabase => "the server has no database of this number; correct the address",
        Permanent::BadAddress => "the server's address cannot be used",
        Permanent::ServerTooOld => {
            "the server does not know the scripts of this library; Redis 7.0 or Valkey is needed"
        }
        Permanent::Tls => "no connection over TLS",
    };
    Error::new(what.kind(), format!("{advice}: {words}"))
}

/// An attach that needs a word from the user.
pub(super) fn stop(stop: Stop) -> Error {
    match stop {
        Stop::RecordLost { cursor } => Error::new(
            ErrorKind::RecordLost,
            format!(
                "the record is gone although the group is there (its cursor is at {cursor}): the state is lost. \
                 Restore the record from a backup, or allow a new start with `on_record_lost(RecordLost::StartOver)`"
            ),
        ),
        Stop::GroupInUse { cursor, pending: 0, .. } => Error::new(
            ErrorKind::GroupInUse,
            format!(
                "another program made this group (its cursor is at {cursor}). Choose another group name, or take it over at its cursor with `adopt_group()`"
            ),
        ),
        Stop::GroupInUse { cursor, pending, oldest } => Error::new(
            ErrorKind::GroupInUse,
            format!(
                "another program made this group (its cursor is at {cursor}) and {pending} of its entries are pending{}. {}",
                oldest.map_or_else(String::new, |oldest| format!(", the oldest of them {oldest}")),
                if pending > MAX_ADOPTED {
                    "At most 10,000 pending ones can be taken over: let that program acknowledge them, and take the group over \
                     with `adopt_group()`"
                } else {
                    "Choose another group name, or stop that program and take the group over with `adopt_group_with_pending()`, \
                     which handles them first, or let it acknowledge them and use `adopt_group()`"
                }
            ),
        ),
        Stop::Behind(behind) => Error::new(ErrorKind::StreamReplaced, behind_words(behind)),
        Stop::Trimmed(hole) => trimmed(hole),
        Stop::Foreign { stream, group } => Error::new(
            ErrorKind::WrongType,
            format!("the record's key belongs to group `{group}` on stream `{stream}`: choose another group name"),
        ),
        Stop::Format { format } => Error::new(
            ErrorKind::UnsupportedServer,
            format!(
                "the record has format {:?} and this version of the library reads format 1: run a newer version",
                format.chars().take(64).collect::<String>()
            ),
        ),
        Stop::Damaged { field, found } => damaged(StateError::new(format!(
            "the record's field `{field}` holds `{}`, and {} belongs there",
            found.chars().take(64).flat_map(char::escape_debug).collect::<String>(),
            match field.as_str() {
                "@head" => "`token:sequence`",
                "@position" | "@adopted" => "an entry ID",
                "@pending" => "IDs of entries",
                "@trying" => "`ID crashes`",
                _ => "a number",
            }
        ))),
        Stop::WrongType { key, holds } => Error::new(
            ErrorKind::WrongType,
            format!("the key `{key}` holds a {holds}: rename or remove it, or use another name"),
        ),
        Stop::Denied { command, key } => Error::new(
            ErrorKind::Denied,
            format!(
                "the user has no permission to run {command} on `{key}`, which a consumer needs: correct the ACL rule"
            ),
        ),
    }
}

/// The user wants to end where entries were trimmed before they were read.
pub(super) fn trimmed(hole: Hole) -> Error {
    Error::new(ErrorKind::UnreadTrimmed, hole_words(hole))
}

fn hole_words(Hole { entries, all, cause, position, first }: Hole) -> String {
    let at_least = if all { "" } else { "at least " };
    let how = if cause == Cause::Trimmed { "trimmed" } else { "trimmed or deleted" };
    let first = first.map_or_else(|| "holds none".to_owned(), |first| format!("begins with {first}"));
    format!(
        "{at_least}{entries} entries were {how} before they were read: this subscription is at position {position}, and the \
         stream {first}. They are lost to this group. So that it does not happen again, {REMEDY}. To go on without them, start \
         once with `on_unread_trimmed(UnreadTrimmed::Warn)`"
    )
}

fn behind_words(Behind { last_id, position, length }: Behind) -> String {
    format!(
        "the stream was replaced: this subscription is at position {position}, and the stream's last ID is {last_id}, with {length} entries. \
         Say with `on_stream_replaced` whether to read them or to skip them. \
         (A new subscription is there because it was to begin there: name an ID that the stream has reached)"
    )
}
