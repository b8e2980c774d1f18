//! Whether what is stored fits the present fields, and how it becomes them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::change::SchemaChange;
use super::collection::CollectionKind;
use super::migrate::{Migrate, StateFields};
use super::msgpack::{MAX_FIELD_BYTES, StateError, too_long};
use super::schema::{Field, Schema};
use crate::entry::{in_short, shown};
use crate::error::{Error, ErrorKind};

/// The type of a field whose value came from outside: whether it fits is found when it is decoded. No type has this name.
pub(crate) const UNKNOWN_TYPE: &str = "?";

/// The schema as the record holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub version: u32,
    pub fields: BTreeMap<String, String>,
}

impl Stored {
    pub fn parse(text: &str) -> Result<Self, StateError> {
        serde_json::from_str(text).map_err(|error| {
            StateError::new(format!(
                "the stored schema `{}` cannot be read: {}",
                shown(text.as_bytes()),
                in_short(error)
            ))
        })
    }

    /// Whether its values came from outside.
    pub fn is_from_outside(&self) -> bool {
        self.fields.values().any(|of| of == UNKNOWN_TYPE)
    }

    /// The error of a value that is not of its field's type, though it came from outside and not by damage.
    pub fn unfit(error: StateError) -> Error {
        let words = format!(
            "the state came from outside, and does not fit this handler's fields: {error}. Correct the type of the field, or delete the \
             subscription and bring its state in anew"
        );
        Error::new(ErrorKind::SchemaMismatch, words).with_source(error)
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
                let value = |field: &Field| match fields.take_bytes(field.name) {
                    Some(value) if field.collection.is_none() && value.len() > MAX_FIELD_BYTES => {
                        Err(too_long(value.len()).in_field(field.name))
                    }
                    value => Ok(value),
                };
                schema.fields.iter().map(value).collect()
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

impl Schema {
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
    /// Whether it can be restored from what is stored under this type.
    fn accepts(&self, stored: &str) -> bool {
        if *stored == self.type_name || stored == UNKNOWN_TYPE {
            return true;
        }
        let Some(kind) = self.collection else { return false };
        match (stored.split_once('<'), self.type_name.split_once('<')) {
            (Some((plain, held)), Some((_, own))) => kind.plain_types().contains(&plain) && held == own,
            _ => false,
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
        crate::persist::encode_value(&700_i64, &mut expected).unwrap();
        assert_eq!(values, [Some(expected)]);
        assert_eq!(plan.stale, BTreeSet::from(["euros".to_owned()]));
    }

    #[test]
    fn only_what_is_written_as_one_value_is_limited() {
        let long = |mut fields: StateFields| {
            let text: String = fields.take("text")?;
            fields.insert("text", &text)?;
            Ok(fields)
        };
        let mut value = vec![0xdb];
        value.extend((MAX_FIELD_BYTES as u32).to_be_bytes());
        value.resize(value.len() + MAX_FIELD_BYTES, b'x');
        let before = stored(&[("text", "String")]);
        for (field, passes) in [
            (Field::new("text", "String"), false),
            (Field::new("text", "StateSet<u8>").collection(CollectionKind::Set), true),
        ] {
            let schema = Schema::new(vec![field]).version(2, long);
            let plan = schema.plan(&before).unwrap();
            let applied = plan.apply(&schema, 1, BTreeMap::from([("text".to_owned(), value.clone())]));
            assert_eq!(applied.is_ok(), passes);
        }
    }
}
