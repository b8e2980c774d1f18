//! What an inspection is answered with.

use std::collections::BTreeMap;

use super::parts::Parts;
use crate::id::EntryId;
use crate::protocol::{Parking, Subscription, Trying};
use crate::store::StoreError;
use crate::store::administration::{Declined, Inspection, Lease};

pub(super) fn inspection(
    subscription: &Subscription,
    mut parts: Parts,
) -> Result<Result<Inspection, Declined>, StoreError> {
    let now_ms: u64 = parts.number()?;
    let mut own = BTreeMap::new();
    let mut flat = parts.parts()?;
    while !flat.is_empty() {
        own.insert(flat.text()?, flat.text()?);
    }
    let mut names = parts.parts()?;
    let mut fields = Vec::new();
    while !names.is_empty() {
        fields.push(names.text()?);
    }
    fields.sort();
    parts.skip()?;
    let mut sizes = parts.parts()?;
    let mut collections = BTreeMap::new();
    while !sizes.is_empty() {
        collections.insert(sizes.text()?, sizes.number()?);
    }
    let parked_keys = collections.remove(Parking::FIELD).unwrap_or(0);
    let (last_id, length): (EntryId, u64) = (parts.id()?, parts.number()?);
    let added: i64 = parts.number()?;
    let id = |text: Option<String>| text.and_then(|text| text.parse::<EntryId>().ok());
    let (first_id, waiting) = (id(parts.optional_text()?), id(parts.optional_text()?));
    let (told, memory) = (parts.optional_number()?, parts.optional_number()?);
    let text = |name: &str| own.get(name).cloned().unwrap_or_default();
    if (text("@stream"), text("@group")) != (subscription.stream().into(), subscription.group().into()) {
        return Ok(Err(Declined::Foreign { stream: text("@stream"), group: text("@group") }));
    }
    let number = |name: &str| text(name).parse::<u64>().unwrap_or_default();
    let position = text("@position").parse().map_err(|_| StoreError::unexpected(&text("@position")))?;
    let processed = number("@processed");
    let lease = match number("@lease") {
        0 => Lease::Released,
        until if until > now_ms => Lease::Held { left_ms: until - now_ms },
        until => Lease::Expired { since_ms: now_ms - until },
    };
    // What is left is known where the position is outside of what the stream holds; else at least one of its entries was read.
    let gone_if_left = |left: u64| {
        i64::try_from(left.saturating_add(processed)).ok().and_then(|accounted| added.checked_sub(accounted))
    };
    let passed_over = match (waiting, first_id) {
        (None, _) => gone_if_left(0),
        (Some(_), Some(first)) if position < first => gone_if_left(length),
        _ => text("@base")
            .parse::<i64>()
            .ok()
            .map(|base| gone_if_left(length.saturating_sub(1)).unwrap_or(base).max(base)),
    };
    Ok(Ok(Inspection {
        stream: subscription.stream().to_owned(),
        group: subscription.group().to_owned(),
        record: subscription.record().to_owned(),
        owner: text("@owner"),
        epoch: number("@epoch"),
        head: text("@head"),
        lease,
        position,
        processed,
        lag: if waiting.is_none() { Some(0) } else { told.and_then(|lag| lag.try_into().ok()) },
        lag_ms: waiting.map(|id| now_ms.saturating_sub(id.ms)),
        last_id,
        length,
        first_id,
        passed_over,
        fields,
        collections,
        parked_keys,
        schema: text("@schema"),
        created_ms: number("@created"),
        memory_bytes: memory.and_then(|bytes| bytes.try_into().ok()),
        trying: Trying::parse(&text("@trying")).map(|trying| (trying.entry, trying.crashes)),
    }))
}
