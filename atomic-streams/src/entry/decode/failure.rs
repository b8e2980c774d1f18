//! What went wrong while serde drove, and the error that is made of it.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::reading::{Reading, Slot};
use super::{DecodeError, offered};
use crate::entry::{Fields, in_short, shown};

/// A failure that does not know yet which field it is about. Boxed: results are handed on often and fail rarely.
pub(super) struct Failure(Box<Details>);

#[derive(Debug)]
struct Details {
    problem: Problem,
    slot: Option<Slot>,
    refused: Option<Refused>,
}

#[derive(Debug)]
enum Problem {
    /// A whole sentence.
    Entry(String),
    /// What is said of the value, after it: "is not …". `found` stands for a value that is not known.
    Value { is: String, found: String },
    /// A text by others, to put beside the value.
    Message(String),
}

/// Where the text lies that a type refused.
///
/// serde buffers borrowed text as it is, so its address tells which field it came from, as its characters could not.
#[derive(Debug)]
struct Refused {
    address: usize,
    length: usize,
    reading: Option<Reading>,
}

impl Failure {
    fn new(problem: Problem) -> Self {
        Self(Box::new(Details { problem, slot: None, refused: None }))
    }

    /// A failure that is told by this sentence alone.
    pub(super) fn entry(sentence: String) -> Self {
        Self::new(Problem::Entry(sentence))
    }

    pub(super) fn repeated(name: &[u8]) -> Self {
        Self::entry(format!("field `{}` occurs more than once", shown(name)))
    }

    /// The value is something, as in "is not UTF-8 text".
    pub(super) fn value(is: impl Into<String>) -> Self {
        Self::new(Problem::Value { is: is.into(), found: "a value".to_owned() })
    }

    pub(super) fn json(error: &serde_json::Error, what: impl fmt::Display) -> Self {
        Self::value(format!("is not {what} in JSON: {}", in_short(error)))
    }

    /// It happened here, unless it is known to have happened elsewhere.
    pub(super) fn at(mut self, slot: Slot) -> Self {
        self.0.slot.get_or_insert(slot);
        self
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        self.0.slot
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.0.problem, Problem::Message(_))
    }

    /// Which name or value was refused as text, and what it might be taken as.
    pub(super) fn retry(&self, fields: &Fields) -> Option<(Slot, Reading)> {
        let refused = self.0.refused.as_ref()?;
        let (slot, bytes) = refused.find(fields)?;
        (bytes.len() == refused.length).then_some((slot, refused.reading?))
    }

    pub(super) fn into_error(self, fields: &Fields) -> DecodeError {
        let Details { problem, slot, refused } = *self.0;
        let found = refused.as_ref().and_then(|refused| refused.find(fields));
        let inside = found.zip(refused.as_ref()).is_some_and(|((_, bytes), refused)| bytes.len() != refused.length);
        let slot = slot.or(found.map(|(slot, _)| slot));
        let place = match slot {
            Some(Slot::Name(at)) => fields.pairs.get(at).map(|(name, _)| format!("field name `{}`", shown(name))),
            Some(Slot::Value(at)) => {
                fields.pairs.get(at).map(|(name, value)| format!("field `{}`: `{}`", shown(name), shown(value)))
            }
            None => None,
        };
        let text = match (place, problem) {
            (Some(place), Problem::Entry(sentence)) if matches!(slot, Some(Slot::Value(_))) => {
                format!("{place}: {sentence}")
            }
            (_, Problem::Entry(sentence)) => sentence,
            (Some(place), Problem::Value { is, .. }) if !inside => format!("{place} {is}"),
            (Some(place), Problem::Value { is, found }) => format!("{place}: {found} {is}"),
            (Some(place), Problem::Message(message)) => format!("{place}: {message}"),
            (None, problem) => problem.to_string(),
        };
        DecodeError { text }
    }

    fn refused(mut self, text: &[u8], reading: Option<Reading>) -> Self {
        self.0.refused = Some(Refused { address: text.as_ptr().addr(), length: text.len(), reading });
        self
    }

    fn unexpected(unexpected: Unexpected<'_>, expected: &dyn Expected, reread: bool) -> Self {
        let expected = expected.to_string();
        let found = match unexpected {
            Unexpected::Str(text) => format!("the string `{}`", shown(text.as_bytes())),
            Unexpected::Bytes(bytes) => format!("the bytes `{}`", shown(bytes)),
            other => format!("the {other}"),
        };
        let failure = Self::new(Problem::Value { is: format!("is not {}", described(&expected)), found });
        match unexpected {
            Unexpected::Str(text) => failure.refused(text.as_bytes(), reread.then(|| Reading::for_expected(&expected))),
            Unexpected::Bytes(bytes) => failure.refused(bytes, None),
            _ => failure,
        }
    }
}

impl Refused {
    /// The name or value that holds the text.
    fn find<'f>(&self, fields: &'f Fields) -> Option<(Slot, &'f [u8])> {
        let slots = fields.iter().enumerate();
        let mut found = slots
            .flat_map(|(at, (name, value))| [(Slot::Name(at), name), (Slot::Value(at), offered(name, value))])
            .filter(|(_, bytes)| self.is_in(bytes));
        let first = found.next()?;
        // Where empty texts meet, none is better than the wrong one.
        found.next().is_none().then_some(first)
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let start = bytes.as_ptr().addr();
        if self.length == 0 {
            return bytes.is_empty() && start == self.address;
        }
        self.address >= start && self.address - start + self.length <= bytes.len()
    }
}

/// Says in words what serde calls by the name of the primitive type.
pub(super) fn described(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => format!("an integer ({expected})"),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => format!("an unsigned integer ({expected})"),
        "f32" | "f64" => format!("a number ({expected})"),
        "a boolean" => "a boolean (`true`, `false`, `1` or `0`)".to_owned(),
        "unit" => "empty".to_owned(),
        _ => expected.to_owned(),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Problem::Message(in_short(message)))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unexpected(unexpected, expected, true)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unexpected(unexpected, expected, false)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let is = match expected {
            [] => "is not a variant: there is none".to_owned(),
            _ => format!("is not one of the variants {}", listed(expected)),
        };
        // A variant with data is JSON.
        let reading = variant.starts_with('{').then_some(Reading::Looks);
        let found = format!("`{}`", shown(variant.as_bytes()));
        Self::new(Problem::Value { is, found }).refused(variant.as_bytes(), reading)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let field = shown(field.as_bytes());
        Self::entry(match expected {
            [] => format!("field `{field}` is unknown, and there are no fields"),
            _ => format!("field `{field}` is unknown; the known ones are {}", listed(expected)),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::entry(format!("field `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::repeated(field.as_bytes())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(text) | Self::Message(text) => f.write_str(text),
            Self::Value { is, found } => write!(f, "{found} {is}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.problem.fmt(f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}
