//! `commit.lua`, check by check.

use super::keys::{ErrorReply, Hash, Keys};
use super::record::{id, named};
use crate::id::EntryId;
use crate::persist::CollectionChanges;
use crate::protocol::{Commit, Divergence, Head, Operation, Proof, StepReply, Subscription, Token};
use crate::staged::Trim;

/// Applies one step of a subscription, or nothing.
pub(super) fn commit(
    keys: &mut Keys,
    subscription: &Subscription,
    token: &str,
    commit: &Commit,
    now_ms: u64,
) -> Result<StepReply, ErrorReply> {
    let follows = Head { token: Token::new(token), sequence: commit.follows };
    if let Some(refusal) = check_head(keys.hash(subscription.record())?, &follows) {
        return Ok(refusal);
    }

    // Check: nothing is written in this pass.
    if let Some(proof) = &commit.proof
        && let Some(refusal) = check_proof(keys, subscription, &follows, proof)?
    {
        return Ok(refusal);
    }
    for collection in &commit.collections {
        if let Some(refusal) = check_collection(keys, subscription, &follows, collection)? {
            return Ok(refusal);
        }
    }
    for operation in &commit.operations {
        if let Operation::Remove { stream, id, digest } = operation
            && let Some(refusal) = check_letter(keys, subscription, &follows, (stream, *id, digest))?
        {
            return Ok(refusal);
        }
        if let Operation::Publish { stream, check: true, .. } = operation
            && let Some(kind) = keys.get(stream).map(|value| value.kind()).filter(|kind| *kind != "stream")
        {
            let why = format!("WRONGTYPE the key holds a {kind}, not a stream");
            return Ok(StepReply::Refused { key: stream.clone(), why });
        }
    }

    // Apply: what can still fail comes first and is undone.
    let mut added: Vec<(&str, EntryId)> = Vec::new();
    for operation in &commit.operations {
        let Operation::Publish { stream, fields, .. } = operation else { continue };
        match keys.add(stream, fields.clone(), now_ms) {
            Ok(id) => added.push((stream, id)),
            Err(why) => {
                for (stream, id) in added {
                    if let Some(stream) = keys.change_stream(stream)? {
                        stream.delete(id);
                    }
                }
                return Ok(StepReply::Refused { key: stream.clone(), why: why.to_string() });
            }
        }
    }
    write_record(keys, subscription, commit, &follows)?;
    for collection in &commit.collections {
        write_collection(keys, subscription, collection)?;
    }
    for operation in &commit.operations {
        if let Operation::Remove { stream, id, .. } = operation
            && let Some(stream) = keys.change_stream(stream)?
        {
            stream.delete(*id);
        }
    }
    keys.delete_fields(subscription.record(), &commit.deleted)?;

    let entries_read = commit.entries_read.map(|read| i64::try_from(read).unwrap_or(i64::MAX));
    let moved =
        keys.change_stream(subscription.stream()).and_then(|stream| stream.ok_or_else(ErrorReply::no_stream)).and_then(
            |stream| stream.set_cursor(subscription.stream(), subscription.group(), commit.position, entries_read),
        );
    let mut trim_trouble = None;
    for operation in &commit.operations {
        if let Operation::Trim { stream, trim } = operation
            && let Err(why) = self::trim(keys, stream, *trim)
        {
            trim_trouble = Some(why.to_string());
        }
    }
    Ok(StepReply::Committed { cursor_trouble: moved.err().map(|why| why.to_string()), trim_trouble })
}

/// The reply to a step that does not follow the record's head.
fn check_head(record: Option<&Hash>, follows: &Head) -> Option<StepReply> {
    let text = |name| record.and_then(|record| named(record, name)).unwrap_or_default();
    let found = text("@head");
    if found == follows.to_string() {
        return None;
    }
    Some(match found.rsplit_once(':') {
        Some((token, _)) if token == follows.token.as_str() => {
            StepReply::Diverged { position: text("@position"), why: Divergence::Sequence, found }
        }
        _ => StepReply::Fenced { owner: text("@owner") },
    })
}

/// The reply to a step that uses a read of which this history knows nothing.
fn check_proof(
    keys: &Keys,
    subscription: &Subscription,
    follows: &Head,
    proof: &Proof,
) -> Result<Option<StepReply>, ErrorReply> {
    let Some(record) = keys.hash(subscription.record())? else { return Ok(None) };
    let position = id(record, "@position")?;
    if position == EntryId::new(u64::MAX, u64::MAX) {
        // Nothing can follow it, and so Redis refuses the range.
        return Err(ErrorReply::new("ERR invalid start ID for the interval"));
    }
    let stream = keys.stream(subscription.stream())?;
    let diverged =
        |why| Ok(Some(StepReply::Diverged { found: follows.to_string(), position: position.to_string(), why }));
    let next = stream.and_then(|stream| stream.entries.after(position).next().filter(|entry| entry.id <= proof.first));
    if next.is_some_and(|entry| entry.id != proof.first) {
        return diverged(Divergence::Gap);
    }
    let last = match proof.first == proof.last {
        true => next,
        false => stream.and_then(|stream| stream.entries.get(proof.last)),
    };
    match last {
        Some(entry) if entry.digest() == proof.digest => Ok(None),
        _ => diverged(Divergence::Gone),
    }
}

/// The reply to a step that changes a collection which another hand has changed.
fn check_collection(
    keys: &Keys,
    subscription: &Subscription,
    follows: &Head,
    collection: &CollectionChanges,
) -> Result<Option<StepReply>, ErrorReply> {
    let key = subscription.collection(collection.kind, &collection.field);
    if let Some(kind) = keys.get(&key).map(|value| value.kind()).filter(|kind| *kind != "hash") {
        let why = format!("WRONGTYPE the key holds a {kind}, not a hash");
        return Ok(Some(StepReply::Refused { key, why }));
    }
    let entries = keys.hash(&key)?.map_or(0, |hash| hash.len() as u64);
    if collection.before.is_none_or(|before| before == entries) {
        return Ok(None);
    }
    let Some(record) = keys.hash(subscription.record())? else { return Ok(None) };
    Ok(Some(StepReply::Diverged {
        found: follows.to_string(),
        position: named(record, "@position").unwrap_or_default(),
        why: Divergence::Entries,
    }))
}

/// The reply to a step that handles a dead letter which is gone or is another one.
fn check_letter(
    keys: &Keys,
    subscription: &Subscription,
    follows: &Head,
    (stream, id, digest): (&str, EntryId, &str),
) -> Result<Option<StepReply>, ErrorReply> {
    if let Some(kind) = keys.get(stream).map(|value| value.kind()).filter(|kind| *kind != "stream") {
        let why = format!("WRONGTYPE the key holds a {kind}, not a stream");
        return Ok(Some(StepReply::Refused { key: stream.to_owned(), why }));
    }
    if keys.stream(stream)?.and_then(|stream| stream.entries.get(id)).is_some_and(|held| held.digest() == digest) {
        return Ok(None);
    }
    let Some(record) = keys.hash(subscription.record())? else { return Ok(None) };
    Ok(Some(StepReply::Diverged {
        found: follows.to_string(),
        position: named(record, "@position").unwrap_or_default(),
        why: Divergence::Letter,
    }))
}

fn write_collection(
    keys: &mut Keys,
    subscription: &Subscription,
    collection: &CollectionChanges,
) -> Result<(), ErrorReply> {
    let CollectionChanges { kind, field, changes, after, .. } = collection;
    let key = subscription.collection(*kind, field);
    if changes.cleared {
        keys.remove(&key);
    }
    if !changes.set.is_empty() {
        keys.set_fields(&key, changes.set.iter().map(|(key, value)| (key, value.as_slice())))?;
    }
    keys.delete_fields(&key, &changes.removed)?;
    let Some(after) = after else { return Ok(()) };
    keys.set_fields(subscription.record(), [(format!("@size:{field}"), after.to_string().as_bytes())])
}

fn write_record(
    keys: &mut Keys,
    subscription: &Subscription,
    commit: &Commit,
    follows: &Head,
) -> Result<(), ErrorReply> {
    let head = Head { token: follows.token.clone(), sequence: commit.leads_to }.to_string();
    let (position, processed) = (commit.position.to_string(), commit.processed.to_string());
    let own = [("@head", head.as_bytes()), ("@position", position.as_bytes()), ("@processed", processed.as_bytes())];
    let state = commit.fields.iter().map(|(name, value)| (*name, value.as_slice()));
    keys.set_fields(subscription.record(), own.into_iter().chain(state))
}

fn trim(keys: &mut Keys, stream: &str, trim: Trim) -> Result<(), ErrorReply> {
    if let Some(stream) = keys.change_stream(stream)? {
        stream.trim(trim);
    }
    Ok(())
}
