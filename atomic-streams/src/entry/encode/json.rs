//! Nested values, as JSON that can be read back.

use std::cell::Cell;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::finite;

/// How deep arrays and objects may be nested: what serde_json reads.
const MAX_DEPTH: usize = 127;

/// Appends a value that stands `depth` deep in its JSON.
pub(super) fn append<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    let null = Cell::new(false);
    let mut json = Serializer::with_formatter(into, Watching { depth, null: &null });
    value.serialize(&mut json).map_err(|error| format!("cannot be written as JSON: {error}"))?;
    // serde_json writes numbers that JSON lacks as `null`, as it does `None`.
    if null.get() && !finite::is_finite(value) {
        return Err("cannot be written as JSON: it has no NaN and no infinite numbers".to_owned());
    }
    Ok(())
}

/// Writes JSON without spaces, and sees how deep it gets and whether a `null` is in it.
struct Watching<'a> {
    depth: usize,
    null: &'a Cell<bool>,
}

impl Watching<'_> {
    fn open<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(io::Error::other(format!("it is nested more than {MAX_DEPTH} deep")));
        }
        writer.write_all(bracket)
    }

    fn close<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(bracket)
    }
}

impl Formatter for Watching<'_> {
    fn write_null<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.null.set(true);
        writer.write_all(b"null")
    }

    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }
}
