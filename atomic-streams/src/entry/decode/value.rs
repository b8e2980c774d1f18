//! One name or value of an entry.

use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use serde::de::{Deserializer, Visitor};

use super::failure::{Failure, described};
use super::reading::{Reading, Readings, Slot, visit_as_it_looks};
use super::variant::PlainVariant;

/// serde_json's mark of a `RawValue`, which it alone can read.
const RAW_JSON: &str = "$serde_json::private::RawValue";

/// The bytes of a name or value.
#[derive(Clone, Copy)]
pub(super) struct Text<'de> {
    bytes: &'de [u8],
    reading: Reading,
    is_name: bool,
}

impl<'de> Text<'de> {
    pub(super) fn new(bytes: &'de [u8], slot: Slot, readings: &Readings) -> Self {
        Self { bytes, reading: readings.of(slot), is_name: matches!(slot, Slot::Name(_)) }
    }

    fn str(self) -> Result<&'de str, Failure> {
        std::str::from_utf8(self.bytes).map_err(|_| Failure::value("is not UTF-8 text"))
    }

    fn integer<N: FromStr<Err = ParseIntError>>(self, name: &str) -> Result<N, Failure> {
        let error = match std::str::from_utf8(self.bytes).map(str::parse) {
            Ok(Ok(number)) => return Ok(number),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        Err(match error.as_ref().map(ParseIntError::kind) {
            Some(IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => {
                Failure::value(format!("is out of range for {}", described(name)))
            }
            _ => not(name),
        })
    }

    fn float<N: FromStr>(self, name: &str) -> Result<N, Failure> {
        std::str::from_utf8(self.bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(|| not(name))
    }

    /// Reads the bytes as JSON; `what` is for the error.
    fn json<T>(
        self,
        what: impl FnOnce() -> String,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Failure> {
        if self.is_name {
            return Err(Failure::value(format!("is a name, which cannot be {}", what())));
        }
        from_json(self.bytes, what, read)
    }
}

/// Reads JSON that fills `bytes`; `what` is for the error.
pub(super) fn from_json<'de, T>(
    bytes: &'de [u8],
    what: impl FnOnce() -> String,
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> serde_json::Result<T>,
) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    read(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|error| Failure::json(&error, what()))
}

fn not(name: &str) -> Failure {
    Failure::value(format!("is not {}", described(name)))
}

macro_rules! numbers {
    ($($method:ident $visit:ident $parse:ident $type:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.$visit(self.$parse(stringify!($type))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Failure;

    numbers! {
        deserialize_i8 visit_i8 integer i8;
        deserialize_i16 visit_i16 integer i16;
        deserialize_i32 visit_i32 integer i32;
        deserialize_i64 visit_i64 integer i64;
        deserialize_i128 visit_i128 integer i128;
        deserialize_u8 visit_u8 integer u8;
        deserialize_u16 visit_u16 integer u16;
        deserialize_u32 visit_u32 integer u32;
        deserialize_u64 visit_u64 integer u64;
        deserialize_u128 visit_u128 integer u128;
        deserialize_f32 visit_f32 float f32;
        deserialize_f64 visit_f64 float f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Ok(text) = std::str::from_utf8(self.bytes) else {
            return visitor.visit_borrowed_bytes(self.bytes);
        };
        match self.reading {
            Reading::Text => visitor.visit_borrowed_str(text),
            Reading::I8 => self.deserialize_i8(visitor),
            Reading::I16 => self.deserialize_i16(visitor),
            Reading::I32 => self.deserialize_i32(visitor),
            Reading::I64 => self.deserialize_i64(visitor),
            Reading::U8 => self.deserialize_u8(visitor),
            Reading::U16 => self.deserialize_u16(visitor),
            Reading::U32 => self.deserialize_u32(visitor),
            Reading::U64 => self.deserialize_u64(visitor),
            Reading::F32 => self.deserialize_f32(visitor),
            Reading::F64 => self.deserialize_f64(visitor),
            Reading::Bool => self.deserialize_bool(visitor),
            Reading::Unit => self.deserialize_unit(visitor),
            Reading::Looks => visit_as_it_looks(text, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.bytes {
            b"true" | b"1" => visitor.visit_bool(true),
            b"false" | b"0" => visitor.visit_bool(false),
            _ => Err(not("a boolean")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let mut chars = self.str()?.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => visitor.visit_char(char),
            _ => Err(not("a single character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_borrowed_str(self.str()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_borrowed_bytes(self.bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        // serde buffers the names of a flattened map as identifiers too.
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.bytes.is_empty() { visitor.visit_unit() } else { Err(not("unit")) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        if name == RAW_JSON {
            return self.json(|| "a value".to_owned(), |json| json.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.json(|| "a sequence".to_owned(), |json| json.deserialize_seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.json(|| format!("a tuple of {length}"), |json| json.deserialize_tuple(length, visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.json(|| format!("the tuple struct {name}"), |json| json.deserialize_tuple_struct(name, length, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.json(|| "a map".to_owned(), |json| json.deserialize_map(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.json(|| format!("the struct {name}"), |json| json.deserialize_struct(name, fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        if self.bytes.first() == Some(&b'{') {
            return self.json(|| format!("the enum {name}"), |json| json.deserialize_enum(name, variants, visitor));
        }
        visitor.visit_enum(PlainVariant(self.str()?))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}
