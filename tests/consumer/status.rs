//! What a consumer says about itself while it runs.

use std::time::Duration;

use atomic_streams::{HandlerError, Status};
use support::{Fault, Proxy, eventually};

use crate::puppet::puppet;
use crate::site::{Site, until_status, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_spawned_says_that_it_is_active() {
    let site = Site::start().await;
    for _ in 0..20 {
        let (handler, _calls) = puppet();
        let consumer = site.consumer().handler(handler).spawn().await.unwrap();
        assert_eq!(*consumer.status().borrow(), Status::Active);
        within(consumer.shutdown()).await.unwrap();
        assert_eq!(*consumer.status().borrow(), Status::Stopped);
    }
}

#[tokio::test]
async fn a_standby_names_the_owner() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    let _owner = site.consumer().owner_name("host one").handler(handler).spawn().await.unwrap();
    let (handler, mut standby_calls) = puppet();
    let standby = site.consumer().handler(handler).spawn().await.unwrap();
    assert_eq!(*standby.status().borrow(), Status::Standby { owner: "host one".into() });
    assert_eq!(standby.stats().position, None);
    site.add_numbers(2).await;
    for _ in 0..2 {
        calls.next().await.done();
    }
    site.until_processed(2).await;
    assert!(standby_calls.waiting().is_none());
    let report = within(standby.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.released), (0, true));
    assert_ne!(site.record("@lease").await, "0", "the owner's lease is not the standby's to give up");
}

#[tokio::test]
async fn the_owner_is_called_by_host_and_process_unless_it_has_a_name() {
    let mut site = Site::start().await;
    let (handler, _calls) = puppet();
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let owner = site.record("@owner").await;
    let (host, process) = owner.rsplit_once('/').unwrap();
    assert!(!host.is_empty());
    assert_eq!(process, std::process::id().to_string());
}

#[tokio::test]
async fn the_status_goes_from_active_to_retrying_and_back() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!(*consumer.status().borrow(), Status::Active);
    call.fail(HandlerError::retry_after("one", Duration::from_millis(1)));
    let call = calls.next().await;
    assert!(matches!(&*consumer.status().borrow(), Status::Retrying { attempt: 1, error, .. } if error == "one"));
    call.fail(HandlerError::retry_after("two", Duration::from_millis(1)));
    let call = calls.next().await;
    assert!(matches!(&*consumer.status().borrow(), Status::Retrying { attempt: 2, error, .. } if error == "two"));
    call.done();
    let _call = calls.next().await;
    assert_eq!(*consumer.status().borrow(), Status::Active);
}

#[tokio::test]
async fn a_lost_server_is_shown_until_it_is_back() {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().redis_url(proxy.url()).handler(handler).spawn().await.unwrap();
    proxy.set(Fault::Reset);
    let recovering = |status: &Status| matches!(status, Status::Recovering { .. });
    let seen = until_status(&consumer, "it recovers", recovering).await;
    let Status::Recovering { reason } = seen else { unreachable!() };
    assert!(reason.contains("connection lost"), "{reason}");
    proxy.set(Fault::Pass);
    until_status(&consumer, "it is back", |status| *status == Status::Active).await;
    assert!(consumer.stats().recoveries >= 1);
    site.add_numbers(1).await;
    calls.next().await.done();
    site.until_processed(1).await;
}

#[tokio::test]
async fn a_consumer_may_be_spawned_while_the_server_is_away() {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    proxy.set(Fault::Reset);
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().redis_url(proxy.url()).handler(handler).spawn().await.unwrap();
    assert!(matches!(&*consumer.status().borrow(), Status::Recovering { .. }));
    site.add_numbers(1).await;
    proxy.set(Fault::Pass);
    until_status(&consumer, "it is active", |status| *status == Status::Active).await;
    calls.next().await.done();
    site.until_processed(1).await;
}

#[tokio::test]
async fn a_consumer_that_cannot_reach_its_server_can_be_shut_down() {
    let site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    proxy.set(Fault::Reset);
    let (handler, _calls) = puppet();
    let consumer = site.consumer().redis_url(proxy.url()).handler(handler).spawn().await.unwrap();
    let report = within(consumer.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.position), (0, None));
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
}

#[tokio::test]
async fn the_figures_count_entries_publishes_failures_and_commits_in_flight() {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().redis_url(proxy.url()).handler(handler).spawn().await.unwrap();
    site.add_numbers(2).await;
    calls.next().await.fail(HandlerError::retry_after("once", Duration::ZERO));
    calls.next().await.done();
    let call = calls.next().await;
    // The read that the second entry came with may be proved by a commit of its own.
    let stats = eventually("one entry is counted and nothing under way", async || {
        Some(consumer.stats()).filter(|stats| stats.processed == 1 && stats.in_flight == 0)
    })
    .await;
    assert_eq!((stats.published, stats.failed, stats.recoveries, stats.in_flight, stats.vanished), (1, 1, 0, 0, 0));
    let handled: atomic_streams::EntryId = site.record("@position").await.parse().unwrap();
    assert_eq!(stats.position, Some(handled));
    let second = call.message.id();

    let replies = proxy.hold_replies_after_request(b"\r\nout\r\n");
    call.done();
    replies.wait_until_held().await;
    site.until_processed(2).await;
    assert_eq!(consumer.stats().processed, 1, "what the server has not confirmed is not counted");
    replies.release();
    eventually("it is confirmed", async || consumer.stats().processed == 2).await;
    assert_eq!(consumer.stats().position, Some(second));
    let shown = format!("{consumer:?}");
    assert!(shown.contains("Active") && shown.contains("processed: 2"), "{shown}");
}
