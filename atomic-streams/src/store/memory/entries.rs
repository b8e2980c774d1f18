//! The entries of a stream, in order, cheap to copy: what an older state shares with a newer one is kept once.

use std::sync::Arc;

use crate::entry::Entry;
use crate::id::EntryId;

/// Entries that are copied together when one of them changes.
const CHUNK: usize = 128;

/// Entries in the order of their IDs. No chunk is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    chunks: Vec<Arc<Chunk>>,
    len: usize,
}

type Chunk = Vec<Arc<Entry>>;

impl Entries {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn first(&self) -> Option<&Entry> {
        Some(self.chunks.first()?.first()?)
    }

    pub fn last(&self) -> Option<&Entry> {
        Some(self.chunks.last()?.last()?)
    }

    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(id))?;
        let index = chunk.binary_search_by_key(&id, |entry| entry.id).ok()?;
        chunk.get(index).map(|entry| &**entry)
    }

    /// The entries with IDs above `id`.
    pub fn after(&self, id: EntryId) -> impl Iterator<Item = &Entry> {
        let chunks = &self.chunks[self.chunks.partition_point(|chunk| last_id(chunk) <= Some(id))..];
        let skip = chunks.first().map_or(0, |chunk| chunk.partition_point(|entry| entry.id <= id));
        chunks.iter().flat_map(|chunk| chunk.iter()).skip(skip).map(|entry| &**entry)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|entry| &**entry)
    }

    /// Adds an entry whose ID is above all others.
    pub fn push(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        self.len += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(entry),
            _ => self.chunks.push(Arc::new(vec![entry])),
        }
    }

    /// Whether the entry was there.
    pub fn remove(&mut self, id: EntryId) -> bool {
        let at = self.chunk_of(id);
        let Some(chunk) = self.chunks.get_mut(at) else { return false };
        let Ok(index) = chunk.binary_search_by_key(&id, |entry| entry.id) else { return false };
        if chunk.len() == 1 {
            self.chunks.remove(at);
        } else {
            Arc::make_mut(chunk).remove(index);
        }
        self.len -= 1;
        true
    }

    /// How many entries have IDs below `id`.
    pub fn count_before(&self, id: EntryId) -> usize {
        let at = self.chunk_of(id);
        let whole: usize = self.chunks[..at].iter().map(|chunk| chunk.len()).sum();
        whole + self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|entry| entry.id < id))
    }

    /// Removes the `count` oldest entries.
    pub fn remove_oldest(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        let mut whole = 0;
        for chunk in &mut self.chunks {
            if left < chunk.len() {
                if left > 0 {
                    Arc::make_mut(chunk).drain(..left);
                }
                break;
            }
            left -= chunk.len();
            whole += 1;
        }
        self.chunks.drain(..whole);
    }

    /// The number of the first chunk that may hold `id`.
    fn chunk_of(&self, id: EntryId) -> usize {
        self.chunks.partition_point(|chunk| last_id(chunk) < Some(id))
    }
}

fn last_id(chunk: &Chunk) -> Option<EntryId> {
    chunk.last().map(|entry| entry.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Fields;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn ids(entries: impl Iterator<Item = impl std::borrow::Borrow<Entry>>) -> Vec<u64> {
        entries.map(|entry| entry.borrow().id.ms).collect()
    }

    fn filled(count: u64) -> Entries {
        let mut entries = Entries::default();
        for ms in 1..=count {
            entries.push(Entry { id: id(ms), fields: Fields::new() });
        }
        entries
    }

    #[test]
    fn it_does_what_a_plain_list_does() {
        let mut entries = filled(1_000);
        let mut plain: Vec<u64> = (1..=1_000).collect();
        for ms in [1, 128, 129, 256, 500, 500, 999, 1_000, 7_777] {
            assert_eq!(entries.remove(id(ms)), plain.contains(&ms), "{ms}");
            plain.retain(|each| *each != ms);
        }
        for count in [0, 1, 126, 127, 128, 300] {
            entries.remove_oldest(count);
            plain.drain(..count);
            assert_eq!(ids(entries.iter()), plain);
            assert_eq!(entries.len(), plain.len());
            assert_eq!(entries.first().map(|entry| entry.id.ms), plain.first().copied());
            assert_eq!(entries.last().map(|entry| entry.id.ms), plain.last().copied());
        }
        for ms in [0, 1, 600, 700, 768, 769, 998, 999, 1_001] {
            assert_eq!(ids(entries.after(id(ms))), plain.iter().copied().filter(|each| *each > ms).collect::<Vec<_>>());
            assert_eq!(entries.count_before(id(ms)), plain.iter().filter(|each| **each < ms).count());
            assert_eq!(entries.get(id(ms)).is_some(), plain.contains(&ms));
        }
        entries.remove_oldest(usize::MAX);
        assert_eq!((entries.len(), entries.first(), entries.last()), (0, None, None));
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut entries = filled(200);
        let copy = entries.clone();
        entries.remove(id(3));
        entries.remove_oldest(150);
        entries.push(Entry { id: id(201), fields: Fields::new() });
        assert_eq!(ids(copy.iter()), (1..=200).collect::<Vec<_>>());
    }
}
