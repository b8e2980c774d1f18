//! Names and values of entries, which may be any bytes.

use std::fmt::Write;

use atomic_streams::Fields;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Whether a terminal does something else with it than to show it: control characters, and those that turn the direction of what
/// follows, behind which a line can say the opposite of what it shows.
fn is_obeyed(each: char) -> bool {
    each.is_control()
        || matches!(each, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For people: text with what a terminal would obey escaped, and `\xff` for what is no text.
pub fn text(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for each in chunk.valid().chars() {
            if is_obeyed(each) { shown.extend(each.escape_default()) } else { shown.push(each) }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// `name=value name=value`, in quotes where that would be unclear.
pub fn line(fields: &Fields) -> String {
    let mut line = String::new();
    for (name, value) in fields.iter() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text(name));
        line.push('=');
        let value = text(value);
        if value.is_empty() || value.contains([' ', '"', '\'']) {
            let _ = write!(line, "{value:?}");
        } else {
            line.push_str(&value);
        }
    }
    line
}

/// The beginning of a text.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Bytes in JSON: a string if they are UTF-8, else `{"hex": "…"}`.
#[derive(Clone, Debug)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("hex", &hex(&self.0))?;
                map.end()
            }
        }
    }
}

/// Fields in JSON: an object in their order, in which a name that is there several times has an array.
#[derive(Clone, Debug)]
pub struct Members(pub Fields);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<(&[u8], Vec<&[u8]>)> = Vec::with_capacity(self.0.len());
        let mut places = std::collections::HashMap::new();
        for (name, value) in self.0.iter() {
            let place = *places.entry(name).or_insert(members.len());
            match members.get_mut(place) {
                Some((_, values)) => values.push(value),
                None => members.push((name, vec![value])),
            }
        }
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, values) in members {
            let name = text_or_escaped(name);
            match values[..] {
                [value] => map.serialize_entry(&name, &Bytes(value.to_vec()))?,
                _ => map.serialize_entry(&name, &Repeated(&values))?,
            }
        }
        map.end()
    }
}

struct Repeated<'a>(&'a [&'a [u8]]);

impl Serialize for Repeated<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            sequence.serialize_element(&Bytes(value.to_vec()))?;
        }
        sequence.end()
    }
}

fn text_or_escaped(name: &[u8]) -> String {
    std::str::from_utf8(name).map_or_else(|_| text(name), str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// What [`Bytes`] shows as `hex`.
pub fn of_hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| (0..digits.len()).step_by(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&[u8], &[u8])]) -> Fields {
        pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn any_bytes_can_be_shown_and_obey_nothing() {
        assert_eq!(text("grün\u{1b}[2J\n".as_bytes()), "grün\\u{1b}[2J\\n");
        assert_eq!(text(b"a\xff\x00b"), "a\\xff\\u{0}b");
        assert_eq!(text("paid \u{202e}dip".as_bytes()), "paid \\u{202e}dip");
        let all = fields(&[(b"sku", b"A-1"), (b"note", b"two words"), (b"none", b""), (b"\xff", b"\"")]);
        assert_eq!(line(&all), r#"sku=A-1 note="two words" none="" \xff="\"""#);
    }

    #[test]
    fn fields_keep_their_order_and_repeats_in_json() {
        let all = fields(&[(b"z", b"1"), (b"a", b"2"), (b"z", b"3"), (b"raw", b"\xff\x00")]);
        let json = serde_json::to_string(&Members(all)).unwrap();
        assert_eq!(json, r#"{"z":["1","3"],"a":"2","raw":{"hex":"ff00"}}"#);
    }

    #[test]
    fn hexadecimal_digits_are_read_back() {
        assert_eq!(of_hex("ff00"), Some(vec![0xff, 0]));
        for digits in ["f", "fg", "+1", "ü1"] {
            assert_eq!(of_hex(digits), None, "{digits}");
        }
    }
}
