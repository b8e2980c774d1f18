//! The implementation for a struct in which all is well.
//!
//! Its own tokens are spanned `mixed_site`, so that no `default = EXPR` sees the variables of the implementation.

use std::collections::HashSet;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;

use crate::attr::{FieldDefault, Written};
use crate::parse::{Field, Item};
use crate::types;

/// Implements `Persistable`.
pub(crate) fn expand(item: &Item<'_>) -> TokenStream {
    let private = item.private();
    let ident = &item.input.ident;
    let (impl_generics, ty_generics, where_clause) = item.input.generics.split_for_impl();
    let predicates = where_clause.into_iter().flat_map(|clause| &clause.predicates);
    let bounds = bounds(item, &private);
    let schema = schema(item, &private);
    let fields = || item.persisted().enumerate().map(|(index, field)| (Literal::usize_suffixed(index), field));
    let snapshots = fields().map(|(index, field)| snapshot(&index, field, item));
    let restores = fields().map(|(index, field)| restore(&index, field, item));
    let defaults = fields().filter_map(|(index, field)| set_default(&index, field, item));
    let suspects = fields().filter_map(|(index, field)| suspect(&index, field, &private));
    let collections = fields().filter_map(|(index, field)| collection(&index, field, item));
    let count = Literal::usize_suffixed(item.persisted().count());
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        #[allow(deprecated, unused_qualifications)]
        impl #impl_generics #private::Persistable for #ident #ty_generics where #(#predicates,)* #(#bounds,)* {
            fn schema() -> #private::Schema {
                #schema
            }

            fn snapshot(
                &self,
                index: #private::usize,
                into: &mut #private::Vec<#private::u8>,
            ) -> #private::Result<(), #private::StateError> {
                match (index, into) {
                    #(#snapshots)*
                    _ => #private::Result::Err(#private::no_such_field(index)),
                }
            }

            fn restore(
                &mut self,
                index: #private::usize,
                from: &[#private::u8],
            ) -> #private::Result<(), #private::StateError> {
                match (index, from) {
                    #(#restores)*
                    _ => #private::Result::Err(#private::no_such_field(index)),
                }
            }

            fn set_default(&mut self, index: #private::usize) {
                match index {
                    #(#defaults)*
                    _ => {}
                }
            }

            fn suspects(&self, stamps: &mut [#private::u64], suspects: &mut #private::Vec<#private::usize>) {
                #[allow(unused_imports)]
                use #private::{NoStamp as _, Stamp as _};
                // One check of the length instead of one for each field.
                if let (#private::Option::Some(stamps), suspects) = (stamps.first_chunk_mut::<#count>(), suspects) {
                    #(#suspects)*
                }
            }

            fn collection(&mut self, index: #private::usize) -> #private::Option<&mut dyn #private::Collection> {
                match index {
                    #(#collections)*
                    _ => #private::Option::None,
                }
            }
        }
    }
}

/// What the persisted fields need of the parameters.
///
/// Only types that depend on a parameter get a bound: for others it would be either trivial or an error far from the
/// field.
fn bounds(item: &Item<'_>, private: &TokenStream) -> Vec<TokenStream> {
    let mut bounded = HashSet::new();
    let mut bounds = Vec::new();
    for Field { ty, attrs, .. } in item.persisted() {
        if !types::depends_on_params(ty, &item.input.generics) {
            continue;
        }
        if types::collection(ty).is_some() {
            bounds.push(quote_spanned!(ty.span()=> #ty: #private::Collection));
        } else if bounded.insert(types::text(ty)) {
            bounds.push(quote_spanned!(ty.span()=> #ty: #private::Serialize + #private::DeserializeOwned));
        }
        if let Some(Written { value: Some(FieldDefault::Trait(_)), .. }) = attrs.default {
            bounds.push(quote_spanned!(ty.span()=> #ty: #private::Default));
        }
    }
    bounds
}

fn schema(item: &Item<'_>, private: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let fields = item.persisted().map(|field| {
        let (name, ty) = (field.name(), field.ty);
        let type_name = if types::depends_on_params(ty, &item.input.generics) {
            quote_spanned!(span=> #private::type_name::<#ty>())
        } else {
            types::text(ty).into_token_stream()
        };
        let with_default = field.attrs.default.as_ref().map(|_| quote_spanned!(span=> .with_default()));
        let kind = types::collection(ty).map(|kind| {
            let kind = Ident::new(kind, span);
            quote_spanned!(span=> .collection(#private::CollectionKind::#kind))
        });
        let aliases = field.attrs.aliases.iter().filter_map(|alias| alias.value.as_ref());
        quote_spanned!(span=> #private::Field::new(#name, #type_name) #with_default #kind #(.alias(#aliases))*)
    });
    let removed = &item.attrs.removed;
    let removed = (!removed.is_empty()).then(|| quote_spanned!(span=> .removed(&[#(#removed),*])));
    let version = item.attrs.version.as_ref().and_then(|version| version.value);
    let migrate = item.attrs.migrate.as_ref().and_then(|migrate| migrate.value.as_ref());
    let version = version.zip(migrate).map(|(version, path)| {
        let near = near(path.span());
        let private = item.private_at(near);
        let of = quote_spanned! {near=>
            fn(#private::StateFields) -> #private::Result<#private::StateFields, #private::StateError>
        };
        quote_spanned!(span=> .version(#version, { let migrate: #of = #path; migrate }))
    });
    quote_spanned!(span=> #private::Schema::new(#private::Vec::from([#(#fields),*])) #removed #version)
}

/// Where the tokens that go with `user`'s are shown in errors: there, with no sight of the user's variables.
fn near(user: Span) -> Span {
    user.resolved_at(Span::mixed_site())
}

fn snapshot(index: &Literal, field: &Field<'_>, item: &Item<'_>) -> TokenStream {
    let Field { ident, ty, .. } = field;
    let span = near(ty.span());
    let private = item.private_at(span);
    if types::collection(ty).is_some() {
        let encode = quote_spanned!(span=> <#ty as #private::Collection>::encode_plain);
        return quote_spanned!(Span::mixed_site()=> (#index, into) => #encode(&self.#ident, into),);
    }
    // If the type is not `Serialize`, the compiler blames what stands in `::<>`.
    let encode = quote_spanned!(span=> #private::encode::<#ty>);
    quote_spanned! {Span::mixed_site()=>
        (#index, into) => #encode(&self.#ident, into),
    }
}

fn suspect(index: &Literal, field: &Field<'_>, private: &TokenStream) -> Option<TokenStream> {
    let Field { ident, ty, .. } = field;
    types::collection(ty).is_none().then(|| {
        quote_spanned! {Span::mixed_site()=>
            #private::compare(#index, (&#private::Probe(&self.#ident)).stamp(), stamps, suspects);
        }
    })
}

fn collection(index: &Literal, field: &Field<'_>, item: &Item<'_>) -> Option<TokenStream> {
    let Field { ident, ty, .. } = field;
    types::collection(ty)?;
    let span = near(ty.span());
    let private = item.private_at(span);
    // The type parameter is blamed if the type only has the name of a collection.
    let collection = quote_spanned!(span=> #private::collection::<#ty>);
    Some(quote_spanned!(Span::mixed_site()=> #index => #private::Option::Some(#collection(&mut self.#ident)),))
}

fn restore(index: &Literal, field: &Field<'_>, item: &Item<'_>) -> TokenStream {
    let Field { ident, ty, .. } = field;
    let span = near(ty.span());
    let private = item.private_at(span);
    if types::collection(ty).is_some() {
        let decode = quote_spanned!(span=> <#ty as #private::Collection>::decode_plain);
        return quote_spanned!(Span::mixed_site()=> (#index, from) => #decode(&mut self.#ident, from),);
    }
    let decode = quote_spanned!(span=> #private::decode::<#ty>(from));
    quote_spanned! {Span::mixed_site()=>
        (#index, from) => {
            let value: #ty = #decode?;
            self.#ident = value;
            #private::Result::Ok(())
        }
    }
}

fn set_default(index: &Literal, field: &Field<'_>, item: &Item<'_>) -> Option<TokenStream> {
    let Field { ident, ty, attrs } = field;
    let value = match attrs.default.as_ref()?.value.as_ref()? {
        FieldDefault::Trait(word) => {
            let span = near(*word);
            let private = item.private_at(span);
            quote_spanned!(span=> #private::Default::default())
        }
        FieldDefault::Value(expr) => expr.to_token_stream(),
    };
    Some(quote_spanned! {Span::mixed_site()=>
        #index => {
            let value: #ty = #value;
            self.#ident = value;
        }
    })
}
