//! Entry IDs.

use std::fmt;
use std::str::FromStr;

/// The ID of a stream entry, `milliseconds-sequence`, ordered as Redis orders them.
///
/// ```
/// use atomic_streams::EntryId;
///
/// let id: EntryId = "1700000000000-3".parse()?;
/// assert_eq!(id.ms, 1_700_000_000_000);
/// assert_eq!(id.seq, 3);
/// assert!(id > EntryId::MIN);
/// assert_eq!(id.to_string(), "1700000000000-3");
/// # Ok::<(), atomic_streams::InvalidEntryId>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since the Unix epoch, as the server's clock said when the entry was added.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

impl EntryId {
    /// `0-0`: before every entry.
    pub const MIN: Self = Self { ms: 0, seq: 0 };

    /// The ID with these two halves.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Reads an ID from bytes as Redis writes it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (ms, seq) = text.split_once('-')?;
        let digits = |half: &str| half.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(ms) || !digits(seq) {
            return None;
        }
        Some(Self::new(ms.parse().ok()?, seq.parse().ok()?))
    }

    /// Writes what [`fmt::Display`] shows, without its cost.
    pub(crate) fn write(self, into: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        into.extend_from_slice(digits.format(self.ms).as_bytes());
        into.push(b'-');
        into.extend_from_slice(digits.format(self.seq).as_bytes());
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// As it is shown: an ID says more in its own notation.
impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an entry ID: two decimal numbers joined by a hyphen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an entry ID; write two numbers joined by a hyphen, such as `1700000000000-0`")]
pub struct InvalidEntryId {
    text: String,
}

impl FromStr for EntryId {
    type Err = InvalidEntryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes()).ok_or_else(|| InvalidEntryId { text: text.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_number_not_by_text() {
        let parse = |text: &str| text.parse::<EntryId>().unwrap();
        assert!(parse("9-0") < parse("10-0"));
        assert!(parse("10-9") < parse("10-10"));
        assert_eq!(parse("18446744073709551615-18446744073709551615"), EntryId::new(u64::MAX, u64::MAX));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "1", "1-", "-1", "1-1-1", "+1-0", "1-+0", "a-b", "18446744073709551616-0", " 1-0"] {
            assert!(text.parse::<EntryId>().is_err(), "{text}");
        }
    }
}
