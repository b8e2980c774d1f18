//! From a message to the fields of an entry.

mod finite;
mod json;
mod members;
#[cfg(test)]
mod tests;
mod value;

use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use self::members::{Members, VariantJson};
use super::{Fields, raw, shown};

/// The message cannot be written as an entry.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct EncodeError {
    text: String,
}

impl EncodeError {
    fn no_entry(what: &str) -> Self {
        Self { text: format!("an entry is a set of named fields: publish a struct or a map, got {what}") }
    }

    fn field(name: &[u8], problem: &str) -> Self {
        Self { text: format!("field `{}`: {problem}", shown(name)) }
    }

    fn repeated(name: &[u8]) -> Self {
        Self { text: format!("field `{}` occurs more than once", shown(name)) }
    }
}

impl serde::ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { text: message.to_string() }
    }
}

/// Writes a message, the way [`decode`](super::decode) reads it. The rules are told at [`Fields`].
pub(crate) fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Fields, EncodeError> {
    let fields = message.serialize(EntrySerializer { repeats: false })?;
    if fields.is_empty() {
        return Err(EncodeError { text: "a stream entry needs at least one field".to_owned() });
    }
    Ok(fields)
}

/// The whole entry.
struct EntrySerializer {
    /// Whether a map may have one name twice.
    repeats: bool,
}

/// Refuses types that are no set of named fields.
macro_rules! refuse {
    ($($method:ident($type:ty) $what:literal;)*) => {$(
        fn $method(self, _: $type) -> Result<Fields, EncodeError> {
            Err(EncodeError::no_entry($what))
        }
    )*};
}

impl Serializer for EntrySerializer {
    type Ok = Fields;
    type Error = EncodeError;
    type SerializeSeq = Impossible<Fields, EncodeError>;
    type SerializeTuple = Impossible<Fields, EncodeError>;
    type SerializeTupleStruct = Impossible<Fields, EncodeError>;
    type SerializeTupleVariant = VariantJson;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = VariantJson;

    refuse! {
        serialize_bool(bool) "a boolean";
        serialize_i8(i8) "an integer";
        serialize_i16(i16) "an integer";
        serialize_i32(i32) "an integer";
        serialize_i64(i64) "an integer";
        serialize_i128(i128) "an integer";
        serialize_u8(u8) "an integer";
        serialize_u16(u16) "an integer";
        serialize_u32(u32) "an integer";
        serialize_u64(u64) "an integer";
        serialize_u128(u128) "an integer";
        serialize_f32(f32) "a number";
        serialize_f64(f64) "a number";
        serialize_char(char) "a character";
        serialize_str(&str) "a string";
        serialize_bytes(&[u8]) "bytes";
    }

    fn serialize_none(self) -> Result<Fields, EncodeError> {
        Err(EncodeError::no_entry("None"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Fields, EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Fields, EncodeError> {
        Ok(Fields::new())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Fields, EncodeError> {
        Ok(Fields::new())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Fields, EncodeError> {
        Ok(single(variant, Vec::new()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<Fields, EncodeError> {
        self.repeats = name == raw::NAME;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Fields, EncodeError> {
        let mut json = Vec::new();
        json::append(value, &mut json, 0).map_err(|problem| EncodeError::field(variant.as_bytes(), &problem))?;
        Ok(single(variant, json))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, EncodeError> {
        Err(EncodeError::no_entry("a sequence"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, EncodeError> {
        Err(EncodeError::no_entry("a tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, EncodeError> {
        Err(EncodeError::no_entry("a tuple struct"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantJson, EncodeError> {
        Ok(VariantJson::new(variant, "[", "]"))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Members, EncodeError> {
        Ok(Members::new(length.unwrap_or(0), self.repeats))
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Members, EncodeError> {
        // No derived struct writes one name twice.
        Ok(Members::new(length, true))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantJson, EncodeError> {
        Ok(VariantJson::new(variant, "{", "}"))
    }
}

fn single(name: &'static str, value: Vec<u8>) -> Fields {
    let mut fields = Fields::with_capacity(1);
    fields.pairs.push((name.as_bytes().into(), value));
    fields
}
