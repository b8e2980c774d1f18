//! Pickles as Python 3.11 writes them, and what somebody may put in their place.

use super::*;

/// `{"stock": 93, …}` of every plain type, by protocols 0 to 5; see `recorded/make.py`.
const PLAIN: [&[u8]; 6] = [
    include_bytes!("recorded/plain0.pickle"),
    include_bytes!("recorded/plain1.pickle"),
    include_bytes!("recorded/plain2.pickle"),
    include_bytes!("recorded/plain3.pickle"),
    include_bytes!("recorded/plain4.pickle"),
    include_bytes!("recorded/plain5.pickle"),
];

/// `{"set": {1}, "frozen": frozenset([2]), "noset": set()}`.
const SETS: [&[u8]; 6] = [
    include_bytes!("recorded/sets0.pickle"),
    include_bytes!("recorded/sets1.pickle"),
    include_bytes!("recorded/sets2.pickle"),
    include_bytes!("recorded/sets3.pickle"),
    include_bytes!("recorded/sets4.pickle"),
    include_bytes!("recorded/sets5.pickle"),
];

fn why(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(tree) => panic!("it was read: {:?}", tree.value().kind()),
        Err(refusal) => refusal.to_string(),
    }
}

fn json(bytes: &[u8]) -> String {
    serde_json::to_string(&read(bytes).unwrap().value()).unwrap()
}

#[test]
fn plain_values_are_the_same_by_every_protocol() {
    let value = |bytes: &[u8]| -> serde_json::Value { serde_json::from_str(&json(bytes)).unwrap() };
    let first = value(PLAIN[0]);
    assert_eq!((&first["stock"], &first["neg"], &first["price"]), (&93.into(), &(-5).into(), &1.5.into()));
    assert_eq!((&first["big"], &first["low"]), (&u64::MAX.into(), &i64::MIN.into()));
    assert_eq!(first["name"], "Zoë \\ \n 😀");
    assert_eq!((&first["yes"], &first["no"], &first["none"]), (&true.into(), &false.into(), &serde_json::Value::Null));
    assert_eq!(first["raw"], serde_json::json!([0, 255, 97, 98]));
    assert_eq!(first["list"], serde_json::json!([1, [2, [3]]]));
    assert_eq!(first["tuples"], serde_json::json!([[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]));
    assert_eq!(first["map"], serde_json::json!({"a": 1, "2": "b"}));
    assert_eq!(first["shared"], serde_json::json!([["x"], ["x"]]), "a list that lies in two places");
    assert_eq!(first["many"].as_array().unwrap().len(), 2_500);
    for (protocol, bytes) in PLAIN.iter().enumerate() {
        assert_eq!(value(bytes), first, "protocol {protocol}");
    }
    for (protocol, bytes) in SETS.iter().enumerate() {
        assert_eq!(json(bytes), r#"{"set":[1],"frozen":[2],"noset":[]}"#, "protocol {protocol}");
    }
}

#[test]
fn floats_that_json_has_not_are_read() {
    for (bytes, expected) in [(&b"Finf\n."[..], f64::INFINITY), (b"G\xff\xf0\0\0\0\0\0\0.", f64::NEG_INFINITY)] {
        let mut msgpack = Vec::new();
        serde::Serialize::serialize(&read(bytes).unwrap().value(), &mut rmp_serde::Serializer::new(&mut msgpack))
            .unwrap();
        assert_eq!(rmp_serde::from_slice::<f64>(&msgpack).unwrap(), expected);
    }
}

#[test]
fn what_names_code_is_refused_by_its_name() {
    for (bytes, named) in [
        (&b"cos\nsystem\n(S'id'\ntR."[..], "`os.system`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", "`os.system`"),
        (b"(S'id'\nios\nsystem\n.", "STRING"),
        (b"(ios\nsystem\n.", "`os.system`"),
        (b"\x80\x04\x8c\x07decimal\x94\x8c\x07Decimal\x94\x93\x94\x8c\x031.5\x94\x85\x94R\x94.", "`decimal.Decimal`"),
        (b"cbuiltins\neval\n(Vprint(1)\ntR.", "`builtins.eval`"),
        (b"c__builtin__\ngetattr\n.", "`__builtin__.getattr`"),
        (b"cbuiltins\nset\n.", "`builtins.set`"),
        (b"\x80\x05\x96\x01\0\0\0\0\0\0\0x\x94.", "`builtins.bytearray`"),
        (b"N}b.", "BUILD"),
        (b"NN\x81.", "NEWOBJ"),
        (b"NNN\x92.", "NEWOBJ_EX"),
        (b"(No.", "OBJ"),
        (b"Pid\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"N2.", "DUP"),
        (b"NN0.", "POP"),
        (b"U\x01a.", "SHORT_BINSTRING"),
        (b"\xff.", "unknown (0xff, at byte 0)"),
        (b"N)R.", "REDUCE"),
        (b"cos\n\xff\x1b[31m\n.", "os.\u{fffd}\\u{1b}[31m"),
    ] {
        let why = why(bytes);
        assert!(why.contains(named), "{named}: {why}");
    }
    assert!(why(&[b"c", "x".repeat(1 << 20).as_bytes(), b"\ny\n."].concat()).len() < 200, "names are cut");
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let deep = |n: usize| [&b"N"[..], &b"\x85".repeat(n), b"."].concat();
    assert!(read(&deep(64)).is_ok());
    assert!(why(&deep(65)).contains("64 deep"));
    assert!(why(&deep(1_000_000)).contains("64 deep"));
    assert!(why(&[&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat()).contains("64 deep"));
    // A list in itself, and one in a dict in it.
    assert!(why(b"]q\0h\0a.").contains("itself"));
    assert!(why(b"]q\0}Vk\nh\0sa.").contains("itself"));
    for int in [&b"I18446744073709551616\n."[..], b"L-9223372036854775809L\n.", b"\x8a\x09\0\0\0\0\0\0\0\0\x02."] {
        assert!(why(int).contains("64 bits"));
    }
    assert!(why(&[&b"\x8b\xff\xff\0\0"[..], &[1; 65_535], b"."].concat()).contains("64 bits"));
    assert!(why(&[b"I", &b"9".repeat(1_000)[..], b"\n."].concat()).contains("64 bits"));
    assert!(why(b"\x8c\x03\xed\xa0\x80.").contains("surrogate"));
    assert!(why(b"V\\ud800\n.").contains("escape"));
    assert!(why(b"\x80\x06N.").contains("protocol 6"));
}

#[test]
fn small_pickles_claim_no_large_memory() {
    // Twenty lists, each of ten of the one before, all in one.
    let mut laughs = b"(]q\0(NNNNNNNNNNe".to_vec();
    for n in 1..20_u8 {
        laughs.extend([&b"]q"[..], &[n], b"(", &[b'h', n - 1].repeat(10), b"e"].concat());
    }
    laughs.extend(b"l.");
    assert!(why(&laughs).contains("written out"), "{}", why(&laughs));
    let text = [&b"(X\0\0\x10\0"[..], &b"x".repeat(1 << 20), b"q\0", &b"h\0".repeat(99), b"l."].concat();
    assert!(why(&text).contains("bytes"), "{}", why(&text));
    let sets =
        [&b"(]q\0("[..], &b"N".repeat(100_000), b"ecbuiltins\nset\nq\x01", &b"h\x01h\0\x85R".repeat(1_000), b"l."]
            .concat();
    assert!(why(&sets).contains("makes more"), "{}", why(&sets));
    let values = [&b"("[..], &b"N".repeat(MAX_VALUES + 1), b"l."].concat();
    assert!(why(&values).contains("more than 2000000 values"));
    let marks = b"(".repeat(MAX_VALUES + 1);
    assert!(why(&marks).contains("more than 2000000 values"));
    for claimed in [
        &b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx."[..],
        b"B\xff\xff\xff\xffx.",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN.",
    ] {
        assert_eq!(why(claimed), "it ends in the middle");
    }
    assert!(why(&vec![b'N'; MAX_BYTES + 1]).contains("at most"));
}

#[test]
fn nothing_that_is_cut_changed_or_made_up_does_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut read_ones = 0;
    for bytes in PLAIN.iter().chain(&SETS) {
        for end in 0..bytes.len().min(300) {
            assert!(read(&bytes[..end]).is_err());
        }
        for _ in 0..400 {
            let mut changed = bytes.to_vec();
            for _ in 0..1 + random() % 3 {
                let at = random() % changed.len();
                changed[at] = random() as u8;
            }
            if let Ok(tree) = read(&changed) {
                read_ones += 1;
                rmp_serde::to_vec(&tree.value()).unwrap();
            }
        }
    }
    assert!(read_ones > 20, "{read_ones}");
    for first in 0..=255_u8 {
        for second in 0..=255 {
            let _ = read(&[first, second, b'.']);
            let _ = read(&[b'(', b']', first, second, b'.']);
        }
    }
    assert!(why(b"NN.").contains("do not fit") && why(b"N(.").contains("do not fit") && why(b"N.N").contains("follow"));
}
