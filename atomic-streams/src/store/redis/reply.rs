//! Replies as types.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Value};

use super::parts::Parts;
use crate::entry::{Entry, Fields};
use crate::id::EntryId;
use crate::protocol::{
    Adopted, AttachReply, Divergence, Failure, Head, Lag, Owned, Permanent, Renewed, Step, StepReply, Transient, Trying,
};
use crate::store::{Loaded, Requeued, Scanned, StoreError, Waiting};

/// What the client says where a name leads nowhere, which may pass; it calls that an error of its settings.
const NO_ADDRESS: &str = "No address found";

/// Classifies what went wrong on a connection.
pub(super) fn error(error: RedisError) -> StoreError {
    let words = error.to_string();
    let failure = match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) if words.contains("max number of clients") => {
            Failure::Transient(Transient::TooManyClients)
        }
        (ErrorKind::AuthenticationFailed, _) => Failure::Permanent(Permanent::Denied),
        // Of the client's settings: the network has no part in it.
        (ErrorKind::InvalidClientConfig, _) if !words.starts_with(NO_ADDRESS) => {
            Failure::Permanent(Permanent::BadAddress)
        }
        (_, Some(code)) => Failure::of_reply(code, &words),
        _ if error.is_timeout() => Failure::Transient(Transient::TimedOut),
        // A reply that was cut off comes as a parse error: what was sent may have been applied, as after any other break.
        _ => Failure::Transient(Transient::ConnectionLost),
    };
    StoreError { failure, words, source: Some(Box::new(error)) }
}

pub(super) fn no_answer(limit: Duration) -> StoreError {
    StoreError {
        failure: Failure::Transient(Transient::TimedOut),
        words: format!("no reply within {limit:?}"),
        source: None,
    }
}

/// An error reply as an error, anything else as it is.
pub(super) fn checked(value: Value) -> Result<Value, StoreError> {
    match value {
        Value::ServerError(reply) => Err(error(reply.into())),
        value => Ok(value),
    }
}

pub(super) fn attach(value: Value) -> Result<AttachReply, StoreError> {
    let mut parts = Parts::of(value)?;
    Ok(match parts.text()?.as_str() {
        "OWNED" => AttachReply::Owned(owned(&mut parts)?),
        "STANDBY" => AttachReply::Standby { owner: parts.text()?, left_ms: parts.number()?, lease: parts.text()? },
        "STALE" => AttachReply::Stale { attempt: parts.number()? },
        "SCHEMA" => AttachReply::Schema { stored: parts.text()? },
        "LOST" => AttachReply::Lost { cursor: parts.id()? },
        "ADOPT" => AttachReply::Adopt {
            cursor: parts.id()?,
            pending: parts.number()?,
            oldest: parts.optional_text()?.and_then(|id| id.parse().ok()),
        },
        "BEHIND" => AttachReply::Behind(parts.behind()?),
        "TRIMMED" => AttachReply::Trimmed(parts.hole()?),
        "FOREIGN" => AttachReply::Foreign { stream: parts.text()?, group: parts.text()? },
        "FORMAT" => AttachReply::Format { format: parts.text()? },
        "DAMAGED" => AttachReply::Damaged { field: parts.text()?, found: parts.text()? },
        "WRONGTYPE" => AttachReply::WrongType { key: parts.text()?, holds: parts.text()? },
        "DENIED" => AttachReply::Denied { command: parts.text()?, key: parts.text()? },
        other => return Err(StoreError::unexpected(other)),
    })
}

fn owned(parts: &mut Parts) -> Result<Owned, StoreError> {
    let (head, epoch) = (parts.head()?, parts.number()?);
    parts.skip()?;
    let created = parts.number::<u64>()? == 1;
    let released = matches!(parts.text()?.as_str(), "" | "0");
    let (position, processed, base) = (parts.id()?, parts.number()?, parts.optional_number()?);
    let (last_id, length) = (parts.id()?, parts.number()?);
    let added = parts.number()?;
    let abandoned = parts.number::<u64>()? == 1;
    let trying = Trying::parse(&parts.text()?);
    let vanished = parts.number()?;
    let adopted = Adopted::parse(&parts.text()?, &parts.text()?).map(Arc::new);
    let mut owned = Owned {
        head,
        epoch,
        created,
        released,
        abandoned,
        trying,
        position,
        processed,
        base,
        last_id,
        length,
        vanished,
        lag: Lag::default(),
        adopted,
    };
    owned.lag = Lag::of(&owned, added);
    Ok(owned)
}

pub(super) fn load(value: Value) -> Result<Option<Loaded>, StoreError> {
    let Value::Array(values) = value else { return Err(StoreError::unexpected("HMGET")) };
    let mut values = values.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(StoreError::unexpected("HMGET")),
    });
    let Some(head) = values.next().transpose()?.flatten() else { return Ok(None) };
    let head = std::str::from_utf8(&head).ok().and_then(Head::parse).ok_or_else(|| StoreError::unexpected("@head"))?;
    Ok(Some(Loaded { head, values: values.collect::<Result<_, _>>()? }))
}

pub(super) fn scan(value: Value) -> Result<Scanned, StoreError> {
    let wrong = || StoreError::unexpected("scan");
    let mut parts = Parts::of(value)?;
    let head = parts.optional_text()?.map(|head| Head::parse(&head).ok_or_else(wrong)).transpose()?;
    let total = parts.number()?;
    let cursor = Some(parts.text()?).filter(|cursor| cursor != "0");
    let Some(Value::Array(flat)) = parts.0.next() else { return Err(wrong()) };
    let mut entries = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let Some(key) = flat.next() {
        let (Value::BulkString(key), Some(Value::BulkString(value))) = (key, flat.next()) else { return Err(wrong()) };
        entries.push((key, value));
    }
    Ok(Scanned { head, total, cursor, entries })
}

/// Which step a reply is to: several answer with a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Commit,
    Renew,
    Release,
    Wait,
}

impl Answered {
    pub fn by(step: &Step) -> Self {
        match step {
            Step::Commit(_) => Self::Commit,
            Step::Renew { .. } => Self::Renew,
            Step::Release => Self::Release,
            Step::Wait { .. } => Self::Wait,
        }
    }
}

pub(super) fn step(answered: Answered, value: Value) -> Result<StepReply, StoreError> {
    match (answered, checked(value)?) {
        (Answered::Commit, Value::Int(1)) => Ok(StepReply::Committed { cursor_trouble: None, trim_trouble: None }),
        (Answered::Release, Value::Int(was_owner)) => Ok(StepReply::Released { was_owner: was_owner == 1 }),
        (Answered::Wait, value) => waited(value),
        (_, value) => outcome(value),
    }
}

/// `WAIT` answers with the replicas, `WAITAOF` with whether the file is fsynced, and the replicas.
fn waited(value: Value) -> Result<StepReply, StoreError> {
    let (on_disk, replicas) = match value {
        Value::Int(replicas) => (false, replicas),
        Value::Array(parts) => match parts.as_slice() {
            [Value::Int(on_disk), Value::Int(replicas)] => (*on_disk > 0, *replicas),
            _ => return Err(StoreError::unexpected("WAITAOF")),
        },
        _ => return Err(StoreError::unexpected("WAIT")),
    };
    Ok(StepReply::Waited { on_disk, replicas: u64::try_from(replicas).unwrap_or(0) })
}

fn outcome(value: Value) -> Result<StepReply, StoreError> {
    let mut parts = Parts::of(value)?;
    Ok(match parts.text()?.as_str() {
        "COMMITTED" => {
            StepReply::Committed { cursor_trouble: parts.optional_text()?, trim_trouble: parts.optional_text()? }
        }
        "OWNED" => {
            parts.skip()?;
            StepReply::Renewed(Renewed {
                head: parts.head()?,
                position: parts.id()?,
                last_id: parts.id()?,
                last_entry: parts.optional_text()?.and_then(|text| text.parse().ok()),
                base: parts.optional_number()?,
                vanished: parts.number()?,
                cursor_repaired: parts.number::<u64>()? != 0,
                cursor_trouble: parts.optional_text()?,
                cause: parts.cause()?,
                all: parts.number::<u64>()? == 1,
                unparking: parts.number()?,
                lag: Lag {
                    entries: parts.optional_number()?.and_then(|entries| entries.try_into().ok()),
                    waited_ms: Some(parts.number()?),
                },
            })
        }
        "FENCED" => StepReply::Fenced { owner: parts.text()? },
        "DIVERGED" => StepReply::Diverged {
            found: parts.text()?,
            position: parts.text()?,
            why: match parts.text()?.as_str() {
                "sequence" => Divergence::Sequence,
                "gap" => Divergence::Gap,
                "gone" => Divergence::Gone,
                "entries" => Divergence::Entries,
                "letter" => Divergence::Letter,
                other => return Err(StoreError::unexpected(other)),
            },
        },
        "REFUSED" => StepReply::Refused { key: parts.text()?, why: parts.text()? },
        "BEHIND" => StepReply::Behind(parts.behind()?),
        "TRIMMED" => StepReply::Trimmed(parts.hole()?),
        other => return Err(StoreError::unexpected(other)),
    })
}

/// The entries of an `XREAD` of one stream, with every field in its order.
pub(super) fn entries(value: Value) -> Result<Vec<Entry>, StoreError> {
    match streams(value)?.into_iter().next() {
        Some((_, entries)) => Ok(entries),
        None => Ok(Vec::new()),
    }
}

/// The entries of an `XREAD`, by the name of their stream; streams without entries are left out by the server.
pub(super) fn streams(value: Value) -> Result<Vec<(String, Vec<Entry>)>, StoreError> {
    let pairs = match value {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(streams) => streams.into_iter().map(pair).collect(),
        Value::Map(pairs) => Some(pairs),
        _ => None,
    };
    let streams = pairs.and_then(|pairs| pairs.into_iter().map(stream).collect::<Option<Vec<_>>>());
    streams.filter(|streams| !streams.is_empty()).ok_or_else(|| StoreError::unexpected("XREAD"))
}

fn pair(value: Value) -> Option<(Value, Value)> {
    let Value::Array(parts) = value else { return None };
    <[Value; 2]>::try_from(parts).ok().map(Into::into)
}

fn stream((name, entries): (Value, Value)) -> Option<(String, Vec<Entry>)> {
    // Redis 7.0 answers with no entries when one was added and removed again by the same script.
    let (Value::BulkString(name), Value::Array(entries)) = (name, entries) else { return None };
    Some((String::from_utf8(name).ok()?, entries.into_iter().map(entry).collect::<Option<_>>()?))
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), Value::Array(values)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let mut fields = Fields::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let Some(name) = values.next() {
        let (Value::BulkString(name), Some(Value::BulkString(value))) = (name, values.next()) else { return None };
        fields.push(name, value);
    }
    Some(Entry { id: EntryId::from_bytes(&id)?, fields })
}

/// The entries of an `XRANGE` or `XREVRANGE`.
pub(super) fn range(value: Value) -> Result<Vec<Entry>, StoreError> {
    let entries = match value {
        Value::Array(entries) => entries.into_iter().map(entry).collect(),
        _ => None,
    };
    entries.ok_or_else(|| StoreError::unexpected("XRANGE"))
}

/// What `requeue.lua` says.
pub(super) enum RequeueReply {
    Done(Requeued),
    /// The caller must add the fields itself.
    Packed {
        newest: String,
    },
}

pub(super) fn requeued(value: Value) -> Result<RequeueReply, StoreError> {
    let mut parts = Parts::of(value)?;
    Ok(RequeueReply::Done(match parts.text()?.as_str() {
        "REQUEUED" => Requeued::Added(parts.id()?),
        "GONE" => Requeued::Gone,
        "PARKED" => Requeued::Parked,
        "FOREIGN" => Requeued::Foreign,
        "REFUSED" => Requeued::Refused { key: parts.text()?, why: parts.text()? },
        "PACKED" => return Ok(RequeueReply::Packed { newest: parts.text()? }),
        other => return Err(StoreError::unexpected(other)),
    }))
}

/// What `unpark.lua` says.
pub(super) fn unparking(value: Value) -> Result<bool, StoreError> {
    if let Value::Int(is_parked) = value {
        return Ok(is_parked == 1);
    }
    let mut parts = Parts::of(value)?;
    match parts.text()?.as_str() {
        "REFUSED" => {
            let (key, why) = (parts.text()?, parts.text()?);
            let failure = Failure::of_reply(why.split(' ').next().unwrap_or_default(), &why);
            Err(StoreError { failure, words: format!("`{key}` cannot be written: {why}"), source: None })
        }
        other => Err(StoreError::unexpected(other)),
    }
}

pub(super) fn waiting(value: Value) -> Result<Waiting, StoreError> {
    let wrong = || StoreError::unexpected("waiting");
    let mut parts = Parts::of(value)?;
    let head = parts.optional_text()?.map(|head| Head::parse(&head).ok_or_else(wrong)).transpose()?;
    let next = parts.optional_text()?.map(|next| next.parse().map_err(|_| wrong())).transpose()?;
    let Some(Value::Array(letters)) = parts.0.next() else { return Err(wrong()) };
    let letters = letters.into_iter().map(entry).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok(Waiting { head, next, letters })
}

/// The ID that `XADD` gave.
pub(super) fn added(value: Value) -> Result<EntryId, StoreError> {
    match checked(value)? {
        Value::BulkString(id) => EntryId::from_bytes(&id).ok_or_else(|| StoreError::unexpected("XADD")),
        _ => Err(StoreError::unexpected("XADD")),
    }
}

/// Gives a reply to everything here that reads one; returns what was not understood.
#[cfg(feature = "internals")]
pub fn read_reply(value: &Value) -> Vec<String> {
    let words = |error: StoreError| error.words;
    let value = || value.clone();
    let all = [
        attach(value()).err().map(words),
        load(value()).err().map(words),
        scan(value()).err().map(words),
        step(Answered::Commit, value()).err().map(words),
        step(Answered::Renew, value()).err().map(words),
        step(Answered::Release, value()).err().map(words),
        step(Answered::Wait, value()).err().map(words),
        streams(value()).err().map(words),
        entries(value()).err().map(words),
        range(value()).err().map(words),
        requeued(value()).err().map(words),
        added(value()).err().map(words),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    /// One stream with one entry.
    fn read(values: Vec<Value>) -> Result<Vec<Entry>, StoreError> {
        let entry = Value::Array(vec![bulk("5-0"), Value::Array(values)]);
        entries(Value::Array(vec![Value::Array(vec![bulk("s"), Value::Array(vec![entry])])]))
    }

    #[test]
    fn an_entry_is_read_whole_or_not_at_all() {
        let whole = read(vec![bulk("a"), bulk("1"), bulk("a"), bulk("2")]).unwrap();
        assert_eq!(whole[0].fields.len(), 2);
        assert_eq!(read(vec![]).unwrap()[0].fields.len(), 0);
        for cut in [
            vec![bulk("a")],
            vec![bulk("a"), Value::Nil],
            vec![bulk("a"), bulk("1"), Value::Int(3), bulk("2")],
            vec![bulk("a"), bulk("1"), bulk("b")],
        ] {
            assert!(read(cut.clone()).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_shown_in_short() {
        let long = "x".repeat(1 << 20);
        for value in [
            Value::Array(vec![bulk(&long)]),
            Value::Array(vec![Value::Array(vec![Value::Nil; 100_000])]),
            Value::Array(vec![bulk("OWNED"), bulk(&long)]),
            Value::SimpleString(long.clone()),
            bulk(&long),
        ] {
            let error = attach(value).unwrap_err();
            assert!(error.words.len() < 400, "{} bytes", error.words.len());
        }
    }
}
