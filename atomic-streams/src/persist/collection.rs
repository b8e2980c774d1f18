//! Collections: fields whose entries are kept one by one, in a key beside the record.

mod deque;
mod expiry;
mod journal;
mod map;
mod set;
mod stored;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::deque::StateDeque;
pub use self::map::StateMap;
pub use self::set::StateSet;
use super::msgpack::StateError;

/// Entries of one collection that one message may change.
///
/// All of them are written by one script, and Redis does nothing else meanwhile. [`StateMap::clear`] and its like count
/// as nothing, however many entries go. A migration that gives a collection other entries under the same name and kind
/// may give it as many.
pub const MAX_ENTRY_CHANGES: usize = 100_000;

/// Entries of a collection that one script reads or writes at most where it can choose: well below 10 ms of the server's time.
pub(crate) const MAX_PART_ENTRIES: usize = 1_000;

/// Bytes that such a part should have at most.
pub(crate) const MAX_PART_BYTES: usize = 1 << 20;

/// What kind of collection a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CollectionKind {
    /// [`StateMap`]
    Map,
    /// [`StateSet`]
    Set,
    /// [`StateDeque`]
    Deque,
}

impl CollectionKind {
    /// As the key beside the record has it: `RECORD@KIND:FIELD`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Set => "set",
            Self::Deque => "deque",
        }
    }

    /// The kind that a type's name says, module paths left out.
    pub(crate) fn of_type(type_name: &str) -> Option<Self> {
        match type_name.split_once('<')?.0 {
            "StateMap" => Some(Self::Map),
            "StateSet" => Some(Self::Set),
            "StateDeque" => Some(Self::Deque),
            _ => None,
        }
    }

    /// Types of plain fields whose values can become such a collection: the name before the `<`.
    pub(super) fn plain_types(self) -> &'static [&'static str] {
        match self {
            Self::Map => &["HashMap", "BTreeMap"],
            Self::Set => &["HashSet", "BTreeSet", "Vec"],
            Self::Deque => &["VecDeque", "Vec"],
        }
    }
}

impl fmt::Display for CollectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An entry as it is stored: the bytes of its key and of its value.
pub type StoredEntry = (Vec<u8>, Vec<u8>);

/// What a plain field of the standard library's counterpart would hold, for a migration to decode.
pub(crate) fn plain_value(kind: CollectionKind, entries: Vec<StoredEntry>) -> Result<Vec<u8>, StateError> {
    let mut parts = Vec::with_capacity(entries.len());
    match kind {
        CollectionKind::Map => {
            for (key, value) in entries {
                parts.push([&key[..], stored::without_time(&value)?].concat());
            }
        }
        CollectionKind::Set => parts.extend(entries.into_iter().map(|(key, _)| key)),
        CollectionKind::Deque => {
            let mut numbered = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                numbered.push((stored::decode::<i64>(&key)?, value));
            }
            numbered.sort_by_key(|(number, _)| *number);
            parts.extend(numbered.into_iter().map(|(_, value)| value));
        }
    }
    let count = u32::try_from(parts.len()).map_err(|_| StateError::new("it has too many entries for one value"))?;
    let mut plain = vec![if kind == CollectionKind::Map { 0xdf } else { 0xdd }];
    plain.extend(count.to_be_bytes());
    parts.iter().for_each(|part| plain.extend_from_slice(part));
    Ok(plain)
}

/// What a message has changed in a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryChanges {
    /// Everything that was there is gone; comes before the rest.
    pub cleared: bool,
    /// Entries that are new or have another value.
    pub set: Vec<StoredEntry>,
    /// Keys of entries that are gone.
    pub removed: Vec<Vec<u8>>,
}

impl EntryChanges {
    pub(crate) fn is_empty(&self) -> bool {
        !self.cleared && self.set.is_empty() && self.removed.is_empty()
    }
}

/// What one step of the chain does to a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionChanges {
    /// With the field's name, it makes the key.
    pub kind: CollectionKind,
    /// The field.
    pub field: Cow<'static, str>,
    /// What is written.
    pub changes: EntryChanges,
    /// How many entries must be there before; where it does not matter, `None`.
    pub before: Option<u64>,
    /// How many entries there are after it, for the record to say, if it says something else.
    pub after: Option<u64>,
}

impl CollectionChanges {
    /// About how many bytes they take on their way.
    pub(crate) fn size_bytes(&self) -> usize {
        let set = self.changes.set.iter().map(|(key, value)| key.len() + value.len() + 32);
        let removed = self.changes.removed.iter().map(|key| key.len() + 16);
        128 + 2 * self.field.len() + set.sum::<usize>() + removed.sum::<usize>()
    }
}

/// A field whose entries are stored one by one. Implemented by [`StateMap`], [`StateSet`] and [`StateDeque`], and by
/// nothing else.
///
/// Since the last [`settle`](Self::settle), it knows what was changed and what was there before, so that the changes can
/// be written, or taken back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a collection of this library",
    label = "has the name of a collection",
    note = "a field whose type is called `StateMap`, `StateSet` or `StateDeque` is kept entry by entry; call another type otherwise"
)]
pub trait Collection {
    /// A message of this time (ms) is about to be handled: what is due is removed, as if by its handler.
    fn begin(&mut self, now_ms: u64);

    /// What was changed.
    ///
    /// # Errors
    /// A `Serialize` of the user refused, or the changes are more than [`MAX_ENTRY_CHANGES`].
    fn changes(&self) -> Result<EntryChanges, StateError>;

    /// The changes are staged: what comes next is compared with what is there now.
    fn settle(&mut self);

    /// Takes the changes back.
    ///
    /// # Errors
    /// What was there before cannot be decoded.
    fn roll_back(&mut self) -> Result<(), StateError>;

    /// Empties it, to be filled by [`put`](Self::put).
    fn reset(&mut self);

    /// Puts a stored entry in.
    ///
    /// # Errors
    /// The bytes are no such entry.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError>;

    /// All that was stored was put in, in any order, some perhaps more than once: `entries` different ones, unless some
    /// were missed, which [`stored_len`](Self::stored_len) then shows.
    ///
    /// # Errors
    /// They do not fit together.
    fn complete(&mut self, entries: u64) -> Result<(), StateError>;

    /// Everything that it holds, as it is stored.
    ///
    /// # Errors
    /// A `Serialize` of the user refused.
    fn all(&self) -> Result<Vec<StoredEntry>, StateError>;

    /// How many entries are stored when the changes are.
    fn stored_len(&self) -> u64;

    /// Appends everything that it holds as one value, as the standard library's counterpart would be encoded.
    ///
    /// # Errors
    /// A `Serialize` of the user refused, or the value is too long.
    fn encode_plain(&self, into: &mut Vec<u8>) -> Result<(), StateError>;

    /// Takes over such a value.
    ///
    /// # Errors
    /// The bytes are no such value. It then holds what it held.
    fn decode_plain(&mut self, from: &[u8]) -> Result<(), StateError>;

    /// Which collection it is, and since when.
    fn mark(&self) -> Mark;

    /// Gives it a new mark.
    fn renew_mark(&mut self);
}

/// Tells a collection from all others that were ever in its place: a handler may assign another one to its field, which
/// knows nothing of what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// One that nothing else has.
    fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Refuses changes that one script should not carry.
pub(super) fn within_limit(changes: u64) -> Result<(), StateError> {
    if changes <= MAX_ENTRY_CHANGES as u64 {
        return Ok(());
    }
    Err(StateError::new(format!(
        "one message changes {changes} entries of it and at most {MAX_ENTRY_CHANGES} are allowed: change them by several messages"
    )))
}
