//! What `#[derive(Persistable)]` names. Not for users: no promise of stability.

pub use core::any::type_name;
pub use core::default::Default;
pub use core::primitive::{u8, usize};
pub use core::result::Result;
pub use std::vec::Vec;

pub use serde::Serialize;
pub use serde::de::DeserializeOwned;

pub use crate::persist::{Field, Persistable, Schema, StateError, StateFields};
use crate::persist::{decode_value, encode_value};

/// There is no field of this number.
#[must_use]
pub fn no_such_field(index: usize) -> StateError {
    StateError::new(format!("there is no field of number {index}"))
}

/// `Serialize`, with an error that says what to do about a field's type.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be stored: the type, or one inside it, does not implement `serde::Serialize`",
    label = "is not `serde::Serialize`",
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` on the type, or `#[persist(skip)]` on the field"
)]
pub trait Encode: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Encode for T {}

/// `DeserializeOwned`, with an error that says what to do about a field's type.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be restored: the type, or one inside it, does not implement `serde::Deserialize`",
    label = "is not `serde::de::DeserializeOwned`",
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` on the type, or `#[persist(skip)]` on the field"
)]
pub trait Decode: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Decode for T {}

/// Appends the value of a field to `into`.
///
/// # Errors
/// As [`Persistable::snapshot`].
pub fn encode<T: Encode>(value: &T, into: &mut Vec<u8>) -> Result<(), StateError> {
    encode_value(value, into)
}

/// Reads the value of a field.
///
/// # Errors
/// As [`Persistable::restore`].
pub fn decode<T: Decode>(from: &[u8]) -> Result<T, StateError> {
    decode_value(from)
}
