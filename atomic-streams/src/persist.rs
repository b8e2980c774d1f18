//! State: the fields of a handler that are kept in the record.

mod migrate;
mod msgpack;
mod schema;
mod snapshot;

pub use migrate::StateFields;
pub use msgpack::{MAX_DEPTH, MAX_FIELD_BYTES, StateError};
pub(crate) use msgpack::{decode_value, encode_value};
pub use schema::{Field, Schema, SchemaChange};
pub(crate) use schema::{Plan, Stored};
pub(crate) use snapshot::{Changed, Snapshot};

/// A handler whose fields survive it: kept in Redis, committed with every message, restored at every start.
///
/// Write `#[derive(Persistable)]`; nobody implements this by hand. Fields are numbered by their place in
/// [`Schema::fields`]; skipped ones have no number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be persisted: it does not implement `Persistable`",
    label = "this type has no persisted state",
    note = "put `#[derive(atomic_streams::Persistable)]` on the struct; a stateless handler is a unit struct with the same derive"
)]
pub trait Persistable {
    /// Names and types of the persisted fields, and how they follow from earlier ones.
    fn schema() -> Schema;

    /// Appends the value of field `index`, as MessagePack, to `into`.
    ///
    /// # Errors
    /// The field's own `Serialize` refused, or the value is longer than [`MAX_FIELD_BYTES`].
    fn snapshot(&self, index: usize, into: &mut Vec<u8>) -> Result<(), StateError>;

    /// Puts a value that [`snapshot`](Self::snapshot) wrote back into field `index`.
    ///
    /// # Errors
    /// The bytes are not a value of the field's type. The field then keeps the value it had.
    fn restore(&mut self, index: usize, from: &[u8]) -> Result<(), StateError>;

    /// Sets field `index` to its `default`, if it has one; else leaves it as it is.
    fn set_default(&mut self, index: usize);
}
