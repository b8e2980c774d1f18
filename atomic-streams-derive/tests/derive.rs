//! What the derived implementation does.

// Clippy allows it in tests, but not in what they share.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::marker::PhantomData;

use atomic_streams::persist::Schema;
use atomic_streams::{Persistable, StateError, StateFields};
use serde::{Deserialize, Serialize};

/// Names and types of the persisted fields.
fn fields<H: Persistable>() -> Vec<(&'static str, String)> {
    H::schema().fields().iter().map(|field| (field.name(), field.type_name().to_owned())).collect()
}

/// The encoded values of all persisted fields.
fn values<H: Persistable>(handler: &H) -> Vec<Vec<u8>> {
    let indices = 0..H::schema().fields().len();
    indices
        .map(|index| {
            let mut value = Vec::new();
            handler.snapshot(index, &mut value).unwrap();
            value
        })
        .collect()
}

/// Puts the persisted fields of `from` into `to`.
fn copy<H: Persistable>(from: &H, to: &mut H) {
    for (index, value) in values(from).iter().enumerate() {
        to.restore(index, value).unwrap();
    }
}

/// `from` and a struct that got its fields are equal.
#[track_caller]
fn assert_roundtrip<H: Persistable + PartialEq + Debug>(from: &H, mut to: H) {
    assert_ne!(*from, to, "there is nothing to see if they are equal before");
    copy(from, &mut to);
    assert_eq!(*from, to);
}

fn pairs(expected: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    expected.iter().map(|(name, of)| (*name, (*of).to_owned())).collect()
}

/// `Schema` has no public view of versions and removals: its debug text has.
fn debug(schema: &Schema) -> String {
    format!("{schema:?}")
}

#[derive(Serialize, Deserialize, Default, PartialEq, Debug, Clone)]
struct Price {
    cents: i64,
    currency: String,
}

#[derive(Serialize, Deserialize, Default, PartialEq, Debug)]
enum Phase {
    #[default]
    Idle,
    Running {
        since: u64,
    },
    Failed(String),
}

#[derive(Persistable, Default, PartialEq, Debug)]
struct Shop {
    total: i64,
    price: Price,
    phase: Phase,
    last: Option<String>,
    stock: HashMap<String, Vec<Price>>,
    pair: (u8, f64),
    digest: [u8; 4],
    unit: (),
}

fn shop() -> Shop {
    let price = Price { cents: 250, currency: "EUR".into() };
    Shop {
        total: -7,
        price: price.clone(),
        phase: Phase::Running { since: 99 },
        last: Some("apple".into()),
        stock: HashMap::from([("apple".into(), vec![price])]),
        pair: (1, 0.5),
        digest: [1, 2, 3, 4],
        unit: (),
    }
}

#[test]
fn the_schema_has_every_field_with_its_type() {
    assert_eq!(
        fields::<Shop>(),
        pairs(&[
            ("total", "i64"),
            ("price", "Price"),
            ("phase", "Phase"),
            ("last", "Option<String>"),
            ("stock", "HashMap<String,Vec<Price>>"),
            ("pair", "(u8,f64)"),
            ("digest", "[u8;4]"),
            ("unit", "()"),
        ])
    );
}

#[test]
fn every_kind_of_value_comes_back() {
    assert_roundtrip(&shop(), Shop::default());
    assert_roundtrip(&Shop { phase: Phase::Failed("full".into()), ..shop() }, shop());
    assert_roundtrip(&Shop { last: None, ..shop() }, shop());
}

#[test]
fn a_value_that_cannot_be_read_leaves_the_field_as_it_was() {
    let mut shop = shop();
    for index in 0..fields::<Shop>().len() {
        for bytes in [&b""[..], b"\xc1", b"\xa3abc\x00"] {
            assert!(shop.restore(index, bytes).is_err(), "field {index}, {bytes:?}");
        }
    }
    // A map that breaks off after its first entry.
    assert!(shop.restore(4, b"\x82\xa5other\x90\xa1a\x01").is_err());
    assert_eq!(shop, self::shop());
}

#[test]
fn a_number_of_no_field_is_an_error() {
    let mut shop = shop();
    let mut into = vec![1];
    let beyond = fields::<Shop>().len();
    for index in [beyond, usize::MAX] {
        assert!(shop.snapshot(index, &mut into).unwrap_err().to_string().contains("no field"));
        assert!(shop.restore(index, b"\x00").unwrap_err().to_string().contains("no field"));
        shop.set_default(index);
    }
    assert_eq!(into, [1]);
    assert_eq!(shop, self::shop());
}

#[test]
fn snapshots_are_appended() {
    let mut into = vec![0xff];
    shop().snapshot(6, &mut into).unwrap();
    assert_eq!(into, [0xff, 0x94, 1, 2, 3, 4]);
}

#[derive(Persistable, Debug, PartialEq)]
struct Stateless;

#[derive(Persistable, Debug, PartialEq)]
struct Empty {}

#[derive(Persistable, Debug, PartialEq)]
struct Marker<T, const N: usize>
where
    T: Debug,
{
    #[persist(skip)]
    of: PhantomData<T>,
}

#[test]
fn structs_without_fields_persist_nothing() {
    fn check<H: Persistable>(mut handler: H) {
        assert_eq!(fields::<H>(), []);
        assert!(handler.snapshot(0, &mut Vec::new()).is_err());
        assert!(handler.restore(0, b"\xc0").is_err());
        handler.set_default(0);
    }
    check(Stateless);
    check(Empty {});
    check(Marker::<Phase, 3> { of: PhantomData });
}

#[derive(Persistable, Debug, PartialEq)]
struct Window<T, K, const N: usize>
where
    K: Eq + std::hash::Hash,
{
    latest: [T; 2],
    by_key: HashMap<K, Option<T>>,
    count: u64,
    #[persist(default)]
    sum: T,
    #[persist(skip)]
    slots: [u8; N],
}

/// A const parameter in a persisted field. Arrays of any length have no `Serialize`: this one has.
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone, Copy)]
struct Modulo<const N: u64>(u64);

#[derive(Persistable, Debug, PartialEq)]
struct Ring<const N: u64> {
    value: Modulo<N>,
    head: Option<Modulo<{ 3 + 4 }>>,
}

#[test]
fn generic_fields_are_named_by_what_they_are_of() {
    assert_eq!(
        fields::<Window<Price, String, 9>>(),
        pairs(&[
            ("latest", "[Price;2]"),
            ("by_key", "HashMap<String,Option<Price>>"),
            ("count", "u64"),
            ("sum", "Price"),
        ])
    );
    assert_eq!(fields::<Window<i8, u16, 0>>()[1].1, "HashMap<u16,Option<i8>>");
    assert_eq!(fields::<Ring<5>>()[0].1, "Modulo<5>");
}

#[test]
fn generic_structs_come_back() {
    let window =
        Window { latest: [3, 4], by_key: HashMap::from([("a".to_owned(), Some(1))]), count: 2, sum: 7, slots: [8] };
    let mut other = Window { latest: [0, 0], by_key: HashMap::new(), count: 0, sum: 0, slots: [8] };
    copy(&window, &mut other);
    assert_eq!(window, other);
    other.set_default(3);
    assert_eq!(other.sum, 0);
    assert_roundtrip(&Ring::<5> { value: Modulo(4), head: Some(Modulo(6)) }, Ring { value: Modulo(0), head: None });
}

/// No `Serialize` at all: a generic struct needs it of no more than its persisted fields.
#[derive(Debug, PartialEq)]
struct Opaque(u8);

#[derive(Persistable, Debug, PartialEq)]
struct Tree<T, X> {
    root: Option<Node<T>>,
    #[persist(skip)]
    extra: X,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Node<T> {
    value: T,
    children: Vec<Node<T>>,
}

/// Whether `T` is `Persistable`: the inherent constant comes first where there is one.
struct Probe<T>(PhantomData<T>);

trait Otherwise {
    const PERSISTABLE: bool = false;
}

impl<T> Otherwise for Probe<T> {}

impl<T: Persistable> Probe<T> {
    const PERSISTABLE: bool = true;
}

#[test]
fn generic_structs_are_persistable_if_their_persisted_fields_are() {
    const {
        assert!(Probe::<Tree<u8, Opaque>>::PERSISTABLE);
        assert!(!Probe::<Tree<Opaque, u8>>::PERSISTABLE);
        // One field has `default` and so needs it of `T`: `Price` has one, `Modulo` has not.
        assert!(Probe::<Window<Price, String, 1>>::PERSISTABLE);
        assert!(!Probe::<Window<Modulo<1>, String, 1>>::PERSISTABLE);
        assert!(!Probe::<Opaque>::PERSISTABLE);
    }
}

#[test]
fn skipped_fields_put_no_bounds_on_parameters() {
    let leaf = |value| Node { value, children: Vec::new() };
    let full = Tree { root: Some(Node { value: 1, children: vec![leaf(2), leaf(3)] }), extra: Opaque(1) };
    let mut empty = Tree { root: None, extra: Opaque(1) };
    copy(&full, &mut empty);
    assert_eq!(full, empty);
}

#[derive(Persistable, Debug, PartialEq)]
struct Borrowing<'a, T: ?Sized> {
    seen: u64,
    #[persist(skip)]
    name: &'a str,
    #[persist(skip)]
    text: Cow<'a, str>,
    #[persist(skip)]
    tail: &'a T,
}

#[test]
fn skipped_fields_stay_as_they_are_and_may_borrow() {
    assert_eq!(fields::<Borrowing<'_, [u8]>>(), pairs(&[("seen", "u64")]));
    let (one, two) = ("one".to_owned(), "two".to_owned());
    let from = Borrowing { seen: 5, name: &one, text: Cow::Borrowed(&one), tail: one.as_bytes() };
    let mut to = Borrowing { seen: 0, name: &two, text: Cow::Borrowed(&two), tail: two.as_bytes() };
    copy(&from, &mut to);
    to.set_default(0);
    to.set_default(1);
    assert_eq!(to, Borrowing { seen: 5, name: "two", text: "two".into(), tail: &b"two"[..] });
}

#[derive(Persistable, Default, Debug, PartialEq)]
struct Names {
    r#type: String,
    #[persist(rename = "stored as")]
    other: u8,
    #[persist(alias = "old", alias = "older")]
    #[persist(alias = "oldest")]
    new: u8,
    #[persist(rename = "other", default)]
    third: u8,
}

#[test]
fn fields_are_stored_under_the_names_that_are_written() {
    assert_eq!(fields::<Names>(), pairs(&[("type", "String"), ("stored as", "u8"), ("new", "u8"), ("other", "u8")]));
    let text = debug(&Names::schema());
    assert!(
        text.contains(r#"name: "new", type_name: "u8", aliases: ["old", "older", "oldest"], has_default: false"#),
        "{text}"
    );
    assert!(text.contains(r#"name: "other", type_name: "u8", aliases: [], has_default: true"#), "{text}");
    assert_roundtrip(&Names { r#type: "x".into(), other: 1, new: 2, third: 3 }, Names::default());
}

#[derive(Persistable, Debug, PartialEq)]
struct Defaults {
    plain: i64,
    #[persist(default)]
    of_its_type: Option<u8>,
    #[persist(default = 7)]
    number: i16,
    #[persist(default = "EUR".to_owned())]
    text: String,
    #[persist(default = Self::LIMIT)]
    limit: u32,
    #[persist(default = HashMap::<String, u8>::from([(index(), 1)]))]
    map: HashMap<String, u8>,
    // Coerced, as in a `let`.
    #[persist(default = Box::new([1, 2]))]
    slice: Box<[u8]>,
}

impl Defaults {
    const LIMIT: u32 = 40;
}

/// Of the same name as a parameter of the implementation, which must not be in the way.
fn index() -> String {
    "index".to_owned()
}

#[test]
fn defaults_are_set_one_by_one() {
    let built = || Defaults {
        plain: 1,
        of_its_type: Some(1),
        number: 1,
        text: String::new(),
        limit: 1,
        map: HashMap::new(),
        slice: Box::new([]),
    };
    let mut handler = built();
    handler.set_default(2);
    assert_eq!(handler, Defaults { number: 7, ..built() });
    for index in 0..fields::<Defaults>().len() {
        handler.set_default(index);
    }
    let expected = Defaults {
        plain: 1,
        of_its_type: None,
        number: 7,
        text: "EUR".into(),
        limit: 40,
        map: HashMap::from([("index".into(), 1)]),
        slice: Box::new([1, 2]),
    };
    assert_eq!(handler, expected);
}

#[derive(Persistable)]
#[persist(removed("a", "b"))]
#[persist(removed("c"), version = 3, migrate = Versions::migrate)]
struct Versions {
    cents: i64,
}

impl Versions {
    fn migrate(mut fields: StateFields) -> Result<StateFields, StateError> {
        let euros: i64 = fields.take("euros")?;
        fields.insert("cents", &(euros * 100))?;
        Ok(fields)
    }
}

#[derive(Persistable)]
#[persist(version = 1)]
struct First {
    cents: i64,
}

#[test]
fn versions_and_removals_are_in_the_schema() {
    let text = debug(&Versions::schema());
    assert!(text.starts_with("Schema { version: 3,"), "{text}");
    assert!(text.contains(r#"removed: ["a", "b", "c"], migrate: Some("#), "{text}");
    let text = debug(&First::schema());
    assert!(text.starts_with("Schema { version: 1,"), "{text}");
    assert!(text.contains("removed: [], migrate: None"), "{text}");
    assert_eq!(values(&Versions { cents: 5 }), values(&First { cents: 5 }));
}

mod vendored {
    pub(crate) mod again {
        pub(crate) use atomic_streams::*;
    }
}

#[derive(Persistable)]
#[persist(crate = vendored::again)]
struct Elsewhere {
    count: u8,
}

#[test]
fn the_crate_may_be_found_elsewhere() {
    assert_eq!(values(&Elsewhere { count: 3 }), [[3]]);
}

macro_rules! handler {
    ($name:ident, $field:ident: $ty:ty = $default:expr, $stored:literal, $version:literal, $migrate:path) => {
        #[derive(Persistable)]
        #[persist(version = $version, migrate = $migrate)]
        struct $name {
            #[persist(default = $default, rename = $stored)]
            $field: Vec<$ty>,
        }
    };
}

handler!(Made, list: (u8, Option<i64>) = vec![(1, None)], "written", 2, Versions::migrate);

#[test]
fn macros_may_write_the_struct() {
    assert_eq!(fields::<Made>(), pairs(&[("written", "Vec<(u8,Option<i64>)>")]));
    let mut made = Made { list: Vec::new() };
    made.set_default(0);
    assert_eq!(made.list, [(1, None)]);
    assert!(debug(&Made::schema()).starts_with("Schema { version: 2,"));
}

mod elsewhere {
    #[rustfmt::skip]
    #[derive(atomic_streams::Persistable)]
    pub(crate) struct Broken {
        pub(crate) first: std::collections::BTreeMap<
            String,
            (u8, Vec<u8,>,),
        >,
    }
}

#[derive(Persistable)]
struct Whole {
    first: BTreeMap<String, (u8, Vec<u8>)>,
}

#[test]
fn the_schema_does_not_depend_on_how_a_type_is_written() {
    assert_eq!(fields::<elsewhere::Broken>(), fields::<Whole>());
    assert_eq!(values(&elsewhere::Broken { first: BTreeMap::new() }), values(&Whole { first: BTreeMap::new() }));
}

/// Everything that the implementation names is shadowed here.
mod hostile {
    #![allow(non_camel_case_types, dead_code)]
    pub(crate) struct Vec;
    pub(crate) struct Result;
    pub(crate) struct Option;
    pub(crate) struct Default;
    pub(crate) struct String;
    pub(crate) struct usize;
    pub(crate) struct Schema;
    pub(crate) struct Field;
    pub(crate) struct StateError;
    pub(crate) mod core {}
    pub(crate) mod std {}
    pub(crate) mod serde {}
    pub(crate) mod atomic_streams {}

    #[derive(::atomic_streams::Persistable)]
    pub(crate) struct Shadowed {
        #[persist(default)]
        pub(crate) index: u8,
        #[persist(default = 2)]
        pub(crate) into: i64,
        pub(crate) from: i64,
        pub(crate) value: bool,
    }
}

#[test]
fn names_of_the_user_are_not_in_the_way() {
    let mut shadowed = hostile::Shadowed { index: 1, into: 1, from: 1, value: true };
    shadowed.set_default(1);
    assert_eq!(values(&shadowed), [[1], [2], [1], [0xc3]]);
}
