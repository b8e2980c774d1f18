//! Dead letters as bad producers write them.

use atomic_streams::{DeadLetter, EntryId, ErrorKind, Fields};

use crate::bench::{Bench, DEAD, STREAM};

const ABOUT: [(&str, &str); 6] = [
    ("@stream", STREAM),
    ("@group", "tally"),
    ("@id", "5-7"),
    ("@time_ms", "1700000000000"),
    ("@attempts", "3"),
    ("@error", "no"),
];

/// A letter of these fields, with some of what is said about them set otherwise, or left out.
fn letter(own: &[(&str, &[u8])], fields: &str, changes: &[(&str, Option<&[u8]>)]) -> Fields {
    let mut letter: Fields = own.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    for (name, value) in ABOUT.into_iter().chain([("@fields", fields)]) {
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, None)) => {}
            Some((_, Some(value))) => letter.push(name, *value),
            None => letter.push(name, value),
        }
    }
    letter
}

const OWN: &[(&str, &[u8])] = &[("n", b"1"), ("n", b"\xff")];

fn damaged() -> Vec<(Fields, &'static str)> {
    let with = |name, value: &'static [u8]| letter(OWN, "2", &[(name, Some(value))]);
    let packed = |bytes: &[u8]| letter(&[("@packed", bytes)], "0", &[]);
    let mut damaged = vec![
        (letter(OWN, "3", &[]), "its @fields is `3` and not 2"),
        (letter(OWN, "0", &[]), "its @fields is `0` and not 2"),
        (letter(OWN, "-2", &[]), "@fields"),
        (letter(OWN, "2.0", &[]), "@fields"),
        (letter(OWN, "0x2", &[]), "@fields"),
        (letter(OWN, "99999999999999999999999", &[]), "@fields"),
        (letter(OWN, "", &[]), "@fields"),
        (letter(&[("@packed", b"")], "1e999", &[]), "@fields"),
        (letter(&[("n", b"1")], "0", &[]), "its @fields is `0` and not 1"),
        (letter(&[], "0", &[]), "its entry has no field"),
        (with("@id", b"5"), "its @id is `5` and not an entry ID"),
        (with("@id", b"18446744073709551616-0"), "@id"),
        (with("@id", b"\xff"), "@id"),
        (with("@stream", b""), "its @stream `` is empty"),
        (with("@stream", b"a\nb"), "control character"),
        (with("@stream", b"\xff"), "@stream"),
        (with("@stream", b"atomic-streams:{orders}:tally"), "kept for records"),
        (with("@group", b"\xff"), "@group"),
        (with("@time_ms", b"now"), "@time_ms"),
        (with("@time_ms", b"-1"), "@time_ms"),
        (with("@time_ms", b"340282366920938463463374607431768211456"), "@time_ms"),
        (with("@attempts", b"4294967296"), "@attempts"),
        (with("@error", b"\xc3"), "@error"),
        (packed(b""), "@packed"),
        (packed(b"\x80"), "its entry has no field"),
        (packed(b"\x81\xa1a"), "@packed"),
        (packed(b"\x81\xa1a\xa1b\x00"), "1 bytes follow"),
        (packed(b"\xdf\xff\xff\xff\xff\xa1a\xa1b"), "@packed"),
        (packed(b"\x81\xc6\xff\xff\xff\xff"), "@packed"),
        (packed(&b"\x91".repeat(100_000)), "@packed"),
        (packed(&b"\x81\xa1a".repeat(100_000)), "@packed"),
    ];
    for (missing, _) in ABOUT {
        damaged.push((letter(OWN, "2", &[(missing, None)]), "does not end with @stream"));
    }
    damaged
}

#[tokio::test]
async fn each_damage_is_named_and_the_others_go_on() {
    let mut bench = Bench::start().await;
    bench.add(DEAD, &[("some", "thing")].into_iter().collect()).await;
    let mut bad = Vec::new();
    for (number, (fields, words)) in damaged().into_iter().enumerate() {
        bad.push((bench.add(DEAD, &fields).await, words, fields));
        if number % 4 == 0 {
            bench.add(DEAD, &letter(OWN, "2", &[])).await;
        }
    }
    let (letters, good) = (bench.dead_letters(), damaged().len().div_ceil(4));
    let listed = letters.list(1_000).await.unwrap();
    // What holds no fields can be looked at.
    assert_eq!(listed.iter().filter(|letter| !letter.entry.fields.is_empty()).count(), good);
    let before = bench.picture().await;
    for (id, words, fields) in &bad {
        let error = letters.requeue(*id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LetterDamaged, "{fields:.100?}: {error}");
        let text = error.to_string();
        for words in [*words, "orders:dead", &id.to_string(), "`remove`"] {
            assert!(text.contains(words), "{fields:.100?}: {words} is missing: {text}");
        }
        assert!(text.len() < 600, "{text}");
        match letters.get(*id).await {
            Err(error) => assert_eq!(error.to_string(), text),
            Ok(letter) => assert!(letter.unwrap().entry.fields.is_empty()),
        }
    }
    assert!(bench.picture().await == before, "something was written");

    let error = letters.requeue_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LetterDamaged);
    let words = format!(
        "{good} dead letters were requeued and {} could not be, the first of them: dead letter {}",
        bad.len(),
        bad[0].0
    );
    assert!(error.to_string().contains(&words), "{error}");
    let requeued = bench.entries(STREAM).await;
    let own: Fields = OWN.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    assert!(requeued.len() == good && requeued.iter().all(|entry| entry.fields == own));
    assert_eq!(bench.entries(DEAD).await.len(), bad.len() + 1, "the damaged ones and what is none stay");
    for (id, ..) in &bad {
        assert!(letters.remove(*id).await.unwrap());
    }
    assert_eq!(letters.requeue_all().await.unwrap(), 0);
    assert_eq!(letters.get(EntryId::MIN).await.unwrap(), None);
}

/// Nothing that the library writes, but any client can.
#[tokio::test]
async fn a_letter_of_many_fields_that_are_not_packed_is_requeued() {
    let mut bench = Bench::start().await;
    for count in [3_900, 3_901, 10_000] {
        let names: Vec<String> = (0..count).map(|n| format!("f{}", n % 700)).collect();
        let own: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
        let id = bench.add(DEAD, &letter(&own, &count.to_string(), &[])).await;
        let read = DeadLetter::of(bench.entries(DEAD).await.pop().unwrap()).unwrap();
        let added = bench.dead_letters().requeue(id).await.unwrap().unwrap();
        let last = bench.entries(STREAM).await.pop().unwrap();
        assert!(last.id == added && last.fields == read.entry.fields, "{count}");
        assert_eq!(bench.entries(DEAD).await.len(), 0);
    }
}
