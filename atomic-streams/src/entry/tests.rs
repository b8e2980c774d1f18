//! Messages to fields and back.

mod buffered;
#[cfg(feature = "opentelemetry")]
mod traced;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;

use super::{Fields, decode, encode};

/// Names and values of an entry, as text.
pub(super) fn entry(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().copied().collect()
}

/// The message is written as these fields, and read from them.
#[track_caller]
pub(super) fn both_ways<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(message: &T, pairs: &[(&str, &str)]) {
    assert_eq!(encode(message).unwrap(), entry(pairs));
    assert_eq!(decode::<T>(&entry(pairs)).unwrap(), *message);
}

/// The value survives as a member.
#[track_caller]
fn survives<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
    let message = BTreeMap::from([("x".to_owned(), value)]);
    let fields = encode(&message).unwrap();
    assert_eq!(decode::<BTreeMap<String, T>>(&fields).unwrap(), message, "{fields:?}");
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Address {
    street: String,
    zip: Option<u32>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Clone)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Point,
    NotFound,
    Circle(u32),
    Line(i8, i8),
    Square { side: u32 },
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Wrapped<T>(T);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Nothing;

#[test]
fn integers_survive_at_their_limits() {
    macro_rules! limits {
        ($($type:ty)*) => {$( survives(<$type>::MIN); survives(<$type>::MAX); )*};
    }
    limits!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);
}

#[test]
fn floats_survive_at_their_limits() {
    for value in [f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, 5e-324, 0.1, 1.0, 1e16, f64::INFINITY] {
        survives(value);
        survives(-value);
    }
    for value in [f32::MIN, f32::MAX, f32::MIN_POSITIVE, f32::EPSILON, 1e-45, 0.1, 1.0, f32::INFINITY] {
        survives(value);
        survives(-value);
    }
    let zero: Wrapped<BTreeMap<String, f64>> = decode(&entry(&[("x", "-0.0")])).unwrap();
    assert!(zero.0["x"].is_sign_negative());
    let nan = encode(&BTreeMap::from([("x", f64::NAN)])).unwrap();
    assert!(decode::<BTreeMap<String, f64>>(&nan).unwrap()["x"].is_nan());
    assert!(encode(&BTreeMap::from([("x", 1e300)])).unwrap().size_bytes() < 10);
}

#[test]
fn other_scalars_survive() {
    survives(true);
    survives(false);
    for char in ['a', '\0', '\n', '"', 'é', '\u{10ffff}'] {
        survives(char);
    }
    for text in ["", "a", "\"quoted\"", "{not json", "null", "\0\r\n", "日本語", "3"] {
        survives(text.to_owned());
    }
    survives(());
    survives(Nothing);
    survives(ByteBuf::from((0..=255).collect::<Vec<u8>>()));
    survives(std::net::IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn containers_survive() {
    survives(vec![1_u8, 2, 255]);
    survives(Vec::<String>::new());
    survives([1.5, -2.5]);
    survives((1_u8, "two".to_owned(), Some(3.0), ()));
    survives(HashMap::from([("a".to_owned(), vec![i128::MIN, i128::MAX]), ("b\n".to_owned(), vec![])]));
    survives(BTreeMap::from([(1_u64, "x".to_owned())]));
    survives(vec![Some(1), None]);
    survives(Wrapped(Wrapped(7)));
    survives(Wrapped(vec![Wrapped("x".to_owned())]));
    survives(Address { street: "\"Quay\" \\ 1\n".to_owned(), zip: None });
    survives(std::time::Duration::from_nanos(1_500_000_001));
}

#[test]
fn a_struct_is_one_field_per_member() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        order_id: u64,
        #[serde(rename = "ref")]
        reference: String,
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        #[serde(skip)]
        cached: u8,
        to: Address,
        shape: Shape,
        express: bool,
        done: (),
    }
    let mut order = Order {
        order_id: 7,
        reference: "A-1".into(),
        note: None,
        tags: vec![],
        cached: 0,
        to: Address { street: "Quay".into(), zip: None },
        shape: Shape::NotFound,
        express: true,
        done: (),
    };
    let to = r#"{"street":"Quay","zip":null}"#;
    both_ways(
        &order,
        &[("orderId", "7"), ("ref", "A-1"), ("to", to), ("shape", "not_found"), ("express", "true"), ("done", "")],
    );
    order.note = Some(String::new());
    order.tags = vec!["a".into()];
    order.shape = Shape::Square { side: 2 };
    both_ways(
        &order,
        &[
            ("orderId", "7"),
            ("ref", "A-1"),
            ("note", ""),
            ("tags", r#"["a"]"#),
            ("to", to),
            ("shape", r#"{"square":{"side":2}}"#),
            ("express", "true"),
            ("done", ""),
        ],
    );
}

#[test]
fn every_kind_of_variant_is_a_value() {
    let value = |shape: Shape| Wrapped(BTreeMap::from([("s".to_owned(), shape)]));
    both_ways(&value(Shape::Point), &[("s", "point")]);
    both_ways(&value(Shape::Circle(3)), &[("s", r#"{"circle":3}"#)]);
    both_ways(&value(Shape::Line(-1, 1)), &[("s", r#"{"line":[-1,1]}"#)]);
    both_ways(&value(Shape::Square { side: 3 }), &[("s", r#"{"square":{"side":3}}"#)]);
}

#[test]
fn every_kind_of_variant_is_a_message() {
    both_ways(&Shape::Point, &[("point", "")]);
    both_ways(&Shape::Circle(3), &[("circle", "3")]);
    both_ways(&Shape::Line(-1, 1), &[("line", "[-1,1]")]);
    both_ways(&Shape::Square { side: 3 }, &[("square", r#"{"side":3}"#)]);

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Event {
        Said(Option<String>),
        Moved { from: Option<String>, to: Address },
        Nothing {},
        Empty(),
    }
    both_ways(&Event::Said(None), &[("Said", "null")]);
    both_ways(&Event::Said(Some("hi".into())), &[("Said", "\"hi\"")]);
    let to = Address { street: "Quay".into(), zip: Some(1) };
    both_ways(&Event::Moved { from: None, to }, &[("Moved", r#"{"from":null,"to":{"street":"Quay","zip":1}}"#)]);
    both_ways(&Event::Nothing {}, &[("Nothing", "{}")]);
    both_ways(&Event::Empty(), &[("Empty", "[]")]);
}

#[test]
fn maps_are_fields_whatever_their_names_are() {
    both_ways(&BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]), &[("a", "1"), ("b", "2")]);
    both_ways(&BTreeMap::from([(-1_i128, true)]), &[("-1", "true")]);
    both_ways(&BTreeMap::from([(false, 'x'), (true, 'y')]), &[("false", "x"), ("true", "y")]);
    both_ways(&BTreeMap::from([('k', "v".to_owned())]), &[("k", "v")]);
    both_ways(&BTreeMap::from([(Shape::NotFound, 1)]), &[("not_found", "1")]);
    both_ways(&Some(HashMap::from([(String::new(), String::new())])), &[("", "")]);

    let bytes = BTreeMap::from([(ByteBuf::from(vec![0xff]), ByteBuf::from(vec![0xfe]))]);
    let fields = encode(&bytes).unwrap();
    assert_eq!(fields.get([0xff]), Some(&[0xfe][..]));
    assert_eq!(decode::<BTreeMap<ByteBuf, ByteBuf>>(&fields).unwrap(), bytes);

    let sparse = BTreeMap::from([("a", None), ("b", Some(2))]);
    assert_eq!(encode(&sparse).unwrap(), entry(&[("b", "2")]));
}

#[test]
fn fields_keep_order_repeats_and_bytes() {
    let mut fields = entry(&[("b", "1"), ("a", "2"), ("b", "3"), ("", "")]);
    fields.push([0xff, 0x00], [0xfe]);
    assert_eq!(encode(&fields).unwrap(), fields);
    assert_eq!(decode::<Fields>(&fields).unwrap(), fields);
    let packed = rmp_serde::to_vec(&fields).unwrap();
    assert_eq!(rmp_serde::from_slice::<Fields>(&packed).unwrap(), fields);
}

#[test]
fn fields_are_a_map_elsewhere() {
    let fields = entry(&[("b", "1"), ("a", "é")]);
    both_ways(&BTreeMap::from([("x".to_owned(), fields.clone())]), &[("x", r#"{"b":"1","a":"é"}"#)]);
    let mut bytes = Fields::new();
    bytes.push("a", [0xff]);
    survives(bytes);
}

#[test]
fn raw_json_is_passed_through() {
    #[derive(Serialize, Deserialize)]
    struct Carrier {
        payload: Box<RawValue>,
    }
    let fields = entry(&[("payload", r#"{ "a": [1.00, 2] }"#)]);
    let carrier: Carrier = decode(&fields).unwrap();
    assert_eq!(encode(&carrier).unwrap(), fields);
}
