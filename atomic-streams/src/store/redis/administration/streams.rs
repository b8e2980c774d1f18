//! Streams from outside: what they say of themselves, and their entries.

use std::time::Duration;

use redis::Value;

use super::Administration;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::store::StoreError;
use crate::store::administration::StreamSummary;
use crate::store::redis::{reply, request};

impl Administration {
    /// `None` if there is no such stream.
    pub async fn stream(&mut self, stream: &str) -> Result<Option<StreamSummary>, StoreError> {
        match self.query(redis::cmd("XINFO").arg("STREAM").arg(stream)).await {
            Ok(value) => summary(value).map(Some),
            Err(error) if error.words.contains("no such key") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest entries, in their order.
    pub async fn newest(&mut self, stream: &str, count: usize) -> Result<Vec<Entry>, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(stream).arg("+").arg("-").arg("COUNT").arg(count);
        let mut entries = reply::range(self.query(&command).await?)?;
        entries.reverse();
        Ok(entries)
    }

    /// Entries behind `after`; waits so long for the first one.
    pub async fn read(
        &mut self,
        stream: &str,
        after: EntryId,
        count: usize,
        block: Option<Duration>,
    ) -> Result<Vec<Entry>, StoreError> {
        let command = request::read_many(&[(stream, after)], count, block);
        let limit = self.limit + block.unwrap_or_default();
        reply::entries(self.query_within(&command, limit).await?)
    }
}

fn summary(value: Value) -> Result<StreamSummary, StoreError> {
    let wrong = || StoreError::unexpected("XINFO STREAM");
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        _ => return Err(wrong()),
    };
    let of = |name: &str| {
        let is_it = |key: &Value| match key {
            Value::BulkString(bytes) => bytes == name.as_bytes(),
            Value::SimpleString(text) => text == name,
            _ => false,
        };
        pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    };
    let number = |name: &str| match of(name) {
        Some(Value::Int(number)) => u64::try_from(*number).map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let id = |value: &Value| match value {
        Value::BulkString(bytes) => EntryId::from_bytes(bytes),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    };
    let first_id = match of("first-entry") {
        Some(Value::Array(first)) => first.first().and_then(id),
        _ => None,
    };
    Ok(StreamSummary {
        length: number("length")?,
        last_id: of("last-generated-id").and_then(id).ok_or_else(wrong)?,
        first_id,
        groups: number("groups")?,
    })
}
