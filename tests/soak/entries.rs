//! Entries of a stream as the server gives them, without the library that is tested.

use atomic_streams::EntryId;
use redis::Value;

use crate::subscriptions::Item;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub id: EntryId,
    pub item: Item,
}

/// The entries of a reply to XRANGE. What is no item of the soak is an error, in words.
pub fn entries(reply: Value) -> Result<Vec<Read>, String> {
    let Value::Array(entries) = reply else { return Err(format!("no entries: {reply:?}")) };
    entries.into_iter().map(entry).collect()
}

fn entry(entry: Value) -> Result<Read, String> {
    let odd = || format!("no entry of the soak: {entry:?}");
    let Value::Array(parts) = &entry else { return Err(odd()) };
    let [id, Value::Array(fields)] = parts.as_slice() else { return Err(odd()) };
    let id = text(id).and_then(|id| id.parse().ok()).ok_or_else(odd)?;
    let fields: Vec<&str> = fields.iter().map_while(text).collect();
    let ["by", by, "n", n, "text", text] = fields.as_slice() else { return Err(odd()) };
    let n = n.parse().map_err(|_| odd())?;
    Ok(Read { id, item: Item { by: (*by).to_owned(), n, text: (*text).to_owned() } })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
