//! What a message is made of: members that are fields, or the content of a variant that is one field.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct, SerializeStructVariant, SerializeTupleVariant};

use super::value::{self, Shape};
use super::{EncodeError, json, single};
use crate::entry::Fields;

/// Most fields that are made room for because the type says so.
const MOST_AHEAD: usize = 256;

/// The fields so far.
pub(super) struct Members {
    fields: Fields,
    /// The name whose value comes next.
    name: Option<Vec<u8>>,
    /// Whether one name may be there twice.
    repeats: bool,
}

impl Members {
    pub(super) fn new(length: usize, repeats: bool) -> Self {
        Self { fields: Fields::with_capacity(length.min(MOST_AHEAD)), name: None, repeats }
    }

    fn add<T: Serialize + ?Sized>(&mut self, name: Cow<'static, [u8]>, value: &T) -> Result<(), EncodeError> {
        let mut bytes = Vec::new();
        match value::append(value, &mut bytes) {
            Ok(Shape::None) => Ok(()),
            Ok(_) => {
                self.fields.pairs.push((name, bytes));
                Ok(())
            }
            Err(problem) => Err(EncodeError::field(&name, &problem)),
        }
    }

    fn finish(self) -> Result<Fields, EncodeError> {
        if !self.repeats
            && let Some(name) = self.fields.repeated(|_| true)
        {
            return Err(EncodeError::repeated(name));
        }
        Ok(self.fields)
    }
}

impl SerializeStruct for Members {
    type Ok = Fields;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.add(Cow::Borrowed(name.as_bytes()), value)
    }

    fn end(self) -> Result<Fields, EncodeError> {
        self.finish()
    }
}

impl SerializeMap for Members {
    type Ok = Fields;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.name = Some(value::name(key).map_err(|text| EncodeError { text })?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let name = self.name.take().ok_or_else(|| EncodeError { text: "a map gave a value before its name".into() })?;
        self.add(Cow::Owned(name), value)
    }

    fn end(self) -> Result<Fields, EncodeError> {
        self.finish()
    }
}

/// The content of a tuple or struct variant, as it is written.
pub(super) struct VariantJson {
    variant: &'static str,
    json: Vec<u8>,
    close: &'static str,
    comma: bool,
}

impl VariantJson {
    pub(super) fn new(variant: &'static str, open: &str, close: &'static str) -> Self {
        Self { variant, json: open.into(), close, comma: false }
    }

    fn append<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        json::append(value, &mut self.json, 1).map_err(|problem| EncodeError::field(self.variant.as_bytes(), &problem))
    }

    fn separate(&mut self) {
        if self.comma {
            self.json.push(b',');
        }
        self.comma = true;
    }

    fn finish(mut self) -> Fields {
        self.json.extend_from_slice(self.close.as_bytes());
        single(self.variant, self.json)
    }
}

impl SerializeTupleVariant for VariantJson {
    type Ok = Fields;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.separate();
        self.append(value)
    }

    fn end(self) -> Result<Fields, EncodeError> {
        Ok(self.finish())
    }
}

impl SerializeStructVariant for VariantJson {
    type Ok = Fields;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.separate();
        self.append(name)?;
        self.json.push(b':');
        self.append(value)
    }

    fn end(self) -> Result<Fields, EncodeError> {
        Ok(self.finish())
    }
}
