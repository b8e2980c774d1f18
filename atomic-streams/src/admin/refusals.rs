//! Why something was not done, in words.

use crate::error::{Error, ErrorKind};
use crate::protocol::Subscription;
use crate::store::StoreError;
use crate::store::administration::Declined;

pub(crate) fn named(stream: &str, group: &str) -> Result<Subscription, Error> {
    Subscription::new(stream, group).map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))
}

/// Copies lie beside the record, and what is beside a copy has an `@` behind its name.
pub(super) fn copy_name(name: &str) -> Result<&str, Error> {
    match crate::name::problem(name) {
        None if !name.contains('@') => Ok(name),
        problem => {
            let shown: String = name.chars().take(64).collect();
            let problem = problem.unwrap_or("holds an `@`: write another character");
            Err(Error::new(ErrorKind::InvalidConfig, format!("the copy's name {shown:?} {problem}")))
        }
    }
}

pub(crate) fn declined(why: Declined) -> Error {
    let (kind, words) = match why {
        Declined::None => (ErrorKind::NotFound, "there is no such record or copy on this server".to_owned()),
        Declined::Foreign { stream, group } => {
            (ErrorKind::NotFound, format!("its key holds the record of group `{group}` on stream `{stream}`"))
        }
        Declined::WrongType { key, holds } => {
            (ErrorKind::WrongType, format!("`{key}` holds a {holds}: rename or remove it"))
        }
        Declined::There => (
            ErrorKind::InUse,
            "there is such a subscription already: choose another group, or delete that one first".to_owned(),
        ),
        Declined::Lost { cursor } => (
            ErrorKind::RecordLost,
            format!(
                "its record is gone although its group is there (the cursor is at {cursor}): delete what is left of it first, or \
                 restore the record from a backup"
            ),
        ),
        Declined::Adopt { cursor, pending } => (
            ErrorKind::GroupInUse,
            format!(
                "another program has a group of this name (its cursor is at {cursor}, {pending} entries are pending): choose \
                 another name, or remove that group if nobody uses it"
            ),
        ),
        Declined::Moved { holds } => (
            ErrorKind::InUse,
            format!(
                "it was to be made of what had been read, and that has changed: the position is now {holds:?}. Stop the program that writes it, and try again"
            ),
        ),
        Declined::Beyond { last_id } => (
            ErrorKind::InvalidConfig,
            format!("the position is behind the end of the stream, whose last ID is {last_id}: give an earlier one"),
        ),
        Declined::Running { owner, left_ms } => (
            ErrorKind::InUse,
            format!("its owner `{owner}` is alive (its lease has {left_ms} ms left): shut it down first"),
        ),
        Declined::Exists => {
            (ErrorKind::InUse, "there is a copy of this name: drop it first, or choose another".to_owned())
        }
        Declined::Large { entries } => (
            ErrorKind::TooLarge,
            format!("its state has {entries} fields and entries, which is more than may be read at once"),
        ),
        Declined::Changed => (ErrorKind::Unavailable, "its collections changed meanwhile: try again".to_owned()),
    };
    Error::new(kind, words)
}

pub(super) fn changing(subscription: &Subscription) -> Error {
    declined(Declined::Changed).of(subscription.stream(), subscription.group())
}

pub(crate) fn failed(what: &str, error: StoreError) -> Error {
    Error::new(error.failure.kind(), format!("{what}: {error}")).with_source(error)
}
