//! What a test does to the server, and sees of it, without a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use super::MemoryStore;
use super::faults::CommitFault;
use super::keys::{ErrorReply, Value};
use super::stream::Group;
use crate::entry::{Entry, Fields};
use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::protocol::{Failure, Subscription, Transient};
use crate::staged::Trim;
use crate::store::StoreError;

/// A consumer group, as `XINFO GROUPS` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// The last ID that was delivered, or that somebody has set.
    pub cursor: EntryId,
    /// Entries up to the cursor, counted from the stream's first one ever, where known.
    pub entries_read: Option<u64>,
    /// Entries behind the cursor, where known.
    pub lag: Option<i64>,
    /// Entries that were taken and not acknowledged.
    pub pending: u64,
}

/// A stream's counters, as `XINFO STREAM` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Entries that it has.
    pub length: u64,
    /// The last ID that was given.
    pub last_id: EntryId,
    /// Entries that were ever added.
    pub entries_added: u64,
}

/// Reading and changing keys by hand. Each change is one write; none of them sees faults.
impl MemoryStore {
    /// Adds an entry under an ID that the server gives, and returns that.
    ///
    /// A key that held something else than a stream is replaced. Where the last possible ID was given already, it stays
    /// as it is and that ID is returned.
    pub fn add(&self, stream: &str, fields: Fields) -> EntryId {
        self.shared.by_hand(|server| {
            let now_ms = server.now_ms();
            if server.keys.stream(stream).is_err() {
                server.keys.remove(stream);
            }
            server.keys.add(stream, fields, now_ms).unwrap_or(EntryId::new(u64::MAX, u64::MAX))
        })
    }

    /// Adds an entry under this ID.
    ///
    /// # Errors
    /// The ID is not above the stream's last one, or the key holds something else.
    pub fn add_with_id(&self, stream: &str, id: EntryId, fields: Fields) -> Result<(), Error> {
        let added: Result<(), StoreError> = self.shared.by_hand(|server| {
            if let Some(stream) = server.keys.stream(stream)? {
                stream.check_id(id)?;
            } else if id == EntryId::MIN {
                return Err(ErrorReply::new("ERR The ID specified in XADD must be greater than 0-0").into());
            }
            server.keys.make_stream(stream)?.append(id, fields);
            Ok(())
        });
        added.map_err(|error| {
            Error::new(ErrorKind::InvalidMessage, format!("cannot add to `{stream}`: {error}")).with_source(error)
        })
    }

    /// The entries that a stream has, oldest first.
    #[must_use]
    pub fn entries(&self, stream: &str) -> Vec<Entry> {
        match self.shared.server().keys.stream(stream) {
            Ok(Some(stream)) => stream.entries.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Deletes one entry. Whether it was there.
    pub fn delete_entry(&self, stream: &str, id: EntryId) -> bool {
        // What deletes nothing is no write.
        let is_there = self.shared.server().keys.stream(stream).is_ok_and(|held| held.is_some_and(|held| held.has(id)));
        is_there && self.change_stream(stream, |stream| stream.delete(id)).unwrap_or(false)
    }

    /// Trims a stream, always to the bound itself.
    pub fn trim(&self, stream: &str, trim: Trim) {
        self.change_stream(stream, |stream| stream.trim(trim));
    }

    /// Deletes a stream or a record. Whether it was there.
    pub fn delete_key(&self, key: &str) -> bool {
        self.shared.by_hand(|server| server.keys.remove(key))
    }

    /// Deletes everything.
    pub fn flush_all(&self) {
        self.shared.by_hand(|server| server.keys.clear());
    }

    /// Makes a key hold a string, whatever it held: neither a record nor a stream.
    pub fn put_wrong_type(&self, key: &str) {
        self.shared.by_hand(|server| server.keys.put(key, Value::Text(b"neither".to_vec())));
    }

    /// A stream's counters, if there is such a stream.
    #[must_use]
    pub fn stream(&self, stream: &str) -> Option<StreamInfo> {
        let server = self.shared.server();
        let stream = server.keys.stream(stream).ok()??;
        Some(StreamInfo { length: stream.length(), last_id: stream.last_id, entries_added: stream.added })
    }

    /// A group of a stream, if there is one.
    #[must_use]
    pub fn group(&self, stream: &str, group: &str) -> Option<GroupInfo> {
        let server = self.shared.server();
        let stream = server.keys.stream(stream).ok()??;
        let group = stream.groups.get(group)?;
        Some(GroupInfo {
            cursor: group.cursor,
            entries_read: group.entries_read,
            lag: stream.lag(group),
            pending: group.pending.len() as u64,
        })
    }

    /// Makes a group as another program would that has taken the first `pending` entries and not acknowledged them, on a stream
    /// that is made if it is not there.
    pub fn set_foreign_group(&self, stream: &str, group: &str, cursor: EntryId, pending: u64) {
        self.shared.by_hand(|server| {
            if let Ok(stream) = server.keys.make_stream(stream) {
                let first = usize::try_from(pending).unwrap_or(usize::MAX);
                let pending = stream.entries.iter().take(first).map(|entry| entry.id).collect();
                stream.groups.insert(group.into(), Group { cursor, pending, ..Group::default() });
            }
        });
    }

    /// Moves a group's cursor. Whether there is such a group.
    pub fn move_cursor(&self, stream: &str, group: &str, cursor: EntryId) -> bool {
        self.change_stream(stream, |held| held.set_cursor(stream, group, cursor, None).is_ok()).unwrap_or(false)
    }

    /// Removes a group. Whether it was there.
    pub fn destroy_group(&self, stream: &str, group: &str) -> bool {
        self.change_stream(stream, |stream| stream.groups.remove(group).is_some()).unwrap_or(false)
    }

    fn change_stream<T>(&self, stream: &str, change: impl FnOnce(&mut super::stream::Stream) -> T) -> Option<T> {
        self.shared.by_hand(|server| server.keys.change_stream(stream).ok().flatten().map(change))
    }
}

/// What can go wrong, and the server's clock.
impl MemoryStore {
    /// The server refuses the next commit for a passing reason; nothing of it is applied. Called twice, the next two.
    pub fn fail_next_commit(&self) {
        self.fail_next_commit_with(Failure::Transient(Transient::Other));
    }

    /// The next commit is applied, and its connection breaks before the reply.
    pub fn lose_next_reply(&self) {
        self.shared.server().faults.commits.push_back(CommitFault::LoseReply);
    }

    /// The server forgets its newest writes, of all keys together, while the connections stay open: what a failover to a
    /// lagging replica does. Returns how many were lost; it remembers the newest 10,000 at most.
    ///
    /// A write is one change by hand, one attach, commit, renewal or release.
    pub fn lose_newest_writes(&self, writes: usize) -> usize {
        let lost = {
            let mut server = self.shared.server();
            let server = &mut *server;
            server.history.take_back(writes, &mut server.keys)
        };
        self.shared.changed.notify_waiters();
        lost
    }

    /// How many writes [`lose_newest_writes`](Self::lose_newest_writes) can take back.
    #[must_use]
    pub fn remembered_writes(&self) -> usize {
        self.shared.server().history.len()
    }

    /// Every connection that there is now is broken.
    pub fn cut_connections(&self) {
        self.shared.server().cut_connections();
        self.shared.changed.notify_waiters();
    }

    /// While this is set, the server cannot be reached: every call fails and breaks its connection.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.shared.server().faults.unavailable = unavailable;
        self.shared.changed.notify_waiters();
    }

    /// While this is set, the server refuses what needs memory; renewing and releasing a lease do not.
    pub fn set_out_of_memory(&self, out_of_memory: bool) {
        self.shared.server().faults.out_of_memory = out_of_memory;
    }

    /// The server's clock goes forward by this.
    pub fn advance_clock(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let mut server = self.shared.server();
        server.clock_offset_us = server.clock_offset_us.saturating_add(by);
    }

    /// The server's clock is so many milliseconds ahead of the real one, or behind it.
    pub fn set_clock_offset(&self, ms: i64) {
        self.shared.server().clock_offset_us = ms.saturating_mul(1_000);
    }
}

/// For this crate and its own tests, with types that are not public.
#[doc(hidden)]
impl MemoryStore {
    /// The fields of a subscription's record, if there is one.
    #[must_use]
    pub fn record(&self, subscription: &Subscription) -> Option<BTreeMap<String, Vec<u8>>> {
        let server = self.shared.server();
        let record = server.keys.hash(subscription.record()).ok()??;
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Some(record.iter().map(|(name, value)| (text(name), value.to_vec())).collect())
    }

    /// The entries of a hash.
    #[must_use]
    pub fn hash(&self, key: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let server = self.shared.server();
        let hash = server.keys.hash(key).ok().flatten().into_iter().flatten();
        hash.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Writes a field of a subscription's record.
    pub fn set_record_field(&self, subscription: &Subscription, name: &str, value: &[u8]) {
        // A record of another type stays as it is.
        let _ = self.shared.by_hand(|server| server.keys.set_fields(subscription.record(), [(name, value)]));
    }

    /// The server answers the next commit with this; nothing of it is applied.
    pub fn fail_next_commit_with(&self, failure: Failure) {
        self.shared.server().faults.commits.push_back(CommitFault::Refuse(failure));
    }

    /// Adds an entry as a client would.
    pub fn publish(&self, stream: &str, fields: &Fields) -> Result<EntryId, StoreError> {
        self.shared.by_hand(|server| {
            server.faults.check_connection(u64::MAX)?;
            server.faults.check_memory()?;
            let now_ms = server.now_ms();
            Ok(server.keys.add(stream, fields.clone(), now_ms)?)
        })
    }
}
