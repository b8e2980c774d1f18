//! What the persisted fields are called and what they hold.

use super::collection::CollectionKind;
use super::migrate::Migrate;
use super::plan::Stored;

/// Names and types of a handler's persisted fields.
///
/// Made by `#[derive(Persistable)]`. Its text is stored in the record and compared at every attach.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) version: u32,
    pub(super) fields: Vec<Field>,
    pub(super) removed: Vec<&'static str>,
    pub(super) migrate: Option<Migrate>,
}

/// One persisted field of a [`Schema`].
#[derive(Clone, Debug)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) type_name: String,
    pub(super) aliases: Vec<&'static str>,
    pub(super) has_default: bool,
    pub(super) collection: Option<CollectionKind>,
}

impl Schema {
    /// The schema with these fields, version 1.
    #[must_use]
    pub fn new(fields: Vec<Field>) -> Self {
        Self { version: 1, fields, removed: Vec::new(), migrate: None }
    }

    /// Names of fields that earlier versions had and that may be dropped.
    #[must_use]
    pub fn removed(mut self, names: &[&'static str]) -> Self {
        self.removed.extend(names);
        self
    }

    /// Raises the version; `migrate` makes the fields of this one from those of an earlier one.
    #[must_use]
    pub fn version(mut self, version: u32, migrate: Migrate) -> Self {
        self.version = version;
        self.migrate = Some(migrate);
        self
    }

    /// The persisted fields, in the order of the struct.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What is stored in the record: one line of JSON, equal for equal schemas.
    pub(crate) fn text(&self) -> String {
        let stored = Stored {
            version: self.version,
            fields: self.fields.iter().map(|field| (field.name.to_owned(), field.type_name.clone())).collect(),
        };
        stored.text()
    }
}

impl Field {
    /// A field without default or aliases.
    #[must_use]
    pub fn new(name: &'static str, type_name: &str) -> Self {
        Self { name, type_name: short_type_name(type_name), aliases: Vec::new(), has_default: false, collection: None }
    }

    /// The field is a collection, and kept entry by entry.
    #[must_use]
    pub fn collection(mut self, kind: CollectionKind) -> Self {
        self.collection = Some(kind);
        self
    }

    /// What kind of collection it is, if it is one.
    #[must_use]
    pub fn collection_kind(&self) -> Option<CollectionKind> {
        self.collection
    }

    /// The field has a `default`: it may be missing from what is stored.
    #[must_use]
    pub fn with_default(mut self) -> Self {
        self.has_default = true;
        self
    }

    /// The field was called so earlier.
    #[must_use]
    pub fn alias(mut self, name: &'static str) -> Self {
        self.aliases.push(name);
        self
    }

    /// Its name in the record.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its type as written in the struct, without module paths.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }
}

/// Drops module paths and white space that means nothing, so that moving a type or importing it otherwise is no change of schema.
fn short_type_name(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut word = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            while rest.peek().is_some_and(|c| c.is_whitespace()) {
                rest.next();
            }
            word.clear();
        } else if c.is_whitespace() {
            // `dyn Trait` and `mut x` need their space; `Vec < u8 >` does not; `a :: b` is one path.
            let mut ahead = rest.clone();
            while ahead.peek().is_some_and(|c| c.is_whitespace()) {
                ahead.next();
            }
            let joins = ahead.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_');
            if !word.is_empty() && joins {
                short.push_str(&word);
                short.push(' ');
                word.clear();
            }
        } else {
            short.push_str(&word);
            word.clear();
            short.push(c);
        }
    }
    short.push_str(&word);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_lose_their_paths() {
        for (long, short) in [
            ("i64", "i64"),
            ("std :: collections :: HashMap < String , Vec < u8 > >", "HashMap<String,Vec<u8>>"),
            ("std::collections::hash::map::HashMap<alloc::string::String, i64>", "HashMap<String,i64>"),
            ("Option<crate::model::Sale>", "Option<Sale>"),
            ("[u8; 4]", "[u8;4]"),
            ("& 'static str", "&'static str"),
            ("Box<dyn crate::Shape>", "Box<dyn Shape>"),
            ("(i64, a::B)", "(i64,B)"),
        ] {
            assert_eq!(short_type_name(long), short);
        }
    }
}
