//! Each figure is counted, and shown to a recorder as it is in `stats()`.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    Consumer, Fields, Handler, HandlerResult, OnFailure, Persistable, Producer, RecoveryCause, Status, Transaction,
    metrics as names,
};
use redis::AsyncCommands;
use support::{Process, Proxy, Server, eventually};
use tokio::sync::watch;

use crate::meter::{Meter, assert_sound};
use crate::shop::{DEAD, RECORD, STREAM, Shop, until_processed, until_status, within};

#[tokio::test]
async fn what_is_handled_tried_again_and_given_up_is_counted() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    shop.add(&["", "fail twice", "fail", "", "fail twice"]).await;
    let _listening = meter.listen();
    let consumer = shop.spawn().await;
    until_processed(&consumer, 5).await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.failed, stats.retried, stats.dead_lettered, stats.skipped), (5, 4, 1, 0));
    // The dead letter is published as well.
    assert_eq!((stats.published, shop.redis.xlen::<_, u64>(DEAD).await.unwrap()), (5, 1));
    assert_eq!((stats.recoveries, stats.fenced, stats.vanished), (0, 0, 0));
    assert_eq!((meter.value(names::PROCESSED), meter.value(names::ACTIVE)), (5.0, 1.0));
    let report = within(consumer.shutdown()).await.unwrap();
    assert_eq!(report.position, stats.position);
    assert_eq!(meter.agrees_with(&consumer).await.processed, 5);
    assert_eq!(meter.value(names::ACTIVE), 0.0);
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    shop.add(&["fail", ""]).await;
    let _listening = meter.listen();
    let consumer = shop.consumer(shop.server.url()).on_failure(OnFailure::Skip).spawn().await.unwrap();
    until_processed(&consumer, 2).await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.failed, stats.retried, stats.dead_lettered, stats.skipped), (1, 0, 0, 1));
}

#[tokio::test]
async fn the_state_is_measured_as_it_is_stored() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let listening = meter.listen();
    let consumer = shop.spawn().await;
    let count = async |redis: &mut redis::aio::MultiplexedConnection| {
        redis.hget::<_, _, Vec<u8>>(RECORD, "count").await.unwrap().len() as u64
    };
    for (added, bytes) in [(3, 1), (300, 3)] {
        shop.add(&vec![""; added]).await;
        until_processed(&consumer, if added == 3 { 3 } else { 303 }).await;
        let stats = meter.agrees_with(&consumer).await;
        assert_eq!((stats.state_bytes, count(&mut shop.redis).await), (bytes, bytes));
    }
    assert_eq!(consumer.stats().state_entries, 303);
    within(consumer.shutdown()).await.unwrap();
    drop(listening);
    // What was restored is measured too.
    let meter = Meter::new();
    let _listening = meter.listen();
    let consumer = shop.spawn().await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.state_bytes, stats.state_entries, stats.processed), (3, 303, 0));
}

#[tokio::test]
async fn commits_are_timed_and_those_in_flight_counted() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let proxy = Proxy::start(shop.server.addr()).await;
    let _listening = meter.listen();
    let consumer = shop.consumer(&proxy.url()).lease(Duration::from_secs(10)).spawn().await.unwrap();
    shop.add(&[""; 100]).await;
    until_processed(&consumer, 100).await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.commit_batch_entries.sum(), stats.in_flight), (100, 0));
    assert_eq!(stats.commit_latency_us.count(), stats.commit_batch_entries.count(), "a value for each round trip");
    assert_sound(&stats.commit_latency_us);
    assert_sound(&stats.commit_batch_entries);

    let replies = proxy.hold_replies_after_request(b"\r\nout\r\n");
    shop.add(&[""]).await;
    replies.wait_until_held().await;
    let held_since = std::time::Instant::now();
    let held = eventually("a commit is in flight", async || {
        Some(meter.agrees_with(&consumer).await).filter(|stats| stats.in_flight > 0)
    })
    .await;
    assert_eq!((held.processed, meter.value(names::COMMITS_IN_FLIGHT)), (100, held.in_flight as f64));
    let a_while = Duration::from_millis(30);
    eventually("it has been in flight for a while", async || held_since.elapsed() > a_while).await;
    replies.release();
    until_processed(&consumer, 101).await;
    let after = eventually("nothing is in flight", async || {
        Some(meter.agrees_with(&consumer).await).filter(|stats| stats.in_flight == 0)
    })
    .await;
    assert_eq!(after.commit_batch_entries.count(), held.commit_batch_entries.count() + 1);
    let took = after.commit_latency_us.sum() - held.commit_latency_us.sum();
    assert!(took >= a_while.as_micros() as u64 && took <= after.commit_latency_us.max(), "{took} us");
}

#[tokio::test]
async fn a_lost_connection_is_a_recovery() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let _listening = meter.listen();
    let consumer = shop.spawn().await;
    for times in 1..=2 {
        let killed: u64 = redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .query_async(&mut shop.redis)
            .await
            .unwrap();
        assert!(killed > 0);
        eventually("the session has ended", async || consumer.stats().recoveries == times).await;
        until_status(&consumer, "it is active again", |status| *status == Status::Active).await;
        shop.add(&[""]).await;
        until_processed(&consumer, times).await;
        let stats = meter.agrees_with(&consumer).await;
        assert_eq!((stats.recoveries_by_cause.of(RecoveryCause::Connection), stats.fenced), (times, 0));
    }
}

/// The handler of the example `inventory`, which stops where a test wants it.
#[derive(Persistable)]
struct Inventory {
    #[persist(default = 100)]
    stock: i64,
    #[persist(skip)]
    entered: watch::Sender<bool>,
    #[persist(skip)]
    open: watch::Receiver<bool>,
}

#[async_trait]
impl Handler for Inventory {
    type Message = Fields;

    async fn handle(&mut self, sale: Fields, _: &mut Transaction) -> HandlerResult {
        self.stock -= sale.get_str("quantity").unwrap_or_default().parse::<i64>()?;
        self.entered.send_replace(true);
        self.open.wait_for(|open| *open).await?;
        Ok(())
    }
}

#[tokio::test]
async fn fencing_by_a_second_process_is_counted() {
    let (server, meter) = (Server::start().await, Meter::new());
    let (entered, gate) = (watch::Sender::new(false), watch::Sender::new(false));
    let _listening = meter.listen();
    let handler = Inventory { stock: 100, entered: entered.clone(), open: gate.subscribe() };
    // Its renewals are so far apart that only its commit can tell it.
    let builder =
        Consumer::builder("sales", "inventory-tracker").redis_url(server.url()).lease(Duration::from_secs(60));
    let consumer = builder.handler(handler).spawn().await.unwrap();
    let sale: Fields = [("sku", "A"), ("quantity", "3")].into_iter().collect();
    Producer::new(server.url()).unwrap().publish("sales", &sale).await.unwrap();
    within(entered.subscribe().wait_for(|entered| *entered)).await.unwrap();

    let second = Process::example("inventory").args(["--consume", "--lease-ms", "500"]);
    let second = second.env("REDIS_URL", server.url()).start();
    let mut redis = server.connection().await;
    let record = "atomic-streams:{sales}:inventory-tracker";
    eventually("the other process has taken over and handled it", async || {
        redis.hget::<_, _, Option<String>>(record, "@processed").await.unwrap().as_deref() == Some("1")
    })
    .await;
    gate.send_replace(true);
    let owner = format!("/{}", second.pid());
    let is_owner = |status: &Status| matches!(status, Status::Standby { owner: named } if named.ends_with(&owner));
    until_status(&consumer, "it stands by for the other process", is_owner).await;
    let stats = consumer.stats();
    assert_eq!((stats.fenced, stats.recoveries, stats.processed), (1, 1, 0));
    assert_eq!(stats.recoveries_by_cause.of(RecoveryCause::Fenced), 1);
    let text = meter.text();
    for line in [
        r#"atomic_streams_fenced_total{stream="sales",group="inventory-tracker"} 1"#,
        r#"atomic_streams_recoveries_total{stream="sales",group="inventory-tracker",reason="fenced"} 1"#,
        r#"atomic_streams_active{stream="sales",group="inventory-tracker"} 0"#,
        r#"atomic_streams_processed_total{stream="sales",group="inventory-tracker"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
}

#[tokio::test]
async fn entries_that_vanish_are_counted_by_how_they_went() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let _listening = meter.listen();
    shop.add(&["", ""]).await;
    let consumer = shop.spawn().await;
    until_processed(&consumer, 2).await;
    eventually("a renewal has counted what there is", async || consumer.stats().lag == Some(0)).await;
    within(consumer.shutdown()).await.unwrap();
    let ids = shop.add(&["", "", ""]).await;
    shop.delete(ids[1]).await;
    let consumer = shop.spawn().await;
    eventually("a renewal has counted it", async || consumer.stats().deleted == 1).await;
    within(consumer.shutdown()).await.unwrap();

    shop.add(&["", "", "", "", ""]).await;
    shop.trim_to(2).await;
    let consumer = shop.spawn().await;
    eventually("a renewal has counted them", async || consumer.stats().trimmed == 3).await;
    until_processed(&consumer, 2).await;
    // The recorder has heard of all three consumers, which are one after the other.
    let (trimmed, deleted) = (Some("trimmed"), Some("deleted"));
    assert_eq!((meter.get(names::VANISHED, trimmed), meter.get(names::VANISHED, deleted)), (Some(3.0), Some(1.0)));
    assert_eq!(meter.value(names::PROCESSED), 2.0 + 2.0 + 2.0);
    assert_eq!(shop.redis.xlen::<_, u64>(STREAM).await.unwrap(), 2);
}

#[tokio::test]
async fn nobody_is_told_where_nobody_listens() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let consumer = shop.spawn().await;
    let _too_late = meter.listen();
    shop.add(&["", "fail"]).await;
    until_processed(&consumer, 2).await;
    assert_eq!(meter.text().trim(), "");
    assert_eq!(consumer.stats().dead_lettered, 1);
}
