//! What `#[derive(Persistable)]` names. Not for users: no promise of stability.

pub use core::any::type_name;
pub use std::vec::Vec;

pub use crate::persist::{Field, Persistable, Schema, StateError, decode_value, encode_value};
