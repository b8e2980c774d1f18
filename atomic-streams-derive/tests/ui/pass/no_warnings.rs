// The expansion must pass whatever lints its user has.
#![deny(warnings)]
#![deny(
    future_incompatible,
    keyword_idents,
    let_underscore,
    missing_docs,
    nonstandard_style,
    rust_2018_idioms,
    rust_2021_compatibility,
    rust_2024_compatibility,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unreachable_pub,
    unused,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]
#![forbid(unsafe_code)]
//! Documented.

use std::fmt::Debug;

use atomic_streams::{Persistable, StateError, StateFields};

/// Of a type that nobody else can name.
#[derive(serde::Serialize, serde::Deserialize)]
struct Private<T>(T);

/// Without fields.
#[derive(Persistable)]
#[persist(removed("gone"))]
pub struct Unit;

/// Without fields that are persisted.
#[derive(Persistable)]
pub struct Skipped<'a, T: Debug> {
    #[persist(skip)]
    text: &'a T,
}

/// With all there is.
#[derive(Persistable)]
#[persist(version = 2, migrate = migrate)]
pub struct Handler<T, const N: usize>
where
    T: Debug + Default,
{
    #[persist(default, alias = "old")]
    value: T,
    #[persist(default = vec![None])]
    list: Vec<Option<Private<T>>>,
    #[deprecated]
    #[persist(rename = "sum")]
    total: u64,
    #[persist(skip)]
    cache: [u8; N],
}

fn migrate(fields: StateFields) -> Result<StateFields, StateError> {
    Ok(fields)
}

fn run<H: Persistable>(mut handler: H) {
    handler.set_default(0);
}

fn main() {
    run(Unit);
    let skipped = Skipped { text: &1 };
    assert_eq!(*skipped.text, 1);
    run(skipped);
    #[allow(deprecated)]
    let handler = Handler { value: 1, list: vec![Some(Private(2))], total: 3, cache: [4] };
    assert_eq!((handler.list.len(), handler.cache), (1, [4]));
    run(handler);
}
