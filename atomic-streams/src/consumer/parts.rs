//! State as the server has it, read part by part under one head.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::attach::Trouble;
use super::restore::damaged;
use super::unread::Unread;
use super::{Settings, ending};
use crate::error::{Error, ErrorKind};
use crate::persist::{CollectionKind, MAX_PART_BYTES, MAX_PART_ENTRIES, StateError, Stored};
use crate::protocol::{Failure, Owned, Parking, Permanent, Step, StepReply};
use crate::store::{Link, Scanned, StoreError};

/// Entries that the first part takes, before their size is known.
const FIRST_PART: usize = 16;

/// What the record says of the state.
pub(super) struct Record {
    pub values: BTreeMap<String, Vec<u8>>,
    /// How many entries each collection has; those that were never finished are missing.
    pub sizes: BTreeMap<String, u64>,
    /// By what keys are parked, if any are.
    pub parked_by: Vec<u8>,
}

/// Reads what belongs to the head that was attached, and keeps the lease meanwhile.
pub(super) struct Reading<'a> {
    link: &'a mut dyn Link,
    owned: &'a Owned,
    renew_every: Duration,
    lease: Duration,
    renewed: Instant,
    shutdown: &'a CancellationToken,
    unread: Unread,
    stop_at_trimmed: bool,
}

/// How far a collection is read.
pub(super) struct Parts<'a> {
    kind: CollectionKind,
    name: &'a str,
    /// The key, for people.
    key: String,
    cursor: Option<String>,
    count: usize,
    is_done: bool,
}

impl<'a> Parts<'a> {
    pub fn new(kind: CollectionKind, name: &'a str, key: String) -> Self {
        Self { kind, name, key, cursor: None, count: FIRST_PART, is_done: false }
    }
}

impl<'a> Reading<'a> {
    /// The lease was taken just now.
    pub fn new(
        link: &'a mut dyn Link,
        owned: &'a Owned,
        settings: &Settings,
        shutdown: &'a CancellationToken,
        unread: Unread,
    ) -> Self {
        let Settings { timing, permissions, .. } = settings;
        Self {
            link,
            owned,
            renew_every: timing.renew_every(),
            lease: timing.lease,
            renewed: Instant::now(),
            shutdown,
            unread,
            stop_at_trimmed: permissions.stop_at_trimmed,
        }
    }

    /// Plain fields and the sizes of collections.
    pub async fn record(&mut self, stored: &Stored) -> Result<Record, Trouble> {
        let mut names: Vec<String> = stored
            .fields
            .iter()
            .map(|(name, type_name)| match CollectionKind::of_type(type_name) {
                Some(_) => format!("@size:{name}"),
                None => name.clone(),
            })
            .collect();
        names.extend([format!("@size:{}", Parking::FIELD), Parking::BY.to_owned()]);
        let loaded = self.link.load(&names).await?;
        let loaded = loaded.filter(|loaded| loaded.head == self.owned.head).ok_or_else(changed)?;
        let mut record = Record { values: BTreeMap::new(), sizes: BTreeMap::new(), parked_by: Vec::new() };
        for (name, value) in names.into_iter().zip(loaded.values) {
            let Some(value) = value else { continue };
            match name.strip_prefix("@size:") {
                Some(collection) => {
                    let size = std::str::from_utf8(&value).ok().and_then(|size| size.parse().ok());
                    let size =
                        size.ok_or_else(|| damaged(StateError::new(format!("the record's {name} is no number"))))?;
                    record.sizes.insert(collection.to_owned(), size);
                }
                None if name == Parking::BY => record.parked_by = value,
                None => {
                    record.values.insert(name, value);
                }
            }
        }
        Ok(record)
    }

    /// The next part of a collection that must hold `size` entries.
    pub async fn part(&mut self, parts: &mut Parts<'_>, size: u64) -> Result<Option<Scanned>, Trouble> {
        if parts.is_done {
            return Ok(None);
        }
        if self.shutdown.is_cancelled() {
            return Err(StoreError::unexpected("it is not waited for: shutdown has begun").into());
        }
        self.keep_lease().await?;
        let part = self.link.scan(parts.kind, parts.name, parts.cursor.as_deref(), parts.count).await;
        let part = part.map_err(|error| match error.failure {
            Failure::Permanent(Permanent::WrongType) => Trouble::Stop(wrong_type(parts, error)),
            _ => Trouble::Store(error),
        })?;
        if part.head.as_ref() != Some(&self.owned.head) {
            return Err(changed().into());
        }
        if part.total != size {
            return Err(damaged(StateError::new(format!(
                "the key `{}` holds {} entries, and the record says that there are {size}",
                parts.key, part.total
            )))
            .into());
        }
        let bytes: usize = part.entries.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        if let Some(each) = bytes.checked_div(part.entries.len()) {
            parts.count = (MAX_PART_BYTES / each.max(1)).clamp(1, MAX_PART_ENTRIES);
        }
        parts.cursor.clone_from(&part.cursor);
        parts.is_done = parts.cursor.is_none();
        Ok(Some(part))
    }

    /// What is read may take longer than the lease lasts.
    async fn keep_lease(&mut self) -> Result<(), Trouble> {
        if self.renewed.elapsed() < self.renew_every {
            return Ok(());
        }
        let renew = Step::Renew { lease_ms: self.lease.as_millis() as u64, stop_at_trimmed: self.stop_at_trimmed };
        match self.link.send(self.owned.head.token.as_str(), &[renew]).await.into_iter().next() {
            Some(Ok(StepReply::Renewed(renewed))) => {
                self.unread.renewed(&renewed);
                self.renewed = Instant::now();
                Ok(())
            }
            Some(Ok(StepReply::Trimmed(hole))) => Err(ending::trimmed(hole).into()),
            Some(Err(error)) => Err(error.into()),
            _ => Err(changed().into()),
        }
    }
}

/// A cursor means nothing to another server, which may have answered in between.
pub(super) fn missed(key: &str, read: u64, entries: u64) -> StoreError {
    StoreError::unexpected(&format!("{read} of the {entries} entries of `{key}` were read"))
}

fn changed() -> StoreError {
    StoreError::unexpected("the record changed while it was read")
}

fn wrong_type(parts: &Parts<'_>, error: StoreError) -> Error {
    let Parts { kind, name, key, .. } = parts;
    let words = format!(
        "the key `{key}`, which keeps the {kind} `{name}`, holds another type than a hash: restore it from a backup, or delete \
         it together with the record to start anew"
    );
    Error::new(ErrorKind::WrongType, words).with_source(error)
}
