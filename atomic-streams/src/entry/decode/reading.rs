//! How a value is offered to a type that does not say what it wants.

use serde::de::{Deserializer, Visitor};

use super::failure::Failure;

/// A name or a value of the entry, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Name(usize),
    Value(usize),
}

/// What to offer the bytes as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    Text,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    Bool,
    Unit,
    /// What it looks like: a number, a boolean or JSON.
    Looks,
}

impl Reading {
    /// What may suit a type that refused text and expects this.
    pub(super) fn for_expected(expected: &str) -> Self {
        match expected.strip_prefix("a nonzero ").unwrap_or(expected) {
            "i8" => Self::I8,
            "i16" => Self::I16,
            "i32" => Self::I32,
            "i64" | "isize" => Self::I64,
            "u8" => Self::U8,
            "u16" => Self::U16,
            "u32" => Self::U32,
            "u64" | "usize" => Self::U64,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "a boolean" => Self::Bool,
            unit if unit.starts_with("unit") => Self::Unit,
            _ => Self::Looks,
        }
    }
}

/// Visits text as what it looks like, or as text where it looks like nothing else.
pub(super) fn visit_as_it_looks<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, Failure> {
    let Some(first) = text.bytes().next() else {
        return visitor.visit_borrowed_str(text);
    };
    if matches!(first, b'{' | b'[') {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = json.deserialize_any(visitor);
        return value.and_then(|value| json.end().map(|()| value)).map_err(|error| Failure::json(&error, "a value"));
    }
    // Words such as `nan` are names more often than numbers.
    if first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.') {
        if let Ok(value) = text.parse() {
            return visitor.visit_u64(value);
        }
        if let Ok(value) = text.parse() {
            return visitor.visit_i64(value);
        }
        if text.parse::<i128>().is_ok() || text.parse::<u128>().is_ok() {
            return Err(Failure::value("is beyond 64 bits, the most that a tagged enum or flattened part can take"));
        }
        if let Ok(value) = text.parse() {
            return visitor.visit_f64(value);
        }
    }
    match text {
        "true" => visitor.visit_bool(true),
        "false" => visitor.visit_bool(false),
        _ => visitor.visit_borrowed_str(text),
    }
}

/// The reading of each name and value; text unless it was set.
#[derive(Default)]
pub(super) struct Readings {
    names: Vec<Reading>,
    values: Vec<Reading>,
}

impl Readings {
    pub(super) fn of(&self, slot: Slot) -> Reading {
        let (list, at) = match slot {
            Slot::Name(at) => (&self.names, at),
            Slot::Value(at) => (&self.values, at),
        };
        list.get(at).copied().unwrap_or_default()
    }

    /// Sets one, in an entry of `length` fields.
    pub(super) fn set(&mut self, slot: Slot, reading: Reading, length: usize) {
        let (list, at) = match slot {
            Slot::Name(at) => (&mut self.names, at),
            Slot::Value(at) => (&mut self.values, at),
        };
        list.resize(length, Reading::Text);
        if let Some(place) = list.get_mut(at) {
            *place = reading;
        }
    }

    /// Takes this value, or all of them, as what they look like.
    pub(super) fn guess(&mut self, slot: Option<Slot>, length: usize) {
        if let Some(slot) = slot {
            return self.set(slot, Reading::Looks, length);
        }
        self.values.resize(length, Reading::Text);
        for reading in &mut self.values {
            if *reading == Reading::Text {
                *reading = Reading::Looks;
            }
        }
    }
}
