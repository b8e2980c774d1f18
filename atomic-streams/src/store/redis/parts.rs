//! A script's reply, part by part.

use redis::Value;

use crate::id::EntryId;
use crate::persist::StoredEntry;
use crate::protocol::{Behind, Cause, Head, Hole};
use crate::store::StoreError;

/// The parts of a script's reply, taken one after the other.
pub(super) struct Parts(pub std::vec::IntoIter<Value>);

impl Parts {
    pub fn of(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            other => Err(StoreError::unexpected(&shown(Some(&other)))),
        }
    }

    pub fn text(&mut self) -> Result<String, StoreError> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Some(Value::SimpleString(text)) => Ok(text),
            Some(Value::Int(number)) => Ok(number.to_string()),
            other => Err(StoreError::unexpected(&shown(other.as_ref()))),
        }
    }

    pub fn skip(&mut self) -> Result<(), StoreError> {
        self.text().map(drop)
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    pub fn number<T: std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        let text = self.text()?;
        text.parse().map_err(|_| StoreError::unexpected(&text))
    }

    pub fn optional_number(&mut self) -> Result<Option<i64>, StoreError> {
        match self.optional_text()? {
            Some(text) => text.parse().map(Some).map_err(|_| StoreError::unexpected(&text)),
            None => Ok(None),
        }
    }

    pub fn id(&mut self) -> Result<EntryId, StoreError> {
        let text = self.text()?;
        text.parse().map_err(|_| StoreError::unexpected(&text))
    }

    pub fn optional_id(&mut self) -> Result<Option<EntryId>, StoreError> {
        let text = self.optional_text()?;
        text.map(|text| text.parse().map_err(|_| StoreError::unexpected(&text))).transpose()
    }

    pub fn head(&mut self) -> Result<Head, StoreError> {
        let text = self.text()?;
        Head::parse(&text).ok_or_else(|| StoreError::unexpected(&text))
    }

    pub fn cause(&mut self) -> Result<Cause, StoreError> {
        Ok(match self.text()?.as_str() {
            "trimmed" => Cause::Trimmed,
            "deleted" => Cause::Deleted,
            "either" => Cause::Either,
            other => return Err(StoreError::unexpected(other)),
        })
    }

    pub fn hole(&mut self) -> Result<Hole, StoreError> {
        let (entries, all, cause) = (self.number()?, self.number::<u64>()? == 1, self.cause()?);
        let position = self.id()?;
        let first = self.optional_id()?;
        Ok(Hole { entries, all, cause, position, first })
    }

    pub fn behind(&mut self) -> Result<Behind, StoreError> {
        Ok(Behind { last_id: self.id()?, position: self.id()?, length: self.number()? })
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// A part that has parts itself.
    pub fn parts(&mut self) -> Result<Self, StoreError> {
        match self.0.next() {
            Some(Value::Array(parts)) => Ok(Self(parts.into_iter())),
            Some(Value::Map(pairs)) => {
                Ok(Self(pairs.into_iter().flat_map(<[Value; 2]>::from).collect::<Vec<_>>().into_iter()))
            }
            other => Err(StoreError::unexpected(&format!("{other:?}"))),
        }
    }

    /// The parts two by two, as bytes.
    pub fn pairs(&mut self) -> Result<Vec<StoredEntry>, StoreError> {
        let mut pairs = Vec::with_capacity(self.0.len() / 2);
        while let Some(first) = self.0.next() {
            match (first, self.0.next()) {
                (Value::BulkString(first), Some(Value::BulkString(second))) => pairs.push((first, second)),
                other => return Err(StoreError::unexpected(&format!("{other:?}"))),
            }
        }
        Ok(pairs)
    }
}

/// What came in place of something else: a reply may be of any size.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "it ends too early".to_owned(),
        Some(Value::Array(parts) | Value::Set(parts)) => format!("a list of {}", parts.len()),
        Some(Value::Map(pairs)) => format!("a map of {}", pairs.len()),
        Some(Value::BulkString(bytes)) => format!("`{}`", crate::entry::shown(bytes)),
        Some(other) => format!("{other:?}"),
    }
}
