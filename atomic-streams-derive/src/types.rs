//! What there is to know of a type from its tokens alone.

use proc_macro2::{Delimiter, Ident, Spacing, TokenTree};
use quote::ToTokens;
use syn::Generics;
use syn::ext::IdentExt;

/// Tokens of a type, without the invisible brackets that `macro_rules!` puts around what it passes on.
fn flat(tokens: impl ToTokens) -> Vec<TokenTree> {
    let mut flattened = Vec::new();
    for token in tokens.into_token_stream() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => flattened.extend(flat(group.stream())),
            token => flattened.push(token),
        }
    }
    flattened
}

/// Whether the type is another one for other type or const arguments of the struct.
pub(crate) fn depends_on_params(ty: impl ToTokens, generics: &Generics) -> bool {
    let is_param = |ident: &Ident| {
        let ident = ident.unraw();
        let types = generics.type_params().map(|param| &param.ident);
        let mut params = types.chain(generics.const_params().map(|param| &param.ident)).peekable();
        (ident == "Self" && params.peek().is_some()) || params.any(|param| param.unraw() == ident)
    };
    let mut colons = 0;
    flat(ty).iter().any(|token| {
        // The `T` of `module::T` is another one.
        let in_path = colons == 2;
        colons = if matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':') { colons + 1 } else { 0 };
        match token {
            TokenTree::Ident(ident) => !in_path && is_param(ident),
            TokenTree::Group(group) => depends_on_params(group.stream(), generics),
            _ => false,
        }
    })
}

/// The first sign that a value of the type borrows: a reference, or a lifetime that is not `'static`.
///
/// A reference with `'static` is one too: no value of it can be decoded.
pub(crate) fn borrow(ty: impl ToTokens) -> Option<String> {
    let tokens = flat(ty);
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        let found = match token {
            TokenTree::Group(group) => borrow(group.stream()),
            TokenTree::Punct(punct) if punct.as_char() == '&' => Some("&".to_owned()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => match rest.next() {
                Some(TokenTree::Ident(name)) if name != "static" => Some(format!("'{name}")),
                _ => None,
            },
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The kind of collection that a path of this name is, as `CollectionKind` calls it.
pub(crate) fn collection(ty: impl ToTokens) -> Option<&'static str> {
    let mut name = None;
    for token in flat(ty) {
        match token {
            TokenTree::Ident(ident) => name = Some(ident.unraw().to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            TokenTree::Punct(punct) if punct.as_char() == '<' => break,
            _ => return None,
        }
    }
    match name?.as_str() {
        "StateMap" => Some("Map"),
        "StateSet" => Some("Set"),
        "StateDeque" => Some("Deque"),
        _ => None,
    }
}

/// The type as text that stays the same when `rustfmt` breaks its lines.
pub(crate) fn text(ty: impl ToTokens) -> String {
    let mut text = String::new();
    write(&flat(ty), &mut text);
    text
}

fn write(tokens: &[TokenTree], text: &mut String) {
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Punct(punct) => {
                // `HashMap<K, V,>` is `HashMap<K, V>`.
                let closes = matches!(tokens.get(index + 1), Some(TokenTree::Punct(next)) if next.as_char() == '>');
                if punct.as_char() == ',' && closes {
                    continue;
                }
                text.push(punct.as_char());
                // A lifetime's name follows its quote at once.
                if punct.spacing() == Spacing::Alone {
                    text.push(' ');
                }
            }
            TokenTree::Ident(ident) => {
                text.push_str(&ident.unraw().to_string());
                text.push(' ');
            }
            TokenTree::Literal(literal) => {
                text.push_str(&literal.to_string());
                text.push(' ');
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::Brace | Delimiter::None => ('{', '}'),
                };
                text.push(open);
                write(without_last_comma(&flat(group.stream())), text);
                text.push(close);
            }
        }
    }
}

/// `(A, B,)` is `(A, B)`, and `(A,)` is not `(A)`.
fn without_last_comma(tokens: &[TokenTree]) -> &[TokenTree] {
    let Some((TokenTree::Punct(last), before)) = tokens.split_last() else { return tokens };
    let mut depth = 0_usize;
    let has_other = before.iter().any(|token| {
        let TokenTree::Punct(punct) = token else { return false };
        match punct.as_char() {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && punct.as_char() == ','
    });
    if last.as_char() == ',' && has_other { before } else { tokens }
}

#[cfg(test)]
mod tests {
    use syn::{Type, parse_quote};

    use super::*;

    fn compact(ty: &Type) -> String {
        text(ty).replace(' ', "")
    }

    #[test]
    fn text_does_not_depend_on_how_lines_are_broken() {
        for (broken, whole) in [
            (parse_quote!(HashMap<String, Vec<u8,>,>), "HashMap<String,Vec<u8>>"),
            (parse_quote!((i64, HashMap<A, B>,)), "(i64,HashMap<A,B>)"),
            (parse_quote!((HashMap<A, B>,)), "(HashMap<A,B>,)"),
            (parse_quote!(()), "()"),
            (parse_quote!([u8; 4]), "[u8;4]"),
            (parse_quote!(&'static str), "&'staticstr"),
            (parse_quote!(r#mod::Kind), "mod::Kind"),
        ] {
            assert_eq!(compact(&broken), whole);
        }
        let ty: Type = parse_quote!(Box<dyn Shape>);
        assert_eq!(text(&ty), "Box < dyn Shape > ");
    }

    #[test]
    fn params_are_seen_where_they_are_meant() {
        let generics: Generics = parse_quote!(<'a, T, const N: usize>);
        for ty in [parse_quote!(T), parse_quote!(Vec<(u8, T)>), parse_quote!([u8; N]), parse_quote!(Option<Box<Self>>)]
        {
            let ty: Type = ty;
            assert!(depends_on_params(&ty, &generics), "{}", text(&ty));
            assert!(!depends_on_params(&ty, &parse_quote!(<'a>)), "{}", text(&ty));
        }
        for ty in [parse_quote!(u8), parse_quote!(other::T), parse_quote!(Cow<'a, str>)] {
            let ty: Type = ty;
            assert!(!depends_on_params(&ty, &generics), "{}", text(&ty));
        }
    }

    #[test]
    fn collections_are_known_by_their_names() {
        for (ty, kind) in [
            (parse_quote!(StateMap<String, i64>), Some("Map")),
            (parse_quote!(atomic_streams::StateSet<u8>), Some("Set")),
            (parse_quote!(::atomic_streams::StateDeque<Vec<u8>>), Some("Deque")),
            (parse_quote!(Option<StateMap<String, i64>>), None),
            (parse_quote!((StateMap<String, i64>,)), None),
            (parse_quote!(<T as Trait>::StateMap), None),
            (parse_quote!(HashMap<String, i64>), None),
        ] {
            let ty: Type = ty;
            assert_eq!(collection(&ty), kind, "{}", text(&ty));
        }
    }

    #[test]
    fn what_borrows_is_found() {
        for (ty, found) in [
            (parse_quote!(&'a str), Some("&")),
            (parse_quote!(Vec<&'static str>), Some("&")),
            (parse_quote!(Vec<(u8, Cow<'b, str>)>), Some("'b")),
            (parse_quote!(Cow<'_, str>), Some("'_")),
            (parse_quote!(Cow<'static, str>), None),
            (parse_quote!(HashMap<String, i64>), None),
        ] {
            let ty: Type = ty;
            assert_eq!(borrow(&ty).as_deref(), found, "{}", text(&ty));
        }
    }
}
