//! What is read, and what is said where it cannot be.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU32;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::decode;
use crate::entry::Fields;
use crate::entry::tests::entry;

#[derive(Deserialize, Debug, PartialEq)]
struct Order {
    sku: String,
    quantity: i64,
}

/// Why the fields are no `T`.
#[track_caller]
fn refusal<T: DeserializeOwned + fmt::Debug>(pairs: &[(&str, &str)]) -> String {
    decode::<T>(&entry(pairs)).unwrap_err().to_string()
}

/// Why the value is no `T`.
#[track_caller]
fn value<T: DeserializeOwned + fmt::Debug>(value: &str) -> String {
    refusal::<HashMap<String, T>>(&[("x", value)])
}

#[test]
fn plain_text_by_any_producer_is_read() {
    #[derive(Deserialize, Debug, PartialEq)]
    struct Plain {
        quantity: u32,
        plus: i8,
        ratio: f32,
        large: f64,
        ok: bool,
        failed: bool,
        tags: Vec<String>,
        place: HashMap<String, f64>,
        grade: char,
        note: Option<String>,
        missing: Option<u8>,
    }
    let fields = entry(&[
        ("quantity", "3"),
        ("plus", "+3"),
        ("ratio", "0.5"),
        ("large", "1e3"),
        ("ok", "1"),
        ("failed", "0"),
        ("tags", r#"[ "a" ]"#),
        ("place", r#"{"lat": 1, "lon": -2.5}"#),
        ("grade", "é"),
        ("note", ""),
        ("trace", "00-4bf92f3577b34da6"),
    ]);
    let plain = Plain {
        quantity: 3,
        plus: 3,
        ratio: 0.5,
        large: 1000.0,
        ok: true,
        failed: false,
        tags: vec!["a".into()],
        place: HashMap::from([("lat".into(), 1.0), ("lon".into(), -2.5)]),
        grade: 'é',
        note: Some(String::new()),
        missing: None,
    };
    assert_eq!(decode::<Plain>(&fields).unwrap(), plain);
}

#[test]
fn numbers_that_are_none_are_named() {
    assert_eq!(
        refusal::<Order>(&[("sku", "A"), ("quantity", "ten")]),
        "field `quantity`: `ten` is not an integer (i64)"
    );
    assert_eq!(value::<i64>(""), "field `x`: `` is not an integer (i64)");
    assert_eq!(value::<i64>(" 1"), "field `x`: ` 1` is not an integer (i64)");
    assert_eq!(value::<i64>("1.0"), "field `x`: `1.0` is not an integer (i64)");
    assert_eq!(value::<u8>("-1"), "field `x`: `-1` is not an unsigned integer (u8)");
    assert_eq!(value::<u8>("256"), "field `x`: `256` is out of range for an unsigned integer (u8)");
    assert_eq!(value::<i8>("-129"), "field `x`: `-129` is out of range for an integer (i8)");
    assert_eq!(value::<f64>("1,5"), "field `x`: `1,5` is not a number (f64)");
    assert_eq!(value::<NonZeroU32>("0"), "field `x`: `0` is not a nonzero u32");
    assert_eq!(value::<Option<u8>>(""), "field `x`: `` is not an unsigned integer (u8)");
}

#[test]
fn other_values_that_do_not_fit_are_named() {
    assert_eq!(value::<bool>("yes"), "field `x`: `yes` is not a boolean (`true`, `false`, `1` or `0`)");
    assert_eq!(value::<char>("ab"), "field `x`: `ab` is not a single character");
    assert_eq!(value::<char>(""), "field `x`: `` is not a single character");
    assert_eq!(value::<()>("x"), "field `x`: `x` is not empty");
    assert_eq!(value::<std::net::IpAddr>("home"), "field `x`: `home`: invalid IP address syntax");
}

#[test]
fn json_that_does_not_fit_is_told_with_its_place() {
    assert_eq!(
        value::<Vec<u8>>("a,b"),
        "field `x`: `a,b` is not a sequence in JSON: expected value at line 1 column 1"
    );
    assert_eq!(
        value::<Order>(r#"{"sku":"A"}"#),
        r#"field `x`: `{"sku":"A"}` is not the struct Order in JSON: missing field `quantity` at line 1 column 11"#
    );
    assert_eq!(
        value::<(u8, u8)>("[1]"),
        "field `x`: `[1]` is not a tuple of 2 in JSON: invalid length 1, expected a tuple of size 2 at line 1 column 3"
    );
    assert_eq!(
        value::<HashMap<String, u8>>("{} {}"),
        "field `x`: `{} {}` is not a map in JSON: trailing characters at line 1 column 4"
    );
}

#[test]
fn variants_that_are_none_are_named() {
    #[derive(Deserialize, Debug)]
    enum State {
        Open,
        #[allow(dead_code)]
        Held(u8),
    }
    assert_eq!(value::<State>("open"), "field `x`: `open` is not one of the variants `Open`, `Held`");
    assert_eq!(
        value::<State>("Held"),
        "field `x`: `Held` is a variant with data, which is written as JSON: {\"Held\":…}"
    );
    assert_eq!(
        value::<State>(r#"{"Held":256}"#),
        r#"field `x`: `{"Held":256}` is not the enum State in JSON: invalid value: integer `256`, expected u8 at line 1 column 11"#
    );
    assert!(matches!(decode::<HashMap<u8, State>>(&entry(&[("1", "Open")])).unwrap()[&1], State::Open));
}

#[test]
fn an_enum_as_the_message_is_one_of_the_fields() {
    #[derive(Deserialize, Debug, PartialEq)]
    enum Event {
        Opened,
        #[serde(alias = "Sent")]
        Moved(Order),
    }
    #[derive(Deserialize, Debug, PartialEq)]
    enum Tolerant {
        Opened,
        #[serde(other)]
        Other,
    }
    let json = r#"{"sku":"A","quantity":1}"#;
    let moved = Event::Moved(Order { sku: "A".into(), quantity: 1 });
    assert_eq!(decode::<Event>(&entry(&[("trace", "1"), ("Sent", json)])).unwrap(), moved);
    assert_eq!(decode::<Event>(&entry(&[("Opened", "null")])).unwrap(), Event::Opened);
    assert_eq!(decode::<Tolerant>(&entry(&[("Moved", json), ("trace", "1")])).unwrap(), Tolerant::Other);

    assert_eq!(
        refusal::<Event>(&[("Opened", ""), ("Moved", json)]),
        "fields `Opened` and `Moved` both name a variant of Event, and an entry is one"
    );
    assert_eq!(refusal::<Event>(&[("Opened", ""), ("Opened", "")]), "field `Opened` occurs more than once");
    assert_eq!(
        refusal::<Event>(&[("Closed", "")]),
        "field name `Closed` is not one of the variants `Opened`, `Moved`, `Sent`"
    );
    assert_eq!(refusal::<Event>(&[("Opened", "1")]), "field `Opened`: `1` is not empty, as a variant without data is");
    assert_eq!(
        refusal::<Event>(&[("Moved", "A")]),
        "field `Moved`: `A` is not the content of the variant Moved in JSON: expected value at line 1 column 1"
    );
    assert_eq!(refusal::<Event>(&[]), "no field names a variant of Event: there is none");
}

#[test]
fn missing_unknown_and_repeated_fields() {
    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[allow(dead_code)]
        a: u8,
    }
    assert_eq!(refusal::<Order>(&[("sku", "A")]), "field `quantity` is missing");
    assert_eq!(refusal::<Order>(&[("sku", "A"), ("quantity", "1"), ("sku", "B")]), "field `sku` occurs more than once");
    assert_eq!(refusal::<HashMap<String, String>>(&[("a", "1"), ("a", "1")]), "field `a` occurs more than once");
    let many = (0..40).map(|at| (format!("f{}", at % 39), "")).collect::<Fields>();
    let error = decode::<HashMap<String, String>>(&many).unwrap_err();
    assert_eq!(error.to_string(), "field `f0` occurs more than once");
    assert_eq!(refusal::<Strict>(&[("a", "1"), ("b", "1")]), "field `b` is unknown; the known ones are `a`");

    let ignored = entry(&[("x", "1"), ("sku", "A"), ("quantity", "1"), ("x", "2")]);
    assert_eq!(decode::<Order>(&ignored).unwrap(), Order { sku: "A".into(), quantity: 1 });
}

#[test]
fn bytes_that_are_no_text() {
    let mut fields = entry(&[("quantity", "1")]);
    fields.push([0xff], "name is no text");
    fields.push("sku", [b'A', 0xff, b'\n']);
    let error = decode::<Order>(&fields).unwrap_err();
    assert_eq!(error.to_string(), "field `sku`: `A\u{fffd}\\n` is not UTF-8 text");
    let error = decode::<HashMap<String, ByteBuf>>(&fields).unwrap_err();
    assert_eq!(error.to_string(), "field name `\u{fffd}` is not UTF-8 text");

    let fields: Fields = [("sku".into(), b"A".to_vec()), (vec![0xff], vec![0xfe]), ("quantity".into(), b"1".to_vec())]
        .into_iter()
        .collect();
    assert_eq!(decode::<Order>(&fields).unwrap(), Order { sku: "A".into(), quantity: 1 });
}

#[test]
fn names_that_do_not_fit_are_named() {
    assert_eq!(
        refusal::<BTreeMap<u8, String>>(&[("1", "a"), ("b", "c")]),
        "field name `b` is not an unsigned integer (u8)"
    );
    assert_eq!(
        refusal::<BTreeMap<(u8, u8), String>>(&[("[1,2]", "a")]),
        "field name `[1,2]` is a name, which cannot be a tuple of 2"
    );
}

#[test]
fn types_that_are_no_set_of_fields_are_refused() {
    let wanted = "an entry is a set of named fields: it is read as a struct or a map, not as";
    assert_eq!(refusal::<i64>(&[("a", "1")]), format!("{wanted} an integer"));
    assert_eq!(refusal::<String>(&[("a", "1")]), format!("{wanted} a string"));
    assert_eq!(refusal::<Option<Vec<u8>>>(&[("a", "1")]), format!("{wanted} a sequence"));
    decode::<()>(&entry(&[("a", "1")])).unwrap();
    decode::<()>(&Fields::new()).unwrap();
}

#[test]
fn shown_values_are_cut_and_on_one_line() {
    assert_eq!(value::<u8>("a\r\n\u{7f}\0"), "field `x`: `a\\r\\n\\u{7f}\\u{0}` is not an unsigned integer (u8)");
    let shown = |text: &str| format!("field `x`: `{text}` is not an unsigned integer (u8)");
    for char in ["a", "é", "日", "🦀"] {
        assert_eq!(value::<u8>(&char.repeat(64)), shown(&char.repeat(64)));
        assert_eq!(value::<u8>(&char.repeat(65)), shown(&format!("{}…", char.repeat(64))));
        assert_eq!(value::<u8>(&char.repeat(100_000)), shown(&format!("{}…", char.repeat(64))));
    }
}

#[test]
fn deep_json_is_refused() {
    #[derive(Deserialize, Debug)]
    #[serde(tag = "type")]
    enum Tagged {
        #[allow(dead_code)]
        A { x: Vec<serde_json::Value> },
    }
    let deep = "[".repeat(100_000);
    let errors = [
        value::<Vec<serde_json::Value>>(&deep),
        refusal::<Tagged>(&[("type", "A"), ("x", &deep)]),
        refusal::<Result<Vec<serde_json::Value>, ()>>(&[("Ok", &deep)]),
    ];
    for error in errors {
        assert!(error.contains("recursion limit exceeded at line 1 column 128"), "{error}");
    }
}
