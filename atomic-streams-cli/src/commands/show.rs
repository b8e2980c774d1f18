//! `show`: all there is to know about one subscription.

use std::collections::BTreeMap;

use atomic_streams::EntryId;
use atomic_streams::admin::Inspection;
use serde::Serialize;

use crate::args;
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Cell, Hue, Look, Show, Standing, Table, bytes, count, time};

#[derive(Debug, Serialize)]
pub struct Subscription {
    #[serde(flatten)]
    standing: Standing,
    record: String,
    /// Takeovers so far.
    epoch: u64,
    position_time: Option<String>,
    stream_first_id: Option<String>,
    stream_last_id: String,
    /// Plain fields of the state.
    fields: Vec<String>,
    /// Its collections, and how many entries each has.
    collections: BTreeMap<String, u64>,
    created: String,
    memory_bytes: Option<u64>,
    trying: Option<Trying>,
    #[serde(skip)]
    found: Inspection,
}

/// An entry that is suspected of killing its consumers.
#[derive(Debug, Serialize)]
struct Trying {
    entry: String,
    crashes: u32,
}

pub async fn run(server: &Server, args: &args::Subscription) -> Result<Subscription, Failure> {
    let found = server.admin()?.inspect(&args.stream, &args.group).await?;
    Ok(Subscription {
        standing: Standing::of(&found),
        record: found.record.clone(),
        epoch: found.epoch,
        position_time: (found.position != EntryId::MIN).then(|| time::rfc3339(found.position.ms)),
        stream_first_id: found.first_id.map(|id| id.to_string()),
        stream_last_id: found.last_id.to_string(),
        fields: found.fields.clone(),
        collections: found.collections.clone(),
        created: time::rfc3339(found.created_ms),
        memory_bytes: found.memory_bytes,
        trying: found.trying.map(|(entry, crashes)| Trying { entry: entry.to_string(), crashes }),
        found,
    })
}

impl Show for Subscription {
    fn text(&self, look: &Look) -> String {
        let (found, standing) = (&self.found, &self.standing);
        let mut table = Table::new(&[]);
        let mut say = |name: &str, cell: Cell| table.row([Cell::in_color(name, Hue::Dim), cell]);
        say("stream", Cell::plain(&standing.stream));
        say("group", Cell::plain(&standing.group));
        say("owner", Cell::plain(&standing.owner));
        say("lease", standing.lease_in_full());
        say("takeovers", Cell::plain(found.epoch));
        say("position", Cell::plain(place(found.position, look)));
        say("processed", Cell::plain(count(found.processed, "entry", "entries")));
        say("lag", Cell::plain(lag(found)));
        say("stream holds", Cell::plain(holds(found, look)));
        let fields: Vec<&str> = found.fields.iter().map(String::as_str).collect();
        say("fields", Cell::plain(or_none(fields.join(", "))));
        let sizes =
            found.collections.iter().map(|(name, size)| format!("{name} ({})", count(*size, "entry", "entries")));
        say("collections", Cell::plain(or_none(sizes.collect::<Vec<_>>().join(", "))));
        say("parked keys", Cell::plain(found.parked_keys));
        if let Some((entry, crashes)) = found.trying {
            let words = format!("entry {entry}: {} did not come back", count(crashes.into(), "try", "tries"));
            say("suspected", Cell::in_color(words, Hue::Bad));
        }
        say("record", Cell::plain(bytes::text(found.record.as_bytes())));
        if let Some(memory) = found.memory_bytes {
            say("memory", Cell::plain(format!("{memory} bytes, without collections")));
        }
        say("made", Cell::plain(time::with_age(found.created_ms, look.now_ms)));
        table.text(look)
    }
}

/// An ID, and the time in it.
fn place(id: EntryId, look: &Look) -> String {
    match id {
        EntryId::MIN => format!("{id}, the start"),
        // Where somebody has asked for a time.
        EntryId { ms, seq: u64::MAX } => format!("{id}, before {}", time::with_age(ms.saturating_add(1), look.now_ms)),
        id => format!("{id}, of {}", time::with_age(id.ms, look.now_ms)),
    }
}

fn lag(found: &Inspection) -> String {
    let entries = match found.lag {
        Some(lag) => count(lag, "entry", "entries"),
        None => format!("unknown, at most {}", count(found.length, "entry", "entries")),
    };
    match found.lag_ms {
        Some(ms) => format!("{entries}, the oldest waits for {}", time::span(ms)),
        None => entries,
    }
}

fn holds(found: &Inspection, look: &Look) -> String {
    let entries = count(found.length, "entry", "entries");
    match found.first_id {
        Some(first) => format!("{entries}, from {} on; the last ID is {}", place(first, look), found.last_id),
        None => format!("{entries}; the last ID is {}", found.last_id),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
