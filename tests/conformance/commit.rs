//! Commits that are applied, and who may send them.

use atomic_streams::entry::MAX_PUBLISH_FIELDS;
use atomic_streams::internals::{Commit, Divergence, Failure, Operation, Permanent, Step, StepReply};
use atomic_streams::{EntryId, Fields, Trim};

use crate::bench::Bench;
use crate::kit::{
    GROUP, RENEW, STREAM, Session, fields, id, own, publish, publish_unchecked, request, subscription, trim, values,
};

conformance! {
    a_commit_writes_state_and_position,
    the_cursor_moves_with_the_position,
    publishes_appear_in_their_order,
    an_output_may_be_the_input,
    outputs_are_trimmed_after_the_publishes,
    outputs_may_be_trimmed_roughly,
    a_step_of_nothing_moves_the_sequence_alone,
    state_fields_are_deleted,
    twenty_thousand_fields_fit_one_commit,
    the_largest_publish_is_taken,
    state_and_entries_hold_any_bytes,
    another_token_is_fenced,
    no_record_fences,
    a_step_that_follows_another_head_is_refused,
    a_destroyed_group_does_not_cost_the_commit,
    a_deleted_stream_does_not_cost_the_commit,
    an_output_that_cannot_be_trimmed_does_not_cost_the_commit,
    a_record_of_another_type_is_an_error,
}

/// A session on a stream with these entries.
async fn with_entries(bench: &Bench, count: u64) -> Session {
    for ms in 1..=count {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    Session::start(bench).await
}

async fn a_commit_writes_state_and_position(bench: Bench) {
    let mut session = with_entries(&bench, 2).await;
    let state = |value: &[u8]| vec![("stock", value.to_vec()), ("name", b"n".to_vec())];
    session.done(Commit { fields: state(b"7"), ..session.commit(1, id(1)) }).await;
    session.done(Commit { fields: vec![("stock", b"8".to_vec())], ..session.commit(2, id(2)) }).await;
    let record = bench.record().await.unwrap();
    let token = &session.owned.head.token;
    assert_eq!(record["@head"], format!("{token}:2").as_bytes());
    let written = [("@position", "2-0"), ("@processed", "2"), ("stock", "8"), ("name", "n"), ("@base", "0")];
    for (name, value) in written {
        assert_eq!(record[name], value.as_bytes(), "{name}");
    }
    assert_eq!(record.len(), 16);
}

async fn the_cursor_moves_with_the_position(bench: Bench) {
    let mut session = with_entries(&bench, 3).await;
    session.done(Commit { entries_read: Some(1), ..session.commit(1, id(1)) }).await;
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(1), Some(1), Some(2)));
    session.done(session.commit(2, id(2))).await;
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(2), None, None));
}

async fn publishes_appear_in_their_order(bench: Bench) {
    let mut session = with_entries(&bench, 2).await;
    let one = vec![publish("out", "1"), publish("other", "2"), publish_unchecked("out", "3")];
    session.done(Commit { operations: one, ..session.commit(1, id(1)) }).await;
    let two = vec![publish_unchecked("other", "4"), publish_unchecked("out", "5")];
    session.done(Commit { operations: two, ..session.commit(2, id(2)) }).await;
    assert_eq!(values(&bench.entries("out").await), ["1", "3", "5"]);
    assert_eq!(values(&bench.entries("other").await), ["2", "4"]);
    assert!(bench.entries("out").await.is_sorted_by(|a, b| a.id < b.id));
}

async fn an_output_may_be_the_input(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    session.done(Commit { operations: vec![publish(STREAM, "back")], ..session.commit(1, id(1)) }).await;
    assert_eq!(values(&bench.entries(STREAM).await), ["x", "back"]);
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, id(1));
}

async fn outputs_are_trimmed_after_the_publishes(bench: Bench) {
    let mut session = with_entries(&bench, 2).await;
    for ms in 1..=4 {
        bench.add_with_id("other", id(ms), fields(&ms.to_string())).await;
    }
    let operations = vec![
        publish("out", "1"),
        publish_unchecked("out", "2"),
        publish_unchecked("out", "3"),
        trim("out", Trim::max_len(2).exact()),
        trim("other", Trim::min_id(id(3)).exact()),
        trim("missing", Trim::max_len(2).exact()),
    ];
    session.done(Commit { operations, ..session.commit(1, id(1)) }).await;
    assert_eq!(values(&bench.entries("out").await), ["2", "3"]);
    assert_eq!(values(&bench.entries("other").await), ["3", "4"]);
    assert_eq!(bench.stream("out").await.unwrap().entries_added, 3);
    assert_eq!(bench.stream("missing").await, None);
    let operations = vec![trim("out", Trim::max_len(0).exact())];
    session.done(Commit { operations, ..session.commit(2, id(2)) }).await;
    let emptied = bench.stream("out").await.unwrap();
    assert_eq!((emptied.length, emptied.entries_added), (0, 3));
}

async fn outputs_may_be_trimmed_roughly(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    let mut operations: Vec<Operation> = (0..500).map(|n| publish("out", &n.to_string())).collect();
    operations.push(trim("out", Trim::max_len(10)));
    session.done(Commit { operations, ..session.commit(1, id(1)) }).await;
    let left = bench.entries("out").await;
    assert!((10..500).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last().unwrap().fields, fields("499"));
}

async fn a_step_of_nothing_moves_the_sequence_alone(bench: Bench) {
    let mut session = with_entries(&bench, 2).await;
    session.done(Commit { entries_read: Some(1), ..session.commit(1, id(1)) }).await;
    let before = bench.record().await.unwrap();
    let nothing = Commit { entry: None, entries_read: Some(1), processed: 1, ..session.commit(2, id(1)) };
    session.done(nothing).await;
    let mut after = bench.record().await.unwrap();
    assert_eq!(after["@head"], format!("{}:2", session.owned.head.token).as_bytes());
    after.insert("@head".into(), before["@head"].clone());
    assert_eq!(after, before);
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, id(1));
}

async fn state_fields_are_deleted(bench: Bench) {
    let mut session = with_entries(&bench, 2).await;
    let state = vec![("one", b"1".to_vec()), ("two", b"2".to_vec()), ("three", b"3".to_vec())];
    session.done(Commit { fields: state, ..session.commit(1, id(1)) }).await;
    let deleted = vec!["one".to_owned(), "missing".to_owned(), "three".to_owned()];
    let changed = vec![("two", b"4".to_vec()), ("@schema", b"newer".to_vec())];
    let operations = vec![publish("out", "1")];
    session.done(Commit { fields: changed, deleted, operations, ..session.commit(2, id(2)) }).await;
    let record = bench.record().await.unwrap();
    assert_eq!((record.get("one"), record.get("three"), record["two"].as_slice()), (None, None, &b"4"[..]));
    assert_eq!(record["@schema"], b"newer");
}

async fn twenty_thousand_fields_fit_one_commit(bench: Bench) {
    let mut session = with_entries(&bench, 3).await;
    let names: Vec<&'static str> = (0..20_000).map(|n| &*format!("field {n}").leak()).collect();
    let state =
        |salt: usize| names.iter().enumerate().map(move |(n, name)| (*name, (n + salt).to_string().into_bytes()));
    session.done(Commit { fields: state(0).collect(), ..session.commit(1, id(1)) }).await;
    let operations = vec![publish("out", "1")];
    session.done(Commit { fields: state(1).collect(), operations, ..session.commit(2, id(2)) }).await;
    let record = bench.record().await.unwrap();
    assert_eq!(record.len(), 14 + names.len());
    assert!(state(1).all(|(name, value)| record[name] == value));
    let deleted = names.iter().skip(1).map(|name| (*name).to_owned()).collect();
    session.done(Commit { deleted, ..session.commit(3, id(3)) }).await;
    assert_eq!(bench.record().await.unwrap().len(), 15);
}

async fn the_largest_publish_is_taken(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    let large: Fields = (0..MAX_PUBLISH_FIELDS).map(|n| (format!("f{n}"), n.to_string())).collect();
    let operation = |stream: &str| Operation::Publish { stream: stream.into(), fields: large.clone(), check: true };
    let operations = vec![publish("out", "before"), operation("out"), operation("other")];
    session.done(Commit { operations, ..session.commit(1, id(1)) }).await;
    assert_eq!(bench.entries("out").await[1].fields, large);
    assert_eq!(bench.entries("other").await[0].fields, large);
}

async fn state_and_entries_hold_any_bytes(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    let bytes: Vec<u8> = (0..=255).chain([0, 10, 13]).collect();
    let mut twice = Fields::new();
    twice.push("f", bytes.clone());
    twice.push(bytes.clone(), "");
    twice.push("f", "again");
    let operations = vec![Operation::Publish { stream: "out".into(), fields: twice.clone(), check: true }];
    session.done(Commit { fields: vec![("state", bytes.clone())], operations, ..session.commit(1, id(1)) }).await;
    assert_eq!(bench.record().await.unwrap()["state"], bytes);
    assert_eq!(bench.entries("out").await[0].fields, twice);
}

async fn another_token_is_fenced(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    own(&bench, &request("a", 2)).await;
    let before = bench.picture(&[STREAM, "out"]).await;
    let operations = vec![publish("out", "1")];
    for follows in [0, 1, 7] {
        let commit = Commit { follows, operations: operations.clone(), ..session.commit(1, id(1)) };
        assert_eq!(session.send(Step::Commit(commit)).await, StepReply::Fenced { owner: "host of a".into() });
    }
    assert_eq!(bench.picture(&[STREAM, "out"]).await, before);
}

async fn no_record_fences(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    bench.delete_record().await;
    let before = bench.picture(&[STREAM, "out"]).await;
    let commit = Commit { operations: vec![publish("out", "1")], ..session.commit(1, id(1)) };
    assert_eq!(session.send(Step::Commit(commit)).await, StepReply::Fenced { owner: String::new() });
    assert_eq!(bench.picture(&[STREAM, "out"]).await, before);
}

async fn a_step_that_follows_another_head_is_refused(bench: Bench) {
    let mut session = with_entries(&bench, 3).await;
    session.done(session.commit(1, id(1))).await;
    let before = bench.picture(&[STREAM, "out"]).await;
    // One that was applied already, one whose predecessor is missing.
    for follows in [0, 2, 10] {
        let operations = vec![publish("out", "1")];
        let reply = session.send(Step::Commit(Commit { follows, operations, ..session.commit(2, id(2)) })).await;
        let found = format!("{}:1", session.owned.head.token);
        let position = "1-0".to_owned();
        assert_eq!(reply, StepReply::Diverged { found, position, why: Divergence::Sequence });
    }
    assert_eq!(bench.picture(&[STREAM, "out"]).await, before);
    session.done(session.commit(2, id(2))).await;
}

async fn a_destroyed_group_does_not_cost_the_commit(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    bench.destroy_group(STREAM, GROUP).await;
    let operations = vec![publish("out", "1"), trim("out", Trim::max_len(1).exact())];
    let commit = Commit { operations, fields: vec![("stock", b"7".to_vec())], ..session.commit(1, id(1)) };
    let StepReply::Committed { cursor_trouble, trim_trouble } = session.send(Step::Commit(commit)).await else {
        panic!()
    };
    assert!(cursor_trouble.unwrap().starts_with("NOGROUP"));
    assert_eq!(trim_trouble, None);
    assert_eq!(values(&bench.entries("out").await), ["1"]);
    let record = bench.record().await.unwrap();
    assert_eq!((record["@position"].as_slice(), record["stock"].as_slice()), (&b"1-0"[..], &b"7"[..]));
}

async fn a_deleted_stream_does_not_cost_the_commit(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    bench.delete_key(STREAM).await;
    let commit = Commit { entries_read: Some(1), ..session.commit(1, id(1)) };
    let StepReply::Committed { cursor_trouble, trim_trouble } = session.send(Step::Commit(commit)).await else {
        panic!()
    };
    assert!(cursor_trouble.unwrap().contains("requires the key to exist"));
    assert_eq!((trim_trouble, bench.stream(STREAM).await), (None, None));
    assert_eq!(bench.recorded("@position").await.as_deref(), Some("1-0"));
}

async fn an_output_that_cannot_be_trimmed_does_not_cost_the_commit(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    bench.put_wrong_type("text").await;
    let operations = vec![
        publish("out", "1"),
        publish_unchecked("out", "2"),
        trim("text", Trim::max_len(1)),
        trim("out", Trim::max_len(1).exact()),
    ];
    let commit = Commit { operations, ..session.commit(1, id(1)) };
    let StepReply::Committed { cursor_trouble, trim_trouble } = session.send(Step::Commit(commit)).await else {
        panic!()
    };
    assert!(trim_trouble.unwrap().starts_with("WRONGTYPE"));
    assert_eq!(cursor_trouble, None);
    assert_eq!(values(&bench.entries("out").await), ["2"], "the other output is trimmed all the same");
    assert_eq!(bench.recorded("@position").await.as_deref(), Some("1-0"));
}

async fn a_record_of_another_type_is_an_error(bench: Bench) {
    let mut session = with_entries(&bench, 1).await;
    bench.put_wrong_type(subscription().record()).await;
    let steps = [Step::Commit(session.commit(1, id(1))), RENEW, Step::Release];
    for step in steps {
        let mut replies = session.link.send(session.owned.head.token.as_str(), &[step]).await;
        let error = replies.remove(0).unwrap_err();
        assert_eq!(error.failure, Failure::Permanent(Permanent::WrongType), "{error}");
    }
    assert_eq!(bench.stream(STREAM).await.unwrap().length, 1);
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, EntryId::MIN);
}
