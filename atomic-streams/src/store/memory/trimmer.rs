//! `trim.lua`, check by check.

use std::sync::Arc;

use async_trait::async_trait;

use super::keys::{ErrorReply, Keys, Value};
use super::record::{id, named};
use super::server::Shared;
use super::stream::Stream;
use crate::id::EntryId;
use crate::protocol::{Holder, Holding, Reader, Removal, TrimReply, TrimRequest, Trimmed};
use crate::store::{StoreError, Trimmer};

pub(super) struct MemoryTrimmer {
    pub shared: Arc<Shared>,
    /// That of its connection.
    pub number: u64,
}

#[async_trait]
impl Trimmer for MemoryTrimmer {
    async fn groups(&mut self, stream: &str) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(self.number)?;
        Ok(server.keys.stream(stream)?.map(|held| held.groups.keys().map(|name| name.as_bytes().to_vec()).collect()))
    }

    async fn trim(&mut self, request: &TrimRequest) -> Result<TrimReply, StoreError> {
        self.shared.by_hand(|server| {
            server.faults.check_connection(self.number)?;
            let now_ms = server.now_ms();
            Ok(trim(&mut server.keys, request, now_ms)?)
        })
    }
}

/// What a group needs begins with this ID, or behind it.
struct Need {
    id: EntryId,
    inclusive: bool,
    holder: Holder,
}

fn trim(keys: &mut Keys, request: &TrimRequest, now_ms: u64) -> Result<TrimReply, ErrorReply> {
    let stream = match keys.get(&request.stream) {
        None => return Ok(TrimReply::NoStream),
        Some(Value::Stream(stream)) => stream,
        Some(other) => {
            return Ok(TrimReply::WrongType { key: request.stream.clone(), holds: other.kind().into() });
        }
    };
    let listed = request.readers.iter().filter(|reader| reader.exists).count();
    let named = |reader: &Reader| stream.groups.keys().any(|name| name.as_bytes() == reader.group);
    if listed != stream.groups.len() || request.readers.iter().any(|reader| named(reader) != reader.exists) {
        return Ok(TrimReply::Changed);
    }
    if request.readers.is_empty() && !request.without_groups {
        return Ok(TrimReply::NoGroup);
    }
    let mut lowest: Option<Need> = None;
    for reader in &request.readers {
        for need in needs(keys, &request.stream, stream, reader)? {
            let is_lower = lowest
                .as_ref()
                .is_none_or(|known| need.id < known.id || (need.id == known.id && need.inclusive && !known.inclusive));
            if is_lower {
                lowest = Some(need);
            }
        }
    }

    let first = |id: EntryId, inclusive: bool| {
        stream.entries.iter().map(|entry| entry.id).find(|each| *each > id || (inclusive && *each == id))
    };
    let up_to = request.up_to.unwrap_or(stream.last_id);
    let needed = lowest.as_ref().and_then(|need| first(need.id, need.inclusive));
    let young = request.floors.age_ms.and_then(|age| first(EntryId::new(now_ms.saturating_sub(age), 0), true));
    let bound = [first(up_to, false), young].into_iter().flatten().min();
    let decides = needed.is_some_and(|needed| bound.is_none_or(|bound| needed < bound));
    let bound = [bound, needed].into_iter().flatten().min();
    let before = |id: Option<EntryId>| id.map_or(stream.length(), |id| stream.entries.count_before(id) as u64);
    let (length, may_go) = (stream.length(), before(bound));
    let surplus = length.saturating_sub(request.floors.entries.unwrap_or(0));
    let holder = lowest.filter(|_| decides).map(|need| need.holder);
    if let Removal::Count { .. } = request.removal {
        return Ok(TrimReply::Trimmed(Trimmed {
            removed: may_go,
            left: length,
            more: false,
            up_to,
            counted_to: None,
            early: 0,
            holder,
        }));
    }
    let removed = may_go.min(surplus);
    let early = if decides { before(needed) - removed } else { 0 };
    if removed > 0
        && let Some(stream) = keys.change_stream(&request.stream)?
    {
        stream.entries.remove_oldest(usize::try_from(removed).unwrap_or(usize::MAX));
    }
    Ok(TrimReply::Trimmed(Trimmed {
        removed,
        left: length - removed,
        more: false,
        up_to,
        counted_to: None,
        early,
        holder,
    }))
}

fn needs(keys: &Keys, name: &str, stream: &Stream, reader: &Reader) -> Result<Vec<Need>, ErrorReply> {
    let text = String::from_utf8_lossy(&reader.group).into_owned();
    let need =
        |id, inclusive, position, why| Need { id, inclusive, holder: Holder { group: text.clone(), position, why } };
    let group = stream.groups.get(&text).filter(|_| reader.exists);
    let ours = group.is_some_and(|group| group.marked);
    let record = match reader.record.as_deref().and_then(|record| keys.get(record)) {
        Some(Value::Hash(record)) => Some(record),
        _ => None,
    };
    let is_its = |record: &&super::keys::Hash| {
        named(record, "@stream").as_deref() == Some(name) && named(record, "@group").as_ref() == Some(&text)
    };
    let position = record.filter(is_its).and_then(|record| id(record, "@position").ok());
    let mut all = Vec::new();
    match (position, group) {
        (Some(position), _) if stream.length() > 0 && stream.last_id < position => {
            all.push(need(EntryId::MIN, true, Some(position), Holding::StreamReplaced));
        }
        (Some(position), _) => all.push(need(position, false, Some(position), Holding::Behind)),
        (None, Some(_)) if ours => all.push(need(EntryId::MIN, true, None, Holding::RecordLost)),
        (None, None) => all.push(need(EntryId::MIN, true, None, Holding::Missing)),
        (None, Some(_)) => {}
    }
    if let Some(group) = group.filter(|_| !ours) {
        all.push(need(group.cursor, false, Some(group.cursor), Holding::Behind));
        if let Some(oldest) = group.pending.first() {
            all.push(need(*oldest, true, Some(group.cursor), Holding::Pending));
        }
    }
    Ok(all)
}
