//! How far behind a consumer is, in entries and in time.

use std::time::Duration;

use atomic_streams::{Status, metrics as names};
use support::eventually;

use crate::meter::Meter;
use crate::shop::{Shop, until_processed, until_status, within};

#[tokio::test]
async fn the_lag_rises_while_the_handler_is_held_up_and_goes_back_to_none() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let _listening = meter.listen();
    let consumer = shop.spawn().await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.lag, stats.lag_time), (Some(0), Some(Duration::ZERO)), "known at the attach");

    shop.add(&["", "wait", ""]).await;
    until_processed(&consumer, 1).await;
    eventually("two entries wait", async || meter.value(names::LAG_ENTRIES) == 2.0).await;
    shop.add(&["", "", ""]).await;
    eventually("five entries wait", async || consumer.stats().lag == Some(5)).await;
    let before = consumer.stats().lag_time.unwrap();
    eventually("they have waited longer", async || consumer.stats().lag_time > Some(before)).await;
    let behind = meter.agrees_with(&consumer).await;
    assert_eq!((behind.lag, behind.processed), (Some(5), 1));
    assert!(meter.value(names::LAG_TIME) > 0.0);

    shop.open_gate();
    until_processed(&consumer, 6).await;
    eventually("nothing waits", async || consumer.stats().lag == Some(0)).await;
    let caught_up = meter.agrees_with(&consumer).await;
    assert_eq!((caught_up.lag, caught_up.lag_time), (Some(0), Some(Duration::ZERO)));
    // Idle for longer than it has ever been behind, it is not behind.
    eventually("several renewals have passed", async || {
        assert_eq!(consumer.stats().lag_time, Some(Duration::ZERO));
        caught_up.position.unwrap().ms + 1_000 < server_ms(&mut shop).await
    })
    .await;
    // What counts is how long an entry has waited, not how long there was none.
    shop.add(&[""]).await;
    until_processed(&consumer, 7).await;
    assert!(consumer.stats().lag_time < Some(Duration::from_secs(1)));
}

async fn server_ms(shop: &mut Shop) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut shop.redis).await.unwrap();
    seconds * 1_000 + micros / 1_000
}

#[tokio::test]
async fn an_attach_tells_how_many_entries_wait() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let consumer = shop.spawn().await;
    shop.add(&["", ""]).await;
    until_processed(&consumer, 2).await;
    within(consumer.shutdown()).await.unwrap();
    shop.add(&["wait", "", ""]).await;
    let _listening = meter.listen();
    // No renewal comes during this test.
    let consumer = shop.consumer(shop.server.url()).lease(Duration::from_secs(3_600)).spawn().await.unwrap();
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.lag, stats.lag_time, stats.processed), (Some(3), None, 0));
}

#[tokio::test]
async fn nobody_but_the_owner_knows_the_lag() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let owner = shop.spawn().await;
    let _listening = meter.listen();
    let standby = shop.spawn().await;
    until_status(&standby, "it stands by", |status| matches!(status, Status::Standby { .. })).await;
    assert_eq!((standby.stats().lag, standby.stats().lag_time), (None, None));
    assert!(meter.value(names::LAG_ENTRIES).is_nan() && meter.value(names::LAG_TIME).is_nan());
    assert_eq!(meter.value(names::ACTIVE), 0.0);
    within(owner.shutdown()).await.unwrap();
    shop.add(&["wait"]).await;
    assert_eq!(owner.stats().lag, None);
    until_status(&standby, "it has taken over", |status| *status == Status::Active).await;
    eventually("it knows", async || standby.stats().lag == Some(1)).await;
    let stats = meter.agrees_with(&standby).await;
    assert_eq!((stats.lag, meter.value(names::ACTIVE)), (Some(1), 1.0));
}

#[tokio::test]
async fn who_begins_in_the_midst_of_a_stream_knows_when_it_has_caught_up() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let ids = shop.add(&["", "", "wait", ""]).await;
    shop.delete(ids[0]).await;
    let _listening = meter.listen();
    let consumer = shop.consumer(shop.server.url()).start_after(ids[1]).spawn().await.unwrap();
    let lag_time = eventually("a renewal has come", async || consumer.stats().lag_time.filter(|time| !time.is_zero()));
    lag_time.await;
    assert_eq!(
        meter.agrees_with(&consumer).await.lag,
        None,
        "how many of the stream's entries were before it is not known"
    );
    shop.open_gate();
    until_processed(&consumer, 2).await;
    eventually("a renewal has come", async || consumer.stats().lag == Some(0)).await;
    meter.agrees_with(&consumer).await;
}

#[tokio::test]
async fn what_was_trimmed_does_not_wait() {
    let (mut shop, meter) = (Shop::start().await, Meter::new());
    let _listening = meter.listen();
    let consumer = shop.spawn().await;
    shop.add(&["wait", "", "", ""]).await;
    eventually("four entries wait", async || consumer.stats().lag == Some(4)).await;
    shop.trim_to(1).await;
    eventually("one is left", async || consumer.stats().lag == Some(1)).await;
    let stats = meter.agrees_with(&consumer).await;
    assert_eq!((stats.lag, stats.trimmed), (Some(1), 3));
}
