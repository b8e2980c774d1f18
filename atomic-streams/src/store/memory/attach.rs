//! `attach.lua`, check by check.

use std::sync::Arc;

use super::counting::{Count, Known};
use super::keys::{ErrorReply, Hash, Keys};
use super::record::{damage, id, named, number, optional_id, optional_number, unreadable};
use super::stream::{Group, Stream};
use crate::id::EntryId;
use crate::protocol::{
    Adopted, AttachReply, AttachRequest, Behind, Cause, Head, Hole, Lag, MAX_ADOPTED, Owned, Start, Subscription,
    Token, Trying,
};

/// What a record says of itself, to people.
const ABOUT: &str = "Written by atomic-streams, all at once for each entry: look, but change it with its own tools.";

/// Takes ownership of a subscription, or says why not. `now_us` is the server's clock.
pub(super) fn attach(
    keys: &mut Keys,
    subscription: &Subscription,
    request: &AttachRequest,
    now_us: u64,
) -> Result<AttachReply, ErrorReply> {
    for (key, want) in [(subscription.record(), "hash"), (subscription.stream(), "stream")] {
        if let Some(holds) = keys.get(key).map(|value| value.kind()).filter(|kind| *kind != want) {
            return Ok(AttachReply::WrongType { key: key.into(), holds: holds.into() });
        }
    }
    let held = match keys.hash(subscription.record())? {
        Some(record) => match examine(record, subscription, request, now_us / 1_000)? {
            Ok(held) => Some(held),
            Err(refusal) => return Ok(refusal),
        },
        None => None,
    };
    let no_stream = Stream::default();
    let stream = keys.stream(subscription.stream())?.unwrap_or(&no_stream);
    let group = stream.groups.get(subscription.group()).cloned();
    let plan = match decide(stream, group.as_ref(), held.as_ref(), request)? {
        Ok(plan) => plan,
        Err(refusal) => return Ok(refusal),
    };
    let (mut last_id, length, added) = (stream.last_id, stream.length(), stream.added);

    // From here on: writes.
    let processed = held.as_ref().map_or(0, |held| held.processed);
    let epoch = held.as_ref().map_or(0, |held| held.epoch) + 1;
    let token = Token::new(&format!("{}.{}.{epoch}.{now_us}", request.instance, request.attempt));
    let head = Head { token, sequence: held.as_ref().map_or(0, |held| held.sequence) };
    write_record(keys, subscription, request, &plan, &head, epoch, held.is_none(), now_us / 1_000)?;
    let stream = keys.make_stream(subscription.stream())?;
    let group = stream.groups.entry(subscription.group().into()).or_default();
    if !group.marked && held.is_none() {
        // The record has them now.
        group.pending.clear();
    }
    group.marked = true;
    if plan.replaced {
        stream.last_id = plan.position;
        last_id = plan.position;
    }
    let entries_read = plan.base.map(|base| base + processed);
    stream.set_cursor(subscription.stream(), subscription.group(), plan.position, entries_read)?;
    let mut owned = Owned {
        head,
        epoch,
        created: held.is_none(),
        abandoned: held.as_ref().is_some_and(|held| held.is_anothers && held.lease != "0"),
        trying: held.as_ref().and_then(|held| held.trying),
        released: held.is_none_or(|held| held.lease.is_empty() || held.lease == "0"),
        position: plan.position,
        processed: processed.unsigned_abs(),
        base: plan.base,
        last_id,
        length,
        vanished: plan.vanished,
        lag: Lag::default(),
        adopted: plan.adopted.map(Arc::new),
    };
    owned.lag = Lag::of(&owned, added);
    Ok(AttachReply::Owned(owned))
}

/// What a record says that may be taken.
struct Held {
    sequence: u64,
    epoch: u64,
    lease: String,
    /// Another instance attached last.
    is_anothers: bool,
    trying: Option<Trying>,
    position: EntryId,
    processed: i64,
    base: Option<i64>,
    settled: EntryId,
    adopted: Option<Adopted>,
}

/// Where an attach begins.
struct Plan {
    position: EntryId,
    base: Option<i64>,
    settled: EntryId,
    /// Entries that went unread; below 0, the stream was made anew.
    vanished: i64,
    /// Later IDs must be made to follow the position.
    replaced: bool,
    adopted: Option<Adopted>,
}

impl Plan {
    fn new(position: EntryId, base: Option<i64>, settled: EntryId) -> Self {
        Self { position, base, settled, vanished: 0, replaced: false, adopted: None }
    }

    /// What the stream has counted has nothing to do with what was read before.
    fn anew(position: EntryId, base: i64, replaced: bool) -> Self {
        Self { position, base: Some(base), settled: position, vanished: -1, replaced, adopted: None }
    }
}

/// Whether the record may be taken.
fn examine(
    record: &Hash,
    subscription: &Subscription,
    request: &AttachRequest,
    now_ms: u64,
) -> Result<Result<Held, AttachReply>, ErrorReply> {
    let text = |name| named(record, name).unwrap_or_default();
    if named(record, "@stream").as_deref() != Some(subscription.stream())
        || named(record, "@group").as_deref() != Some(subscription.group())
    {
        return Ok(Err(AttachReply::Foreign { stream: text("@stream"), group: text("@group") }));
    }
    if text("@format") != "1" {
        return Ok(Err(AttachReply::Format { format: text("@format") }));
    }
    if let Some((field, found)) = damage(record) {
        return Ok(Err(AttachReply::Damaged { field: field.into(), found }));
    }
    let head = Head::parse(&text("@head")).ok_or_else(|| unreadable("@head"))?;
    let lease = text("@lease");
    let lease_ms = number(record, "@lease")? as u64;
    // None is left where the state was dropped.
    let schema = named(record, "@schema");
    if schema.as_ref() != Some(&request.accepted_schema) && schema.as_deref() != Some("dropped") {
        return Ok(Err(AttachReply::Schema { stored: text("@schema") }));
    }
    let (instance, attempt) = author(head.token.as_str()).unwrap_or_default();
    if instance == request.instance {
        if request.attempt <= attempt {
            return Ok(Err(AttachReply::Stale { attempt }));
        }
    } else if now_ms < lease_ms && request.expired_lease.as_ref() != Some(&lease) {
        return Ok(Err(AttachReply::Standby { owner: text("@owner"), left_ms: lease_ms - now_ms, lease }));
    }
    Ok(Ok(Held {
        sequence: head.sequence,
        epoch: text("@epoch").parse().unwrap_or(0),
        position: id(record, "@position")?,
        processed: number(record, "@processed")?,
        base: optional_number(record, "@base")?,
        settled: optional_id(record, "@settled")?.unwrap_or(EntryId::MIN),
        lease,
        is_anothers: instance != request.instance,
        trying: Trying::parse(&text("@trying")),
        adopted: Adopted::parse(&text("@adopted"), &text("@pending")),
    }))
}

/// Instance and attempt of a token.
fn author(token: &str) -> Option<(&str, u64)> {
    let mut parts = token.splitn(3, '.');
    let (instance, attempt) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some((instance, attempt.parse().ok()?))
}

/// Where to begin, or why not.
fn decide(
    stream: &Stream,
    group: Option<&Group>,
    held: Option<&Held>,
    request: &AttachRequest,
) -> Result<Result<Plan, AttachReply>, ErrorReply> {
    let (last_id, length) = (stream.last_id, stream.length());
    let counted = |entries: u64| i64::try_from(entries).map_err(|_| ErrorReply::new("ERR too many entries"));
    let (added, gone) = (counted(stream.added)?, counted(stream.added.saturating_sub(length))?);
    let processed = held.map_or(0, |held| held.processed);
    let may = request.permissions;
    let mut plan = match (held, group) {
        (Some(held), _) => Plan { adopted: held.adopted.clone(), ..Plan::new(held.position, held.base, held.settled) },
        (None, Some(group)) if group.marked && !may.start_over => {
            return Ok(Err(AttachReply::Lost { cursor: group.cursor }));
        }
        (None, Some(group)) if !group.marked && !may_adopt(group, request) => {
            let (pending, oldest) = (group.pending.len() as u64, group.pending.first().copied());
            return Ok(Err(AttachReply::Adopt { cursor: group.cursor, pending, oldest }));
        }
        (None, group) => {
            let foreign = group.filter(|group| !group.marked);
            let left = foreign.and_then(left_undone);
            let position = match (&left, foreign, request.start) {
                // Those between that are not pending are done: they are read, and passed over.
                (Some((oldest, _)), ..) => stream.last_before(*oldest).unwrap_or(EntryId::MIN),
                (None, Some(group), _) => group.cursor,
                (_, _, Start::Beginning) => EntryId::MIN,
                (_, _, Start::End) => last_id,
                (_, _, Start::After(id)) => id,
            };
            let first = stream.entries.first();
            let base = if position == last_id {
                Some(added)
            } else {
                first.is_none_or(|first| position < first.id).then_some(gone)
            };
            Plan { adopted: left.map(|(_, adopted)| adopted), ..Plan::new(position, base, position) }
        }
    };
    plan.replaced = last_id < plan.position;
    if plan.replaced && length > 0 {
        if may.read_replaced {
            plan = Plan::anew(EntryId::MIN, gone - processed, false);
        } else if may.skip_replaced {
            plan = Plan::anew(last_id, added - processed, false);
        } else {
            return Ok(Err(AttachReply::Behind(Behind { last_id, position: plan.position, length })));
        }
    } else if plan.replaced {
        // Nothing is left to read of what an empty stream has counted.
        plan = Plan::anew(plan.position, added - processed, true);
    } else if let Some(&Held { position, processed, base: base @ Some(_), settled, .. }) = held {
        let Count { vanished, cause, all, .. } = stream.count(Known { position, processed, base, settled })?;
        if vanished > 0 && may.stop_at_trimmed && cause != Cause::Deleted {
            let first = stream.entries.first().map(|entry| entry.id);
            let hole = Hole { entries: vanished.unsigned_abs(), all, cause, position, first };
            return Ok(Err(AttachReply::Trimmed(hole)));
        }
        plan.vanished = vanished;
    }
    plan.adopted.take_if(|adopted| adopted.up_to() <= plan.position);
    Ok(Ok(plan))
}

/// Whether a group of another program may be taken over.
fn may_adopt(group: &Group, request: &AttachRequest) -> bool {
    let (may, pending) = (request.permissions, group.pending.len() as u64);
    may.adopt_group && (pending == 0 || (may.adopt_pending && pending <= MAX_ADOPTED))
}

/// The oldest pending entry up to the cursor, and what is left undone with it.
fn left_undone(group: &Group) -> Option<(EntryId, Adopted)> {
    let oldest = group.pending.first().filter(|oldest| **oldest <= group.cursor)?;
    Some((*oldest, Adopted::new(group.cursor, group.pending.iter().copied())))
}

#[allow(clippy::too_many_arguments, reason = "everything that a record holds")]
fn write_record(
    keys: &mut Keys,
    subscription: &Subscription,
    request: &AttachRequest,
    plan: &Plan,
    head: &Head,
    epoch: u64,
    is_new: bool,
    now_ms: u64,
) -> Result<(), ErrorReply> {
    let mut fields = vec![
        ("@stream", subscription.stream().to_owned()),
        ("@group", subscription.group().to_owned()),
        ("@format", "1".to_owned()),
        ("@head", head.to_string()),
        ("@epoch", epoch.to_string()),
        ("@owner", request.owner.clone()),
        ("@lease", (now_ms + request.lease_ms).to_string()),
        ("@position", plan.position.to_string()),
        ("@base", plan.base.map(|base| base.to_string()).unwrap_or_default()),
        ("@settled", plan.settled.to_string()),
    ];
    if is_new {
        fields.extend([
            ("@about", ABOUT.to_owned()),
            ("@processed", "0".to_owned()),
            ("@schema", request.new_schema.clone()),
            ("@created", now_ms.to_string()),
        ]);
    }
    match &plan.adopted {
        Some(adopted) => {
            fields.extend([("@adopted", adopted.up_to().to_string()), ("@pending", adopted.pending_text())])
        }
        None => keys.delete_fields(subscription.record(), &["@adopted", "@pending"])?,
    }
    keys.set_fields(subscription.record(), fields.iter().map(|(name, value)| (*name, value.as_bytes())))
}
