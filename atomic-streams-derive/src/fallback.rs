//! What stands in for the implementation when there are errors, so that they are all that the user sees.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Error;

use crate::parse::Item;

/// The errors, and an implementation that claims to persist nothing.
pub(crate) fn expand(item: &Item<'_>, error: &Error) -> TokenStream {
    let private = item.private();
    let ident = &item.input.ident;
    let (impl_generics, ty_generics, where_clause) = item.input.generics.split_for_impl();
    let error = error.to_compile_error();
    quote! {
        #error

        #[automatically_derived]
        #[allow(deprecated, unused_qualifications)]
        impl #impl_generics #private::Persistable for #ident #ty_generics #where_clause {
            fn schema() -> #private::Schema {
                #private::Schema::new(#private::Vec::new())
            }

            fn snapshot(
                &self,
                _: #private::usize,
                _: &mut #private::Vec<#private::u8>,
            ) -> #private::Result<(), #private::StateError> {
                #private::Result::Ok(())
            }

            fn restore(&mut self, _: #private::usize, _: &[#private::u8]) -> #private::Result<(), #private::StateError> {
                #private::Result::Ok(())
            }

            fn set_default(&mut self, _: #private::usize) {}
        }
    }
}
