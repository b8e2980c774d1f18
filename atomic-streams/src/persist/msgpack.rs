//! Values as MessagePack, within limits that hold for every type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::in_short;

/// How deep the value of a field may be nested: arrays, maps and enum variants each count one.
///
/// Deep enough for data, shallow enough that no bytes can overflow the stack of a debug build.
pub const MAX_DEPTH: usize = 64;

/// How many bytes the encoded value of one field may have: 64 MiB.
pub const MAX_FIELD_BYTES: usize = 64 << 20;

/// A value of the state could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", field.as_ref().map(|name| format!("field `{name}`: ")).unwrap_or_default())]
pub struct StateError {
    field: Option<String>,
    problem: String,
}

impl StateError {
    /// An error with this text; for migrations that find something wrong.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { field: None, problem: problem.into() }
    }

    pub(crate) fn in_field(mut self, name: &str) -> Self {
        self.field.get_or_insert_with(|| name.to_owned());
        self
    }
}

/// Appends `value` to `into` as MessagePack; structs are written with their field names, so that they may gain, lose and reorder fields.
pub(crate) fn encode_value<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), StateError> {
    let start = into.len();
    encode_of_any_length(value, into)?;
    let length = into.len() - start;
    if length > MAX_FIELD_BYTES {
        into.truncate(start);
        return Err(too_long(length));
    }
    Ok(())
}

/// The same for what is not written as one value, but entry by entry.
pub(crate) fn encode_of_any_length<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), StateError> {
    let start = into.len();
    let result = rmp_serde::encode::write_named(into, value)
        .map_err(|error| StateError::new(format!("cannot be encoded: {}", in_short(error))))
        .and_then(|()| scan(&into[start..]).map_err(|error| StateError::new(format!("cannot be stored: {error}"))));
    if result.is_err() {
        into.truncate(start);
    }
    result
}

pub(super) fn too_long(length: usize) -> StateError {
    StateError::new(format!(
        "the encoded value has {length} bytes and at most {MAX_FIELD_BYTES} are allowed: every change writes all of it, so keep less in one field"
    ))
}

/// Reads one value that fills `bytes`.
pub(crate) fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    if bytes.len() > MAX_FIELD_BYTES {
        return Err(StateError::new(format!(
            "the stored value has {} bytes and at most {MAX_FIELD_BYTES} are allowed",
            bytes.len()
        )));
    }
    decode_of_any_length(bytes)
}

/// The same for what is not stored as one value, but entry by entry.
pub(crate) fn decode_of_any_length<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    scan(bytes).map_err(|error| StateError::new(format!("the stored bytes are damaged: {error}")))?;
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    // The scan has set the limit; this one must only not be lower.
    decoder.set_max_depth(MAX_DEPTH * 4);
    T::deserialize(&mut decoder)
        .map_err(|error| StateError::new(format!("the stored value does not fit its type: {}", in_short(error))))
}

/// The value must be complete, alone, and no deeper than [`MAX_DEPTH`]: the decoder ignores what follows it.
fn scan(bytes: &[u8]) -> Result<(), String> {
    let end = value_end(bytes)?;
    if end == bytes.len() { Ok(()) } else { Err(format!("{} bytes follow the value", bytes.len() - end)) }
}

/// Where the value at the beginning of `bytes` ends. It must be complete and no deeper than [`MAX_DEPTH`].
///
/// Walks without recursion; the decoder's own limit does not count enums.
pub(super) fn value_end(bytes: &[u8]) -> Result<usize, String> {
    let mut at = 0;
    // Values still to come in each open array or map, outermost first.
    let mut open: Vec<u64> = Vec::with_capacity(8);
    loop {
        let (skip, children) = head(bytes, at)?;
        at = at
            .checked_add(skip)
            .filter(|at| *at <= bytes.len())
            .ok_or_else(|| format!("they end inside a value that begins at byte {at}"))?;
        if children > 0 {
            if open.len() == MAX_DEPTH {
                return Err(format!("they are nested more than {MAX_DEPTH} deep"));
            }
            open.push(children);
            continue;
        }
        while let Some(left) = open.last_mut() {
            *left -= 1;
            if *left > 0 {
                break;
            }
            open.pop();
        }
        if open.is_empty() {
            return Ok(at);
        }
    }
}

/// Length of the value's own bytes (without what it contains), and how many values it contains.
fn head(bytes: &[u8], at: usize) -> Result<(usize, u64), String> {
    let marker = *bytes.get(at).ok_or_else(|| format!("they end at byte {at} where a value should begin"))?;
    let number = |width: usize| -> Result<usize, String> {
        let digits =
            bytes.get(at + 1..at + 1 + width).ok_or_else(|| format!("they end inside a length at byte {at}"))?;
        Ok(digits.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    Ok(match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0),
        0x80..=0x8f => (1, u64::from(marker & 0x0f) * 2),
        0x90..=0x9f => (1, u64::from(marker & 0x0f)),
        0xa0..=0xbf => (1 + usize::from(marker & 0x1f), 0),
        0xc1 => return Err(format!("byte {at} begins no value")),
        0xc4 | 0xd9 => (2 + number(1)?, 0),
        0xc5 | 0xda => (3 + number(2)?, 0),
        0xc6 | 0xdb => (5 + number(4)?, 0),
        0xc7 => (3 + number(1)?, 0),
        0xc8 => (4 + number(2)?, 0),
        0xc9 => (6 + number(4)?, 0),
        0xca | 0xce | 0xd2 => (5, 0),
        0xcb | 0xcf | 0xd3 => (9, 0),
        0xcc | 0xd0 => (2, 0),
        0xcd | 0xd1 => (3, 0),
        0xd4 => (3, 0),
        0xd5 => (4, 0),
        0xd6 => (6, 0),
        0xd7 => (10, 0),
        0xd8 => (18, 0),
        0xdc => (3, number(2)? as u64),
        0xdd => (5, number(4)? as u64),
        0xde => (3, number(2)? as u64 * 2),
        0xdf => (5, number(4)? as u64 * 2),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_value(value, &mut bytes).unwrap();
        bytes
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Chain {
        End,
        Link(Box<Chain>),
    }

    #[test]
    fn deep_enums_are_refused_before_they_are_decoded() {
        // {"Link": {"Link": … "End"}}, 100,000 deep: the decoder alone would overflow the stack.
        let mut bytes = Vec::new();
        for _ in 0..100_000 {
            bytes.extend(b"\x81\xa4Link");
        }
        bytes.extend(b"\xa3End");
        let error = decode_value::<Chain>(&bytes).unwrap_err();
        assert!(error.to_string().contains("nested"), "{error}");
    }

    #[test]
    fn the_deepest_allowed_value_goes_both_ways() {
        let mut chain = Chain::End;
        for _ in 0..MAX_DEPTH {
            chain = Chain::Link(Box::new(chain));
        }
        let bytes = encoded(&chain);
        assert_eq!(decode_value::<Chain>(&bytes).unwrap(), chain);
        let deeper = Chain::Link(Box::new(chain));
        assert!(encode_value(&deeper, &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = encoded(&BTreeMap::from([("a".to_owned(), vec![1_u64, 2, 3])]));
        for end in 0..good.len() {
            assert!(decode_value::<BTreeMap<String, Vec<u64>>>(&good[..end]).is_err(), "cut at {end}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(decode_value::<BTreeMap<String, Vec<u64>>>(&longer).unwrap_err().to_string().contains("follow"));
        assert!(decode_value::<u8>(&[0xc1]).is_err());
    }

    #[test]
    fn claimed_lengths_cost_nothing() {
        for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
            let bytes = [marker, 0xff, 0xff, 0xff, 0xff, 0x01];
            assert!(decode_value::<Vec<u64>>(&bytes).is_err());
        }
    }

    #[test]
    fn structs_may_gain_lose_and_reorder_fields() {
        #[derive(Serialize)]
        struct Before {
            a: u8,
            gone: String,
            b: u8,
        }
        #[derive(Deserialize, Debug, PartialEq)]
        struct After {
            b: u8,
            a: u8,
            #[serde(default)]
            new: Vec<u8>,
        }
        let bytes = encoded(&Before { a: 1, gone: "x".into(), b: 2 });
        assert_eq!(decode_value::<After>(&bytes).unwrap(), After { b: 2, a: 1, new: vec![] });
    }

    #[test]
    fn every_marker_has_its_length() {
        let values = (
            (0_u8, 200_u8, 70_000_u32, u64::MAX, -1_i8, -200_i16, i64::MIN),
            (1.5_f32, 1.5_f64, true, (), Some(1)),
            ("x".repeat(20), "x".repeat(40), "x".repeat(300), "x".repeat(70_000)),
            (vec![1; 20], vec![1; 70_000]),
        );
        let bytes = encoded(&values);
        assert!(scan(&bytes).is_ok());
    }
}
