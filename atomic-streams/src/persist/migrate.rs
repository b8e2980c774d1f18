//! The fields of an earlier version, for a migration to turn into those of the present one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::msgpack::{StateError, decode_of_any_length, encode_of_any_length};

/// The function that `#[persist(version = N, migrate = path)]` names.
pub(crate) type Migrate = fn(StateFields) -> Result<StateFields, StateError>;

/// State as names and values, in the hands of a migration.
///
/// A migration gets the fields of the version that is stored and returns those of the present one. Fields that it does
/// not return take their defaults; fields that the struct does not have are dropped.
///
/// A collection is seen as the plain value that it would be: a map, or a list of entries. One that both versions have
/// under the same name and with the same type is not shown and stays as it is, times to live included, unless the migration
/// returns another value for it.
///
/// ```
/// use atomic_streams::{Persistable, StateError, StateFields};
///
/// #[derive(Persistable)]
/// #[persist(version = 2, migrate = to_cents)]
/// struct Till {
///     #[persist(default = 0)]
///     cents: i64,
/// }
///
/// fn to_cents(mut fields: StateFields) -> Result<StateFields, StateError> {
///     let euros: i64 = fields.take("euros")?;
///     fields.insert("cents", &(euros * 100))?;
///     Ok(fields)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StateFields {
    version: u32,
    values: BTreeMap<String, Vec<u8>>,
}

impl StateFields {
    pub(crate) fn new(version: u32, values: BTreeMap<String, Vec<u8>>) -> Self {
        Self { version, values }
    }

    /// The version that wrote these fields.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Names of the fields that are there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Takes a field out and decodes it.
    ///
    /// # Errors
    /// There is no such field, or it is not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, StateError> {
        let bytes = self.take_bytes(name).ok_or_else(|| StateError::new(format!("no field `{name}` is stored")))?;
        decode_of_any_length(&bytes).map_err(|error| error.in_field(name))
    }

    /// Sets a field.
    ///
    /// # Errors
    /// The value's `Serialize` refused, or it is nested too deep.
    pub fn insert<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        encode_of_any_length(value, &mut bytes).map_err(|error| error.in_field(name))?;
        self.values.insert(name.to_owned(), bytes);
        Ok(())
    }

    pub(crate) fn take_bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        self.values.remove(name)
    }
}
