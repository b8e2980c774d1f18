//! Enums: as one value, and as a whole entry.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};

use super::failure::Failure;
use super::reading::{Readings, Slot};
use super::value::{Text, from_json};
use crate::entry::{Fields, is_hidden, shown};

/// A variant that is given by its name alone.
pub(super) struct PlainVariant<'de>(pub &'de str);

impl<'de> EnumAccess<'de> for PlainVariant<'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<Failure>::new(self.0))?, self))
    }
}

impl PlainVariant<'_> {
    fn lacks_data(&self) -> Failure {
        let name = shown(self.0.as_bytes());
        Failure::value(format!("is a variant with data, which is written as JSON: {{\"{name}\":…}}"))
    }
}

impl<'de> VariantAccess<'de> for PlainVariant<'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Failure> {
        Err(self.lacks_data())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failure> {
        Err(self.lacks_data())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Failure> {
        Err(self.lacks_data())
    }
}

/// A variant that a field is named after.
pub(super) struct EntryVariant<'de> {
    at: usize,
    name: &'de [u8],
    value: &'de [u8],
    known: bool,
}

impl<'de> EntryVariant<'de> {
    /// The one field that is named after a variant; fields beside it do not matter.
    pub(super) fn find(fields: &'de Fields, name: &str, variants: &[&str]) -> Result<Self, Failure> {
        let mut named = fields
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| variants.iter().any(|variant| variant.as_bytes() == *name));
        match (named.next(), named.next()) {
            (Some((at, (name, value))), None) => Ok(Self { at, name, value, known: true }),
            (Some((_, (first, _))), Some((_, (second, _)))) if first == second => Err(Failure::repeated(first)),
            (Some((_, (first, _))), Some((_, (second, _)))) => Err(Failure::entry(format!(
                "fields `{}` and `{}` both name a variant of {name}, and an entry is one",
                shown(first),
                shown(second)
            ))),
            // The enum may have a variant for all others; if not, it names those it has.
            (None, _) => match fields.iter().enumerate().find(|(_, (name, _))| !is_hidden(name)) {
                Some((at, (name, value))) => Ok(Self { at, name, value, known: false }),
                None => Err(Failure::entry(format!("no field names a variant of {name}: there is none"))),
            },
        }
    }

    fn json<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Failure> {
        let what = || format!("the content of the variant {}", shown(self.name));
        from_json(self.value, what, read).map_err(|failure| failure.at(Slot::Value(self.at)))
    }
}

impl<'de> EnumAccess<'de> for EntryVariant<'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let slot = Slot::Name(self.at);
        let variant =
            seed.deserialize(Text::new(self.name, slot, &Readings::default())).map_err(|failure| failure.at(slot))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for EntryVariant<'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        // Nobody knows what an unknown variant holds.
        if !self.known || self.value.is_empty() || self.value == b"null" {
            return Ok(());
        }
        Err(Failure::value("is not empty, as a variant without data is").at(Slot::Value(self.at)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        self.json(|json| seed.deserialize(json))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.json(|json| json.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.json(|json| json.deserialize_struct("", fields, visitor))
    }
}
