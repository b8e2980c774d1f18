//! The bytes of one entry.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::persist::msgpack::{StateError, decode_value, encode_value, value_end};

/// Begins the time at which an entry ends, behind its value: a MessagePack extension of type 1 with 8 bytes.
const EXPIRES: [u8; 2] = [0xd7, 0x01];

/// The bytes of a key, or of a value that does not expire.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StateError> {
    let mut bytes = Vec::with_capacity(16);
    encode_value(value, &mut bytes)?;
    Ok(bytes)
}

/// A value, and behind it the time in ms at which it expires, if it does, counted as the IDs of messages are.
pub(super) fn encode_expiring<V: Serialize + ?Sized>(
    value: &V,
    expires_ms: Option<u64>,
) -> Result<Vec<u8>, StateError> {
    let mut bytes = encode(value)?;
    if let Some(at) = expires_ms {
        bytes.extend(EXPIRES);
        bytes.extend(at.to_be_bytes());
    }
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    decode_value(bytes)
}

/// The bytes of the value alone.
pub(super) fn without_time(bytes: &[u8]) -> Result<&[u8], StateError> {
    let end =
        value_end(bytes).map_err(|problem| StateError::new(format!("the stored bytes are damaged: {problem}")))?;
    Ok(&bytes[..end])
}

/// What [`encode_expiring`] wrote.
pub(super) fn decode_expiring<V: DeserializeOwned>(bytes: &[u8]) -> Result<(V, Option<u64>), StateError> {
    let value = without_time(bytes)?;
    let rest = &bytes[value.len()..];
    let expires_ms = match rest {
        [] => None,
        [kind, form, at @ ..] if [*kind, *form] == EXPIRES => Some(at),
        _ => return Err(StateError::new("the stored bytes are damaged: something else than a time follows the value")),
    };
    let expires_ms = expires_ms.map(|at| <[u8; 8]>::try_from(at).map(u64::from_be_bytes)).transpose();
    let expires_ms = expires_ms
        .map_err(|_| StateError::new("the stored bytes are damaged: the time behind the value is cut off"))?;
    Ok((decode_value(value)?, expires_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_both_ways_with_its_time_or_without() {
        for at in [None, Some(0), Some(1_700_000_000_000), Some(u64::MAX)] {
            let bytes = encode_expiring("seven", at).unwrap();
            assert_eq!(decode_expiring::<String>(&bytes).unwrap(), ("seven".to_owned(), at));
        }
        assert_eq!(encode_expiring("seven", None).unwrap(), b"\xa5seven", "any tool can read it");
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let whole = encode_expiring(&300_u64, Some(5)).unwrap();
        for end in (1..whole.len()).filter(|end| *end != 3) {
            assert!(decode_expiring::<u64>(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(decode_expiring::<u64>(&[&whole[..], b"x"].concat()).is_err());
        assert!(decode_expiring::<String>(&whole).is_err());
    }
}
