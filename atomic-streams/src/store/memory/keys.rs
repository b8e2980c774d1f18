//! All keys of the server, and what a write has replaced in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::stream::Stream;
use crate::entry::Fields;
use crate::id::EntryId;
use crate::protocol::Failure;
use crate::store::StoreError;

/// What a hash key holds.
pub(super) type Hash = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// What one key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Hash(Hash),
    Stream(Stream),
    Text(Vec<u8>),
}

impl Value {
    /// The type's name, as `TYPE` gives it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hash(_) => "hash",
            Self::Stream(_) => "stream",
            Self::Text(_) => "string",
        }
    }
}

/// The keys, and what the write under way has replaced.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    values: BTreeMap<Arc<str>, Arc<Value>>,
    write: Write,
}

/// What one write has replaced: enough to take it back.
#[derive(Clone, Debug, Default)]
pub(super) struct Write {
    replaced: Vec<(Arc<str>, Option<Arc<Value>>)>,
    /// About how much memory it takes to remember it.
    pub bytes: usize,
}

impl Keys {
    /// What the key holds.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|value| &**value)
    }

    /// The hash at `key`, if there is one.
    pub fn hash(&self, key: &str) -> Result<Option<&Hash>, ErrorReply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(ErrorReply::wrong_type()),
        }
    }

    /// The stream at `key`, if there is one.
    pub fn stream(&self, key: &str) -> Result<Option<&Stream>, ErrorReply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(_) => Err(ErrorReply::wrong_type()),
        }
    }

    /// `HSET`.
    pub fn set_fields<'a, N: AsRef<[u8]>>(
        &mut self,
        key: &str,
        fields: impl IntoIterator<Item = (N, &'a [u8])>,
    ) -> Result<(), ErrorReply> {
        self.hash(key)?;
        let mut bytes = 0;
        let Value::Hash(hash) = self.change(key, || Value::Hash(Hash::new())) else {
            return Err(ErrorReply::wrong_type());
        };
        for (name, value) in fields {
            let name = name.as_ref();
            bytes += name.len() + value.len();
            match hash.get_mut(name) {
                Some(held) => *held = value.into(),
                None => {
                    hash.insert(name.into(), value.into());
                }
            }
        }
        self.write.bytes += bytes;
        Ok(())
    }

    /// `HDEL`.
    pub fn delete_fields(&mut self, key: &str, names: &[impl AsRef<[u8]>]) -> Result<(), ErrorReply> {
        if self.hash(key)?.is_some_and(|hash| names.iter().any(|name| hash.contains_key(name.as_ref())))
            && let Value::Hash(hash) = self.change(key, || Value::Hash(Hash::new()))
        {
            for name in names {
                hash.remove(name.as_ref());
            }
            if hash.is_empty() {
                self.remove(key);
            }
        }
        Ok(())
    }

    /// The stream at `key`, to be changed, if there is one.
    pub fn change_stream(&mut self, key: &str) -> Result<Option<&mut Stream>, ErrorReply> {
        if self.stream(key)?.is_none() { Ok(None) } else { self.make_stream(key).map(Some) }
    }

    /// The stream at `key`, to be changed; it is made if nothing is there.
    pub fn make_stream(&mut self, key: &str) -> Result<&mut Stream, ErrorReply> {
        self.stream(key)?;
        match self.change(key, || Value::Stream(Stream::default())) {
            Value::Stream(stream) => Ok(stream),
            _ => Err(ErrorReply::wrong_type()),
        }
    }

    /// `XADD … *`.
    pub fn add(&mut self, key: &str, fields: Fields, now_ms: u64) -> Result<EntryId, ErrorReply> {
        if fields.is_empty() {
            return Err(ErrorReply::new("ERR wrong number of arguments for 'xadd' command"));
        }
        let id = match self.stream(key)? {
            Some(stream) => stream.next_id(now_ms)?,
            None => Stream::default().next_id(now_ms)?,
        };
        self.make_stream(key)?.append(id, fields);
        Ok(id)
    }

    /// Puts a value at `key`, whatever it held.
    pub fn put(&mut self, key: &str, value: Value) {
        self.remember(key);
        self.values.insert(key.into(), Arc::new(value));
    }

    /// Whether there was such a key.
    pub fn remove(&mut self, key: &str) -> bool {
        let is_there = self.values.contains_key(key);
        if is_there {
            self.remember(key);
            self.values.remove(key);
        }
        is_there
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        let names: Vec<Arc<str>> = self.values.keys().cloned().collect();
        for name in names {
            self.remove(&name);
        }
    }

    /// Ends the write under way, and tells what it has replaced; `None` if it has written nothing.
    pub fn end_write(&mut self) -> Option<Write> {
        let write = std::mem::take(&mut self.write);
        (!write.replaced.is_empty()).then_some(write)
    }

    /// Takes a write back. The later ones must have been taken back before.
    pub fn take_back(&mut self, write: Write) {
        for (key, value) in write.replaced {
            match value {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
    }

    fn change(&mut self, key: &str, new: impl FnOnce() -> Value) -> &mut Value {
        self.remember(key);
        // What was remembered is shared, and so copied here before it is changed; what this write made is not.
        Arc::make_mut(self.values.entry(key.into()).or_insert_with(|| Arc::new(new())))
    }

    fn remember(&mut self, key: &str) {
        if !self.write.replaced.iter().any(|(known, _)| **known == *key) {
            self.write.bytes += key.len();
            self.write.replaced.push((key.into(), self.values.get(key).cloned()));
        }
    }
}

/// An error reply, in the server's words; the first of them is its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorReply(String);

impl ErrorReply {
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    pub fn wrong_type() -> Self {
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    /// `XGROUP` on a key that is not there.
    pub fn no_stream() -> Self {
        Self::new(
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
             option to create an empty stream automatically.",
        )
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ErrorReply> for StoreError {
    fn from(reply: ErrorReply) -> Self {
        let code = reply.0.split(' ').next().unwrap_or_default();
        Self { failure: Failure::of_reply(code, &reply.0), words: reply.0, source: None }
    }
}
