//! The derive macro of `atomic-streams`, which re-exports it next to its trait.

mod attr;
mod check;
mod errors;
mod expand;
mod fallback;
mod parse;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Persistable`: the fields of the struct are kept in Redis and restored at every start.
///
/// For structs with named fields and for unit structs, with or without generics. The type of every persisted field must
/// be `serde::Serialize + serde::de::DeserializeOwned`; for fields that mention a type or const parameter this becomes a
/// `where` clause of the implementation.
///
/// # Plain fields and collections
///
/// A plain field is one value: unless it is a number, a `bool` or a `char`, it is encoded after every message to see whether it
/// has changed, and written whole if it has. That is right for what is small; a `Vec` or `HashMap` of a thousand entries
/// costs as much with every message as all of its entries do.
///
/// A field of type `StateMap<K, V>`, `StateSet<T>` or `StateDeque<T>` is a collection: it is kept entry by entry in a key beside the
/// record, and a message costs what it changes. It must be the whole type of its field, under its own name, with a path or
/// without: `atomic_streams::StateMap<String, i64>`, but no alias of it and no `Option` around it. All attributes mean the
/// same for it. A plain field of the same entries becomes a collection by changing its type: `HashMap` and `BTreeMap` a
/// `StateMap`; `HashSet`, `BTreeSet` and `Vec` a `StateSet`; `VecDeque` and `Vec` a `StateDeque`.
///
/// # On a field
///
/// - `#[persist(default = EXPR)]`: the value when nothing is stored under the field's names. `EXPR` has the type of the
///   field.
/// - `#[persist(default)]`: the same with `Default::default()`.
/// - `#[persist(skip)]`: not persisted. Such a field may be of any type and may borrow.
/// - `#[persist(rename = "name")]`: the name under which it is stored, in place of the field's own (`r#type` is stored as
///   `type`). Names that begin with `@` are reserved.
/// - `#[persist(alias = "old")]`: a name under which it was stored earlier. May be repeated.
///
/// # On the struct
///
/// - `#[persist(removed("a", "b"))]`: fields of earlier versions whose stored values may be dropped. May be repeated.
/// - `#[persist(version = N, migrate = path)]`: the version of the fields (1 unless written), and the
///   `fn(StateFields) -> Result<StateFields, StateError>` that makes them from those of any earlier version.
/// - `#[persist(crate = path)]`: where `atomic-streams` is found, if not at `::atomic_streams`; for re-exports.
#[proc_macro_derive(Persistable, attributes(persist))]
pub fn derive_persistable(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = errors::Errors::default();
    let item = parse::item(&input, &mut errors);
    check::check(&item, &mut errors);
    match errors.finish() {
        Ok(()) => expand::expand(&item).into(),
        Err(error) => fallback::expand(&item, &error).into(),
    }
}
