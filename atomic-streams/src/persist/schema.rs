//! What the persisted fields are called, what they hold, and whether stored ones fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::collection::CollectionKind;
use super::migrate::{Migrate, StateFields};
use super::msgpack::StateError;

/// Names and types of a handler's persisted fields.
///
/// Made by `#[derive(Persistable)]`. Its text is stored in the record and compared at every attach.
#[derive(Clone, Debug)]
pub struct Schema {
    version: u32,
    fields: Vec<Field>,
    removed: Vec<&'static str>,
    migrate: Option<Migrate>,
}

/// One persisted field of a [`Schema`].
#[derive(Clone, Debug)]
pub struct Field {
    name: &'static str,
    type_name: String,
    aliases: Vec<&'static str>,
    has_default: bool,
    collection: Option<CollectionKind>,
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

    /// How the fields stored under `stored` become those of this schema.
    ///
    /// # Errors
    /// Every change that nothing in this schema accounts for.
    pub(crate) fn plan(&self, stored: &Stored) -> Result<Plan, Vec<SchemaChange>> {
        if stored.version > self.version {
            return Err(vec![SchemaChange::Newer { stored: stored.version, own: self.version }]);
        }
        if let (Some(migrate), true) = (self.migrate, stored.version < self.version) {
            return Ok(self.migration(migrate, stored));
        }
        let mut changes = Vec::new();
        let mut used = BTreeSet::new();
        let mut sources = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let found =
                std::iter::once(&field.name).chain(&field.aliases).find_map(|name| stored.fields.get_key_value(*name));
            match found {
                Some((name, type_name)) => {
                    if !field.accepts(type_name) {
                        changes.push(SchemaChange::Retyped {
                            name: field.name.to_owned(),
                            stored: type_name.clone(),
                            own: field.type_name.clone(),
                        });
                    }
                    used.insert(name.as_str());
                    sources.push(match CollectionKind::of_type(type_name) {
                        Some(_) => Source::Entries(name.clone()),
                        None => Source::Value(name.clone()),
                    });
                }
                None => {
                    if !field.has_default {
                        changes.push(SchemaChange::Added { name: field.name.to_owned() });
                    }
                    sources.push(Source::Default);
                }
            }
        }
        for name in stored.fields.keys() {
            if !used.contains(name.as_str()) && !self.removed.contains(&name.as_str()) {
                changes.push(SchemaChange::Removed { name: name.clone() });
            }
        }
        if changes.is_empty() { Ok(self.planned(sources, stored, None)) } else { Err(changes) }
    }

    /// The plan in which `migrate` makes the fields; collections that have not changed need nothing.
    fn migration(&self, migrate: Migrate, stored: &Stored) -> Plan {
        let unchanged =
            |field: &Field| field.collection.is_some() && stored.fields.get(field.name) == Some(&field.type_name);
        let sources = self.fields.iter().map(|field| match unchanged(field) {
            true => Source::Entries(field.name.to_owned()),
            false => Source::Default,
        });
        self.planned(sources.collect(), stored, Some(migrate))
    }

    fn planned(&self, sources: Vec<Source>, stored: &Stored, migrate: Option<Migrate>) -> Plan {
        let own = |name: &str, kind: Option<CollectionKind>| {
            self.fields.iter().any(|field| field.name == name && field.collection == kind)
        };
        let mut stale = BTreeSet::new();
        let mut stale_collections = Vec::new();
        for (name, type_name) in &stored.fields {
            match CollectionKind::of_type(type_name) {
                kind if own(name, kind) => {}
                Some(kind) => stale_collections.push((kind, name.clone())),
                None => {
                    stale.insert(name.clone());
                }
            }
        }
        Plan { sources, stale, stale_collections, migrate }
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

    /// Whether it can be restored from what is stored under this type.
    fn accepts(&self, stored: &str) -> bool {
        if *stored == self.type_name {
            return true;
        }
        let Some(kind) = self.collection else { return false };
        match (stored.split_once('<'), self.type_name.split_once('<')) {
            (Some((plain, held)), Some((_, own))) => kind.plain_types().contains(&plain) && held == own,
            _ => false,
        }
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

/// The schema as the record holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub version: u32,
    pub fields: BTreeMap<String, String>,
}

impl Stored {
    pub fn parse(text: &str) -> Result<Self, StateError> {
        serde_json::from_str(text)
            .map_err(|error| StateError::new(format!("the stored schema `{text}` cannot be read: {error}")))
    }

    pub fn text(&self) -> String {
        // A map of strings has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Where the value of a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its default, or the migration.
    Default,
    /// The value of this stored field.
    Value(String),
    /// The entries of this stored collection, which is of the field's own kind.
    Entries(String),
}

/// How stored fields become those of the present schema.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where each field of the schema comes from.
    pub sources: Vec<Source>,
    /// Stored plain fields whose names mean nothing any more, or a collection now.
    pub stale: BTreeSet<String>,
    /// Stored collections that no field is any more.
    pub stale_collections: Vec<(CollectionKind, String)>,
    /// Makes the fields from the stored ones, except for collections that stay as they are.
    pub migrate: Option<Migrate>,
}

impl Plan {
    /// Whether the fields lie in the record just as the schema has them.
    pub fn is_plain(&self) -> bool {
        self.migrate.is_none()
            && self.stale.is_empty()
            && self.stale_collections.is_empty()
            && !self.sources.contains(&Source::Default)
    }

    /// The value of each field, from the stored fields; `None` where the default is to be taken.
    pub fn apply(
        &self,
        schema: &Schema,
        version: u32,
        mut stored: BTreeMap<String, Vec<u8>>,
    ) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        match self.migrate {
            Some(migrate) => {
                let mut fields = migrate(StateFields::new(version, stored)).map_err(|error| {
                    StateError::new(format!("the migration from version {version} failed: {error}"))
                })?;
                Ok(schema.fields.iter().map(|field| fields.take_bytes(field.name)).collect())
            }
            None => Ok(self
                .sources
                .iter()
                .map(|source| match source {
                    Source::Value(name) => stored.remove(name),
                    Source::Default | Source::Entries(_) => None,
                })
                .collect()),
        }
    }
}

/// One difference between the stored state and the handler's fields, with the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaChange {
    /// The struct has a field that is not stored and has no default.
    Added {
        /// The field's name.
        name: String,
    },
    /// A field is stored that the struct has not.
    Removed {
        /// The field's name.
        name: String,
    },
    /// The field's type is another one.
    Retyped {
        /// The field's name.
        name: String,
        /// The type that is stored.
        stored: String,
        /// The type of the struct's field.
        own: String,
    },
    /// A newer version of the handler wrote the state.
    Newer {
        /// The version that is stored.
        stored: u32,
        /// The version of this handler.
        own: u32,
    },
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name } => write!(
                f,
                "field `{name}` is new and has no default: give it `#[persist(default = …)]`, or `#[persist(alias = \"…\")]` if it was renamed"
            ),
            Self::Removed { name } => write!(
                f,
                "field `{name}` is stored but not in the struct: to drop it write `#[persist(removed(\"{name}\"))]` on the struct, \
                 or `#[persist(alias = \"{name}\")]` on the field that it has become"
            ),
            Self::Retyped { name, stored, own } => write!(
                f,
                "field `{name}` is stored as `{stored}` and is now `{own}`: raise `#[persist(version = …, migrate = …)]` and convert it there"
            ),
            Self::Newer { stored, own } => write!(
                f,
                "the state was written by version {stored} of this handler and this is version {own}: run the newer build"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(fields: &[(&str, &str)]) -> Stored {
        Stored { version: 1, fields: fields.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect() }
    }

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

    #[test]
    fn equal_fields_in_another_order_are_the_same_schema() {
        let one = Schema::new(vec![Field::new("a", "i64"), Field::new("b", "String")]);
        let other = Schema::new(vec![Field::new("b", "String"), Field::new("a", "i64")]);
        assert_eq!(one.text(), other.text());
        assert_eq!(one.text(), r#"{"version":1,"fields":{"a":"i64","b":"String"}}"#);
        assert!(one.plan(&Stored::parse(&other.text()).unwrap()).unwrap().is_plain());
    }

    #[test]
    fn a_new_field_needs_a_default() {
        let before = stored(&[("stock", "i64")]);
        let without = Schema::new(vec![Field::new("stock", "i64"), Field::new("sold", "i64")]);
        assert_eq!(without.plan(&before).unwrap_err(), [SchemaChange::Added { name: "sold".into() }]);
        let with = Schema::new(vec![Field::new("stock", "i64"), Field::new("sold", "i64").with_default()]);
        let plan = with.plan(&before).unwrap();
        assert!(!plan.is_plain());
        assert_eq!(plan.sources, [Source::Value("stock".to_owned()), Source::Default]);
    }

    #[test]
    fn every_change_is_reported_at_once() {
        let before = stored(&[("a", "i64"), ("b", "i64")]);
        let after = Schema::new(vec![Field::new("a", "u8"), Field::new("c", "i64")]);
        let changes = after.plan(&before).unwrap_err();
        assert_eq!(changes.len(), 3, "{changes:?}");
    }

    #[test]
    fn renamed_and_dropped_fields_are_said_to_be_so() {
        let before = stored(&[("old", "i64"), ("gone", "i64")]);
        let after = Schema::new(vec![Field::new("new", "i64").alias("old")]).removed(&["gone"]);
        let plan = after.plan(&before).unwrap();
        assert_eq!(plan.sources, [Source::Value("old".to_owned())]);
        assert_eq!(plan.stale, BTreeSet::from(["gone".to_owned(), "old".to_owned()]));
    }

    #[test]
    fn a_plain_field_may_become_a_collection_of_the_same_entries() {
        let map = Schema::new(vec![Field::new("stock", "StateMap<String, i64>").collection(CollectionKind::Map)]);
        for plain in ["HashMap<String,i64>", "BTreeMap<String,i64>"] {
            let plan = map.plan(&stored(&[("stock", plain)])).unwrap();
            assert_eq!(plan.sources, [Source::Value("stock".to_owned())]);
            assert_eq!(plan.stale, BTreeSet::from(["stock".to_owned()]));
            assert!(!plan.is_plain());
        }
        for other in ["HashMap<String,u64>", "Vec<String,i64>", "HashMap<String,i64,S>", "StateMap<String,u64>", "i64"]
        {
            assert!(map.plan(&stored(&[("stock", other)])).is_err(), "{other}");
        }
        assert!(map.plan(&stored(&[("stock", "StateMap<String,i64>")])).unwrap().is_plain());
    }

    #[test]
    fn a_collection_that_is_renamed_or_dropped_leaves_a_key_behind() {
        let before = stored(&[("old", "StateSet<u8>"), ("gone", "StateDeque<u8>")]);
        let after = Schema::new(vec![Field::new("new", "StateSet<u8>").alias("old").collection(CollectionKind::Set)]);
        let plan = after.removed(&["gone"]).plan(&before).unwrap();
        assert_eq!(plan.sources, [Source::Entries("old".to_owned())]);
        let stale = [(CollectionKind::Deque, "gone".to_owned()), (CollectionKind::Set, "old".to_owned())];
        assert_eq!(plan.stale_collections, stale);
        assert!(plan.stale.is_empty() && !plan.is_plain());
    }

    #[test]
    fn a_newer_version_is_never_read() {
        let schema = Schema::new(vec![Field::new("a", "i64")]);
        let newer = Stored { version: 2, ..stored(&[("a", "i64")]) };
        assert_eq!(schema.plan(&newer).unwrap_err(), [SchemaChange::Newer { stored: 2, own: 1 }]);
    }

    #[test]
    fn a_migration_gets_the_old_fields_and_gives_the_new_ones() {
        let schema = Schema::new(vec![Field::new("cents", "i64")]).version(2, |mut fields| {
            let euros: i64 = fields.take("euros")?;
            fields.insert("cents", &(euros * 100))?;
            Ok(fields)
        });
        let plan = schema.plan(&stored(&[("euros", "i64")])).unwrap();
        let values = plan.apply(&schema, 1, BTreeMap::from([("euros".to_owned(), vec![7])])).unwrap();
        let mut expected = Vec::new();
        super::super::encode_value(&700_i64, &mut expected).unwrap();
        assert_eq!(values, [Some(expected)]);
        assert_eq!(plan.stale, BTreeSet::from(["euros".to_owned()]));
    }
}
