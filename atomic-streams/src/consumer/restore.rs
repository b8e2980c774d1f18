//! From what is stored to what the handler holds, and what must be written before its first entry.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::Worker;
use super::attach::Trouble;
use super::hold::guard;
use crate::error::{Error, ErrorKind};
use crate::handler::Handler;
use crate::persist::{
    Changes, CollectionChanges, CollectionKind, EntryChanges, Plan, Restored, Source, StateError, Stored, StoredEntry,
    plain_value,
};
use crate::protocol::{Commit, Owned, Sequencer, Step, StepReply};
use crate::store::{Link, Scanned, StoreError};

/// Entries of a collection that one script reads or writes at most: well below 10 ms of the server's time.
const MAX_PART: usize = 2_000;

/// Entries that the first part takes, before their size is known.
const FIRST_PART: usize = 16;

/// Bytes that a part should have at most.
const PART_BYTES: usize = 1 << 20;

/// What the record says of the state.
struct Record {
    values: BTreeMap<String, Vec<u8>>,
    /// How many entries each collection has; those that were never finished are missing.
    sizes: BTreeMap<String, u64>,
}

impl<H: Handler> Worker<H> {
    /// Reads the state that belongs to the head and puts it into the handler. Returns what the first steps must write.
    pub(super) async fn restore(
        &mut self,
        link: &mut dyn Link,
        owned: &Owned,
    ) -> Result<(Vec<Commit>, Sequencer), Trouble> {
        let own = self.schema.text();
        let accepted = self.attaching.accepted_schema().to_owned();
        let (plan, stored) = self.plan(&accepted)?;
        let mut record = load(link, owned, &stored).await?;
        if plan.migrate.is_some() {
            self.add_plain_values(link, owned, &plan, &stored, &mut record).await?;
        }
        let values = guard("the migration", || plan.apply(&self.schema, stored.version, record.values))
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(unmigrated)?;
        let mut restored = Vec::with_capacity(values.len());
        for (index, (source, value)) in plan.sources.iter().zip(values).enumerate() {
            restored.push(match (source, value) {
                (Source::Entries(name), _) if record.sizes.contains_key(name) => {
                    self.fill(link, owned, index, name, record.sizes[name]).await?;
                    Restored::Filled
                }
                (_, Some(value)) => Restored::Value(value),
                (_, None) => Restored::Default,
            });
        }
        guard("restoring the state", || self.snapshot.restore(&mut self.handler, &restored, &self.initial))
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(damaged)?;

        let mut sequencer = Sequencer::new(owned);
        let fields = self.schema.fields();
        let in_place = |index: usize, field: &str| match (&restored[index], &plan.sources[index]) {
            (Restored::Filled, Source::Entries(name)) => name == field,
            (Restored::Value(_), Source::Value(name)) => name == field && fields[index].collection_kind().is_none(),
            _ => false,
        };
        let is_complete = plan.is_plain()
            && accepted == own
            && fields.iter().enumerate().all(|(index, field)| in_place(index, field.name()));
        if is_complete {
            return Ok((Vec::new(), sequencer));
        }
        debug!(stream = self.stream(), group = self.group(), "the record gets all fields of this handler");
        let mut opening = Vec::new();
        let mut last = Changes { fields: self.snapshot.all(), collections: Vec::new() };
        last.fields.push(("@schema", own.into_bytes()));
        let collections: Vec<_> = fields
            .iter()
            .enumerate()
            .filter_map(|(index, field)| Some((index, field.collection_kind()?, field.name())))
            .filter(|(index, _, name)| !in_place(*index, name))
            .collect();
        for (index, kind, name) in collections {
            let entries = guard("encoding the state", || {
                self.handler.collection(index).map_or_else(|| Ok(Vec::new()), |collection| collection.all())
            });
            let entries = entries
                .unwrap_or_else(|panic| Err(StateError::new(panic)))
                .map_err(|error| damaged(error.in_field(name)))?;
            last.collections.push(write_whole(&mut opening, &mut sequencer, kind, name, entries));
        }
        let mut deleted: Vec<String> = plan.stale.into_iter().collect();
        for (kind, name) in plan.stale_collections {
            deleted.push(format!("@size:{name}"));
            let changes = EntryChanges { cleared: true, ..EntryChanges::default() };
            last.collections.push(CollectionChanges { kind, field: name.into(), changes, before: None, after: None });
        }
        opening.push(sequencer.nothing(last, deleted));
        Ok((opening, sequencer))
    }

    /// Reads a collection into field `index`.
    async fn fill(
        &mut self,
        link: &mut dyn Link,
        owned: &Owned,
        index: usize,
        name: &str,
        entries: u64,
    ) -> Result<(), Trouble> {
        let started = Instant::now();
        let field = self.schema.fields()[index].name();
        let Some(kind) = self.schema.fields()[index].collection_kind() else { return Ok(()) };
        let key = self.settings.subscription.collection(kind, name);
        let damaged = |error: StateError| damaged(error.in_field(field));
        if let Some(collection) = self.handler.collection(index) {
            collection.reset();
        }
        let mut parts = Parts::new(self.settings.timing.renew_every(), self.settings.timing.lease);
        while let Some(part) = parts.next(link, owned, kind, name).await? {
            if part.total != entries {
                return Err(miscounted(&key, part.total, entries).into());
            }
            guard("restoring the state", || {
                let Some(collection) = self.handler.collection(index) else { return Ok(()) };
                part.entries.iter().try_for_each(|(key, value)| collection.put(key, value))
            })
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(damaged)?;
        }
        let held = guard("restoring the state", || {
            let Some(collection) = self.handler.collection(index) else { return Ok(entries) };
            collection.complete(entries)?;
            Ok(collection.stored_len())
        });
        let held = held.unwrap_or_else(|panic| Err(StateError::new(panic))).map_err(damaged)?;
        if held != entries {
            // A cursor means nothing to another server, which may have answered in between.
            return Err(StoreError::unexpected(&format!("{held} of the {entries} entries of `{key}` were read")).into());
        }
        info!(stream = self.stream(), group = self.group(), field, entries, took = ?started.elapsed(), "collection restored");
        Ok(())
    }

    /// Lets a migration see the collections that it may change as the plain values that they would be.
    async fn add_plain_values(
        &mut self,
        link: &mut dyn Link,
        owned: &Owned,
        plan: &Plan,
        stored: &Stored,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        for (name, type_name) in &stored.fields {
            let Some(kind) = CollectionKind::of_type(type_name) else { continue };
            if plan.sources.contains(&Source::Entries(name.clone())) || !record.sizes.contains_key(name) {
                continue;
            }
            let mut entries = BTreeMap::new();
            let mut parts = Parts::new(self.settings.timing.renew_every(), self.settings.timing.lease);
            while let Some(part) = parts.next(link, owned, kind, name).await? {
                entries.extend(part.entries);
            }
            let (found, size) = (entries.len() as u64, record.sizes[name]);
            if found != size {
                return Err(miscounted(&self.settings.subscription.collection(kind, name), found, size).into());
            }
            let value =
                plain_value(kind, entries.into_iter().collect()).map_err(|error| damaged(error.in_field(name)))?;
            record.values.insert(name.clone(), value);
        }
        Ok(())
    }
}

/// Reads the parts of a collection one after the other, keeping the lease meanwhile.
struct Parts {
    cursor: Option<String>,
    count: usize,
    is_done: bool,
    renew_every: Duration,
    lease: Duration,
    renewed: Instant,
}

impl Parts {
    fn new(renew_every: Duration, lease: Duration) -> Self {
        Self { cursor: None, count: FIRST_PART, is_done: false, renew_every, lease, renewed: Instant::now() }
    }

    /// The next part; it belongs to the head that was attached.
    async fn next(
        &mut self,
        link: &mut dyn Link,
        owned: &Owned,
        kind: CollectionKind,
        name: &str,
    ) -> Result<Option<Scanned>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        if self.renewed.elapsed() >= self.renew_every {
            let renew = Step::Renew { lease_ms: self.lease.as_millis() as u64 };
            match link.send(owned.head.token.as_str(), &[renew]).await.into_iter().next() {
                Some(Ok(StepReply::Renewed(_))) => self.renewed = Instant::now(),
                Some(Err(error)) => return Err(error),
                _ => return Err(changed()),
            }
        }
        let part = link.scan(kind, name, self.cursor.as_deref(), self.count).await?;
        if part.head.as_ref() != Some(&owned.head) {
            return Err(changed());
        }
        let bytes: usize = part.entries.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        if let Some(each) = bytes.checked_div(part.entries.len()) {
            self.count = (PART_BYTES / each.max(1)).clamp(1, MAX_PART);
        }
        self.cursor = part.cursor.clone();
        self.is_done = self.cursor.is_none();
        Ok(Some(part))
    }
}

/// Reads plain fields and the sizes of collections.
async fn load(link: &mut dyn Link, owned: &Owned, stored: &Stored) -> Result<Record, Trouble> {
    let names: Vec<String> = stored
        .fields
        .iter()
        .map(|(name, type_name)| match CollectionKind::of_type(type_name) {
            Some(_) => format!("@size:{name}"),
            None => name.clone(),
        })
        .collect();
    let loaded = link.load(&names).await?.filter(|loaded| loaded.head == owned.head).ok_or_else(changed)?;
    let mut record = Record { values: BTreeMap::new(), sizes: BTreeMap::new() };
    for (name, value) in names.into_iter().zip(loaded.values) {
        let Some(value) = value else { continue };
        match name.strip_prefix("@size:") {
            Some(collection) => {
                let size = std::str::from_utf8(&value).ok().and_then(|size| size.parse().ok());
                let size = size.ok_or_else(|| damaged(StateError::new(format!("the record's {name} is no number"))))?;
                record.sizes.insert(collection.to_owned(), size);
            }
            None => {
                record.values.insert(name, value);
            }
        }
    }
    Ok(record)
}

/// Adds the steps that write a whole collection. Returns what the last step of all must do for it to be there: until then,
/// it counts as not written.
fn write_whole(
    opening: &mut Vec<Commit>,
    sequencer: &mut Sequencer,
    kind: CollectionKind,
    name: &'static str,
    entries: Vec<StoredEntry>,
) -> CollectionChanges {
    let total = entries.len() as u64;
    let change =
        |changes, before, after| CollectionChanges { kind, field: Cow::Borrowed(name), changes, before, after };
    let mut part = EntryChanges { cleared: true, ..EntryChanges::default() };
    let (mut bytes, mut before) = (0, None);
    for entry in entries {
        bytes += entry.0.len() + entry.1.len();
        part.set.push(entry);
        if part.set.len() == MAX_PART || bytes >= PART_BYTES {
            let written = before.unwrap_or(0) + part.set.len() as u64;
            let collections = vec![change(std::mem::take(&mut part), before, None)];
            opening.push(sequencer.nothing(Changes { fields: Vec::new(), collections }, Vec::new()));
            (bytes, before) = (0, Some(written));
        }
    }
    change(part, before, Some(total))
}

fn changed() -> StoreError {
    StoreError::unexpected("the record changed while it was read")
}

fn miscounted(key: &str, found: u64, size: u64) -> Error {
    damaged(StateError::new(format!(
        "the key `{key}` holds {found} entries, and the record says that there are {size}"
    )))
}

pub(super) fn damaged(error: StateError) -> Error {
    Error::new(
        ErrorKind::StateDamaged,
        format!(
            "the stored state cannot be used: {error}. Restore the record, and the collections beside it, from a backup, or delete them to start anew"
        ),
    )
    .with_source(error)
}

fn unmigrated(error: StateError) -> Error {
    let words = format!(
        "the stored state could not be brought to this version and is as it was: {error}. Correct the migration"
    );
    Error::new(ErrorKind::SchemaMismatch, words).with_source(error)
}
