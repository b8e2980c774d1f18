//! Types for which serde buffers values before it knows what they should be.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Address, Shape, both_ways, entry};
use crate::entry::{Fields, decode, encode};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(tag = "type")]
enum Event {
    Placed {
        sku: String,
        quantity: u32,
        price: f64,
        gift: bool,
        note: Option<i64>,
        to: Address,
        tags: Vec<String>,
        shape: Shape,
        pair: (i8, char),
        done: (),
        empty: String,
    },
    Cancelled,
    Moved(Address),
}

#[test]
fn internally_tagged_enums_hold_more_than_text() {
    let mut fields = vec![
        ("type", "Placed"),
        ("sku", "3"),
        ("quantity", "3"),
        ("price", "3.0"),
        ("gift", "true"),
        ("note", "-3"),
        ("to", r#"{"street":"3","zip":3}"#),
        ("tags", r#"["3"]"#),
        ("shape", r#"{"line":[3,-3]}"#),
        ("pair", r#"[3,"3"]"#),
        ("done", ""),
        ("empty", ""),
    ];
    let placed = |gift| Event::Placed {
        sku: "3".into(),
        quantity: 3,
        price: 3.0,
        gift,
        note: Some(-3),
        to: Address { street: "3".into(), zip: Some(3) },
        tags: vec!["3".into()],
        shape: Shape::Line(3, -3),
        pair: (3, '3'),
        done: (),
        empty: String::new(),
    };
    both_ways(&placed(true), &fields);
    fields[3].1 = "3e0";
    fields[4].1 = "0";
    // The tag may be anywhere.
    fields.rotate_left(4);
    assert_eq!(decode::<Event>(&entry(&fields)).unwrap(), placed(false));

    both_ways(&Event::Cancelled, &[("type", "Cancelled")]);
    let to = Address { street: "Quay".into(), zip: Some(1) };
    both_ways(&Event::Moved(to), &[("type", "Moved"), ("street", "Quay"), ("zip", "1")]);
}

#[test]
fn errors_in_tagged_enums_name_the_field() {
    let error = |pairs: &[(&str, &str)]| decode::<Event>(&entry(pairs)).unwrap_err().to_string();
    assert_eq!(error(&[("sku", "1")]), "field `type` is missing");
    assert_eq!(
        error(&[("type", "Lost")]),
        "field `type`: `Lost` is not one of the variants `Placed`, `Cancelled`, `Moved`"
    );
    assert_eq!(
        error(&[("type", "Moved"), ("street", "Quay"), ("zip", "ten")]),
        "field `zip`: `ten` is not an unsigned integer (u32)"
    );
    assert_eq!(error(&[("type", "Moved"), ("zip", "1")]), "field `street` is missing");
    assert_eq!(error(&[("type", "Moved"), ("street", "a"), ("street", "b")]), "field `street` occurs more than once");
    assert_eq!(
        error(&[("type", "Moved"), ("street", "a"), ("zip", "340282366920938463463374607431768211455")]),
        "field `zip`: `340282366920938463463374607431768211455` is out of range for an unsigned integer (u32)"
    );
    assert_eq!(
        error(&[("type", "Moved"), ("street", "a"), ("zip", "{\"a\":")]),
        "field `zip`: `{\"a\":` is not an unsigned integer (u32)"
    );
}

#[test]
fn adjacently_tagged_enums_are_two_fields() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(tag = "kind", content = "data")]
    enum Message {
        Ping,
        Count(u64),
        Text(String),
        To(Address),
    }
    both_ways(&Message::Ping, &[("kind", "Ping")]);
    both_ways(&Message::Text("5".into()), &[("kind", "Text"), ("data", "5")]);
    both_ways(&Message::Count(5), &[("kind", "Count"), ("data", "5")]);
    let to = Message::To(Address { street: "Quay".into(), zip: Some(1) });
    let json = r#"{"street":"Quay","zip":1}"#;
    both_ways(&to, &[("kind", "To"), ("data", json)]);
    assert_eq!(decode::<Message>(&entry(&[("data", json), ("kind", "To")])).unwrap(), to);
    assert_eq!(decode::<Message>(&entry(&[("data", "5"), ("kind", "Count")])).unwrap(), Message::Count(5));
}

#[test]
fn tagged_enums_as_values_are_json() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Holder {
        event: Event,
    }
    let holder = Holder { event: Event::Moved(Address { street: "3".into(), zip: Some(3) }) };
    both_ways(&holder, &[("event", r#"{"type":"Moved","street":"3","zip":3}"#)]);
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Flat {
    id: u128,
    #[serde(flatten)]
    to: Address,
    #[serde(flatten)]
    rest: HashMap<String, String>,
}

#[test]
fn flattened_parts_are_fields() {
    let flat = Flat {
        id: u128::MAX,
        to: Address { street: "9".into(), zip: Some(9) },
        rest: HashMap::from([("more".to_owned(), "9".to_owned())]),
    };
    let id = u128::MAX.to_string();
    both_ways(&flat, &[("id", &id), ("street", "9"), ("zip", "9"), ("more", "9")]);
}

#[test]
fn flattened_maps_and_enums_hold_more_than_text() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Sample<R> {
        at: u64,
        #[serde(flatten)]
        rest: R,
    }
    let rest = BTreeMap::from([(1_u8, vec![0.5]), (2, vec![])]);
    both_ways(&Sample { at: 1, rest }, &[("at", "1"), ("1", "[0.5]"), ("2", "[]")]);
    both_ways(&Sample { at: 1, rest: Shape::Point }, &[("at", "1"), ("point", "")]);
    both_ways(&Sample { at: 1, rest: Shape::Circle(1) }, &[("at", "1"), ("circle", "1")]);
    both_ways(&Sample { at: 1, rest: Shape::Square { side: 1 } }, &[("at", "1"), ("square", r#"{"side":1}"#)]);
    both_ways(&Sample { at: 1, rest: Event::Cancelled }, &[("at", "1"), ("type", "Cancelled")]);
    both_ways(&Sample { at: 1, rest: entry(&[("b", "1"), ("a", "2")]) }, &[("at", "1"), ("b", "1"), ("a", "2")]);
    let nonzero = BTreeMap::from([("n".to_owned(), NonZeroU8::MAX)]);
    both_ways(&Sample { at: 1, rest: nonzero }, &[("at", "1"), ("n", "255")]);
    let error = decode::<Sample<BTreeMap<String, i8>>>(&entry(&[("at", "1"), ("n", "300")])).unwrap_err();
    assert_eq!(error.to_string(), "field `n`: `300` is out of range for an integer (i8)");
}

#[test]
fn what_takes_text_and_numbers_gets_text() {
    let fields = entry(&[("a", "3"), ("b", "[1]")]);
    assert_eq!(decode::<Value>(&fields).unwrap(), json!({"a": "3", "b": "[1]"}));
    assert_eq!(encode(&json!({"a": 3, "b": [1]})).unwrap(), fields);
}

#[test]
fn many_values_that_are_not_text_have_a_limit() {
    #[derive(Deserialize, Debug)]
    struct Metrics {
        #[serde(flatten)]
        values: HashMap<String, f64>,
    }
    let metrics = |count: usize| (0..count).map(|at| (format!("m{at}"), "0.5")).collect::<Fields>();
    assert_eq!(decode::<Metrics>(&metrics(512)).unwrap().values.len(), 512);
    let error = decode::<Metrics>(&metrics(513)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "more than 512 values in a tagged enum or flattened part are not text, and the entry has 513 fields"
    );
}

#[test]
fn untagged_enums_are_tried_as_text_then_as_they_look() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(untagged)]
    enum Number {
        Whole(i64),
        Parts { whole: i64, part: f64 },
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Named { name: String, at: Option<Number> },
        Counted { count: u8, yes: bool },
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Holder {
        text: String,
        number: Number,
    }
    both_ways(&Holder { text: "3".into(), number: Number::Whole(-3) }, &[("text", "3"), ("number", "-3")]);
    let number = Number::Parts { whole: 1, part: 0.5 };
    both_ways(&Holder { text: "3".into(), number }, &[("text", "3"), ("number", r#"{"whole":1,"part":0.5}"#)]);
    both_ways(&Either::Named { name: "3".into(), at: None }, &[("name", "3")]);
    both_ways(&Either::Counted { count: 3, yes: true }, &[("count", "3"), ("yes", "true")]);
    let error = decode::<Holder>(&entry(&[("text", "3"), ("number", "three")])).unwrap_err();
    assert_eq!(error.to_string(), "field `number`: `three`: data did not match any variant of untagged enum Number");
}

#[test]
fn integers_of_128_bits_cannot_be_buffered() {
    #[derive(Deserialize, Debug)]
    #[serde(tag = "type")]
    enum Wide {
        #[allow(dead_code)]
        A { n: i128 },
    }
    let error = decode::<Wide>(&entry(&[("type", "A"), ("n", "1")])).unwrap_err();
    assert_eq!(error.to_string(), "i128 is not supported");
}
