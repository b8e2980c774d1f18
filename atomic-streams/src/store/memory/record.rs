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

/// The first field that holds something else than the scripts write, and the beginning of what it holds.
pub(super) fn damage(record: &Hash) -> Option<(&'static str, String)> {
    let fields = ["@head", "@lease", "@epoch", "@position", "@processed", "@base", "@trying", "@adopted", "@pending"];
    let mut found = fields.into_iter().map(|field| (field, named(record, field)));
    let (field, text) = found.find(|(field, text)| match (*field, text) {
        ("@base" | "@trying" | "@adopted" | "@pending", None) => false,
        (field, text) => !is_sound(field, text.as_deref().unwrap_or_default()),
    })?;
    Some((field, text.unwrap_or_default().chars().take(256).collect()))
}

fn is_sound(field: &str, text: &str) -> bool {
    match field {
        "@head" => text.rsplit_once(':').is_some_and(|(token, sequence)| {
            let mut parts = token.splitn(3, '.');
            let (instance, attempt) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            !instance.is_empty() && parts.next().is_some() && is_whole(attempt, MOST) && is_whole(sequence, MOST)
        }),
        "@position" => is_id(text),
        "@base" => text.is_empty() || is_whole(text.strip_prefix('-').unwrap_or(text), MOST),
        "@trying" => {
            text.split_once(' ').is_some_and(|(entry, crashes)| is_id(entry) && is_whole(crashes, u64::from(u32::MAX)))
        }
        "@adopted" => text.is_empty() || is_id(text),
        "@pending" => text.split_ascii_whitespace().all(is_id),
        _ => is_whole(text, MOST),
    }
}

/// What Lua can count to.
const MOST: u64 = (1 << 53) - 1;

/// A number from 0 on, as the scripts write it.
fn is_whole(text: &str, most: u64) -> bool {
    text.parse::<u64>().is_ok_and(|number| number <= most && text == number.to_string())
}

fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(ms, seq)| is_whole(ms, u64::MAX) && is_whole(seq, u64::MAX))
}

fn parsed<T: FromStr>(record: &Hash, name: &str) -> Result<Option<T>, ErrorReply> {
    named(record, name).map(|text| text.parse().map_err(|_| unreadable(name))).transpose()
}

/// Where a script would end with an error of its own: somebody wrote something else into the record.
pub(super) fn unreadable(name: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR the record's {name} cannot be read"))
}
