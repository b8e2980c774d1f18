//! A double-ended queue whose entries are stored one by one.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::journal::Journal;
use super::{Collection, EntryChanges, Mark, StoredEntry, stored};
use crate::persist::msgpack::{StateError, decode_of_any_length, encode_of_any_length};

/// A double-ended queue of any size as a field of a handler: it is read from memory, and only entries that came, went or
/// changed are written.
///
/// It lies in a Redis hash beside the record (`RECORD@deque:FIELD`), one field for each entry, under a number that grows
/// towards the back. What is said of [`StateMap`](super::StateMap) holds for it, except that its entries have no time to
/// live. A window over the last hundred readings:
///
/// ```
/// use atomic_streams::StateDeque;
///
/// let mut window = StateDeque::new();
/// for reading in 0..250 {
///     window.push_back(reading);
///     if window.len() > 100 {
///         window.pop_front();
///     }
/// }
/// assert_eq!((window.front(), window.back()), (Some(&150), Some(&249)));
/// ```
///
/// A field that was a `VecDeque` or `Vec` of the same entries becomes a `StateDeque` by changing its type.
pub struct StateDeque<T> {
    entries: VecDeque<T>,
    /// The number of the first entry.
    first: i64,
    journal: Journal<i64, Contents<T>>,
    /// First number and length before the message, once it has changed anything.
    before: Option<(i64, usize)>,
    /// What was read back and is not in order yet.
    unsorted: Vec<(i64, T)>,
    mark: Mark,
}

/// The highest number that is taken for one of a queue, on either side: from there on it can grow for ever without coming to
/// the end of what an `i64` can count.
const MOST: i64 = 1 << 62;

/// The entries and the number of the first.
type Contents<T> = (VecDeque<T>, i64);

impl<T> StateDeque<T> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            journal: Journal::default(),
            before: None,
            unsorted: Vec::new(),
            mark: Mark::default(),
        }
    }

    /// The entry at `index`, counted from the front.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)
    }

    /// The first entry.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.entries.front()
    }

    /// The last entry.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.entries.back()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, from front to back.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The number of the entry at `index`.
    fn number(&self, index: usize) -> i64 {
        // No queue of this world has 2^63 entries.
        self.first.wrapping_add(index as i64)
    }

    /// The entry of this number.
    fn numbered(&self, number: i64) -> Option<&T> {
        usize::try_from(number.checked_sub(self.first)?).ok().and_then(|index| self.entries.get(index))
    }
}

impl<T: Serialize + DeserializeOwned> StateDeque<T> {
    /// The entry at `index`, counted from the front, to be changed in place.
    ///
    /// What it is when the handler is done is written, if it is another one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index < self.entries.len() {
            self.touch(self.number(index));
        }
        self.entries.get_mut(index)
    }

    /// Adds an entry at the back.
    pub fn push_back(&mut self, entry: T) {
        self.touch(self.number(self.entries.len()));
        self.entries.push_back(entry);
    }

    /// Adds an entry at the front.
    pub fn push_front(&mut self, entry: T) {
        let number = self.first.wrapping_sub(1);
        self.touch(number);
        self.entries.push_front(entry);
        self.first = number;
    }

    /// Takes the first entry out.
    pub fn pop_front(&mut self) -> Option<T> {
        if !self.entries.is_empty() {
            self.touch(self.first);
            self.first = self.number(1);
        }
        self.entries.pop_front()
    }

    /// Takes the last entry out.
    pub fn pop_back(&mut self) -> Option<T> {
        if let Some(last) = self.entries.len().checked_sub(1) {
            self.touch(self.number(last));
        }
        self.entries.pop_back()
    }

    /// Removes all entries. On the server this is one command, however many there are.
    pub fn clear(&mut self) {
        if self.journal.is_cleared() {
            self.entries.clear();
            return;
        }
        // What is remembered is what was there before the message. If it cannot be had, the journal knows.
        if self.undo().is_ok() && !self.entries.is_empty() {
            self.journal.remember_all((std::mem::take(&mut self.entries), self.first));
        }
    }

    /// Remembers what is at this number, or that nothing is.
    fn touch(&mut self, number: i64) {
        if self.journal.needs(&number) {
            self.before.get_or_insert((self.first, self.entries.len()));
            self.journal.remember(number, self.numbered(number).map(stored::encode));
        }
    }

    /// Puts back what was there before the message.
    fn undo(&mut self) -> Result<(), StateError> {
        let mut undo = self.journal.take()?;
        if let Some(contents) = undo.cleared {
            (self.entries, self.first) = contents;
        }
        let Some((first, len)) = self.before.take() else {
            self.journal.forget();
            return Ok(());
        };
        let end = first.wrapping_add(len as i64);
        // What lies outside is new; what is missing then was touched when it went.
        while !self.entries.is_empty() && self.number(self.entries.len()) > end {
            self.entries.pop_back();
        }
        while !self.entries.is_empty() && self.first < first {
            self.entries.pop_front();
            self.first = self.number(1);
        }
        if self.entries.is_empty() {
            self.first = first;
        }
        let mut before = |number: i64| match undo.touched.remove(&number) {
            Some(Some(bytes)) => stored::decode(&bytes),
            _ => Err(StateError::new("an entry that went was not remembered")),
        };
        while self.first > first {
            let number = self.first - 1;
            self.entries.push_front(before(number)?);
            self.first = number;
        }
        while self.entries.len() < len {
            let number = self.number(self.entries.len());
            self.entries.push_back(before(number)?);
        }
        for (number, bytes) in undo.touched {
            let Some(bytes) = bytes else { continue };
            let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
                *entry = stored::decode(&bytes)?;
            }
        }
        self.journal.forget();
        Ok(())
    }
}

impl<T: Serialize + DeserializeOwned> Collection for StateDeque<T> {
    fn begin(&mut self, _now_ms: u64) {}

    fn changes(&self) -> Result<EntryChanges, StateError> {
        if self.journal.is_empty() {
            return Ok(EntryChanges::default());
        }
        let stored = |number: &i64, entry: &T| Ok((stored::encode(number)?, stored::encode(entry)?));
        let now = |number: &i64| self.numbered(*number).map(|entry| stored(number, entry));
        self.journal.changes(now, || self.all(), self.entries.len())
    }

    fn settle(&mut self) {
        self.journal.forget();
        self.before = None;
    }

    fn roll_back(&mut self) -> Result<(), StateError> {
        self.undo()
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.unsorted.push((stored::decode(key)?, stored::decode(value)?));
        Ok(())
    }

    fn complete(&mut self, entries: u64) -> Result<(), StateError> {
        let mut unsorted = std::mem::take(&mut self.unsorted);
        unsorted.sort_unstable_by_key(|(number, _)| *number);
        unsorted.dedup_by_key(|(number, _)| *number);
        let (Some((first, _)), Some((last, _))) = (unsorted.first(), unsorted.last()) else { return Ok(()) };
        let span = last.checked_sub(*first).and_then(|span| u64::try_from(span).ok());
        if unsorted.len() as u64 == entries && span != Some(entries - 1) {
            return Err(StateError::new(format!("entries are missing between number {first} and number {last}")));
        }
        if *first < -MOST || *last > MOST {
            return Err(StateError::new(format!("no queue counts from number {first} to number {last}")));
        }
        self.first = *first;
        self.entries = unsorted.into_iter().map(|(_, entry)| entry).collect();
        Ok(())
    }

    fn all(&self) -> Result<Vec<StoredEntry>, StateError> {
        let numbered = self.entries.iter().enumerate();
        numbered.map(|(index, entry)| Ok((stored::encode(&self.number(index))?, stored::encode(entry)?))).collect()
    }

    fn stored_len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn encode_plain(&self, into: &mut Vec<u8>) -> Result<(), StateError> {
        encode_of_any_length(&self.entries, into)
    }

    fn decode_plain(&mut self, from: &[u8]) -> Result<(), StateError> {
        let entries = decode_of_any_length(from)?;
        *self = Self { entries, ..Self::new() };
        Ok(())
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn renew_mark(&mut self) {
        self.mark = Mark::unique();
    }
}

impl<T> Default for StateDeque<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy is another queue: assigned to a field, it replaces what is stored, entry by entry.
impl<T: Clone> Clone for StateDeque<T> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), ..Self::new() }
    }
}

impl<T> FromIterator<T> for StateDeque<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::new() }
    }
}

impl<T: Serialize + DeserializeOwned> Extend<T> for StateDeque<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        for entry in entries {
            self.push_back(entry);
        }
    }
}

impl<T: PartialEq> PartialEq for StateDeque<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T: Eq> Eq for StateDeque<T> {}

impl<T: fmt::Debug> fmt::Debug for StateDeque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}
