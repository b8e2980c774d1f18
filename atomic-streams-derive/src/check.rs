//! What must hold between the parts of a struct that are each well-formed.

use std::collections::HashMap;

use syn::{Ident, LitStr};

use crate::attr::{FieldDefault, Written};
use crate::errors::Errors;
use crate::parse::{Field, Item};
use crate::types;

/// Reports every rule that the struct breaks.
pub(crate) fn check(item: &Item<'_>, errors: &mut Errors) {
    version(item, errors);
    for field in &item.fields {
        skip(field, errors);
    }
    for field in item.persisted() {
        if let Some(found) = types::borrow(field.ty) {
            errors.on(
                field.ty,
                format!(
                    "persisted fields must own their data, and this one borrows (`{found}`): use an owned type such as `String` or `Vec`, or write `#[persist(skip)]`"
                ),
            );
        }
    }
    names(item, errors);
}

fn version(item: &Item<'_>, errors: &mut Errors) {
    match (&item.attrs.version, &item.attrs.migrate) {
        (Some(version), None) if version.value.is_some_and(|number| number > 1) => errors.at(
            version.key.span(),
            "a version after the first needs the function that makes its fields from earlier ones: write `version = N, migrate = path`",
        ),
        (Some(version), Some(migrate)) if version.value == Some(1) => errors
            .at(migrate.key.span(), "there is nothing to migrate to version 1: write `version = 2`, or drop `migrate`"),
        (None, Some(migrate)) => errors.at(
            migrate.key.span(),
            "`migrate` needs the version that it leads to: write `version = 2, migrate = path`",
        ),
        _ => {}
    }
}

/// A skipped field has no other attributes.
fn skip(field: &Field<'_>, errors: &mut Errors) {
    if field.attrs.skip.is_none() {
        return;
    }
    let default = field.attrs.default.as_ref().map(|Written { key, .. }: &Written<FieldDefault>| key);
    let rename = field.attrs.rename.as_ref().map(|Written { key, .. }| key);
    let aliases = field.attrs.aliases.iter().map(|Written { key, .. }| key);
    for key in default.into_iter().chain(rename).chain(aliases) {
        errors.at(key.span(), format!("a skipped field is never stored or set: drop `{key}`, or drop `skip`"));
    }
}

/// What a stored name is already.
enum Owner<'a> {
    Name(&'a Ident),
    Alias(&'a Ident),
    Removed,
}

/// A stored name must mean one thing.
fn names(item: &Item<'_>, errors: &mut Errors) {
    let mut owners: HashMap<String, Owner<'_>> = HashMap::new();
    for field in item.persisted() {
        let name = field.name();
        if let Some(Owner::Name(other)) = owners.get(&name.value()) {
            errors.at(
                name.span(),
                format!("the field `{other}` is stored as \"{}\" too: give one of them another `rename`", name.value()),
            );
        } else if valid(&name, errors) {
            owners.insert(name.value(), Owner::Name(field.ident));
        }
    }
    for field in item.persisted() {
        for alias in field.attrs.aliases.iter().filter_map(|alias| alias.value.as_ref()) {
            let name = alias.value();
            match owners.get(&name) {
                Some(Owner::Name(own)) if *own == field.ident => errors.at(
                    alias.span(),
                    format!("\"{name}\" is what this field is stored as now: an alias is an earlier name of it"),
                ),
                Some(Owner::Name(other)) => errors.at(
                    alias.span(),
                    format!("the field `{other}` is stored as \"{name}\": a stored value goes to one field only"),
                ),
                Some(Owner::Alias(own)) if *own == field.ident => {
                    errors.at(alias.span(), format!("the alias \"{name}\" is written twice: keep one"));
                }
                Some(Owner::Alias(other)) => errors.at(
                    alias.span(),
                    format!("\"{name}\" is an alias of the field `{other}` too: a stored value goes to one field only"),
                ),
                _ if valid(alias, errors) => {
                    owners.insert(name, Owner::Alias(field.ident));
                }
                _ => {}
            }
        }
    }
    for removed in &item.attrs.removed {
        let name = removed.value();
        match owners.get(&name) {
            Some(Owner::Name(field)) => errors.at(
                removed.span(),
                format!("the field `{field}` is stored as \"{name}\": only what no field is stored as is removed"),
            ),
            Some(Owner::Alias(field)) => errors.at(
                removed.span(),
                format!("\"{name}\" is an alias of the field `{field}`, which takes its value: drop one of the two"),
            ),
            Some(Owner::Removed) => errors.at(removed.span(), format!("\"{name}\" is removed twice: keep one")),
            None if valid(removed, errors) => {
                owners.insert(name, Owner::Removed);
            }
            None => {}
        }
    }
}

/// Whether a field can be stored under this name at all.
fn valid(name: &LitStr, errors: &mut Errors) -> bool {
    let problem = match name.value() {
        value if value.is_empty() => "a stored name is not empty: write at least one character",
        value if value.starts_with('@') => {
            "names that begin with `@` are reserved for the record's own fields: write one that begins otherwise"
        }
        _ => return true,
    };
    errors.at(name.span(), problem);
    false
}
