//! The attributes: first their syntax, the same everywhere, then what each key means where it is written.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, MacroDelimiter, Meta, Path, Token, parenthesized,
    token,
};

use crate::errors::Errors;

const ON_FIELDS: &[&str] = &["default", "skip", "rename", "alias"];
const ON_FIELDS_USAGE: &str = "`default`, `default = EXPR`, `skip`, `rename = \"name\"` and `alias = \"old\"`";
const ON_STRUCTS: &[&str] = &["removed", "version", "migrate", "crate"];
const ON_STRUCTS_USAGE: &str = "`removed(\"name\")`, `version = N`, `migrate = path` and `crate = path`";

/// The attributes of the struct.
#[derive(Default)]
pub(crate) struct StructAttrs {
    pub removed: Vec<LitStr>,
    pub version: Option<Written<u32>>,
    pub migrate: Option<Written<ExprPath>>,
    pub krate: Option<Written<Path>>,
}

/// The attributes of one field.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub default: Option<Written<FieldDefault>>,
    pub skip: Option<Written<()>>,
    pub rename: Option<Written<LitStr>>,
    pub aliases: Vec<Written<LitStr>>,
}

/// An attribute that is there.
pub(crate) struct Written<T> {
    pub key: Ident,
    /// `None` if it was wrong and has been reported.
    pub value: Option<T>,
}

/// What a field is set to when nothing is stored for it.
pub(crate) enum FieldDefault {
    /// `Default::default()`, asked for by the word at this place.
    Trait(Span),
    Value(Box<Expr>),
}

/// One of the comma-separated parts of `persist(...)`.
struct Entry {
    key: Ident,
    form: Form,
}

/// What follows the key.
enum Form {
    Bare,
    Value(Box<Expr>),
    List(TokenStream),
}

/// Reads the attributes of the struct.
pub(crate) fn of_struct(attrs: &[Attribute], errors: &mut Errors) -> StructAttrs {
    let mut found = StructAttrs::default();
    for Entry { key, form } in entries(attrs, ON_STRUCTS_USAGE, errors) {
        match key.to_string().as_str() {
            "removed" => found.removed.extend(names(&key, form, errors)),
            "version" => {
                let value = value(&key, form, version, "a number from 1 to 4294967295, as in `version = 2`", errors);
                set(&mut found.version, Written { key, value }, errors);
            }
            "migrate" => {
                let value = value(&key, form, path, "a path without quotes, as in `migrate = to_cents`", errors);
                set(&mut found.migrate, Written { key, value }, errors);
            }
            "crate" => {
                let value =
                    value(&key, form, plain_path, "a path without quotes, as in `crate = facade::streams`", errors);
                set(&mut found.krate, Written { key, value }, errors);
            }
            name if ON_FIELDS.contains(&name) => {
                errors.at(key.span(), format!("`{name}` is about one field: write it on the field, not on the struct"));
            }
            name => errors
                .at(key.span(), format!("there is no attribute `{name}`; those of the struct are {ON_STRUCTS_USAGE}")),
        }
    }
    found
}

/// Reads the attributes of a field.
pub(crate) fn of_field(attrs: &[Attribute], errors: &mut Errors) -> FieldAttrs {
    let mut found = FieldAttrs::default();
    for Entry { key, form } in entries(attrs, ON_FIELDS_USAGE, errors) {
        match key.to_string().as_str() {
            "default" => {
                let value = default(&key, form, errors);
                set(&mut found.default, Written { key, value }, errors);
            }
            "skip" => {
                if !matches!(form, Form::Bare) {
                    errors.at(key.span(), "`skip` takes no value: write `#[persist(skip)]`");
                }
                set(&mut found.skip, Written { key, value: Some(()) }, errors);
            }
            "rename" => {
                let value = value(&key, form, string, "a string, as in `rename = \"name\"`", errors);
                set(&mut found.rename, Written { key, value }, errors);
            }
            "alias" => {
                let value = value(&key, form, string, "a string, as in `alias = \"old\"`", errors);
                found.aliases.push(Written { key, value });
            }
            name if ON_STRUCTS.contains(&name) => {
                errors.at(key.span(), format!("`{name}` is about the whole struct: write it on the struct"));
            }
            name => {
                errors
                    .at(key.span(), format!("there is no attribute `{name}`; those of a field are {ON_FIELDS_USAGE}"));
            }
        }
    }
    found
}

/// The parts of every `persist(...)`. What follows a syntax error is left out.
fn entries(attrs: &[Attribute], usage: &str, errors: &mut Errors) -> Vec<Entry> {
    let mut entries = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("persist")) {
        let Meta::List(list) = &attr.meta else {
            errors.on(&attr.meta, format!("write `#[persist(...)]`; what may stand in the brackets here is {usage}"));
            continue;
        };
        if !matches!(list.delimiter, MacroDelimiter::Paren(_)) {
            errors.on(&attr.meta, "write round brackets: `#[persist(...)]`");
        } else if list.tokens.is_empty() {
            errors.on(&attr.meta, format!("there is nothing in the brackets; what may stand there is {usage}"));
        } else if let Err(error) = list.parse_args_with(|input: ParseStream<'_>| parse_entries(input, &mut entries)) {
            errors.push(error);
        }
    }
    entries
}

fn parse_entries(input: ParseStream<'_>, entries: &mut Vec<Entry>) -> syn::Result<()> {
    while !input.is_empty() {
        let key = input
            .call(Ident::parse_any)
            .map_err(|_| input.error("an attribute begins with its name, as in `#[persist(skip)]`"))?;
        let form = parse_form(input, &key)?;
        if !input.is_empty() && input.parse::<Token![,]>().is_err() {
            return Err(input.error(match form {
                Form::Bare => "expected `=`, a comma, or the end of this attribute",
                Form::Value(_) | Form::List(_) => "expected a comma, or the end of this attribute",
            }));
        }
        entries.push(Entry { key, form });
    }
    Ok(())
}

fn parse_form(input: ParseStream<'_>, key: &Ident) -> syn::Result<Form> {
    if input.peek(token::Paren) {
        let list;
        parenthesized!(list in input);
        return Ok(Form::List(list.parse()?));
    }
    if input.peek(Token![=]) {
        let equals: Token![=] = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(Error::new_spanned(equals, format!("nothing follows `{key} =`")));
        }
        return Ok(Form::Value(Box::new(input.parse()?)));
    }
    Ok(Form::Bare)
}

/// Puts an attribute that may be written once where it belongs.
fn set<T>(place: &mut Option<Written<T>>, written: Written<T>, errors: &mut Errors) {
    if place.is_some() {
        errors.at(written.key.span(), format!("`{0}` is written twice: keep one `{0}`", written.key));
    } else {
        *place = Some(written);
    }
}

/// Reads the value of `key = value`; `read` gives `None` for what is not `wanted`.
fn value<T>(key: &Ident, form: Form, read: fn(Expr) -> Option<T>, wanted: &str, errors: &mut Errors) -> Option<T> {
    let Form::Value(expr) = form else {
        errors.at(key.span(), format!("`{key}` takes {wanted}"));
        return None;
    };
    let value = read(ungroup((*expr).clone()));
    if value.is_none() {
        errors.on(expr, format!("`{key}` takes {wanted}"));
    }
    value
}

fn default(key: &Ident, form: Form, errors: &mut Errors) -> Option<FieldDefault> {
    match form {
        Form::Bare => Some(FieldDefault::Trait(key.span())),
        Form::Value(expr) => Some(FieldDefault::Value(expr)),
        Form::List(_) => {
            errors.at(key.span(), "write `default`, for `Default::default()`, or `default = EXPR`");
            None
        }
    }
}

/// Reads the names of `key("name", ...)`.
fn names(key: &Ident, form: Form, errors: &mut Errors) -> Vec<LitStr> {
    let wanted = format!("`{key}` takes the names in round brackets, as in `{key}(\"name\")`");
    let Form::List(list) = form else {
        errors.at(key.span(), wanted);
        return Vec::new();
    };
    match Punctuated::<LitStr, Token![,]>::parse_terminated.parse2(list) {
        Ok(names) if names.is_empty() => errors.at(key.span(), wanted),
        Ok(names) => return names.into_iter().collect(),
        Err(error) => errors.at(error.span(), wanted),
    }
    Vec::new()
}

fn string(expr: Expr) -> Option<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Some(string),
        _ => None,
    }
}

fn version(expr: Expr) -> Option<u32> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok().filter(|number| *number > 0),
        _ => None,
    }
}

fn path(expr: Expr) -> Option<ExprPath> {
    match expr {
        Expr::Path(path) => Some(path),
        _ => None,
    }
}

fn plain_path(expr: Expr) -> Option<Path> {
    path(expr).filter(|path| path.qself.is_none()).map(|path| path.path)
}

/// What a `macro_rules!` macro passes on comes in invisible brackets.
fn ungroup(mut expr: Expr) -> Expr {
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    expr
}
