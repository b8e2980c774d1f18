//! What cannot be written, and what is said of it.

use std::collections::{BTreeMap, HashMap};

use serde::ser::{Error, Serializer};
use serde::{Deserialize, Serialize};

use super::encode;
use crate::entry::decode;
use crate::entry::tests::entry;

#[track_caller]
fn refusal<T: Serialize + ?Sized>(message: &T) -> String {
    encode(message).unwrap_err().to_string()
}

#[test]
fn a_message_must_be_a_set_of_fields() {
    #[derive(Serialize)]
    struct Pair(u8, u8);

    let wanted = "an entry is a set of named fields: publish a struct or a map, got";
    assert_eq!(refusal(&1_i64), format!("{wanted} an integer"));
    assert_eq!(refusal(&1.5), format!("{wanted} a number"));
    assert_eq!(refusal("text"), format!("{wanted} a string"));
    assert_eq!(refusal(&true), format!("{wanted} a boolean"));
    assert_eq!(refusal(&'c'), format!("{wanted} a character"));
    assert_eq!(refusal(serde_bytes::Bytes::new(b"x")), format!("{wanted} bytes"));
    assert_eq!(refusal(&vec![1]), format!("{wanted} a sequence"));
    assert_eq!(refusal(&(1, 2)), format!("{wanted} a tuple"));
    assert_eq!(refusal(&Pair(1, 2)), format!("{wanted} a tuple struct"));
    assert_eq!(refusal(&None::<HashMap<String, String>>), format!("{wanted} None"));
}

#[test]
fn an_entry_has_a_field() {
    #[derive(Serialize)]
    struct Sparse {
        a: Option<u8>,
    }
    #[derive(Serialize)]
    struct Unit;

    let needed = "a stream entry needs at least one field";
    assert_eq!(refusal(&Sparse { a: None }), needed);
    assert_eq!(refusal(&BTreeMap::<String, String>::new()), needed);
    assert_eq!(refusal(&()), needed);
    assert_eq!(refusal(&Unit), needed);
    assert_eq!(encode(&Sparse { a: Some(1) }).unwrap(), entry(&[("a", "1")]));
}

#[test]
fn names_are_simple_and_unique() {
    #[derive(Serialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    }
    let names = "the names of fields are strings, integers, booleans, characters, bytes or plain variants, not";
    assert_eq!(refusal(&HashMap::from([((), 1)])), format!("{names} a unit"));
    assert_eq!(refusal(&HashMap::from([((1, 2), 1)])), format!("{names} something nested"));
    assert_eq!(refusal(&HashMap::from([(None::<u8>, 1)])), format!("{names} None"));
    let flat = Flat { a: 1, rest: HashMap::from([("a".to_owned(), 2)]) };
    assert_eq!(refusal(&flat), "field `a` occurs more than once");
}

#[test]
fn numbers_that_json_lacks_are_refused_in_it() {
    #[derive(Serialize)]
    struct Point {
        x: f64,
        label: Option<String>,
    }
    #[derive(Serialize)]
    enum Event {
        At(f64),
        Near { x: f64 },
    }
    let lacking = "cannot be written as JSON: it has no NaN and no infinite numbers";
    assert_eq!(refusal(&BTreeMap::from([("a", vec![f64::NAN])])), format!("field `a`: {lacking}"));
    assert_eq!(refusal(&BTreeMap::from([("a", (1, Some([f32::INFINITY])))])), format!("field `a`: {lacking}"));
    let nested = BTreeMap::from([("a", vec![BTreeMap::from([(1, Point { x: f64::NAN, label: None })])])]);
    assert_eq!(refusal(&nested), format!("field `a`: {lacking}"));
    assert_eq!(refusal(&Event::At(f64::NAN)), format!("field `At`: {lacking}"));
    assert_eq!(refusal(&Event::Near { x: f64::NAN }), format!("field `Near`: {lacking}"));
    let fine = BTreeMap::from([("a", Point { x: 0.0, label: None })]);
    assert_eq!(encode(&fine).unwrap(), entry(&[("a", r#"{"x":0.0,"label":null}"#)]));
}

#[test]
fn json_is_as_deep_as_can_be_read() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Chain {
        End,
        Link(Box<Self>),
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Holder {
        Chain { chain: Chain },
    }
    let chain = |length| (0..length).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)));
    let problem = "cannot be written as JSON: it is nested more than 127 deep";

    let value = BTreeMap::from([("a".to_owned(), chain(127))]);
    assert_eq!(decode::<BTreeMap<String, Chain>>(&encode(&value).unwrap()).unwrap(), value);
    assert_eq!(refusal(&BTreeMap::from([("a", chain(128))])), format!("field `a`: {problem}"));

    let holder = Holder::Chain { chain: chain(126) };
    assert_eq!(decode::<Holder>(&encode(&holder).unwrap()).unwrap(), holder);
    assert_eq!(refusal(&Holder::Chain { chain: chain(127) }), format!("field `Chain`: {problem}"));

    // As a message, the first link is the field.
    let message = chain(128);
    assert_eq!(decode::<Chain>(&encode(&message).unwrap()).unwrap(), message);
    assert_eq!(refusal(&chain(129)), format!("field `Link`: {problem}"));
}

#[test]
fn what_a_type_says_of_itself_is_told_with_the_field() {
    struct Locked;
    impl Serialize for Locked {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("it is locked"))
        }
    }
    assert_eq!(refusal(&BTreeMap::from([("a", Locked)])), "field `a`: it is locked");
    assert_eq!(refusal(&BTreeMap::from([("a", vec![Locked])])), "field `a`: cannot be written as JSON: it is locked");
    assert_eq!(refusal(&Locked), "it is locked");
}
