//! `renew.lua` and `release.lua`.

use super::counting::{Count, Known};
use super::keys::{ErrorReply, Hash, Keys};
use super::record::{id, named, number, optional_id, optional_number};
use super::stream::Stream;
use crate::id::EntryId;
use crate::protocol::{Behind, Cause, Head, Hole, Renewed, StepReply, Subscription};

/// Keeps the lease, puts the group's cursor right, and says what the server holds.
pub(super) fn renew(
    keys: &mut Keys,
    subscription: &Subscription,
    token: &str,
    lease_ms: u64,
    stop_at_trimmed: bool,
    now_ms: u64,
) -> Result<StepReply, ErrorReply> {
    let record = keys.hash(subscription.record())?;
    let (record, head) = match owned(record, token) {
        Ok(found) => found,
        Err(owner) => return Ok(StepReply::Fenced { owner }),
    };
    let (position, processed) = (id(record, "@position")?, number(record, "@processed")?);
    let base = optional_number(record, "@base")?;
    let settled = optional_id(record, "@settled")?.unwrap_or(EntryId::MIN);
    let unparking = number(record, "@unparking")?.unsigned_abs();
    let no_stream = Stream::default();
    let stream = keys.stream(subscription.stream())?.unwrap_or(&no_stream);
    let mut last_id = stream.last_id;
    let last_entry = stream.entries.last().map(|entry| entry.id);
    let cursor = stream.groups.get(subscription.group()).map(|group| group.cursor);
    if stream.length() > 0 && last_id < position {
        return Ok(StepReply::Behind(Behind { last_id, position, length: stream.length() }));
    }
    let Count { vanished, cause, all, base } = stream.count(Known { position, processed, base, settled })?;
    if vanished > 0 && stop_at_trimmed && cause != Cause::Deleted {
        let first = stream.entries.first().map(|entry| entry.id);
        return Ok(StepReply::Trimmed(Hole { entries: vanished.unsigned_abs(), all, cause, position, first }));
    }
    let lag = stream.left_behind(position, processed, base, now_ms);
    let settled = if all { position } else { settled };

    // From here on: writes. The lease first: the cursor is a courtesy and must not cost it.
    let lease = (now_ms + lease_ms).to_string();
    let base_text = base.map(|base| base.to_string()).unwrap_or_default();
    let settled = settled.to_string();
    let fields = [("@lease", lease.as_bytes()), ("@base", base_text.as_bytes()), ("@settled", settled.as_bytes())];
    keys.set_fields(subscription.record(), fields)?;
    let entries_read = base.map(|base| base + processed);
    let trouble = put_cursor_right(keys, subscription, position, entries_read).err();
    last_id = last_id.max(position);
    Ok(StepReply::Renewed(Renewed {
        head,
        position,
        last_id,
        last_entry,
        base,
        vanished,
        cause,
        all,
        cursor_repaired: cursor != Some(position),
        cursor_trouble: trouble.map(|why| why.to_string()),
        unparking,
        lag,
    }))
}

/// Ends the lease. `false`: somebody else owns the record.
pub(super) fn release(keys: &mut Keys, subscription: &Subscription, token: &str) -> Result<bool, ErrorReply> {
    let is_owner = owned(keys.hash(subscription.record())?, token).is_ok();
    if is_owner {
        keys.set_fields(subscription.record(), [("@lease", &b"0"[..])])?;
        keys.delete_fields(subscription.record(), &["@trying"])?;
    }
    Ok(is_owner)
}

/// The record and its head if the token owns it, else the owner.
fn owned<'a>(record: Option<&'a Hash>, token: &str) -> Result<(&'a Hash, Head), String> {
    let text = |name| record.and_then(|record| named(record, name));
    let head = text("@head").as_deref().and_then(Head::parse).filter(|head| head.token.as_str() == token);
    record.zip(head).ok_or_else(|| text("@owner").unwrap_or_default())
}

fn put_cursor_right(
    keys: &mut Keys,
    subscription: &Subscription,
    position: EntryId,
    entries_read: Option<i64>,
) -> Result<(), ErrorReply> {
    let stream = keys.make_stream(subscription.stream())?;
    // A group made anew gets its mark; one that is there is left with the consumers it has.
    stream
        .groups
        .entry(subscription.group().to_owned())
        .or_insert_with(|| super::stream::Group { marked: true, ..Default::default() });
    if stream.last_id < position {
        // An empty stream: later IDs must follow the position.
        stream.last_id = position;
    }
    stream.set_cursor(subscription.stream(), subscription.group(), position, entries_read)
}
