//! Other ways for a consumer to end, and what does not end it.

use atomic_streams::{ErrorKind, Fields, Status, Transaction, handler_fn};
use redis::AsyncCommands;
use support::{Proxy, eventually};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::puppet::puppet;
use crate::site::{Site, until_status, within};

#[tokio::test]
async fn run_until_runs_until_its_future_resolves() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let handler = handler_fn(async |fields: Fields, tx: &mut Transaction| Ok(tx.publish("out", &fields)?));
    let running = tokio::spawn(site.consumer().handler(handler).run_until(stopped));
    site.until_processed(3).await;
    assert!(!running.is_finished());
    stop.send(()).unwrap();
    let report = within(running).await.unwrap().unwrap();
    assert_eq!((report.processed, report.released), (3, true));
    assert_eq!(site.record("@lease").await, "0");
}

#[tokio::test]
async fn run_until_lets_a_running_handler_finish() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (handler, mut calls) = puppet();
    let running = tokio::spawn(site.consumer().handler(handler).run_until(stopped));
    let call = calls.next().await;
    drop(stop);
    call.cancelled().await;
    call.done();
    assert_eq!(within(running).await.unwrap().unwrap().processed, 1);
}

#[tokio::test]
async fn run_until_returns_the_error_that_ends_the_consumer() {
    let mut site = Site::start().await;
    let () = site.redis.set("out", "no stream").await.unwrap();
    site.add_numbers(1).await;
    let handler = handler_fn(async |fields: Fields, tx: &mut Transaction| Ok(tx.publish("out", &fields)?));
    let running = site.consumer().handler(handler).run_until(std::future::pending::<()>());
    let error = within(running).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
}

#[tokio::test]
async fn dropping_run_until_shuts_the_consumer_down() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let running = tokio::spawn(site.consumer().handler(handler).run_until(std::future::pending::<()>()));
    let call = calls.next().await;
    running.abort();
    call.cancelled().await;
    call.done();
    eventually("the lease is released", async || site.record("@lease").await == "0").await;
    assert_eq!(site.processed().await, 1);
}

#[tokio::test]
async fn an_applications_own_token_shuts_the_consumer_down() {
    let mut site = Site::start().await;
    let application = CancellationToken::new();
    let (handler, _calls) = puppet();
    let consumer =
        site.consumer().cancellation_token(application.child_token()).handler(handler).spawn().await.unwrap();
    application.cancel();
    assert!(within(consumer.wait()).await.unwrap().released);
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
    assert_eq!(site.record("@lease").await, "0");
}

#[tokio::test]
async fn shutting_a_consumer_down_does_not_cancel_the_applications_token() {
    let site = Site::start().await;
    let application = CancellationToken::new();
    let (handler, _calls) = puppet();
    let builder = site.consumer().cancellation_token(application.clone());
    let consumer = builder.handler(handler).spawn().await.unwrap();
    within(consumer.shutdown()).await.unwrap();
    assert!(!application.is_cancelled());
}

#[tokio::test]
async fn a_consumer_whose_token_is_cancelled_before_it_starts_ends_at_once() {
    let mut site = Site::start().await;
    let application = CancellationToken::new();
    application.cancel();
    let (handler, _calls) = puppet();
    let consumer = site.consumer().cancellation_token(application).handler(handler).spawn().await.unwrap();
    let report = within(consumer.wait()).await.unwrap();
    assert_eq!((report.processed, report.position, report.released), (0, None, true));
    assert!(!site.redis.exists::<_, bool>(crate::site::RECORD).await.unwrap());
}

#[tokio::test]
async fn dropping_the_handle_leaves_the_consumer_running() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    drop(site.consumer().handler(handler).spawn().await.unwrap());
    for processed in 1..=2 {
        site.add_numbers(1).await;
        calls.next().await.done();
        site.until_processed(processed).await;
    }
}

#[tokio::test]
async fn dropping_the_future_of_spawn_shuts_the_consumer_down() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let proxy = Proxy::start(site.server.addr()).await;
    // The attach has not reached the server when the future is dropped.
    let attach = proxy.hold_requests_containing(b"the-owner");
    let (handler, calls) = puppet();
    let builder = site.consumer().redis_url(proxy.url()).owner_name("the-owner");
    let spawning = tokio::spawn(builder.handler(handler).spawn());
    attach.wait_until_held().await;
    spawning.abort();
    assert!(spawning.await.unwrap_err().is_cancelled());
    calls.end().await;
    proxy.cut_all();
    attach.release();

    let (handler, mut calls) = puppet();
    let other = site.consumer().handler(handler).spawn().await.unwrap();
    until_status(&other, "another one owns the subscription", |status| *status == Status::Active).await;
    calls.next().await.done();
    site.until_processed(1).await;
}

#[tokio::test]
async fn the_error_that_ends_a_consumer_is_returned_by_every_wait() {
    let mut site = Site::start().await;
    let () = site.redis.set("out", "no stream").await.unwrap();
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.add_numbers(1).await;
    calls.next().await.done();
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!((error.kind(), error.stream(), error.group()), (ErrorKind::WrongType, Some("orders"), Some("tally")));
    let text = error.to_string();
    assert!(text.contains("`tally`") && text.contains("`orders`") && text.contains("`out`"), "{text}");
    assert!(text.contains("holds a string"), "{text}");
    assert_eq!(within(consumer.shutdown()).await.unwrap_err().to_string(), text);
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
    assert_eq!((site.processed().await, site.state("count").await), (0, Some(0)));
}
