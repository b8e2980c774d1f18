//! The hand-made part of the corpus: small inputs that lead into each part of what is read. The fuzzer goes on from them, and
//! what it finds lies beside them under names of its own.

use serde::Serialize;

/// Of a target, its name, its bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// Names and values as the targets read them.
fn flat(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.push(text.len() as u8);
        bytes.extend(*text);
    }
    bytes
}

fn texts(pairs: &[(&str, &str)]) -> Vec<u8> {
    flat(&pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Vec<_>>())
}

fn packed<T: Serialize>(value: T) -> Vec<u8> {
    rmp_serde::to_vec_named(&value).unwrap_or_default()
}

fn of_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    [&[field], bytes].concat()
}

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = entries();
    seeds.extend(states());
    seeds.extend(replies());
    seeds.extend(letters());
    seeds
}

fn entries() -> Vec<Seed> {
    let deep = "[".repeat(120) + &"]".repeat(120);
    let sale = [
        ("sku", "A-1"),
        ("quantity", "-3"),
        ("price", "1e3"),
        ("tags", "[\"a\",\"b\"]"),
        ("big", "340282366920938463463374607431768211455"),
    ];
    let rest = [
        ("address", "{\"street\":\"x\",\"lines\":[1,null]}"),
        ("kind", "{\"Pair\":[\"Point\",{\"Circle\":{\"radius\":1}}]}"),
    ];
    vec![
        ("entry", "sale", texts(&[&sale[..], &rest[..], &[("express", "1"), ("grade", "ä")]].concat())),
        ("entry", "none", Vec::new()),
        ("entry", "empty-names", texts(&[("", ""), ("", "")])),
        ("entry", "repeats", texts(&[("sku", "a"), ("sku", "b"), ("quantity", "1")])),
        ("entry", "bytes", flat(&[(b"sku", b"\xff\xfe"), (b"\xc3\x28", b"\0")])),
        ("entry", "numbers", texts(&[("sku", ""), ("quantity", "9223372036854775808"), ("1", "NaN"), ("2", "-inf")])),
        ("entry", "map-of-numbers", texts(&[("1", "1.5"), ("-7", "inf"), ("32767", "0")])),
        ("entry", "deep", texts(&[("v", &deep), ("Group", &deep)])),
        ("entry", "shape", texts(&[("Group", "[\"Point\",{\"Named\":{\"a\":{\"Circle\":{\"radius\":-0.5}}}}]")])),
        ("entry", "internal", texts(&[("type", "Moved"), ("to", "7"), ("after_ms", "12")])),
        (
            "entry",
            "internal-deep",
            texts(&[("type", "Node"), ("left", "{\"type\":\"Node\",\"left\":{\"type\":\"Gone\"}}")]),
        ),
        ("entry", "adjacent", texts(&[("data", "{\"n\":1,\"of\":[1,2]}"), ("type", "Counted")])),
        ("entry", "either", texts(&[("a", "[1,{\"b\":\"c\"}]"), ("b", "3"), ("c", "three")])),
        ("entry", "flat", texts(&[("id", "7"), ("n", "1"), ("l", "[1]"), ("t", "x")])),
    ]
}

fn states() -> Vec<Seed> {
    let shape = b"\x81\xa5Group\x92\xa5Point\x81\xa6Circle\x81\xa6radius\xcb\x7f\xf8\0\0\0\0\0\0";
    let until = b"\xc0\xd7\x01\0\0\x01\x8b\xcf\xe5\x68\0";
    vec![
        ("state", "count", of_field(0, &packed(-70_000))),
        ("state", "shape", of_field(1, shape)),
        ("state", "shape-deep", of_field(1, &[b"\x81\xa5Group\x91".repeat(31), b"\xa5Point".to_vec()].concat())),
        ("state", "shape-too-deep", of_field(1, &b"\x81\xa5Group\x91".repeat(40))),
        ("state", "names", of_field(2, b"\x82\xa1a\x92\xca\x3f\x80\0\0\xc0\xd9\x01b\xdc\0\0")),
        ("state", "parts", of_field(3, &packed((7_u8, 'ä', vec![(true, ())])))),
        ("state", "any", of_field(4, b"\x83\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1b\xc4\x01\xff\xa1c\xd1\x80\0")),
        ("state", "extension", of_field(4, b"\xc7\x03\x05abc")),
        ("state", "list-as-bytes", of_field(5, b"\xc4\x03\x01\x02\x03")),
        ("state", "claims", of_field(5, b"\xdd\xff\xff\xff\xff\x01")),
        ("state", "map", of_field(6, &flat(&[(b"\xa1a", b"\x07"), (b"\xa1b", until)]))),
        ("state", "map-equal-keys", of_field(6, &flat(&[(b"\xa1a", b"\x01"), (b"\xd9\x01a", b"\x02")]))),
        ("state", "set", of_field(7, &flat(&[(b"\x92\x01\xc3", b"\xc0"), (b"\x92\x02\xc0", b"\xc0")]))),
        (
            "state",
            "deque",
            of_field(8, &flat(&[(b"\xff", b"\x91\x01"), (b"\x00", b"\x90"), (b"\x01", b"\xc4\x01\x7f")])),
        ),
        ("state", "deque-end", of_field(8, &flat(&[(b"\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x90")]))),
    ]
}

fn replies() -> Vec<Seed> {
    let owned = "*15\r\n$5\r\nOWNED\r\n$11\r\na.1.1.50:41\r\n:1\r\n:1700000000000\r\n:0\r\n$1\r\n0\r\n$3\r\n5-0\r\n$1\r\n3\r\n$0\r\n\r\n$3\r\n7-0\r\n:4\r\n:9\r\n:1\r\n$7\r\n5-0 1\r\n\r\n";
    let text = |reply: &str| reply.as_bytes().to_vec();
    vec![
        ("reply", "attach-owned", text(owned)),
        ("reply", "attach-standby", text("*4\r\n$7\r\nSTANDBY\r\n$1\r\nh\r\n:500\r\n$13\r\n1700000000000\r\n")),
        ("reply", "attach-damaged", text("*3\r\n$7\r\nDAMAGED\r\n$5\r\n@head\r\n$1\r\nx\r\n")),
        ("reply", "attach-behind", text("*4\r\n$6\r\nBEHIND\r\n$3\r\n5-0\r\n$3\r\n7-0\r\n:1\r\n")),
        ("reply", "commit", text(":1\r\n")),
        ("reply", "commit-trouble", text("*3\r\n$9\r\nCOMMITTED\r\n$7\r\nNOGROUP\r\n$0\r\n\r\n")),
        ("reply", "diverged", text("*4\r\n$8\r\nDIVERGED\r\n$5\r\na.1:2\r\n$3\r\n5-0\r\n$3\r\ngap\r\n")),
        ("reply", "refused", text("*3\r\n$7\r\nREFUSED\r\n$3\r\nout\r\n$9\r\nWRONGTYPE\r\n")),
        (
            "reply",
            "read",
            text("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$0\r\n\r\n"),
        ),
        ("reply", "read-odd", text("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-0\r\n*1\r\n$1\r\na\r\n")),
        ("reply", "read-resp3", text("%1\r\n$1\r\ns\r\n*0\r\n")),
        ("reply", "range", text("*1\r\n*2\r\n$3\r\n5-0\r\n*0\r\n")),
        ("reply", "scan", text("*4\r\n$5\r\na.1:2\r\n:1\r\n$1\r\n0\r\n*2\r\n$1\r\n\x01\r\n$1\r\n\x02\r\n")),
        ("reply", "load", text("*3\r\n$5\r\na.1:2\r\n$-1\r\n$1\r\n\x02\r\n")),
        ("reply", "requeued", text("*2\r\n$8\r\nREQUEUED\r\n$3\r\n5-0\r\n")),
        ("reply", "error", text("-WRONGTYPE no\r\n")),
        ("reply", "claims", text("*4294967295\r\n$4294967295\r\n")),
        ("reply", "deep", text(&("*1\r\n".repeat(99) + "*0\r\n"))),
    ]
}

fn letters() -> Vec<Seed> {
    let about = |own: &[(&[u8], &[u8])], fields: &[u8]| {
        let about: [(&[u8], &[u8]); 7] = [
            (b"", b"s"),
            (b"", b"g"),
            (b"", b"5-7"),
            (b"", b"1700000000000"),
            (b"", b"3"),
            (b"", b"no"),
            (b"", fields),
        ];
        of_field(7, &flat(&[own, &about[..]].concat()))
    };
    vec![
        ("letter", "sound", about(&[(b"n", b"1"), (b"n", b"\xff")], b"2")),
        ("letter", "packed", about(&[(b"@packed", b"\x82\xa1a\xa1b\xa1a\xc4\x01\xff")], b"0")),
        ("letter", "packed-numbers", about(&[(b"@packed", b"\x81\x92\x01\x02\x93\x01\xcc\xff\x00")], b"0")),
        ("letter", "packed-claims", about(&[(b"@packed", b"\xdf\xff\xff\xff\xff\xa1a")], b"0")),
        ("letter", "packed-more", about(&[(b"@packed", b"\x81\xa1a\xa1b\x00")], b"0")),
        ("letter", "no-fields", about(&[], b"0")),
        ("letter", "wrong-count", about(&[(b"n", b"1")], b"18446744073709551616")),
        ("letter", "other", of_field(0, &texts(&[("a", "b"), ("@fields", "1")]))),
        ("letter", "cut", of_field(4, &texts(&[("a", "b"), ("", "3"), ("", "no"), ("", "1")]))),
    ]
}
