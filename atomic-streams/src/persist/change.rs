//! How stored fields differ from the handler's, in words.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// One difference between the stored state and the handler's fields, with the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaChange {
    /// The struct has a field that is not stored and has no default.
    Added {
        /// The field's name.
        name: String,
    },
    /// A field is stored that the struct has not.
    Removed {
        /// The field's name.
        name: String,
    },
    /// The field's type is another one.
    Retyped {
        /// The field's name.
        name: String,
        /// The type that is stored.
        stored: String,
        /// The type of the struct's field.
        own: String,
    },
    /// A newer version of the handler wrote the state.
    Newer {
        /// The version that is stored.
        stored: u32,
        /// The version of this handler.
        own: u32,
    },
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name } => write!(
                f,
                "field `{name}` is new and has no default: give it `#[persist(default = …)]`, or `#[persist(alias = \"…\")]` if it was renamed"
            ),
            Self::Removed { name } => write!(
                f,
                "field `{name}` is stored but not in the struct: to drop it write `#[persist(removed(\"{name}\"))]` on the struct, \
                 or `#[persist(alias = \"{name}\")]` on the field that it has become"
            ),
            Self::Retyped { name, stored, own } => write!(
                f,
                "field `{name}` is stored as `{stored}` and is now `{own}`: raise `#[persist(version = …, migrate = …)]` and convert it there"
            ),
            Self::Newer { stored, own } => write!(
                f,
                "the state was written by version {stored} of this handler and this is version {own}: run the newer build"
            ),
        }
    }
}

/// The error that names every change that nothing accounts for.
pub(crate) fn mismatch(changes: &[SchemaChange]) -> Error {
    const SHOWN: usize = 100;
    let mut lines: Vec<String> = changes.iter().take(SHOWN).map(|change| format!("\n  - {change}")).collect();
    if let Some(more) = changes.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("\n  - and {more} more"));
    }
    Error::new(
        ErrorKind::SchemaMismatch,
        format!("the stored state has other fields than this handler:{}", lines.concat()),
    )
}
