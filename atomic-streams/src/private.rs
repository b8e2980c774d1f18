//! What `#[derive(Persistable)]` names. Not for users: no promise of stability.

pub use core::any::type_name;
pub use core::default::Default;
pub use core::option::Option;
pub use core::primitive::{u8, u64, usize};
pub use core::result::Result;
pub use std::vec::Vec;

pub use serde::Serialize;
pub use serde::de::DeserializeOwned;

pub use crate::persist::{Collection, CollectionKind, Field, Persistable, Schema, StateError, StateFields};
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
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` on the type, or `#[persist(skip)]` on the field",
    note = "a `StateMap`, `StateSet` or `StateDeque` must be the whole type of its field, under its own name: not behind an alias, and not inside another type"
)]
pub trait Encode: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Encode for T {}

/// `DeserializeOwned`, with an error that says what to do about a field's type.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be restored: the type, or one inside it, does not implement `serde::Deserialize`",
    label = "is not `serde::de::DeserializeOwned`",
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` on the type, or `#[persist(skip)]` on the field",
    note = "a `StateMap`, `StateSet` or `StateDeque` must be the whole type of its field, under its own name: not behind an alias, and not inside another type"
)]
pub trait Decode: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Decode for T {}

/// Finds, where the type has one, the stamp of a field: `(&Probe(&field)).stamp()` takes [`Stamp`] if it can, else [`NoStamp`].
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a T);

/// A value that 64 bits tell from all others of its type.
pub trait Stamp {
    /// Those bits.
    fn stamp(&self) -> Option<u64>;
}

/// Any other value.
pub trait NoStamp {
    /// There are none.
    #[inline(always)]
    fn stamp(&self) -> Option<u64> {
        None
    }
}

impl<T> NoStamp for &Probe<'_, T> {}

macro_rules! stamp {
    ($($type:ty: $value:ident => $bits:expr;)*) => {$(
        impl Stamp for Probe<'_, $type> {
            #[inline(always)]
            fn stamp(&self) -> Option<u64> {
                let $value = *self.0;
                Some($bits)
            }
        }
    )*};
}

stamp! {
    u8: value => value.into();
    u16: value => value.into();
    u32: value => value.into();
    u64: value => value;
    usize: value => value as u64;
    i8: value => value as u64;
    i16: value => value as u64;
    i32: value => value as u64;
    i64: value => value as u64;
    isize: value => value as u64;
    f32: value => value.to_bits().into();
    f64: value => value.to_bits();
    bool: value => value.into();
    char: value => value.into();
}

/// Notes a field that has another stamp, or none.
#[inline(always)]
pub fn compare<const N: usize>(index: usize, stamp: Option<u64>, stamps: &mut [u64; N], suspects: &mut Vec<usize>) {
    if let (Some(stamp), Some(held)) = (stamp, stamps.get_mut(index)) {
        if *held == stamp {
            return;
        }
        *held = stamp;
    }
    suspects.push(index);
}

/// The field as a collection.
pub fn collection<T: Collection>(field: &mut T) -> &mut dyn Collection {
    field
}

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
