//! Several consumers in one process, and the change of ownership between them.

use std::time::Duration;

use atomic_streams::{Consumer, Status};
use redis::AsyncCommands;

use crate::puppet::puppet;
use crate::site::{RECORD, STREAM, Site, until_status, within};

/// Renewals come every second; replies may take three.
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn consumers_of_different_streams_do_not_disturb_each_other() {
    let mut site = Site::start().await;
    let (handler, mut sales) = puppet();
    let url = site.server.url().to_owned();
    let on = |stream: &str| Consumer::builder(stream, "tally").redis_url(&url);
    let of_sales = on("sales").handler(handler).spawn().await.unwrap();
    let (handler, mut returns) = puppet();
    let of_returns = on("returns").handler(handler).spawn().await.unwrap();
    site.add_to("sales", &[("n", "1")]).await;
    site.add_to("returns", &[("n", "2")]).await;
    let (sale, back) = (sales.next().await, returns.next().await);
    assert_eq!((sale.message.stream(), back.message.stream()), ("sales", "returns"));
    sale.done();
    assert_eq!(within(of_sales.shutdown()).await.unwrap().processed, 1);

    assert_eq!(*of_returns.status().borrow(), Status::Active);
    assert!(!back.message.cancelled().is_cancelled());
    back.done();
    site.add_to("returns", &[("n", "3")]).await;
    returns.next().await.done();
    assert_eq!(within(of_returns.shutdown()).await.unwrap().processed, 2);
    let counts: Vec<Vec<u8>> = redis::pipe()
        .hget("atomic-streams:{sales}:tally", "count")
        .hget("atomic-streams:{returns}:tally", "count")
        .query_async(&mut site.redis)
        .await
        .unwrap();
    assert_eq!(counts, [[1], [2]]);
}

#[tokio::test]
async fn each_group_of_a_stream_sees_every_entry() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let url = site.server.url().to_owned();
    let (handler, mut one) = puppet();
    let first = Consumer::builder(STREAM, "one").redis_url(&url).handler(handler).spawn().await.unwrap();
    let (handler, mut two) = puppet();
    let second = Consumer::builder(STREAM, "two").redis_url(&url).handler(handler).spawn().await.unwrap();
    let call = one.next().await;
    for expected in ["0", "1"] {
        let call = two.next().await;
        assert_eq!(call.fields.get_str("n"), Some(expected));
        call.done();
    }
    assert_eq!(within(second.shutdown()).await.unwrap().processed, 2);
    assert_eq!(call.fields.get_str("n"), Some("0"));
    call.done();
    one.next().await.done();
    assert_eq!(within(first.shutdown()).await.unwrap().processed, 2);
}

#[tokio::test]
async fn a_standby_takes_over_after_a_release_and_goes_on_where_the_owner_ended() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let (handler, mut calls) = puppet();
    let owner = site.consumer().handler(handler).spawn().await.unwrap();
    let (handler, mut standby_calls) = puppet();
    let standby = site.consumer().handler(handler).spawn().await.unwrap();
    until_status(&standby, "it stands by", |status| matches!(status, Status::Standby { .. })).await;
    calls.next().await.done();
    let call = calls.next().await;
    let ending = async {
        call.cancelled().await;
        call.done();
    };
    let (report, ()) = tokio::join!(within(owner.shutdown()), ending);
    assert_eq!(report.unwrap().processed, 2);

    let call = standby_calls.next().await;
    assert_eq!(*standby.status().borrow(), Status::Active);
    assert_eq!((call.fields.get_str("n"), call.count), (Some("2"), 3), "the state came along");
    call.done();
    site.until_processed(3).await;
    assert_eq!(site.column("out", "n").await, ["0", "1", "2"]);
    assert_eq!(within(standby.shutdown()).await.unwrap().processed, 1);
}

#[tokio::test]
async fn one_of_several_standbys_takes_over_and_the_others_go_on_waiting() {
    let site = Site::start().await;
    let mut consumers = Vec::new();
    for n in 0..4 {
        let (handler, _calls) = puppet();
        let consumer = site.consumer().owner_name(format!("number {n}")).handler(handler).spawn().await.unwrap();
        consumers.push(consumer);
    }
    while consumers.len() > 1 {
        let active = |status: &Status| *status == Status::Active;
        let at = support::eventually("one is active", async || {
            consumers.iter().position(|consumer| active(&consumer.status().borrow()))
        });
        let owner = consumers.swap_remove(at.await);
        for standby in &consumers {
            let seen = standby.status().borrow().clone();
            assert!(matches!(seen, Status::Standby { .. }), "{seen:?}");
        }
        within(owner.shutdown()).await.unwrap();
    }
    until_status(&consumers[0], "the last one is active", |status| *status == Status::Active).await;
}

#[tokio::test]
async fn a_handler_learns_that_ownership_was_lost_and_its_result_is_not_committed() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let first = site.consumer().lease(LEASE).handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    // As if the owner had slept through its lease.
    let () = site.redis.hset(RECORD, "@lease", "1").await.unwrap();
    let (handler, mut other_calls) = puppet();
    let second = site.consumer().owner_name("the other").lease(LEASE).handler(handler).spawn().await.unwrap();
    let other = other_calls.next().await;
    assert_eq!((other.count, other.message.id()), (1, call.message.id()));

    call.cancelled().await;
    call.done();
    let standby = Status::Standby { owner: "the other".into() };
    until_status(&first, "it stands by", |status| *status == standby).await;
    assert_eq!((site.processed().await, site.entries("out").await.len()), (0, 0));
    assert_eq!(first.stats().recoveries, 1);

    other.done();
    site.until_processed(1).await;
    within(second.shutdown()).await.unwrap();
    until_status(&first, "it owns the subscription again", |status| *status == Status::Active).await;
    site.add_numbers(1).await;
    let call = calls.next().await;
    assert_eq!(call.count, 2, "it goes on from what the other one committed");
    call.done();
    site.until_processed(2).await;
    assert_eq!(site.entries("out").await.len(), 2);
}

#[tokio::test]
async fn a_handler_that_does_not_end_after_ownership_was_lost_is_dropped_after_the_grace_period() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let builder = site.consumer().lease(LEASE).grace_period(Duration::from_millis(1));
    let first = builder.handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    let () = site.redis.hset(RECORD, "@lease", "1").await.unwrap();
    let (handler, mut other_calls) = puppet();
    let _second = site.consumer().lease(LEASE).handler(handler).spawn().await.unwrap();
    other_calls.next().await.done();
    call.dropped().await;
    until_status(&first, "it stands by", |status| matches!(status, Status::Standby { .. })).await;
    site.until_processed(1).await;
    assert_eq!(site.state("count").await, Some(1));
}
