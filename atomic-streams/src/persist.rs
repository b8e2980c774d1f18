//! State: the fields of a handler that are kept in the record.

mod change;
mod collection;
mod migrate;
mod msgpack;
mod plan;
mod schema;
mod snapshot;

pub use change::SchemaChange;
pub(crate) use change::mismatch;
#[doc(hidden)]
pub use collection::CollectionChanges;
pub use collection::{
    Collection, CollectionKind, EntryChanges, MAX_ENTRY_CHANGES, Mark, StateDeque, StateMap, StateSet, StoredEntry,
};
pub(crate) use collection::{MAX_PART_BYTES, MAX_PART_ENTRIES, plain_value};
pub use migrate::StateFields;
pub use msgpack::{MAX_DEPTH, MAX_FIELD_BYTES, StateError};
pub(crate) use msgpack::{decode_value, encode_value};
pub(crate) use plan::{Plan, Source, Stored, UNKNOWN_TYPE};
pub use schema::{Field, Schema};
#[doc(hidden)]
pub use snapshot::Changes;
pub use snapshot::LARGE_FIELD_BYTES;
pub(crate) use snapshot::{Restored, Snapshot};

/// A handler whose fields survive it: kept in Redis, committed with every message, restored at every start.
///
/// Write `#[derive(Persistable)]`; nobody implements this by hand. Fields are numbered by their place in
/// [`Schema::fields`]; skipped ones have no number.
///
/// # What a field costs
/// A plain field is one value. Unless it is a number, a `bool` or a `char`, it is encoded after every message to see whether it
/// has changed, and written whole if it has: a large `Vec` or `HashMap` makes every message slow. [`StateMap`], [`StateSet`] and
/// [`StateDeque`] are kept entry by entry, and a message costs what it changes.
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

    /// Pushes the number of every field that may hold another value than when it was called last, in order.
    ///
    /// A field of a type that tells its value in 64 bits (numbers up to 64 bits, `bool`, `char`) is pushed only if that
    /// value is another one than in `stamps`, and the new one is put there; others are pushed always, to be encoded and
    /// compared. `stamps` has a place for every field.
    fn suspects(&self, stamps: &mut [u64], suspects: &mut Vec<usize>) {
        suspects.extend(0..stamps.len());
    }

    /// Field `index` as a collection, if it is one: then it is not [`suspects`](Self::suspects)' matter.
    fn collection(&mut self, _index: usize) -> Option<&mut dyn Collection> {
        None
    }
}
