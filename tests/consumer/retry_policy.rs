//! How often an entry is tried, and what becomes of it when that was in vain.

use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerBuilder, ErrorKind, HandlerError, MemoryStore, NoHandler, OnFailure, RetryPolicy, Status,
};
use redis::AsyncCommands;

use crate::puppet::puppet;
use crate::site::{GROUP, RECORD, STREAM, Site, until_retrying, until_status, within};

const FIRST: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

/// Three tries, with hardly a pause between them.
fn tries(consumer: ConsumerBuilder<NoHandler>, then: OnFailure) -> ConsumerBuilder<NoHandler> {
    consumer.retry(RetryPolicy::exponential(FIRST, FIRST).max_attempts(3)).on_failure(then)
}

#[tokio::test]
async fn pauses_follow_the_policy() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let (first, longest) = (Duration::from_millis(4), Duration::from_millis(8));
    let consumer = site.consumer().retry(RetryPolicy::exponential(first, longest)).handler(handler).spawn().await;
    let consumer = consumer.unwrap();
    for (attempt, whole) in [(1, first), (2, longest), (3, longest), (4, longest)] {
        calls.next().await.fail("no");
        let seen = until_status(
            &consumer,
            "a try has failed",
            |status| matches!(status, Status::Retrying { attempt: now, .. } if *now == attempt),
        );
        let Status::Retrying { pause, .. } = seen.await else { unreachable!() };
        assert!(whole / 2 <= pause && pause <= whole, "attempt {attempt}: {pause:?}");
    }
}

#[tokio::test]
async fn after_the_last_try_the_entry_is_skipped_and_those_behind_it_follow_in_order() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let (handler, mut calls) = puppet();
    let consumer = tries(site.consumer(), OnFailure::Skip).handler(handler).spawn().await.unwrap();
    calls.next().await.done();
    for attempt in 1..=3 {
        let call = calls.next().await;
        assert_eq!((call.fields.get_str("n"), call.message.attempt()), (Some("1"), attempt));
        call.fail("no");
    }
    let call = calls.next().await;
    assert_eq!((call.fields.get_str("n"), call.message.attempt(), call.count), (Some("2"), 1, 2));
    call.done();
    site.until_processed(3).await;
    assert_eq!(site.state("count").await, Some(2), "nothing of the skipped entry is left");
    assert_eq!(site.column("out", "n").await, ["0", "2"]);
    until_status(&consumer, "it goes on", |status| *status == Status::Active).await;
    within(consumer.shutdown()).await.unwrap();
    let stats = consumer.stats();
    assert_eq!((stats.processed, stats.skipped, stats.dead_lettered, stats.failed), (3, 1, 0, 3));
}

#[tokio::test]
async fn what_is_permanent_is_not_tried_again() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let _consumer = site.consumer().on_failure(OnFailure::Skip).handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::permanent("no such customer"));
    calls.next().await.done();
    site.until_processed(2).await;
    assert_eq!(site.column("out", "n").await, ["1"]);
}

#[tokio::test]
async fn without_a_last_try_an_ordinary_error_is_tried_for_ever() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let policy = RetryPolicy::exponential(FIRST, FIRST);
    let consumer = site.consumer().retry(policy).on_failure(OnFailure::Skip).handler(handler).spawn().await.unwrap();
    for _ in 0..20 {
        calls.next().await.fail("no");
    }
    calls.next().await.done();
    site.until_processed(1).await;
    assert_eq!(consumer.stats().skipped, 0);
}

#[tokio::test]
async fn the_handler_may_say_when_the_next_try_is_also_where_there_is_a_last_one() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = tries(site.consumer(), OnFailure::Skip).handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::retry_after("closed on Sundays", LONG));
    let retrying = until_status(&consumer, "it waits", |status| matches!(status, Status::Retrying { .. })).await;
    assert!(matches!(retrying, Status::Retrying { pause: LONG, .. }), "{retrying:?}");
}

#[tokio::test]
async fn told_to_stop_it_commits_what_came_before_and_ends_with_the_entry_and_its_error() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let bad = site.add(&[("n", "bad")]).await;
    let (handler, mut calls) = puppet();
    let consumer = tries(site.consumer(), OnFailure::Stop).handler(handler).spawn().await.unwrap();
    calls.next().await.done();
    for _ in 0..3 {
        calls.next().await.fail("out of paper");
    }
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EntryFailed);
    let words = error.to_string();
    assert!(words.contains(&bad.to_string()) && words.contains("3 times") && words.contains("out of paper"), "{words}");
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
    assert_eq!((site.processed().await, site.record("@lease").await.as_str()), (1, "0"));

    let (handler, mut calls) = puppet();
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!(call.message.id(), bad, "the next start tries it again");
    call.done();
    site.until_processed(2).await;
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_counts_as_a_try() {
    let mut site = Site::start().await;
    // No entry can be added to it any more, and the server says so only when it is tried.
    let last = format!("{0}-{0}", u64::MAX);
    let _: String = site.redis.xadd("out", last, &[("n", "last")]).await.unwrap();
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = tries(site.consumer(), OnFailure::dead_letter("dead")).handler(handler).spawn().await.unwrap();
    for attempt in 1..=3 {
        let call = calls.next().await;
        assert_eq!(call.message.attempt(), attempt);
        call.done();
    }
    site.until_processed(1).await;
    let letters = site.entries("dead").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["@attempts"], "3");
    assert!(letters[0]["@error"].contains("exhausted") && letters[0]["@error"].contains("`out`"), "{letters:?}");
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(site.state("count").await, Some(0));
}

#[tokio::test]
async fn an_entry_that_was_given_up_is_not_tried_again_when_its_commit_is_lost() {
    let store = MemoryStore::new();
    let entry = store.add(STREAM, [("n", "1")].into_iter().collect());
    let consumer = || tries(Consumer::builder(STREAM, GROUP).in_memory(&store), OnFailure::dead_letter("dead"));
    let (handler, mut calls) = puppet();
    let consumer = consumer().handler(handler).spawn().await.unwrap();
    for _ in 0..2 {
        calls.next().await.fail("no");
    }
    let call = calls.next().await;
    // Whatever is committed next: the dead letter, or the proof of the read before it.
    store.fail_next_commit();
    store.fail_next_commit();
    call.fail("no");
    let mut calls = within(async {
        while store.entries("dead").is_empty() {
            tokio::task::yield_now().await;
        }
        calls
    })
    .await;
    assert!(calls.waiting().is_none(), "it was tried a fourth time");
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(store.entries("dead").len(), 1);
    assert_eq!(consumer.stats().position, Some(entry));
    assert_eq!(consumer.stats().dead_lettered, 1);
}

#[tokio::test]
async fn by_default_an_entry_blocks_whatever_it_says() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::permanent("no"));
    until_retrying(&consumer).await;
    assert!(calls.waiting().is_none());
    let fields: Vec<String> = site.redis.hkeys(RECORD).await.unwrap();
    assert!(!fields.contains(&"@trying".to_owned()), "{fields:?}");
}
