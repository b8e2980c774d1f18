//! From the fields of an entry to a message.

mod failure;
mod reading;
#[cfg(test)]
mod tests;
mod value;
mod variant;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};

use self::failure::Failure;
use self::reading::{Reading, Readings, Slot};
use self::value::Text;
use super::{Fields, is_hidden, raw};

/// The fields of an entry are not a message of the wanted type.
///
/// Its text names the field, its value (at most 64 characters of it) and what was wanted.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct DecodeError {
    text: String,
}

/// How many values of one entry may turn out not to be text, where it has not many fields.
const MOST_REFUSALS: usize = 512;

/// How many fields may be looked at again because of them.
const MOST_REREAD: usize = 1_000_000;

/// Reads a message. The rules are told at [`Fields`].
pub(crate) fn decode<T: DeserializeOwned>(fields: &Fields) -> Result<T, DecodeError> {
    read(fields, &Readings::default())
        .or_else(|failure| read_again(fields, failure))
        .map_err(|failure| failure.into_error(fields))
}

fn read<T: DeserializeOwned>(fields: &Fields, readings: &Readings) -> Result<T, Failure> {
    T::deserialize(EntryDeserializer { fields, readings, repeats: false })
}

/// Offers what the type refused as text as something else, until it takes everything or fails otherwise.
#[cold]
fn read_again<T: DeserializeOwned>(fields: &Fields, mut failure: Failure) -> Result<T, Failure> {
    let mut readings = Readings::default();
    let mut refusals = 0;
    let most_refusals = (MOST_REREAD / fields.len().max(1)).min(MOST_REFUSALS);
    while let Some((slot, reading)) = failure.retry(fields) {
        if readings.of(slot) != Reading::Text {
            break;
        }
        if refusals == most_refusals {
            return Err(Failure::entry(format!(
                "more than {most_refusals} values in a tagged enum or flattened part are not text, and the entry has {} fields",
                fields.len()
            )));
        }
        refusals += 1;
        readings.set(slot, reading, fields.len());
        match read(fields, &readings) {
            Ok(message) => return Ok(message),
            Err(next) => failure = next,
        }
    }
    // An untagged enum does not tell what its variants refused.
    if failure.is_message() {
        readings.guess(failure.slot(), fields.len());
        if let Ok(message) = read(fields, &readings) {
            return Ok(message);
        }
    }
    Err(failure)
}

/// The whole entry.
struct EntryDeserializer<'de, 'r> {
    fields: &'de Fields,
    readings: &'r Readings,
    /// Whether a map may get one name twice.
    repeats: bool,
}

impl<'de, 'r> EntryDeserializer<'de, 'r> {
    /// The fields, without hidden ones that are not named here.
    fn pairs(self, named: &'static [&'static str]) -> Pairs<'de, 'r> {
        Pairs { fields: self.fields, readings: self.readings, at: 0, named, shows_all: self.repeats }
    }
}

/// Refuses types that are no set of named fields.
macro_rules! refuse {
    ($($method:ident($($arg:ident: $type:ty),*) $what:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* _: V) -> Result<V::Value, Failure> {
            Err(Failure::entry(format!(
                "an entry is a set of named fields: it is read as a struct or a map, not as {}",
                $what
            )))
        }
    )*};
}

impl<'de> Deserializer<'de> for EntryDeserializer<'de, '_> {
    type Error = Failure;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        named: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_map(self.pairs(named))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        // A map would let the last one win.
        if !self.repeats
            && let Some(name) = self.fields.repeated(|name| !is_hidden(name))
        {
            return Err(Failure::repeated(name));
        }
        visitor.visit_map(self.pairs(&[]))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.repeats = name == raw::NAME;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_enum(variant::EntryVariant::find(self.fields, name, variants)?)
    }

    refuse! {
        deserialize_bool() "a boolean";
        deserialize_i8() "an integer";
        deserialize_i16() "an integer";
        deserialize_i32() "an integer";
        deserialize_i64() "an integer";
        deserialize_i128() "an integer";
        deserialize_u8() "an integer";
        deserialize_u16() "an integer";
        deserialize_u32() "an integer";
        deserialize_u64() "an integer";
        deserialize_u128() "an integer";
        deserialize_f32() "a number";
        deserialize_f64() "a number";
        deserialize_char() "a character";
        deserialize_str() "a string";
        deserialize_string() "a string";
        deserialize_bytes() "bytes";
        deserialize_byte_buf() "bytes";
        deserialize_seq() "a sequence";
        deserialize_tuple(_len: usize) "a tuple";
        deserialize_tuple_struct(name: &'static str, _len: usize) format_args!("the tuple struct {name}");
        deserialize_identifier() "a name";
    }
}

/// The fields one after the other.
struct Pairs<'de, 'r> {
    fields: &'de Fields,
    readings: &'r Readings,
    at: usize,
    /// Hidden fields that are shown all the same.
    named: &'static [&'static str],
    shows_all: bool,
}

impl Pairs<'_, '_> {
    fn hides(&self, name: &[u8]) -> bool {
        is_hidden(name) && !self.shows_all && !self.named.iter().any(|named| named.as_bytes() == name)
    }
}

impl<'de> MapAccess<'de> for Pairs<'de, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        while self.fields.pairs.get(self.at).is_some_and(|(name, _)| self.hides(name)) {
            self.at += 1;
        }
        let Some((name, _)) = self.fields.pairs.get(self.at) else {
            return Ok(None);
        };
        let slot = Slot::Name(self.at);
        seed.deserialize(Text::new(name, slot, self.readings)).map(Some).map_err(|failure| failure.at(slot))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some((name, value)) = self.fields.pairs.get(self.at) else {
            return Err(Failure::entry("a value was asked for after the last one".to_owned()));
        };
        let slot = Slot::Value(self.at);
        self.at += 1;
        seed.deserialize(Text::new(offered(name, value), slot, self.readings)).map_err(|failure| failure.at(slot))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len() - self.at)
    }
}

/// The value, at an address of its own: empty ones may share theirs, and refused text is told by its address.
fn offered<'de>(name: &'de [u8], value: &'de [u8]) -> &'de [u8] {
    if value.is_empty() { &name[name.len()..] } else { value }
}
