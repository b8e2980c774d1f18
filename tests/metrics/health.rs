//! What a probe is told, in every status.

use std::time::Duration;

use atomic_streams::{Consumer, ErrorKind, Health, Status};
use redis::AsyncCommands;
use support::{Fault, Proxy};
use tokio_util::sync::CancellationToken;

use crate::shop::{Shop, until_status, within};

const HOUR: Duration = Duration::from_secs(3_600);

fn shown(health: &Health) -> (bool, bool, &str) {
    assert_eq!(health.to_string(), health.reason());
    (health.is_ready(), health.is_live(), health.reason())
}

#[tokio::test]
async fn owner_and_standby_are_ready_and_who_was_shut_down_is_not_live() {
    let shop = Shop::start().await;
    let owner = shop.consumer(shop.server.url()).owner_name("host one").spawn().await.unwrap();
    let standby = shop.spawn().await;
    assert_eq!(shown(&owner.health()), (true, true, "it is active"));
    assert_eq!(shown(&standby.health()), (true, true, "it stands by: the owner is host one"));
    assert!(owner.health_within(Duration::ZERO).is_ready(), "it has nothing to recover from");
    within(owner.shutdown()).await.unwrap();
    assert_eq!(shown(&owner.health()), (false, false, "it has ended: it was shut down"));
    until_status(&standby, "it takes over", |status| *status == Status::Active).await;
    assert_eq!(shown(&standby.health()), (true, true, "it is active"));
}

#[tokio::test]
async fn an_entry_that_fails_again_and_again_does_not_make_its_consumer_unready() {
    let mut shop = Shop::start().await;
    let handler = atomic_streams::handler_fn(async |_: atomic_streams::Fields, _: &mut atomic_streams::Transaction| {
        Err(atomic_streams::HandlerError::retry_after("the bank is closed", HOUR))
    });
    let builder = Consumer::builder("orders", "tally").redis_url(shop.server.url());
    let consumer = builder.handler(handler).spawn().await.unwrap();
    let ids = shop.add(&[""]).await;
    until_status(&consumer, "it is tried again", |status| matches!(status, Status::Retrying { .. })).await;
    let health = consumer.health();
    let (ready, live, reason) = shown(&health);
    assert!(ready && live && reason.contains(&ids[0].to_string()) && reason.contains("the bank is closed"), "{reason}");
}

#[tokio::test]
async fn who_recovers_is_ready_for_a_while_and_live_for_ever() {
    let shop = Shop::start().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    let consumer = shop.consumer(&proxy.url()).spawn().await.unwrap();
    proxy.set(Fault::Reset);
    until_status(&consumer, "it recovers", |status| matches!(status, Status::Recovering { .. })).await;
    let (patient, strict) = (consumer.health_within(HOUR), consumer.health_within(Duration::ZERO));
    assert!(patient.is_ready() && patient.is_live(), "{patient}");
    assert!(!strict.is_ready() && strict.is_live(), "{strict}");
    assert!(strict.reason().contains("recovering") && strict.reason().contains("connection lost"), "{strict}");
    proxy.set(Fault::Pass);
    until_status(&consumer, "it is back", |status| *status == Status::Active).await;
    assert_eq!(shown(&consumer.health_within(Duration::ZERO)), (true, true, "it is active"));
}

#[tokio::test]
async fn who_has_never_attached_is_not_ready() {
    let shop = Shop::start().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    proxy.set(Fault::Reset);
    let consumer = shop.consumer(&proxy.url()).spawn().await.unwrap();
    let health = consumer.health_within(HOUR);
    let (ready, live, reason) = shown(&health);
    assert!(!ready && live && reason.contains("cannot attach") && reason.contains("connection lost"), "{reason}");
    proxy.set(Fault::Pass);
    until_status(&consumer, "it has attached", |status| *status == Status::Active).await;
    assert!(consumer.health().is_ready());
}

#[tokio::test]
async fn who_was_stopped_by_an_error_says_which() {
    let mut shop = Shop::start().await;
    let consumer = shop.spawn().await;
    let () = shop.redis.set("out", "no stream").await.unwrap();
    shop.add(&[""]).await;
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    let health = consumer.health();
    let (ready, live, reason) = shown(&health);
    assert!(!ready && !live && reason.contains(&error.to_string()), "{reason}");
}

#[test]
fn who_has_gone_with_its_runtime_is_not_live() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (servers, consumers) = (runtime(), runtime());
    let shop = servers.block_on(Shop::start());
    let consumer = consumers.block_on(shop.spawn());
    assert!(consumer.health().is_live());
    drop(consumers);
    assert_eq!(shown(&consumer.health()), (false, false, "it has ended: its task is gone"));
}

#[tokio::test]
async fn who_ended_before_it_began_is_not_live() {
    let shop = Shop::start().await;
    let token = CancellationToken::new();
    token.cancel();
    let consumer = shop.consumer(shop.server.url()).cancellation_token(token).spawn().await.unwrap();
    within(consumer.wait()).await.unwrap();
    assert!(!consumer.health().is_live() && !consumer.health().is_ready());
}
