//! The last known good value of every persisted field: what is compared, and what is rolled back to.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Persistable;
use super::msgpack::StateError;
use super::schema::Schema;

/// Encoded values of all persisted fields of one handler.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    names: Vec<&'static str>,
    values: Vec<Vec<u8>>,
    scratch: Vec<u8>,
    /// Where each field's value ends in `scratch`.
    ends: Vec<usize>,
}

/// A field and its new encoded value.
pub(crate) type Changed = (&'static str, Vec<u8>);

impl Snapshot {
    /// The values that the handler holds now.
    pub fn of<H: Persistable>(handler: &H, schema: &Schema) -> Result<Self, StateError> {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
        let mut values = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let mut value = Vec::new();
            handler.snapshot(index, &mut value).map_err(|error| error.in_field(name))?;
            values.push(value);
        }
        Ok(Self { names, values, scratch: Vec::new(), ends: Vec::new() })
    }

    /// Sets every field of the handler: to its value in `stored`, else its default, else what `initial` holds. Then remembers them.
    pub fn restore<H: Persistable>(
        &mut self,
        handler: &mut H,
        stored: &[Option<Vec<u8>>],
        initial: &Self,
    ) -> Result<(), StateError> {
        for (index, name) in self.names.iter().enumerate() {
            let result = match stored.get(index).and_then(Option::as_ref) {
                Some(value) => handler.restore(index, value),
                None => {
                    let built = handler.restore(index, &initial.values[index]);
                    handler.set_default(index);
                    built
                }
            };
            result.map_err(|error| error.in_field(name))?;
        }
        for (index, name) in self.names.iter().enumerate() {
            self.values[index].clear();
            handler.snapshot(index, &mut self.values[index]).map_err(|error| error.in_field(name))?;
        }
        Ok(())
    }

    /// The fields whose values differ from those remembered. Remembers the new ones, all or (after an error) none.
    pub fn changes<H: Persistable>(&mut self, handler: &H) -> Result<Vec<Changed>, StateError> {
        self.scratch.clear();
        self.ends.clear();
        for (index, name) in self.names.iter().enumerate() {
            handler.snapshot(index, &mut self.scratch).map_err(|error| error.in_field(name))?;
            self.ends.push(self.scratch.len());
        }
        let mut changed = Vec::new();
        let mut start = 0;
        for (index, end) in self.ends.iter().copied().enumerate() {
            let value = &self.scratch[start..end];
            if self.values[index] != value {
                self.values[index].clear();
                self.values[index].extend_from_slice(value);
                changed.push((self.names[index], value.to_vec()));
            }
            start = end;
        }
        Ok(changed)
    }

    /// Puts the remembered values back into the handler.
    pub fn roll_back<H: Persistable>(&self, handler: &mut H) -> Result<(), StateError> {
        let mut held = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            held.clear();
            // A hash map that is decoded again is written in another order: leave what has not changed. A value that
            // cannot be written, or panics, has.
            let encoded = catch_unwind(AssertUnwindSafe(|| handler.snapshot(index, &mut held)));
            if !matches!(encoded, Ok(Ok(()))) || held != *value {
                handler.restore(index, value).map_err(|error| error.in_field(self.names[index]))?;
            }
        }
        Ok(())
    }

    /// All fields with the remembered values.
    pub fn all(&self) -> Vec<Changed> {
        self.names.iter().copied().zip(self.values.iter().cloned()).collect()
    }
}
