//! One stream with its groups, and the commands that change it.

use std::collections::{BTreeMap, BTreeSet};

use super::entries::Entries;
use super::keys::ErrorReply;
use crate::entry::{Entry, Fields};
use crate::id::EntryId;
use crate::staged::{Bound, Trim};

/// What a stream key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub entries: Entries,
    /// The highest ID that was ever given, also when its entry is gone.
    pub last_id: EntryId,
    /// Entries ever added, also those that are gone.
    pub added: u64,
    /// The highest ID that was deleted by name; trimming does not count.
    pub max_deleted: EntryId,
    pub groups: BTreeMap<String, Group>,
}

/// A consumer group, as far as an exclusive reader has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub cursor: EntryId,
    pub entries_read: Option<u64>,
    /// It holds the consumer by which a lost record is told from a new subscription.
    pub marked: bool,
    /// Entries that somebody has taken and not acknowledged.
    pub pending: BTreeSet<EntryId>,
}

impl Stream {
    pub fn length(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn has(&self, id: EntryId) -> bool {
        self.entries.get(id).is_some()
    }

    /// The last entry before this ID.
    pub fn last_before(&self, id: EntryId) -> Option<EntryId> {
        let before = self.entries.count_before(id).checked_sub(1)?;
        self.entries.iter().nth(before).map(|entry| entry.id)
    }

    /// The ID that `XADD … *` gives at this time: above the last one, whatever the clock says.
    pub fn next_id(&self, now_ms: u64) -> Result<EntryId, ErrorReply> {
        let last = self.last_id;
        if now_ms > last.ms {
            return Ok(EntryId::new(now_ms, 0));
        }
        match (last.seq.checked_add(1), last.ms.checked_add(1)) {
            (Some(seq), _) => Ok(EntryId::new(last.ms, seq)),
            (None, Some(ms)) => Ok(EntryId::new(ms, 0)),
            (None, None) => {
                Err(ErrorReply::new("ERR The stream has exhausted the last possible ID, unable to add more items"))
            }
        }
    }

    /// Whether `XADD` takes this ID.
    pub fn check_id(&self, id: EntryId) -> Result<(), ErrorReply> {
        if id == EntryId::MIN {
            Err(ErrorReply::new("ERR The ID specified in XADD must be greater than 0-0"))
        } else if id <= self.last_id {
            Err(ErrorReply::new("ERR The ID specified in XADD is equal or smaller than the target stream top item"))
        } else {
            Ok(())
        }
    }

    /// Adds an entry under an ID that was checked.
    pub fn append(&mut self, id: EntryId, fields: Fields) {
        self.entries.push(Entry { id, fields });
        self.last_id = id;
        self.added += 1;
    }

    /// `XDEL`. Whether the entry was there.
    pub fn delete(&mut self, id: EntryId) -> bool {
        let removed = self.entries.remove(id);
        if removed {
            self.max_deleted = self.max_deleted.max(id);
        }
        removed
    }

    /// `XTRIM`, to the bound itself also where a little more may be left.
    pub fn trim(&mut self, trim: Trim) {
        let surplus = match trim.bound {
            Bound::MaxLen(entries) => self.entries.len().saturating_sub(usize::try_from(entries).unwrap_or(usize::MAX)),
            Bound::MinId(id) => self.entries.count_before(id),
        };
        self.entries.remove_oldest(surplus);
    }

    /// `XGROUP SETID`, with `ENTRIESREAD` if that is known.
    pub fn set_cursor(
        &mut self,
        stream: &str,
        group: &str,
        cursor: EntryId,
        entries_read: Option<i64>,
    ) -> Result<(), ErrorReply> {
        let Some(held) = self.groups.get_mut(group) else {
            return Err(ErrorReply::new(format!("NOGROUP No such consumer group '{group}' for key name '{stream}'")));
        };
        held.entries_read = match entries_read {
            None | Some(-1) => None,
            Some(read) => {
                Some(read.try_into().map_err(|_| ErrorReply::new("ERR value for ENTRIESREAD must be positive or -1"))?)
            }
        };
        held.cursor = cursor;
        Ok(())
    }

    /// What `XINFO GROUPS` gives as the group's lag: entries that it has yet to read, where the server can tell.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let behind = |read: u64| i64::try_from(self.added).ok()?.checked_sub_unsigned(read);
        if self.added == 0 {
            return Some(0);
        }
        match group.entries_read {
            Some(read) if !self.has_tombstone_after(group.cursor) => behind(read),
            _ => behind(self.entries_up_to(group.cursor)?),
        }
    }

    /// Whether an entry that was deleted by name may lie at `id` or above it, among those that are left.
    fn has_tombstone_after(&self, id: EntryId) -> bool {
        self.entries.first().is_some_and(|first| first.id <= self.max_deleted) && id <= self.max_deleted
    }

    /// Entries ever added up to `id`, where the stream's counters tell.
    fn entries_up_to(&self, id: EntryId) -> Option<u64> {
        let Some(first) = self.entries.first() else {
            return (id <= self.last_id).then_some(self.added);
        };
        let gone = self.added - self.length();
        if id == self.last_id {
            Some(self.added)
        } else if id > self.last_id || self.max_deleted >= first.id {
            None
        } else if id < first.id {
            Some(gone)
        } else {
            (id == first.id).then_some(gone + 1)
        }
    }
}
