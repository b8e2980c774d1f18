//! Dead letters put back: the entry is in one place, whoever asks and how often.

use atomic_streams::internals::{Entry, Letters, Requeued};
use atomic_streams::{DeadLetter, EntryId, Fields};

use crate::bench::Bench;
use crate::kit::{STREAM, fields, id};

const DEAD: &str = "dead";

conformance! {
    the_original_goes_to_the_end_of_its_stream_and_the_letter_is_gone,
    a_letter_is_requeued_once,
    the_stream_of_a_letter_is_made_if_it_is_gone,
    a_packed_entry_is_unpacked,
    keys_of_other_types_are_refused_and_nothing_is_done,
    a_stream_that_takes_no_more_entries_keeps_the_letter,
    other_entries_are_not_requeued,
    letters_are_listed_from_an_id_on,
}

/// A letter as a consumer writes it.
fn letter(source: &str, own: &Fields, at: EntryId) -> DeadLetter {
    let mut written: Fields = own.iter().collect();
    let count = own.len().to_string();
    about(&mut written, source, &count);
    DeadLetter::of(Entry { id: at, fields: written }).unwrap()
}

fn about(written: &mut Fields, source: &str, count: &str) {
    let about =
        [("@stream", source), ("@group", "g"), ("@id", "1-2"), ("@time_ms", "5"), ("@attempts", "3"), ("@error", "no")];
    for (name, value) in about.into_iter().chain([("@fields", count)]) {
        written.push(name, value);
    }
}

/// Puts a letter of `own` into the dead-letter stream.
async fn put(bench: &Bench, source: &str, own: &Fields, at: EntryId) -> DeadLetter {
    let mut written: Fields = own.iter().collect();
    about(&mut written, source, &own.len().to_string());
    bench.add_with_id(DEAD, at, written).await;
    letter(source, own, at)
}

async fn open(bench: &Bench) -> Box<dyn Letters> {
    bench.store().letters().await.unwrap()
}

fn added(requeued: Requeued) -> EntryId {
    match requeued {
        Requeued::Added(id) => id,
        other => panic!("not requeued: {other:?}"),
    }
}

async fn the_original_goes_to_the_end_of_its_stream_and_the_letter_is_gone(bench: Bench) {
    bench.add_with_id(STREAM, id(7), fields("x")).await;
    let mut own = Fields::new();
    for (name, value) in [("n", "1"), ("n", "2"), ("@fields", "own"), ("", "")] {
        own.push(name, value);
    }
    own.push([0xff, 0], [0xfe, 0]);
    let first = put(&bench, STREAM, &own, id(1)).await;
    put(&bench, STREAM, &fields("stays"), id(2)).await;
    let at = added(open(&bench).await.requeue(DEAD, &first).await.unwrap());
    assert!(at > id(7));
    let entries = bench.entries(STREAM).await;
    assert_eq!(entries[1..], [Entry { id: at, fields: own }]);
    let left: Vec<EntryId> = bench.entries(DEAD).await.iter().map(|entry| entry.id).collect();
    assert_eq!(left, [id(2)]);
}

async fn a_letter_is_requeued_once(bench: Bench) {
    let letter = put(&bench, STREAM, &fields("x"), id(1)).await;
    let mut letters = open(&bench).await;
    added(letters.requeue(DEAD, &letter).await.unwrap());
    assert_eq!(letters.requeue(DEAD, &letter).await.unwrap(), Requeued::Gone);
    assert_eq!(open(&bench).await.requeue(DEAD, &letter).await.unwrap(), Requeued::Gone);
    assert_eq!(bench.entries(STREAM).await.len(), 1);
    assert!(!letters.remove(DEAD, id(1)).await.unwrap());
    put(&bench, STREAM, &fields("x"), id(2)).await;
    assert!(letters.remove(DEAD, id(2)).await.unwrap());
    assert_eq!(bench.entries(DEAD).await, []);
}

async fn the_stream_of_a_letter_is_made_if_it_is_gone(bench: Bench) {
    let letter = put(&bench, "gone", &fields("x"), id(1)).await;
    added(open(&bench).await.requeue(DEAD, &letter).await.unwrap());
    assert_eq!(bench.entries("gone").await[0].fields, fields("x"));
}

async fn a_packed_entry_is_unpacked(bench: Bench) {
    for (n, before) in [(1, 0), (2, 1)] {
        let own: Fields = (0..5_000 + n).map(|n| ((n % 9).to_string(), n.to_string())).collect();
        let mut written = Fields::new();
        written.push("@packed", rmp_serde::to_vec(&own).unwrap());
        about(&mut written, STREAM, "0");
        bench.add_with_id(DEAD, id(n), written.clone()).await;
        let letter = DeadLetter::of(Entry { id: id(n), fields: written }).unwrap();
        assert!(letter.entry.fields == own);
        let mut letters = open(&bench).await;
        let at = added(letters.requeue(DEAD, &letter).await.unwrap());
        assert_eq!(letters.requeue(DEAD, &letter).await.unwrap(), Requeued::Gone);
        let entries = bench.entries(STREAM).await;
        assert!(entries[before..] == [Entry { id: at, fields: own }], "{} entries", entries.len());
        assert_eq!(bench.entries(DEAD).await, []);
    }
}

async fn keys_of_other_types_are_refused_and_nothing_is_done(bench: Bench) {
    bench.put_wrong_type(STREAM).await;
    let letter = put(&bench, STREAM, &fields("x"), id(1)).await;
    let mut letters = open(&bench).await;
    let before = bench.entries(DEAD).await;
    let Requeued::Refused { key, why } = letters.requeue(DEAD, &letter).await.unwrap() else { panic!() };
    assert!(key == STREAM && why.starts_with("WRONGTYPE"), "{key} {why}");
    assert_eq!(bench.entries(DEAD).await, before);
    bench.delete_key(STREAM).await;
    added(letters.requeue(DEAD, &letter).await.unwrap());

    bench.put_wrong_type("text").await;
    let Requeued::Refused { key, .. } = letters.requeue("text", &letter).await.unwrap() else { panic!() };
    assert_eq!(key, "text");
    assert!(letters.list("text", EntryId::MIN, 1).await.is_err());
    assert_eq!(bench.entries(STREAM).await.len(), 1);
}

async fn a_stream_that_takes_no_more_entries_keeps_the_letter(bench: Bench) {
    bench.add_with_id(STREAM, EntryId::new(u64::MAX, u64::MAX), fields("last")).await;
    let mut written = Fields::new();
    let own: Fields = (0..5_000).map(|n| (n.to_string(), "")).collect();
    written.push("@packed", rmp_serde::to_vec(&own).unwrap());
    about(&mut written, STREAM, "0");
    bench.add_with_id(DEAD, id(1), written.clone()).await;
    let packed = DeadLetter::of(Entry { id: id(1), fields: written }).unwrap();
    let plain = put(&bench, STREAM, &fields("x"), id(2)).await;
    let before = (bench.entries(DEAD).await, bench.entries(STREAM).await);
    for letter in [plain, packed] {
        match open(&bench).await.requeue(DEAD, &letter).await {
            Ok(Requeued::Refused { key, why }) => assert!(key == STREAM && why.contains("exhausted"), "{why}"),
            // The server's own answer, in a transaction.
            Err(error) => assert!(error.words.contains("exhausted"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((bench.entries(DEAD).await, bench.entries(STREAM).await), before);
}

async fn other_entries_are_not_requeued(bench: Bench) {
    let letter = letter(STREAM, &fields("x"), id(1));
    bench.add_with_id(DEAD, id(1), fields("x")).await;
    assert_eq!(open(&bench).await.requeue(DEAD, &letter).await.unwrap(), Requeued::Foreign);
    // A letter of another stream is under that ID meanwhile.
    bench.delete_key(DEAD).await;
    put(&bench, "other", &fields("x"), id(1)).await;
    assert_eq!(open(&bench).await.requeue(DEAD, &letter).await.unwrap(), Requeued::Foreign);
    assert_eq!(bench.entries(DEAD).await.len(), 1);
    assert_eq!((bench.entries(STREAM).await, bench.entries("other").await), (Vec::new(), Vec::new()));
}

async fn letters_are_listed_from_an_id_on(bench: Bench) {
    let mut letters = open(&bench).await;
    assert_eq!(letters.list(DEAD, EntryId::MIN, 9).await.unwrap(), []);
    assert_eq!(letters.newest(DEAD).await.unwrap(), None);
    for ms in 1..=5 {
        put(&bench, STREAM, &fields("x"), id(ms)).await;
    }
    let list = async |letters: &mut Box<dyn Letters>, from, count| -> Vec<EntryId> {
        letters.list(DEAD, from, count).await.unwrap().iter().map(|entry| entry.id).collect()
    };
    assert_eq!(list(&mut letters, EntryId::MIN, 2).await, [id(1), id(2)]);
    assert_eq!(list(&mut letters, id(3), 9).await, [id(3), id(4), id(5)]);
    assert_eq!(list(&mut letters, EntryId::new(3, 1), 1).await, [id(4)]);
    assert_eq!(letters.newest(DEAD).await.unwrap(), Some(id(5)));
}
