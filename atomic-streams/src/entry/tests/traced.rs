//! Entries that belong to a trace, as typed messages see them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Fields, decode, encode};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The fields of a trace come first, as no publish of this library leaves them.
fn traced(fields: &[(&'static str, &str)]) -> Fields {
    let trace = [("traceparent", PARENT), ("tracestate", "a=1")];
    trace.iter().chain(fields).map(|(name, value)| (*name, *value)).collect()
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Strict {
    n: i64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Named {
    n: i64,
    #[serde(rename = "traceparent")]
    parent: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Rest {
    n: i64,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", deny_unknown_fields)]
enum Tagged {
    Sold { n: i64 },
}

#[derive(Debug, Deserialize, PartialEq)]
enum Variant {
    Sold {
        n: i64,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Whole(Fields);

#[test]
fn the_fields_of_a_trace_disturb_no_message() {
    assert_eq!(decode::<Strict>(&traced(&[("n", "7")])).unwrap(), Strict { n: 7 });
    let map: BTreeMap<String, i64> = decode(&traced(&[("n", "7")])).unwrap();
    assert_eq!(map, BTreeMap::from([("n".to_owned(), 7)]));
    let rest: Rest = decode(&traced(&[("n", "7"), ("m", "8")])).unwrap();
    assert_eq!(rest, Rest { n: 7, rest: BTreeMap::from([("m".to_owned(), 8)]) });
    assert_eq!(decode::<Tagged>(&traced(&[("kind", "Sold"), ("n", "7")])).unwrap(), Tagged::Sold { n: 7 });
    assert_eq!(decode::<Variant>(&traced(&[("Sold", "{\"n\":7}")])).unwrap(), Variant::Sold { n: 7 });
    assert_eq!(decode::<Variant>(&traced(&[("Lost", "{\"n\":7}")])).unwrap(), Variant::Other);
}

#[test]
fn who_asks_for_them_gets_them() {
    let named: Named = decode(&traced(&[("n", "7")])).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(named, Named { n: 7, parent: PARENT.to_owned() });
    let fields = traced(&[("n", "7"), ("n", "8")]);
    assert_eq!(decode::<Fields>(&fields).unwrap(), fields);
    assert_eq!(decode::<Whole>(&fields).unwrap(), Whole(fields));
}

#[test]
fn other_unknown_and_repeated_fields_are_refused_as_ever() {
    let error = decode::<Strict>(&traced(&[("n", "7"), ("m", "8")])).unwrap_err().to_string();
    assert!(error.contains("field `m` is unknown"), "{error}");
    let error = decode::<BTreeMap<String, i64>>(&traced(&[("n", "7"), ("n", "8")])).unwrap_err().to_string();
    assert!(error.contains("`n` occurs more than once"), "{error}");
    assert!(decode::<Variant>(&traced(&[])).is_err());
    let twice = traced(&[("traceparent", PARENT), ("n", "7")]);
    assert_eq!(decode::<Strict>(&twice).unwrap(), Strict { n: 7 });
    assert_eq!(decode::<BTreeMap<String, i64>>(&twice).unwrap().len(), 1);
}

#[test]
fn a_message_that_is_published_keeps_its_own() {
    let fields = encode(&BTreeMap::from([("traceparent", PARENT), ("n", "7")])).unwrap();
    assert_eq!(fields.get_str("traceparent"), Some(PARENT));
}
