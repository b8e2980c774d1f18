//! The struct as it is written.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Ident, LitStr, Type};

use crate::attr::{self, FieldAttrs, StructAttrs};
use crate::errors::Errors;

const SHAPES: &str = "`Persistable` is for structs with named fields and for unit structs";

/// A struct, with what its attributes say.
pub(crate) struct Item<'a> {
    pub input: &'a DeriveInput,
    pub attrs: StructAttrs,
    pub fields: Vec<Field<'a>>,
}

/// A field of the struct.
pub(crate) struct Field<'a> {
    pub ident: &'a Ident,
    pub ty: &'a Type,
    pub attrs: FieldAttrs,
}

impl Item<'_> {
    /// The fields that are persisted, in the order of the struct.
    pub fn persisted(&self) -> impl Iterator<Item = &Field<'_>> {
        self.fields.iter().filter(|field| field.attrs.skip.is_none())
    }

    /// The module of `atomic-streams` that has everything the expansion names.
    pub fn private(&self) -> TokenStream {
        let path = self.attrs.krate.as_ref().and_then(|krate| krate.value.as_ref());
        path.map_or_else(|| quote!(::atomic_streams::__private), |path| quote!(#path::__private))
    }

    /// The same, shown in errors at `span`.
    pub fn private_at(&self, span: Span) -> TokenStream {
        self.private().into_iter().map(|token| located_at(token, span)).collect()
    }
}

impl Field<'_> {
    /// The name under which the field is stored.
    pub fn name(&self) -> LitStr {
        match self.attrs.rename.as_ref().and_then(|rename| rename.value.as_ref()) {
            Some(name) => name.clone(),
            None => LitStr::new(&self.ident.unraw().to_string(), self.ident.span()),
        }
    }
}

/// Reads the struct. Of anything else, only the attributes.
pub(crate) fn item<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Item<'a> {
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Some(&fields.named),
            Fields::Unit => None,
            Fields::Unnamed(fields) if fields.unnamed.is_empty() => {
                errors.on(fields, format!("{SHAPES}: write `struct {};`", input.ident));
                None
            }
            Fields::Unnamed(fields) => {
                errors.on(fields, format!("{SHAPES}: give these fields names, under which they are stored"));
                None
            }
        },
        Data::Enum(data) => {
            other_shape(data.enum_token.span(), "enum", errors);
            None
        }
        Data::Union(data) => {
            other_shape(data.union_token.span(), "union", errors);
            None
        }
    };
    let attrs = attr::of_struct(&input.attrs, errors);
    let fields = named.into_iter().flatten().filter_map(|field| {
        let ident = field.ident.as_ref()?;
        Some(Field { ident, ty: &field.ty, attrs: attr::of_field(&field.attrs, errors) })
    });
    Item { input, attrs, fields: fields.collect() }
}

fn other_shape(span: Span, kind: &str, errors: &mut Errors) {
    errors.at(span, format!("{SHAPES}: make this {kind} the type of a field of a struct"));
}

/// The token, with the meaning that it has where it is written, but shown in errors at `span`.
fn located_at(mut token: TokenTree, span: Span) -> TokenTree {
    token.set_span(token.span().located_at(span));
    token
}
