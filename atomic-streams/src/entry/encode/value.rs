//! One name or value of an entry.

use std::fmt;
use std::io::Write;

use serde::Serialize;
use serde::ser::{Error, Impossible, Serializer};

use super::json;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Something a name can be as well.
    Plain,
    Float,
    Unit,
    /// Nothing: the field is left out.
    None,
}

/// Appends a value: as text where it is a scalar, else as JSON.
pub(super) fn append<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<Shape, String> {
    match value.serialize(Scalar(into)) {
        Ok(shape) => Ok(shape),
        Err(Refusal::Nested) => json::append(value, into, 0).map(|()| Shape::Plain),
        Err(Refusal::Message(message)) => Err(message),
    }
}

/// The name that a map gives to a field.
pub(super) fn name<T: Serialize + ?Sized>(key: &T) -> Result<Vec<u8>, String> {
    let mut name = Vec::new();
    let what = match key.serialize(Scalar(&mut name)) {
        Ok(Shape::Plain) => return Ok(name),
        Ok(Shape::Float) => "a number with a fraction",
        Ok(Shape::Unit) => "a unit",
        Ok(Shape::None) => "None",
        Err(Refusal::Nested) => "something nested",
        Err(Refusal::Message(message)) => return Err(message),
    };
    Err(format!("the names of fields are strings, integers, booleans, characters, bytes or plain variants, not {what}"))
}

/// Writes scalars, refuses the rest before it has written anything.
struct Scalar<'a>(&'a mut Vec<u8>);

enum Refusal {
    Nested,
    Message(String),
}

impl Scalar<'_> {
    fn bytes(self, bytes: &[u8]) -> Result<Shape, Refusal> {
        self.0.extend_from_slice(bytes);
        Ok(Shape::Plain)
    }

    fn integer(self, number: impl itoa::Integer) -> Result<Shape, Refusal> {
        self.bytes(itoa::Buffer::new().format(number).as_bytes())
    }

    /// `Debug` is as exact as `Display`, and does not write out 300 zeros.
    fn float(self, number: impl fmt::Debug) -> Result<Shape, Refusal> {
        write!(self.0, "{number:?}").map_err(Refusal::custom)?;
        Ok(Shape::Float)
    }
}

macro_rules! scalars {
    ($($method:ident($type:ty) $write:ident;)*) => {$(
        fn $method(self, value: $type) -> Result<Shape, Refusal> {
            self.$write(value)
        }
    )*};
}

impl Serializer for Scalar<'_> {
    type Ok = Shape;
    type Error = Refusal;
    type SerializeSeq = Impossible<Shape, Refusal>;
    type SerializeTuple = Impossible<Shape, Refusal>;
    type SerializeTupleStruct = Impossible<Shape, Refusal>;
    type SerializeTupleVariant = Impossible<Shape, Refusal>;
    type SerializeMap = Impossible<Shape, Refusal>;
    type SerializeStruct = Impossible<Shape, Refusal>;
    type SerializeStructVariant = Impossible<Shape, Refusal>;

    scalars! {
        serialize_i8(i8) integer;
        serialize_i16(i16) integer;
        serialize_i32(i32) integer;
        serialize_i64(i64) integer;
        serialize_i128(i128) integer;
        serialize_u8(u8) integer;
        serialize_u16(u16) integer;
        serialize_u32(u32) integer;
        serialize_u64(u64) integer;
        serialize_u128(u128) integer;
        serialize_f32(f32) float;
        serialize_f64(f64) float;
        serialize_bytes(&[u8]) bytes;
    }

    fn serialize_bool(self, value: bool) -> Result<Shape, Refusal> {
        self.bytes(if value { b"true" } else { b"false" })
    }

    fn serialize_char(self, value: char) -> Result<Shape, Refusal> {
        self.bytes(value.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn serialize_str(self, value: &str) -> Result<Shape, Refusal> {
        self.bytes(value.as_bytes())
    }

    fn serialize_none(self) -> Result<Shape, Refusal> {
        Ok(Shape::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Shape, Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Shape, Refusal> {
        Ok(Shape::Unit)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Shape, Refusal> {
        Ok(Shape::Unit)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Shape, Refusal> {
        self.bytes(variant.as_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Shape, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Shape, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Refusal> {
        Err(Refusal::Nested)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Refusal> {
        Err(Refusal::Nested)
    }
}

impl Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested => f.write_str("the value is nested"),
            Self::Message(message) => f.write_str(message),
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}
