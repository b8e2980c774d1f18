//! A state that was read from outside.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::id::EntryId;
use crate::persist::{StateError, decode_value, plain_value};
use crate::store::administration::{Collections, State};

/// A consistent snapshot of a subscription's state.
#[derive(Clone, Debug)]
pub struct StoredState {
    position: EntryId,
    processed: u64,
    schema: String,
    /// MessagePack; collections as the plain values that they would be.
    fields: BTreeMap<String, Result<Vec<u8>, String>>,
}

impl StoredState {
    pub(crate) fn new(state: State, collections: Collections) -> Self {
        let mut fields: BTreeMap<_, _> = state.fields.into_iter().map(|(name, value)| (name, Ok(value))).collect();
        for ((kind, name), entries) in collections.into_iter().zip(state.collections) {
            if !state.sizes.contains_key(&name) {
                continue; // Its first owner is still at writing it.
            }
            fields.insert(name, plain_value(kind, entries).map_err(|error| error.to_string()));
        }
        Self { position: state.position, processed: state.processed, schema: state.schema, fields }
    }

    /// The last entry whose effects are in it.
    #[must_use]
    pub fn position(&self) -> EntryId {
        self.position
    }

    /// How many entries it is made of.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.processed
    }

    /// Names and types of its fields, as the owner wrote them, in JSON.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The names of its fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// One field, as the type that it is in the handler, or the plain one in place of a collection: `HashMap` for
    /// [`StateMap`](crate::StateMap), `HashSet` or `Vec` for [`StateSet`](crate::StateSet), `VecDeque` or `Vec` for
    /// [`StateDeque`](crate::StateDeque). `None` if there is no such field.
    ///
    /// # Errors
    /// The stored bytes are damaged, or of another type.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        self.bytes(name)?.map(|bytes| decode_value(bytes).map_err(|error| error.in_field(name))).transpose()
    }

    /// One field's value as MessagePack. `None` if there is no such field.
    ///
    /// # Errors
    /// The stored entries of a collection are damaged.
    pub fn bytes(&self, name: &str) -> Result<Option<&[u8]>, StateError> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(problem)) => Err(StateError::new(problem.clone()).in_field(name)),
        }
    }

    /// All fields as JSON: bytes as text if they are UTF-8, else as numbers; keys of maps that are no text by their own JSON;
    /// numbers that JSON has not as text.
    ///
    /// # Errors
    /// As [`field`](Self::field).
    pub fn to_json(&self) -> Result<Value, StateError> {
        let mut all = Map::new();
        for name in self.fields.keys() {
            let value = self.field::<Json>(name)?.map_or(Value::Null, |json| json.0);
            all.insert(name.clone(), value);
        }
        Ok(Value::Object(all))
    }
}

/// Any MessagePack value, as JSON.
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Json)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(match std::str::from_utf8(value) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => Value::Array(value.iter().map(|byte| Value::from(*byte)).collect()),
        })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Json(part)) = parts.next_element()? {
            array.push(part);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Json(key), Json(value))) = parts.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Serialize;

    use super::*;
    use crate::persist::encode_value;

    #[derive(Serialize)]
    enum Shape {
        Point,
        Circle(f64),
    }

    fn json<T: Serialize>(value: &T) -> String {
        let mut bytes = Vec::new();
        encode_value(value, &mut bytes).unwrap();
        decode_value::<Json>(&bytes).unwrap().0.to_string()
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        assert_eq!(json(&(1_u64, -2_i64, true, "x", Option::<u8>::None, Some(3))), r#"[1,-2,true,"x",null,3]"#);
        assert_eq!(json(&vec![Shape::Point, Shape::Circle(1.5)]), r#"["Point",{"Circle":1.5}]"#);
        assert_eq!(json(&HashMap::from([(7_u32, "seven")])), r#"{"7":"seven"}"#);
        assert_eq!(json(&HashMap::from([((1, 2), u64::MAX)])), r#"{"[1,2]":18446744073709551615}"#);
        assert_eq!(json(&f64::NAN), r#""NaN""#);
        assert_eq!(json(&serde_bytes::Bytes::new(b"text")), r#""text""#);
        assert_eq!(json(&serde_bytes::Bytes::new(b"\xff\x00")), "[255,0]");
    }
}
