//! Where a new subscription begins.

use atomic_streams::EntryId;
use redis::AsyncCommands;

use crate::puppet::puppet;
use crate::site::{STREAM, Site, within};

/// Adds entries `1-0` to `5-0`.
async fn add_five(site: &mut Site) {
    for n in 1..=5 {
        let () = site.redis.xadd(STREAM, format!("{n}-0"), &[("n", n)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_subscription_begins_with_the_first_entry_there_is() {
    let mut site = Site::start().await;
    add_five(&mut site).await;
    let () = site.redis.xdel(STREAM, &["1-0"]).await.unwrap();
    for explicitly in [false, true] {
        let (handler, mut calls) = puppet();
        let group = format!("group {explicitly}");
        let builder = atomic_streams::Consumer::builder(STREAM, group).redis_url(site.server.url());
        let builder = if explicitly { builder.start_at_beginning() } else { builder };
        let _consumer = builder.handler(handler).spawn().await.unwrap();
        assert_eq!(calls.next().await.message.id(), EntryId::new(2, 0));
    }
}

#[tokio::test]
async fn a_subscription_may_begin_after_an_id() {
    let mut site = Site::start().await;
    add_five(&mut site).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().start_after(EntryId::new(3, 0)).handler(handler).spawn().await.unwrap();
    for n in 4..=5 {
        let call = calls.next().await;
        assert_eq!(call.message.id(), EntryId::new(n, 0));
        call.done();
    }
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 2);
}

#[tokio::test]
async fn a_subscription_may_begin_at_the_end_which_is_found_once() {
    let mut site = Site::start().await;
    add_five(&mut site).await;
    let (handler, _calls) = puppet();
    let first = site.consumer().start_at_end().handler(handler).spawn().await.unwrap();
    let report = within(first.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.position), (0, Some(EntryId::new(5, 0))));
    let missed = site.add(&[("n", "6")]).await;
    let (handler, mut calls) = puppet();
    let _second = site.consumer().start_at_end().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!(call.message.id(), missed, "the end is where the first consumer found it");
    call.done();
    site.until_processed(1).await;
}

#[tokio::test]
async fn a_start_concerns_only_a_subscription_without_a_record() {
    let mut site = Site::start().await;
    add_five(&mut site).await;
    let (handler, mut calls) = puppet();
    let first = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.done();
    site.until_processed(1).await;
    let _running = calls.next().await;
    let (handler, mut calls) = puppet();
    let second = site.consumer().start_after(EntryId::new(4, 0)).handler(handler).spawn().await.unwrap();
    drop(_running);
    within(first.shutdown()).await.unwrap();
    assert_eq!(calls.next().await.message.id(), EntryId::new(2, 0));
    drop(second);
}

#[tokio::test]
async fn a_stream_that_does_not_exist_yet_is_waited_for() {
    let mut site = Site::start().await;
    for (group, at_end) in [("one", false), ("two", true)] {
        let (handler, mut calls) = puppet();
        let builder = atomic_streams::Consumer::builder(STREAM, group).redis_url(site.server.url());
        let builder = if at_end { builder.start_at_end() } else { builder };
        let consumer = builder.handler(handler).spawn().await.unwrap();
        let id = site.add(&[("n", "1")]).await;
        let call = calls.next().await;
        assert_eq!(call.message.id(), id);
        call.done();
        within(consumer.shutdown()).await.unwrap();
        let () = site.redis.del(STREAM).await.unwrap();
    }
}
