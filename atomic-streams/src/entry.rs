//! Stream entries: an ID and the fields that were added under it.

mod decode;
mod encode;

use std::fmt;

pub use decode::DecodeError;
pub(crate) use decode::decode;
pub use encode::EncodeError;
pub(crate) use encode::encode;

use crate::id::EntryId;

/// One entry of a stream, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: EntryId,
    pub fields: Fields,
}

/// The fields of an entry: names and values in the order in which they were added, repeats kept.
///
/// Take it as a handler's `Message` to see an entry as it is; publish it to write one field by field.
///
/// ```
/// use atomic_streams::Fields;
///
/// let mut fields = Fields::new();
/// fields.push("sku", "A-1");
/// fields.push("picture", [0xff, 0xd8, 0xff]);
/// assert_eq!(fields.get("sku"), Some(&b"A-1"[..]));
/// assert_eq!(fields.get_str("picture"), None); // not UTF-8
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Fields {
    /// No fields yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// No fields yet, with room for `capacity` of them.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { pairs: Vec::with_capacity(capacity) }
    }

    /// Adds a field after the present ones, also when one of that name is there.
    pub fn push(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }

    /// The value of the first field of this name, if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Bytes of all names and values together.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl<N: Into<Vec<u8>>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self {
            pairs: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}
