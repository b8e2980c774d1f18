//! Puts stored fields into the struct that they are of.

use super::StateSnapshot;
use crate::error::{Error, ErrorKind};
use crate::persist::{Persistable, Schema, Source, StateError, Stored, mismatch};
use crate::store::administration::{Collections, State};

/// What the record's schema is after a reset.
const DROPPED: &str = "dropped";

pub(super) fn fill<S: Persistable>(
    mut state: S,
    schema: &Schema,
    stored: State,
    collections: &Collections,
) -> Result<StateSnapshot<S>, Error> {
    if stored.schema == DROPPED {
        return Err(unwritten("its state was dropped by a reset"));
    }
    let text = Stored::parse(&stored.schema).map_err(damaged)?;
    let plan = schema.plan(&text).map_err(|changes| mismatch(&changes))?;
    if plan.migrate.is_some() {
        return Err(Error::new(
            ErrorKind::SchemaMismatch,
            format!(
                "the state is of version {} and this struct is a later one: it is migrated when a consumer of the new build begins. \
                 Until then, read it with the struct of that version",
                text.version
            ),
        ));
    }
    for (index, (source, field)) in plan.sources.iter().zip(schema.fields()).enumerate() {
        let damaged = |error: StateError| {
            let error = error.in_field(field.name());
            if text.is_from_outside() { Stored::unfit(error) } else { damaged(error) }
        };
        match source {
            Source::Default => state.set_default(index),
            Source::Value(name) => {
                let Some(value) = stored.fields.get(name) else { return Err(missing(name)) };
                state.restore(index, value).map_err(damaged)?;
            }
            Source::Entries(name) => {
                let Some(size) = stored.sizes.get(name) else { return Err(missing(name)) };
                let place = collections.iter().position(|(_, field)| field == name);
                let entries = place.and_then(|place| stored.collections.get(place)).map_or(&[][..], Vec::as_slice);
                fill_collection(&mut state, index, entries, *size).map_err(damaged)?;
            }
        }
        // A plain field that became a collection was decoded as a whole.
        if let Some(collection) = state.collection(index) {
            collection.settle();
            collection.renew_mark();
        }
    }
    let State { head, position, processed, .. } = stored;
    Ok(StateSnapshot { state, position, processed, sequence: head.sequence })
}

fn fill_collection<S: Persistable>(
    state: &mut S,
    index: usize,
    entries: &[(Vec<u8>, Vec<u8>)],
    size: u64,
) -> Result<(), StateError> {
    let Some(collection) = state.collection(index) else { return Ok(()) };
    collection.reset();
    entries.iter().try_for_each(|(key, value)| collection.put(key, value))?;
    collection.complete(size)?;
    match (entries.len() as u64, collection.stored_len()) {
        (read, held) if read == size && held == size => Ok(()),
        (read, held) => Err(StateError::new(format!(
            "its key holds {read} entries, of which {held} are different ones, and the record says that there are {size}"
        ))),
    }
}

fn unwritten(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what}, and its next owner has not begun: try again when it has"))
}

fn missing(field: &str) -> Error {
    unwritten(&format!("field `{field}` is not written yet"))
}

fn damaged(error: StateError) -> Error {
    Error::new(ErrorKind::StateDamaged, format!("the stored state cannot be used: {error}")).with_source(error)
}
