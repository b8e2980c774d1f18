//! Reads by position.

use std::time::Duration;

use atomic_streams::internals::{Commit, Failure, Permanent, Step};
use atomic_streams::{EntryId, Fields};

use crate::bench::Bench;
use crate::kit::{STREAM, Session, connect, fields, id, publish, publish_unchecked, subscription, values};

conformance! {
    a_read_takes_what_follows_in_order,
    a_read_finds_nothing_in_time,
    an_added_entry_wakes_a_read,
    a_commit_that_publishes_wakes_a_read,
    a_read_waits_for_ids_that_follow,
    a_refused_publish_is_never_read,
    fields_come_as_they_were_added,
    a_key_of_another_type_is_an_error,
}

/// Long enough for every test.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

async fn a_read_takes_what_follows_in_order(bench: Bench) {
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields(&ms.to_string())).await;
    }
    let mut link = connect(&bench).await;
    let read = link.read(EntryId::MIN, 9, LONG).await.unwrap();
    assert_eq!(read, bench.entries(STREAM).await);
    assert_eq!(values(&link.read(EntryId::MIN, 2, LONG).await.unwrap()), ["1", "2"]);
    assert_eq!(values(&link.read(id(2), 2, LONG).await.unwrap()), ["3", "4"]);
    assert_eq!(values(&link.read(EntryId::new(2, 9), 1, LONG).await.unwrap()), ["3"]);
    bench.delete_entry(STREAM, id(3)).await;
    bench.trim(STREAM, 2).await;
    assert_eq!(values(&link.read(EntryId::MIN, 9, LONG).await.unwrap()), ["4", "5"]);
}

async fn a_read_finds_nothing_in_time(bench: Bench) {
    let mut link = connect(&bench).await;
    assert_eq!(link.read(EntryId::MIN, 9, SHORT).await.unwrap(), []);
    bench.add_with_id(STREAM, id(1), fields("1")).await;
    assert_eq!(link.read(id(1), 9, SHORT).await.unwrap(), []);
    // Not for ever.
    assert_eq!(link.read(id(1), 9, Duration::ZERO).await.unwrap(), []);
    assert_eq!(values(&link.read(EntryId::MIN, 9, Duration::ZERO).await.unwrap()), ["1"]);
}

async fn an_added_entry_wakes_a_read(bench: Bench) {
    // Also where there was no stream.
    for last in [EntryId::MIN, id(1)] {
        let mut link = connect(&bench).await;
        let reading = tokio::spawn(async move { link.read(last, 9, LONG).await.unwrap() });
        bench.a_read_waits().await;
        bench.add_with_id(STREAM, id(last.ms + 1), fields("new")).await;
        let read = reading.await.unwrap();
        assert_eq!((read.len(), read[0].id, &read[0].fields), (1, id(last.ms + 1), &fields("new")));
    }
}

async fn a_commit_that_publishes_wakes_a_read(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let mut link = connect(&bench).await;
    let reading = tokio::spawn(async move { link.read(EntryId::MIN, 9, LONG).await.unwrap() });
    bench.a_read_waits().await;
    session.done(Commit { operations: vec![publish(STREAM, "back")], ..session.commit(1, id(1)) }).await;
    assert_eq!(values(&reading.await.unwrap()), ["back"]);
}

async fn a_read_waits_for_ids_that_follow(bench: Bench) {
    let mut link = connect(&bench).await;
    let reading = tokio::spawn(async move { link.read(id(5), 9, LONG).await.unwrap() });
    bench.a_read_waits().await;
    bench.add_with_id(STREAM, id(4), fields("before")).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(6), fields("after")).await;
    assert_eq!(values(&reading.await.unwrap()), ["after"]);
}

async fn a_refused_publish_is_never_read(bench: Bench) {
    let mut session = Session::start(&bench).await;
    bench.put_wrong_type("text").await;
    let mut link = connect(&bench).await;
    let reading = tokio::spawn(async move {
        // Redis 7.0 wakes it with no entries.
        loop {
            let read = link.read(EntryId::MIN, 9, LONG).await.unwrap();
            if !read.is_empty() {
                return read;
            }
        }
    });
    bench.a_read_waits().await;
    let operations = vec![publish_unchecked(STREAM, "refused"), publish_unchecked("text", "refused")];
    session.send(Step::Commit(Commit { operations, ..session.commit(1, id(1)) })).await;
    bench.add(STREAM, fields("added")).await;
    assert_eq!(values(&reading.await.unwrap()), ["added"]);
}

async fn fields_come_as_they_were_added(bench: Bench) {
    let mut added = Fields::new();
    added.push("z", "1");
    added.push("a", [0, 255, 10, 13]);
    added.push("z", "2");
    added.push([254, 0], "");
    added.push("", "no name");
    bench.add_with_id(STREAM, id(1), added.clone()).await;
    let read = connect(&bench).await.read(EntryId::MIN, 9, LONG).await.unwrap();
    assert_eq!(read[0].fields, added);
}

async fn a_key_of_another_type_is_an_error(bench: Bench) {
    bench.put_wrong_type(subscription().stream()).await;
    let error = connect(&bench).await.read(EntryId::MIN, 9, LONG).await.unwrap_err();
    assert_eq!(error.failure, Failure::Permanent(Permanent::WrongType), "{error}");
}
