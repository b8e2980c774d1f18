//! What trimming is answered with.

use redis::Value;

use super::parts::Parts;
use crate::protocol::{Holder, Holding, TrimReply, Trimmed};
use crate::store::StoreError;

/// The names in an `XINFO GROUPS`.
pub(super) fn group_names(value: Value) -> Result<Vec<Vec<u8>>, StoreError> {
    let wrong = || StoreError::unexpected("XINFO GROUPS");
    let Value::Array(groups) = value else { return Err(wrong()) };
    let name = |group| match group {
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                if let (Value::BulkString(name), Value::BulkString(value)) = (name, value)
                    && name == b"name"
                {
                    return Some(value);
                }
            }
            None
        }
        _ => None,
    };
    groups.into_iter().map(|group| name(group).ok_or_else(wrong)).collect()
}

pub(super) fn trimmed(value: Value) -> Result<TrimReply, StoreError> {
    let mut parts = Parts::of(value)?;
    Ok(match parts.text()?.as_str() {
        "TRIMMED" => {
            let (removed, left, more) = (parts.number()?, parts.number()?, parts.number::<u64>()? == 1);
            let (up_to, counted_to, early) = (parts.id()?, parts.optional_id()?, parts.number()?);
            let group = parts.optional_text()?;
            let position = parts.optional_id()?;
            let why = match parts.text()?.as_str() {
                "behind" | "" => Holding::Behind,
                "pending" => Holding::Pending,
                "lost" => Holding::RecordLost,
                "replaced" => Holding::StreamReplaced,
                "missing" => Holding::Missing,
                other => return Err(StoreError::unexpected(other)),
            };
            let holder = group.map(|group| Holder { group, position, why });
            TrimReply::Trimmed(Trimmed { removed, left, more, up_to, counted_to, early, holder })
        }
        "CHANGED" => TrimReply::Changed,
        "NONE" => TrimReply::NoStream,
        "NOGROUP" => TrimReply::NoGroup,
        "WRONGTYPE" => TrimReply::WrongType { key: parts.text()?, holds: parts.text()? },
        other => return Err(StoreError::unexpected(other)),
    })
}
