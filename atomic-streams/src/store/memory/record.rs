//! The fields of a record, read as the scripts read them.

use std::str::FromStr;

use super::keys::{ErrorReply, Hash};
use crate::id::EntryId;

/// A field as text, if the record has it.
pub(super) fn named(record: &Hash, name: &str) -> Option<String> {
    record.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// A field that is an entry ID.
pub(super) fn id(record: &Hash, name: &str) -> Result<EntryId, ErrorReply> {
    parsed(record, name)?.ok_or_else(|| unreadable(name))
}

/// A field that is an entry ID, or not there.
pub(super) fn optional_id(record: &Hash, name: &str) -> Result<Option<EntryId>, ErrorReply> {
    parsed(record, name)
}

/// A field that is a number; 0 if it is not there.
pub(super) fn number(record: &Hash, name: &str) -> Result<i64, ErrorReply> {
    Ok(parsed(record, name)?.unwrap_or(0))
}

/// A field that is a number, or empty, or not there.
pub(super) fn optional_number(record: &Hash, name: &str) -> Result<Option<i64>, ErrorReply> {
    match record.get(name.as_bytes()) {
        Some(value) if value.is_empty() => Ok(None),
        _ => parsed(record, name),
    }
}

fn parsed<T: FromStr>(record: &Hash, name: &str) -> Result<Option<T>, ErrorReply> {
    named(record, name).map(|text| text.parse().map_err(|_| unreadable(name))).transpose()
}

/// Where a script would end with an error of its own: somebody wrote something else into the record.
fn unreadable(name: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR the record's {name} cannot be read"))
}
