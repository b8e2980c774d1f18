//! Dead letters of parked keys: looked for, asked for, and removed by the step that handles them.

use atomic_streams::internals::{CollectionChanges, MemoryStore};
use atomic_streams::internals::{
    Commit, Divergence, Entry, EntryChanges, Letters, Operation, Parking, Requeued, Step, StepReply, Waiting, digest,
};
use atomic_streams::{DeadLetter, EntryId, Fields};

use crate::bench::Bench;
use crate::kit::{DONE, GROUP, RENEW, STREAM, Session, fields, id, is_diverged, publish, subscription, values};

const DEAD: &str = "dead";

conformance! {
    a_step_removes_its_letter_and_moves_the_sequence_alone,
    a_letter_that_is_gone_or_another_refuses_its_step,
    a_key_of_another_type_refuses_the_step_of_a_letter,
    a_publish_that_is_refused_leaves_the_letter,
    a_key_is_asked_for_only_while_it_is_parked,
    renewals_tell_how_often_keys_were_asked_for,
    letters_of_one_key_are_found_with_the_head,
    letters_of_a_parked_key_are_not_requeued,
    a_packed_letter_of_a_key_is_found_and_requeued,
}

/// The fields of a letter of the entry `n`, as a consumer writes them.
fn letter(own: &Fields, group: &str, key: &[u8], behind: Option<&str>) -> Fields {
    let packed = own.len() > 3_000;
    let mut written: Fields = match packed {
        true => [("@packed", rmp_serde::to_vec(own).unwrap())].into_iter().collect(),
        false => own.iter().collect(),
    };
    let about = [
        ("@stream", STREAM),
        ("@group", group),
        ("@id", "1-2"),
        ("@time_ms", "5"),
        ("@attempts", "0"),
        ("@error", "no"),
    ];
    about.into_iter().for_each(|(name, value)| written.push(name, value));
    written.push("@key", key);
    if let Some(behind) = behind {
        written.push("@parked_behind", behind);
    }
    written.push("@fields", if packed { 0 } else { own.len() }.to_string());
    written
}

/// Puts a letter of the group under test there.
async fn put(bench: &Bench, at: u64, key: &[u8]) -> Entry {
    let fields = letter(&fields(&at.to_string()), GROUP, key, (at > 1).then_some("1-2"));
    bench.add_with_id(DEAD, id(at), fields.clone()).await;
    Entry { id: id(at), fields }
}

fn removal(letter: &Entry) -> Operation {
    Operation::Remove { stream: DEAD.into(), id: letter.id, digest: digest(letter) }
}

/// The step that handles a letter, the first of the session.
fn step(session: &Session, operations: Vec<Operation>) -> Commit {
    let position = session.owned.position;
    let processed = session.owned.processed;
    Commit { entry: Some(id(1)), entries: 0, position, processed, operations, ..session.commit(1, id(1)) }
}

/// Parks a key by the `n`th commit of the session.
async fn park(session: &mut Session, n: u64, key: &[u8], before: u64) {
    let changes = EntryChanges { set: vec![(key.to_vec(), b"1-2".to_vec())], ..EntryChanges::default() };
    let (before, after) = (Some(before), Some(before + 1));
    let parked = CollectionChanges { kind: Parking::KIND, field: Parking::FIELD.into(), changes, before, after };
    session.done(Commit { collections: vec![parked], ..session.commit(n, id(n)) }).await;
}

async fn open(bench: &Bench) -> Box<dyn Letters> {
    bench.store().letters().await.unwrap()
}

fn ids(waiting: &Waiting) -> Vec<EntryId> {
    waiting.letters.iter().map(|letter| letter.id).collect()
}

async fn a_step_removes_its_letter_and_moves_the_sequence_alone(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let (first, second) = (put(&bench, 1, b"k").await, put(&bench, 2, b"k").await);
    let commit = step(&session, vec![removal(&first), publish("out", "x")]);
    let (position, processed) = (commit.position.to_string(), commit.processed.to_string());
    assert_eq!(session.send(Step::Commit(commit)).await, DONE);
    assert_eq!(bench.entries(DEAD).await, [second]);
    assert_eq!(values(&bench.entries("out").await), ["x"]);
    assert_eq!(bench.recorded("@position").await.unwrap(), position);
    assert_eq!(bench.recorded("@processed").await.unwrap(), processed);
    assert!(bench.recorded("@head").await.unwrap().ends_with(":1"));
}

async fn a_letter_that_is_gone_or_another_refuses_its_step(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let letter = put(&bench, 1, b"k").await;
    let commit = step(&session, vec![removal(&letter), publish("out", "x")]);
    let another = Entry { fields: fields("other"), ..letter.clone() };
    let changed = Commit { operations: vec![removal(&another), publish("out", "x")], ..commit.clone() };
    let before = bench.picture(&[DEAD, "out"]).await;
    assert!(is_diverged(&session.send(Step::Commit(changed)).await, Divergence::Letter));
    assert_eq!(bench.picture(&[DEAD, "out"]).await, before);
    bench.delete_entry(DEAD, letter.id).await;
    let before = bench.picture(&[DEAD, "out"]).await;
    assert!(is_diverged(&session.send(Step::Commit(commit.clone())).await, Divergence::Letter));
    assert_eq!(bench.picture(&[DEAD, "out"]).await, before);
    bench.delete_key(DEAD).await;
    assert!(is_diverged(&session.send(Step::Commit(commit.clone())).await, Divergence::Letter));
    put(&bench, 1, b"k").await;
    assert_eq!(session.send(Step::Commit(commit.clone())).await, DONE);
    assert!(is_diverged(&session.send(Step::Commit(commit)).await, Divergence::Sequence), "sent twice");
}

async fn a_key_of_another_type_refuses_the_step_of_a_letter(bench: Bench) {
    let mut session = Session::start(&bench).await;
    bench.put_wrong_type(DEAD).await;
    let letter = Entry { id: id(1), fields: fields("x") };
    let commit = step(&session, vec![removal(&letter)]);
    let StepReply::Refused { key, why } = session.send(Step::Commit(commit)).await else { panic!() };
    assert!(key == DEAD && why.starts_with("WRONGTYPE"), "{key} {why}");
}

async fn a_publish_that_is_refused_leaves_the_letter(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let letter = put(&bench, 1, b"k").await;
    bench.add_with_id("full", EntryId::new(u64::MAX, u64::MAX), fields("last")).await;
    let commit = step(&session, vec![removal(&letter), publish("out", "x"), publish("full", "y")]);
    let StepReply::Refused { key, .. } = session.send(Step::Commit(commit)).await else { panic!() };
    assert_eq!((key.as_str(), bench.entries(DEAD).await, bench.entries("out").await), ("full", vec![letter], vec![]));
}

async fn a_key_is_asked_for_only_while_it_is_parked(bench: Bench) {
    let mut letters = open(&bench).await;
    assert!(!letters.unpark(&subscription(), b"k").await.unwrap(), "there is no record");
    assert_eq!(bench.record().await, None);
    let mut session = Session::start(&bench).await;
    bench.add_with_id(STREAM, id(1), fields("x")).await;
    let key = [0xff, b'\r', b'\n', 0];
    assert!(!letters.unpark(&subscription(), &key).await.unwrap());
    assert_eq!(bench.recorded("@unparking").await, None);
    park(&mut session, 1, &key, 0).await;
    let asked = subscription().collection(Parking::KIND, Parking::ASKED);
    for times in ["1", "2"] {
        assert!(letters.unpark(&subscription(), &key).await.unwrap());
        assert_eq!(bench.recorded("@unparking").await.as_deref(), Some(times));
        let expected = [(key.to_vec(), b"1".to_vec())].into_iter().collect();
        assert_eq!(bench.hash(&asked).await, expected, "the first number stays");
    }
    let part = letters.scan(&subscription(), Parking::ASKED, None, 10).await.unwrap();
    assert_eq!((part.entries, part.cursor), (vec![(key.to_vec(), b"1".to_vec())], None));
    assert!(!letters.unpark(&subscription(), b"other").await.unwrap());
    bench.delete_key(&asked).await;
    bench.put_wrong_type(&asked).await;
    assert!(letters.unpark(&subscription(), &key).await.unwrap_err().words.contains("WRONGTYPE"));
    assert_eq!(bench.recorded("@unparking").await.as_deref(), Some("2"));
}

async fn renewals_tell_how_often_keys_were_asked_for(bench: Bench) {
    let mut session = Session::start(&bench).await;
    bench.add_with_id(STREAM, id(1), fields("x")).await;
    park(&mut session, 1, b"k", 0).await;
    for times in 0..3 {
        let StepReply::Renewed(renewed) = session.send(RENEW).await else { panic!() };
        assert_eq!(renewed.unparking, times);
        assert!(open(&bench).await.unpark(&subscription(), b"k").await.unwrap());
    }
}

async fn letters_of_one_key_are_found_with_the_head(bench: Bench) {
    let mut letters = open(&bench).await;
    let none = letters.waiting(&subscription(), DEAD, b"k", EntryId::MIN, 9).await.unwrap();
    assert_eq!(none, Waiting { head: None, next: None, letters: Vec::new() });
    let session = Session::start(&bench).await;
    let mut expected = Vec::new();
    for at in 1..=60 {
        match at % 6 {
            0 => bench.add_with_id(DEAD, id(at), fields("no letter")).await,
            1 => drop(put(&bench, at, b"other").await),
            2 => bench.add_with_id(DEAD, id(at), letter(&fields("x"), "another", b"k", None)).await,
            _ => expected.push(put(&bench, at, b"k").await),
        }
    }
    let all = letters.waiting(&subscription(), DEAD, b"k", EntryId::MIN, 1_000).await.unwrap();
    assert_eq!((all.head.as_ref(), all.next), (Some(&session.owned.head), None));
    assert_eq!(all.letters, expected);
    let (mut found, mut after, mut parts) = (Vec::new(), EntryId::MIN, 0);
    loop {
        let part = letters.waiting(&subscription(), DEAD, b"k", after, 16).await.unwrap();
        parts += 1;
        found.extend(ids(&part));
        match part.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(found, ids(&all));
    assert!(parts >= 4, "{parts} parts");
    bench.delete_key(DEAD).await;
    bench.put_wrong_type(DEAD).await;
    assert!(letters.waiting(&subscription(), DEAD, b"k", EntryId::MIN, 9).await.is_err());
}

async fn letters_of_a_parked_key_are_not_requeued(bench: Bench) {
    let mut session = Session::start(&bench).await;
    bench.add_with_id(STREAM, id(1), fields("x")).await;
    park(&mut session, 1, b"k", 0).await;
    let mut letters = open(&bench).await;
    for (at, key) in [(1, b"k"), (2, b"k"), (3, b"l"), (4, b"l")] {
        let letter = put(&bench, at, key).await;
        let letter = DeadLetter::of(letter).unwrap();
        let requeued = letters.requeue(DEAD, &letter).await.unwrap();
        match key {
            b"k" => assert_eq!(requeued, Requeued::Parked),
            _ => assert!(matches!(requeued, Requeued::Added(_)), "{requeued:?}"),
        }
        // Told of another group, or of no key, it does not guess.
        put(&bench, at + 10, key).await;
        let mut other = DeadLetter::of(put(&bench, at + 20, key).await).unwrap();
        other.group = "another".into();
        assert_eq!(letters.requeue(DEAD, &other).await.unwrap(), Requeued::Foreign);
        other.key = None;
        assert_eq!(letters.requeue(DEAD, &other).await.unwrap(), Requeued::Foreign);
        bench.delete_key(DEAD).await;
    }
    assert_eq!(values(&bench.entries(STREAM).await), ["x", "3", "4"]);
}

async fn a_packed_letter_of_a_key_is_found_and_requeued(bench: Bench) {
    let own: Fields = (0..5_000).map(|n| ((n % 9).to_string(), n.to_string())).collect();
    let written = letter(&own, GROUP, b"k", Some("1-1"));
    bench.add_with_id(DEAD, id(1), written.clone()).await;
    let mut letters = open(&bench).await;
    let found = letters.waiting(&subscription(), DEAD, b"k", EntryId::MIN, 9).await.unwrap().letters;
    assert_eq!(found, [Entry { id: id(1), fields: written }]);
    let letter = DeadLetter::of(found[0].clone()).unwrap();
    assert!(letter.entry.fields == own);
    assert!(matches!(letters.requeue(DEAD, &letter).await.unwrap(), Requeued::Added(_)));
    assert!(bench.entries(STREAM).await[0].fields == own);
}

/// The store in memory forgets a request with what it asked for.
#[tokio::test]
async fn a_request_is_rolled_back_with_everything_else() {
    let store = MemoryStore::new();
    let bench = Bench::Memory(store.clone());
    let mut session = Session::start(&bench).await;
    bench.add_with_id(STREAM, id(1), fields("x")).await;
    park(&mut session, 1, b"k", 0).await;
    assert!(open(&bench).await.unpark(&subscription(), b"k").await.unwrap());
    store.lose_newest_writes(1);
    assert_eq!(bench.recorded("@unparking").await, None);
    assert!(bench.hash(&subscription().collection(Parking::KIND, Parking::ASKED)).await.is_empty());
}
