//! One span for each try of an entry, with what the handler says inside it.

use std::collections::BTreeSet;
use std::time::Duration;

use atomic_streams::{Consumer, DeadLetters, Fields, OnFailure, RetryPolicy, Status, Transaction, handler_fn};
use tracing::{Level, info_span};

use crate::listener::{Listener, Values};
use crate::shop::{DEAD, GROUP, Order, STREAM, Shop, Till, processed, within};

/// What the handler says.
const OWN: &str = "tracing";

fn values(pairs: &[(&'static str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn each_try_has_a_span_by_the_conventions_for_messaging() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let consumer = shop.spawn().await;
    let id = shop.add(&Order::failing(1, 1, "error")).await.to_string();
    processed(&consumer, 1).await;
    let tries = listener.closed("process", 2).await;
    let of_both = [
        ("otel.name", "process orders"),
        ("otel.kind", "consumer"),
        ("messaging.system", "redis"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", STREAM),
        ("messaging.consumer.group.name", GROUP),
        ("messaging.message.id", &id),
    ];
    let failed = [
        ("attempt", "1"),
        ("error.type", "handler"),
        ("otel.status_code", "ERROR"),
        ("otel.status_description", "out of paper"),
    ];
    assert_eq!(tries[0].1.values, values(&[&of_both[..], &failed].concat()));
    assert_eq!(tries[1].1.values, values(&[&of_both[..], &[("attempt", "2")]].concat()));
    for (_, span) in tries {
        assert_eq!((span.target, span.level, span.parent), ("atomic_streams::span", Level::INFO, None));
    }
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn what_the_handler_says_lies_in_the_span_of_its_try() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let mut ids = Vec::new();
    for (n, failures) in [(0, 0), (1, 2), (2, 0)] {
        ids.push(shop.add(&Order { waits: 3, ..Order::failing(n, failures, "error") }).await.to_string());
    }
    // Whatever is entered where the tasks run has nothing to do with the entries.
    let _around = info_span!("around").entered();
    let consumer = shop.spawn().await;
    processed(&consumer, 3).await;
    let said = listener.events(OWN);
    let tries: Vec<(usize, u32)> =
        said.iter().map(|event| (event.span.unwrap(), event.values["n"].parse().unwrap())).collect();
    assert_eq!(tries.len(), 5 * 4, "{said:#?}");
    for (place, n) in &tries {
        let span = listener.span(*place);
        assert_eq!((span.name, &span.values["messaging.message.id"]), ("process", &ids[*n as usize]));
        assert_eq!(span.parent, None);
        assert!(span.entered >= 4, "left at each await: {span:?}");
    }
    let spans: BTreeSet<usize> = tries.iter().map(|(place, _)| *place).collect();
    assert_eq!(spans.len(), 5, "each try has one of its own");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn every_way_to_fail_is_told_by_its_type() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let consumer = shop.giving_up(OnFailure::dead_letter(DEAD));
    let consumer = consumer.handler(Till::default()).spawn().await.unwrap();
    shop.add(&Order::failing(1, 9, "permanent")).await;
    shop.add(&Order::failing(2, 1, "panic")).await;
    shop.add_fields(&[("n", &"one".to_owned())]).await;
    processed(&consumer, 3).await;
    let tries = listener.closed("process", 4).await;
    let told: Vec<(Option<&str>, Option<&str>)> = tries
        .iter()
        .map(|(_, span)| {
            ["error.type", "otel.status_description"].map(|name| span.values.get(name).map(String::as_str))
        })
        .map(|[kind, words]| (kind, words))
        .collect();
    assert_eq!(told[0], (Some("handler"), Some("no such article")));
    assert_eq!(told[1], (Some("panic"), Some("the handler panicked: dropped a plate")));
    assert_eq!(told[2], (None, None));
    assert!(matches!(told[3], (Some("decode"), Some(words)) if words.contains("`n`")), "{told:?}");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn the_pause_before_the_next_try_is_not_part_of_a_span() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let hour = Duration::from_secs(3_600);
    let consumer = shop.consumer().retry(RetryPolicy::exponential(hour, hour));
    let consumer = consumer.handler(Till::default()).spawn().await.unwrap();
    shop.add(&Order::failing(1, 1, "error")).await;
    listener.closed("process", 1).await;
    assert!(matches!(*consumer.status().borrow(), Status::Retrying { attempt: 1, .. }));
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_try_that_is_given_up_says_so() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let consumer = shop.consumer().grace_period(Duration::ZERO);
    let consumer = consumer.handler(handler_fn(async |_: Fields, _: &mut Transaction| {
        tracing::info!("began");
        std::future::pending().await
    }));
    let consumer = consumer.spawn().await.unwrap();
    shop.add(&Order::number(1)).await;
    listener.event_of("began").await;
    within(consumer.shutdown()).await.unwrap();
    let tries = listener.closed("process", 1).await;
    assert_eq!(tries[0].1.values["error.type"], "cancelled");
    assert_eq!(tries[0].1.values["otel.status_code"], "ERROR");
}

#[tokio::test]
async fn consumers_that_run_at_once_do_not_mix() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let groups = ["a", "b", "c"];
    let mut consumers = Vec::new();
    for group in groups {
        let handler = handler_fn(async |order: Order, tx: &mut Transaction| {
            for _ in 0..order.waits {
                tracing::info!(group = tx.message().group(), n = order.n, "went on");
                tokio::task::yield_now().await;
            }
            Ok(())
        });
        let consumer = Consumer::builder(STREAM, group).redis_url(shop.server.url());
        consumers.push(consumer.coalesce(16, Duration::from_millis(5)).handler(handler).spawn().await.unwrap());
    }
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(shop.add(&Order { waits: 4, ..Order::number(n) }).await.to_string());
    }
    for consumer in &consumers {
        processed(consumer, 50).await;
    }
    listener.closed("process", 150).await;
    let said = listener.events(OWN);
    assert_eq!(said.len(), 3 * 50 * 4);
    let mut last_group = None;
    let mut switches = 0;
    for event in said {
        let span = listener.span(event.span.unwrap());
        assert_eq!(span.values["messaging.consumer.group.name"], event.values["group"]);
        assert_eq!(span.values["messaging.message.id"], ids[event.values["n"].parse::<usize>().unwrap()]);
        switches +=
            usize::from(last_group.replace(event.values["group"].clone()) != Some(event.values["group"].clone()));
    }
    assert!(switches > 50, "they took turns in the midst of a message: {switches}");
    for consumer in consumers {
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn letters_of_an_unparked_key_get_spans_too() {
    let mut shop = Shop::open().await;
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer"));
    let consumer = consumer.handler(Till::default()).spawn().await.unwrap();
    let first = Order { customer: "ada".to_owned(), ..Order::failing(1, 3, "error") };
    let first = shop.add(&first).await.to_string();
    let second = shop.add(&Order { customer: "ada".to_owned(), ..Order::number(2) }).await.to_string();
    processed(&consumer, 2).await;
    let listener = Listener::start();
    // It is tried three times more, and fails again.
    assert!(DeadLetters::new(shop.server.url(), DEAD).unwrap().unpark(STREAM, GROUP, "ada").await.unwrap());
    let tries = listener.closed("process", 3).await;
    let ids: Vec<&str> = tries.iter().map(|(_, span)| span.values["messaging.message.id"].as_str()).collect();
    let attempts: Vec<&str> = tries.iter().map(|(_, span)| span.values["attempt"].as_str()).collect();
    assert_eq!((ids, attempts), (vec![first.as_str(); 3], vec!["1", "2", "3"]));
    assert_ne!(first, second);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn where_spans_are_not_listened_to_events_stand_alone() {
    let mut shop = Shop::open().await;
    let listener = Listener::up_to(Level::WARN);
    let consumer = shop.spawn().await;
    shop.add(&Order::failing(1, 1, "error")).await;
    processed(&consumer, 1).await;
    assert!(listener.spans("process").is_empty());
    let told = listener.events("atomic_streams");
    assert!(told.iter().any(|event| event.values.contains_key("error") && event.span.is_none()), "{told:#?}");
    within(consumer.shutdown()).await.unwrap();
}
