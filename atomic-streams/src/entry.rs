//! Stream entries: an ID and the fields that were added under it; and typed messages to and from those.

mod decode;
mod encode;
mod raw;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use decode::DecodeError;
pub(crate) use decode::decode;
pub use encode::EncodeError;
pub(crate) use encode::encode;

use crate::id::EntryId;

/// How many fields one published message may have.
///
/// The script that commits a message passes names and values to Redis on the stack of its Lua interpreter, which
/// holds about 8,000 values.
pub const MAX_PUBLISH_FIELDS: usize = 3_900;

/// The field that says of which trace and span an entry comes, as in [W3C Trace Context](https://www.w3.org/TR/trace-context/).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The field beside it, for what the tracing systems on the way have to tell each other.
pub(crate) const TRACESTATE: &str = "tracestate";

/// Whether a field is for the library alone, so that typed messages are not shown it unless they name it.
fn is_hidden(name: &[u8]) -> bool {
    cfg!(feature = "opentelemetry") && (name == TRACEPARENT.as_bytes() || name == TRACESTATE.as_bytes())
}

/// One entry of a stream, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in its stream.
    pub id: EntryId,
    /// What it holds.
    pub fields: Fields,
}

impl Entry {
    /// Tells this entry from any other under the same ID; `commit.lua` computes the same.
    pub(crate) fn digest(&self) -> String {
        let mut sha1 = sha1_smol::Sha1::new();
        let mut separator: &[u8] = b"";
        for part in self.fields.iter().flat_map(|(name, value)| [name, value]) {
            sha1.update(separator);
            sha1.update(itoa::Buffer::new().format(part.len()).as_bytes());
            sha1.update(b":");
            sha1.update(part);
            separator = b":";
        }
        sha1.digest().to_string()
    }
}

/// The fields of an entry: names and values in the order in which they were added, repeats kept.
///
/// Take it as a handler's `Message` to see an entry as it is; publish it to write one field by field. Names and
/// values are bytes; all else is a matter of the message type.
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
///
/// # Typed messages
///
/// A message is any type with serde's `Serialize` (to publish it) or `Deserialize` (to handle it) that is a set of
/// named values: a struct, a map, a newtype around one, or an enum. Each member is one field of the entry:
///
/// | Member | Value of the field |
/// |---|---|
/// | integer, float | its text: `3`, `-7`, `0.5`; read as Rust's `parse` does: `+3`, `1e3`, `inf`, `NaN` too |
/// | `bool` | `true` or `false`; `1` and `0` are read too |
/// | `String`, `char` | the text itself, unquoted |
/// | `Option` | `None`: no such field; `Some(x)`: as `x`, so an empty value is no `None` |
/// | `serde_bytes` types, the members of `Fields` | the bytes themselves |
/// | `()`, unit struct | empty |
/// | enum | a variant without data: its name; any other: JSON, `{"Variant":…}` |
/// | struct, map, sequence, tuple (also `Vec<u8>`) | JSON |
/// | newtype struct | as what it wraps |
///
/// Names of a map may be strings, integers, `bool`s, `char`s, bytes and variants without data.
///
/// - **Enum as the message**: one field named after the variant, its value JSON (`Moved` = `{"to":"B-7"}`), empty for a
///   variant without data. With `#[serde(tag = "…")]` the tag is a field beside those of the variant; with
///   `content = "…"` as well, there are these two fields.
/// - **Missing** fields are an error, except for `Option` and `#[serde(default)]`. **Unknown** ones are ignored, unless
///   there is `#[serde(deny_unknown_fields)]`.
/// - **Repeated** fields are an error: nothing is lost silently. A struct bears them where it ignores the field, and
///   `Fields` keeps them.
/// - **`traceparent` and `tracestate`** are not shown to a message with the feature `opentelemetry`, so that a trace which an
///   entry belongs to disturbs no map and no `deny_unknown_fields`. A struct without `flatten` that has a member of that name gets
///   it, and `Fields` has both.
/// - **JSON** may be nested 127 deep, both ways. NaN and infinite numbers are refused inside it, since it cannot say
///   them. A `None` in it is `null`.
/// - A message has **at least one field**, since an entry of Redis has: `()` can be read from any entry but not be
///   published.
///
/// ## What serde buffers
///
/// Fields have no types, and serde asks for none while it buffers: the variants of an enum with
/// `#[serde(tag = "…")]`, whatever is behind `#[serde(flatten)]`, and the content of an enum with `content = "…"` where
/// it stands before its tag. Their members are offered as text; where the type refuses that, the entry is read again
/// with this one as a number, `bool`, unit or JSON. So they work as they do elsewhere, and a `String` of digits stays
/// one, but:
///
/// - each member that is not text costs another pass over the entry, and there may be 512, or fewer where they would look at
///   more than 1,000,000 fields;
/// - what takes text as well as numbers (`serde_json::Value`) gets text, even `3`;
/// - an `#[serde(untagged)]` enum is tried with all values as text, then with all as what they look like;
/// - `i128` and `u128` cannot be buffered.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// Names that are known when compiling are not copied.
    pairs: Vec<(Cow<'static, [u8]>, Vec<u8>)>,
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
        self.pairs.push((Cow::Owned(name.into()), value.into()));
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
        self.pairs.iter().map(|(name, value)| (&**name, value.as_slice()))
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

    /// A name that is there more than once, of those that count.
    fn repeated(&self, counts: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let names = || self.pairs.iter().map(|(name, _)| &**name).filter(|name| counts(name));
        // Few names are compared faster than they are sorted.
        if self.len() <= 16 {
            return names().enumerate().find_map(|(at, name)| names().take(at).find(|earlier| *earlier == name));
        }
        let mut sorted: Vec<&[u8]> = names().collect();
        sorted.sort_unstable();
        sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

impl<N: Into<Vec<u8>>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().map(|(name, value)| (Cow::Owned(name.into()), value.into())).collect() }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// The text of an error by others, which may hold a huge value: its beginning and its end.
pub(crate) fn in_short(error: impl fmt::Display) -> String {
    const MOST: usize = 512;
    let text = error.to_string();
    if text.len() <= MOST {
        return text;
    }
    let boundary = |from: usize| (from..from + 4).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("{} … {}", &text[..boundary(MOST / 2)], &text[boundary(text.len() - MOST / 4)..])
}

/// Bytes as part of an error: text, cut, on one line.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 64;
    // No character has more than 4 bytes; the rest of a huge value need not be looked at.
    let head = &bytes[..bytes.len().min(MOST * 4)];
    let text = String::from_utf8_lossy(head);
    let mut shown = String::with_capacity(head.len() + 2);
    for (at, char) in text.chars().enumerate() {
        if at == MOST {
            shown.push('…');
            return shown;
        }
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    if head.len() < bytes.len() {
        shown.push('…');
    }
    shown
}
