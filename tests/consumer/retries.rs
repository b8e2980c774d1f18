//! An entry that fails: its effects are taken back, it is tried again, and those behind it wait.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{Handler, HandlerError, HandlerResult, Persistable, Status, Transaction};
use serde::{Deserialize, Serialize};

use crate::puppet::puppet;
use crate::site::{Site, until_retrying, until_status, within};

const LONG: Duration = Duration::from_secs(3600);

fn soon(error: &str) -> HandlerError {
    HandlerError::retry_after(error, Duration::from_millis(1))
}

#[derive(Deserialize, Serialize)]
struct Number {
    n: i64,
}

/// Every third entry fails twice, after it has changed everything.
#[derive(Persistable)]
struct Moody {
    seen: Vec<i64>,
    sum: i64,
}

#[async_trait]
impl Handler for Moody {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.sum += number.n;
        tx.publish("out", &number)?;
        tokio::task::yield_now().await;
        self.seen.push(number.n);
        if number.n % 3 == 0 && tx.message().attempt() <= 2 {
            return Err(soon("not now"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn entries_are_handled_and_published_in_order_whatever_fails_in_between() {
    let mut site = Site::start().await;
    site.add_numbers(60).await;
    let consumer = site.consumer().handler(Moody { seen: Vec::new(), sum: 0 }).spawn().await.unwrap();
    site.until_processed(60).await;
    let stats = consumer.stats();
    within(consumer.shutdown()).await.unwrap();

    let expected: Vec<i64> = (0..60).collect();
    assert_eq!(site.state::<Vec<i64>>("seen").await, Some(expected.clone()));
    assert_eq!(site.state::<i64>("sum").await, Some(expected.iter().sum()));
    let published: Vec<i64> = site.column("out", "n").await.iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(published, expected);
    assert_eq!(stats.failed, 40);
}

#[tokio::test]
async fn a_first_entry_that_fails_twice_is_counted_once() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let (handler, mut calls) = puppet();
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    for attempt in 1..=2 {
        let call = calls.next().await;
        assert_eq!((call.count, call.message.attempt()), (1, attempt));
        call.fail(soon("no"));
    }
    let call = calls.next().await;
    assert_eq!((call.count, call.message.attempt()), (1, 3));
    assert_eq!((site.processed().await, site.state("count").await), (0, Some(0)));
    call.done();
    site.until_processed(1).await;
    assert_eq!(site.state("count").await, Some(1));
    assert_eq!(site.column("out", "n").await, ["1"]);
}

#[tokio::test]
async fn an_entry_that_fails_first_after_a_restart_is_rolled_back_to_what_is_stored() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let (handler, mut calls) = puppet();
    let first = site.consumer().handler(handler).spawn().await.unwrap();
    for _ in 0..2 {
        calls.next().await.done();
    }
    site.until_processed(2).await;
    let call = calls.next().await;
    call.fail(HandlerError::retry_after("later", LONG));
    until_retrying(&first).await;
    within(first.shutdown()).await.unwrap();

    let (handler, mut calls) = puppet();
    let _second = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!((call.count, call.message.attempt()), (3, 1), "attempts are counted anew");
    call.fail(soon("no"));
    let call = calls.next().await;
    assert_eq!((call.count, call.message.attempt()), (3, 2));
    call.done();
    site.until_processed(3).await;
    assert_eq!(site.state("count").await, Some(3));
    assert_eq!(site.column("out", "n").await, ["0", "1", "2"]);
}

#[derive(Persistable)]
struct Stock {
    #[persist(default = 100)]
    left: i64,
}

#[async_trait]
impl Handler for Stock {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.left -= number.n;
        if tx.message().attempt() == 1 { Err(soon("once")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_new_subscription_begins_with_the_defaults_and_is_rolled_back_to_them() {
    let mut site = Site::start().await;
    site.add(&[("n", "7")]).await;
    let _consumer = site.consumer().handler(Stock { left: 5 }).spawn().await.unwrap();
    site.until_processed(1).await;
    assert_eq!(site.state("left").await, Some(93));
}

#[tokio::test]
async fn an_ordinary_error_is_tried_again_after_a_pause_that_grows() {
    let mut site = Site::start().await;
    let id = site.add(&[("n", "1")]).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let mut status = consumer.status();
    for (attempt, shortest) in [(1, 50), (2, 100), (3, 200)] {
        calls.next().await.fail("out of paper");
        let seen = status.wait_for(|now| matches!(now, Status::Retrying { attempt: now, .. } if *now == attempt));
        let Status::Retrying { entry, error, pause, .. } = within(seen).await.unwrap().clone() else { unreachable!() };
        assert_eq!((entry, error.as_str()), (id, "out of paper"));
        let shortest = Duration::from_millis(shortest);
        assert!(shortest <= pause && pause <= 2 * shortest, "attempt {attempt}: {pause:?}");
    }
    calls.next().await.done();
    until_status(&consumer, "it goes on", |status| *status == Status::Active).await;
    site.until_processed(1).await;
}

#[tokio::test]
async fn the_handler_may_say_when_to_try_again() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::retry_after("closed on Sundays", LONG));
    let retrying = until_status(&consumer, "it waits", |status| matches!(status, Status::Retrying { .. })).await;
    let Status::Retrying { attempt: 1, error, pause: LONG, .. } = retrying else { panic!("{retrying:?}") };
    assert_eq!(error, "closed on Sundays");
    assert!(calls.waiting().is_none(), "what stands behind a failed entry waits");
}

#[tokio::test]
async fn a_permanent_error_blocks_and_is_tried_again_at_the_longest_pause() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::permanent("no such customer"));
    let retrying = until_status(&consumer, "it blocks", |status| matches!(status, Status::Retrying { .. })).await;
    let Status::Retrying { error, pause, .. } = retrying else { unreachable!() };
    assert_eq!((error.as_str(), pause), ("no such customer", Duration::from_secs(30)));
    assert!(calls.waiting().is_none());
    assert_eq!(site.processed().await, 0);
    assert_eq!(site.entries("out").await.len(), 0);
}

#[tokio::test]
async fn the_causes_of_an_error_are_shown() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let cause = "x".parse::<i64>().unwrap_err();
    calls.next().await.fail(std::io::Error::other(cause.clone()));
    let (_, error) = until_retrying(&consumer).await;
    assert!(error.contains(&cause.to_string()), "{error}");
}
