//! From what is stored to what the handler holds, and what must be written before its first entry.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tracing::{debug, info};

use super::Worker;
use super::attach::Trouble;
use super::hold::guard;
use super::parts::{Parts, Reading, Record, missed};
use super::unread::Unread;
use crate::error::{Error, ErrorKind};
use crate::handler::Handler;
use crate::persist::{
    Changes, CollectionChanges, CollectionKind, EntryChanges, MAX_ENTRY_CHANGES, MAX_PART_BYTES, MAX_PART_ENTRIES,
    Plan, Restored, Source, StateError, Stored, StoredEntry, plain_value,
};
use crate::protocol::{Commit, Owned, Parking, Sequencer};
use crate::store::Link;
use crate::targets;

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
        let shutdown = self.shutdown.clone();
        let mut reading =
            Reading::new(link, owned, &self.settings, &shutdown, Unread::new(&self.settings, &self.shared));
        let mut record = reading.record(&stored).await?;
        self.restore_parked(&mut reading, &record).await?;
        if plan.migrate.is_some() {
            self.add_plain_values(&mut reading, &plan, &stored, &mut record).await?;
        }
        let values = guard("the migration", || plan.apply(&self.schema, stored.version, record.values))
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(unmigrated)?;
        let mut restored = Vec::with_capacity(values.len());
        for (index, (source, value)) in plan.sources.iter().zip(values).enumerate() {
            restored.push(match (source, value) {
                (_, Some(value)) => Restored::Value(value),
                (Source::Entries(name), None) if record.sizes.contains_key(name) => {
                    self.fill(&mut reading, index, name, record.sizes[name]).await?;
                    Restored::Filled
                }
                (_, None) => Restored::Default,
            });
        }
        guard("restoring the state", || self.snapshot.restore(&mut self.handler, &restored, &self.initial))
            .unwrap_or_else(|panic| Err(StateError::new(panic)))
            .map_err(if stored.is_from_outside() { Stored::unfit } else { damaged })?;

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
        debug!(
            name: "state.completed",
            target: targets::STATE,
            stream = self.stream(),
            group = self.group(),
            "the record gets all fields of this handler"
        );
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
            let replaced = record.sizes.contains_key(name)
                && stored.fields.get(name).is_some_and(|of| CollectionKind::of_type(of) == Some(kind));
            last.collections.push(match replaced {
                true => replace_at_once(kind, name, entries)?,
                false => write_whole(&mut opening, &mut sequencer, kind, name, entries),
            });
        }
        let mut deleted: Vec<String> = plan.stale.into_iter().collect();
        for (kind, name) in plan.stale_collections {
            // A collection of another kind may have come in its place, and its size.
            if last.collections.iter().all(|collection| collection.field != name) {
                deleted.push(format!("@size:{name}"));
            }
            let changes = EntryChanges { cleared: true, ..EntryChanges::default() };
            last.collections.push(CollectionChanges { kind, field: name.into(), changes, before: None, after: None });
        }
        opening.push(sequencer.nothing(last, deleted));
        Ok((opening, sequencer))
    }

    /// Reads a collection into field `index`.
    async fn fill(&mut self, reading: &mut Reading<'_>, index: usize, name: &str, entries: u64) -> Result<(), Trouble> {
        let started = Instant::now();
        let field = self.schema.fields()[index].name();
        let Some(kind) = self.schema.fields()[index].collection_kind() else { return Ok(()) };
        let key = self.settings.subscription.collection(kind, name);
        let damaged = |error: StateError| damaged(error.in_field(field));
        if let Some(collection) = self.handler.collection(index) {
            collection.reset();
        }
        let mut parts = Parts::new(kind, name, key.clone());
        while let Some(part) = reading.part(&mut parts, entries).await? {
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
            // Either the server answered for another one in between, or different bytes are one key: then it stays so.
            let mut parts = Parts::new(kind, name, key.clone());
            let mut keys = BTreeSet::new();
            while let Some(part) = reading.part(&mut parts, entries).await? {
                keys.extend(part.entries.into_iter().map(|(key, _)| key));
            }
            if keys.len() as u64 != entries {
                return Err(missed(&key, held, entries).into());
            }
            let problem =
                format!("{entries} entries of the key `{key}` are {held} different ones: some have equal keys");
            return Err(damaged(StateError::new(problem)).into());
        }
        info!(
            name: "state.restored",
            target: targets::STATE,
            stream = self.stream(),
            group = self.group(),
            field,
            entries,
            took = ?started.elapsed(),
            "collection restored"
        );
        Ok(())
    }

    /// Takes up the keys that are parked.
    async fn restore_parked(&mut self, reading: &mut Reading<'_>, record: &Record) -> Result<(), Trouble> {
        self.parking.reset();
        let Some(keys) = record.sizes.get(Parking::FIELD).copied().filter(|keys| *keys > 0) else { return Ok(()) };
        if !self.parking.keeps(&record.parked_by) {
            return Err(parked_otherwise(keys, &record.parked_by).into());
        }
        let key = self.settings.subscription.collection(Parking::KIND, Parking::FIELD);
        let mut parts = Parts::new(Parking::KIND, Parking::FIELD, key.clone());
        while let Some(part) = reading.part(&mut parts, keys).await? {
            for (parked, entry) in part.entries {
                if !self.parking.put(parked, &entry) {
                    return Err(damaged(StateError::new(format!("the key `{key}` holds what is no entry's ID"))).into());
                }
            }
        }
        let held = self.parking.len() as u64;
        if held != keys {
            return Err(missed(&key, held, keys).into());
        }
        info!(
            name: "key.restored",
            target: targets::KEY,
            stream = self.stream(),
            group = self.group(),
            keys,
            "keys are parked behind dead letters"
        );
        Ok(())
    }

    /// Lets a migration see the collections that it may change as the plain values that they would be.
    async fn add_plain_values(
        &mut self,
        reading: &mut Reading<'_>,
        plan: &Plan,
        stored: &Stored,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        for (name, type_name) in &stored.fields {
            let (Some(kind), Some(size)) = (CollectionKind::of_type(type_name), record.sizes.get(name)) else {
                continue;
            };
            if plan.sources.contains(&Source::Entries(name.clone())) {
                continue;
            }
            let key = self.settings.subscription.collection(kind, name);
            let mut entries = BTreeMap::new();
            let mut parts = Parts::new(kind, name, key.clone());
            while let Some(part) = reading.part(&mut parts, *size).await? {
                entries.extend(part.entries);
            }
            if entries.len() as u64 != *size {
                return Err(missed(&key, entries.len() as u64, *size).into());
            }
            let value =
                plain_value(kind, entries.into_iter().collect()).map_err(|error| damaged(error.in_field(name)))?;
            record.values.insert(name.clone(), value);
        }
        Ok(())
    }
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
        if part.set.len() == MAX_PART_ENTRIES || bytes >= MAX_PART_BYTES {
            let written = before.unwrap_or(0) + part.set.len() as u64;
            let collections = vec![change(std::mem::take(&mut part), before, None)];
            opening.push(sequencer.nothing(Changes { fields: Vec::new(), collections }, Vec::new()));
            (bytes, before) = (0, Some(written));
        }
    }
    change(part, before, Some(total))
}

/// The change that writes a collection in place of one under the same key, which is there until then: in the last step alone.
fn replace_at_once(
    kind: CollectionKind,
    name: &'static str,
    set: Vec<StoredEntry>,
) -> Result<CollectionChanges, Error> {
    let total = set.len();
    if total > MAX_ENTRY_CHANGES {
        return Err(Error::new(
            ErrorKind::SchemaMismatch,
            format!(
                "the migration changes collection `{name}` in place, which has {total} entries, and at most {MAX_ENTRY_CHANGES} can \
                 be replaced by one step: give the new one another name, and list the old one in `removed`"
            ),
        ));
    }
    let changes = EntryChanges { cleared: true, set, removed: Vec::new() };
    Ok(CollectionChanges { kind, field: Cow::Borrowed(name), changes, before: None, after: Some(total as u64) })
}

/// A record with keys whose order this consumer would not keep.
fn parked_otherwise(keys: u64, by: &[u8]) -> Error {
    let by = String::from_utf8_lossy(by);
    Error::new(
        ErrorKind::InvalidConfig,
        format!(
            "{keys} keys of this subscription are parked (in {by}), and their order would be lost: run it with `OnFailure::park` and \
             that dead-letter stream and field until `DeadLetters::unpark` has unparked them"
        ),
    )
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
