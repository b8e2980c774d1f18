//! Traces that go on from entry to entry.

use std::collections::BTreeSet;
use std::time::Duration;

use atomic_streams::entry::MAX_PUBLISH_FIELDS;
use atomic_streams::{Consumer, DeadLetters, Fields, OnFailure, Producer, Transaction, handler_fn};
use opentelemetry::trace::{SpanKind, Status};
use support::{Proxy, eventually};
use tracing::{Instrument, info_span};

use crate::shop::{DEAD, GROUP, OUT, Order, STREAM, Shop, Till, processed, within};
use crate::tracer::{Tracer, assert_child, assert_root, attributes, parent_in, parent_of};

const PROCESS: &str = "process orders";

/// A span of another program.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn elsewhere(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

#[tokio::test]
async fn one_trace_from_the_producer_through_two_consumers() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let first = shop.spawn().await;
    let second = handler_fn(async |_: Order, _: &mut Transaction| Ok(()));
    let second = Consumer::builder(OUT, "mail").redis_url(shop.server.url()).handler(second).spawn().await.unwrap();
    let producer = Producer::new(shop.server.url()).unwrap();
    let shopping = info_span!("shopping");
    let id = producer.publish(STREAM, &Order::number(1)).instrument(shopping.clone()).await.unwrap();
    drop(shopping);
    processed(&second, 1).await;
    let [shopping] = &tracer.ended("shopping", 1).await[..] else { unreachable!() };
    let [publish] = &tracer.ended("publish orders", 1).await[..] else { unreachable!() };
    let [process] = &tracer.ended(PROCESS, 1).await[..] else { unreachable!() };
    let [mailed] = &tracer.ended("process receipts", 1).await[..] else { unreachable!() };
    assert_root(shopping);
    assert_eq!(publish.parent_span_id, shopping.span_context.span_id());
    assert_eq!((&publish.span_kind, publish.parent_span_is_remote), (&SpanKind::Producer, false));
    assert_child(process, publish);
    assert_child(mailed, process);
    assert_eq!(parent_in(&shop.entries(STREAM).await[0]), parent_of(publish));
    assert_eq!(parent_in(&shop.entries(OUT).await[0]), parent_of(process));
    let sent = attributes(publish);
    for (name, value) in [
        ("messaging.system", "redis"),
        ("messaging.operation.name", "publish"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", STREAM),
        ("messaging.message.id", &id.to_string()),
    ] {
        assert_eq!(sent[name], value);
    }
    let handled = attributes(process);
    for (name, value) in [
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", STREAM),
        ("messaging.consumer.group.name", GROUP),
        ("messaging.message.id", &id.to_string()),
        ("attempt", "1"),
    ] {
        assert_eq!(handled[name], value);
    }
    assert!([publish, process, mailed].iter().all(|span| span.status == Status::Unset));
    for consumer in [first, second] {
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_publish_that_fails_says_so_in_its_span() {
    let shop = Shop::open().await;
    let tracer = Tracer::start();
    let producer = Producer::new(shop.server.url()).unwrap();
    producer.publish(STREAM, &17).await.unwrap_err();
    let [failed] = &tracer.ended("publish orders", 1).await[..] else { unreachable!() };
    assert_eq!(attributes(failed)["error.type"], "InvalidMessage");
    assert!(matches!(&failed.status, Status::Error { description } if description.contains("cannot publish")));
}

#[tokio::test]
async fn every_try_is_a_child_of_the_same_span() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let consumer = shop.spawn().await;
    shop.add_traced(&Order::failing(1, 1, "panic"), &elsewhere("01"), "a=1,b=2").await;
    shop.add_traced(&Order::failing(2, 1, "error"), &elsewhere("01"), "").await;
    processed(&consumer, 2).await;
    let tries = tracer.ended(PROCESS, 4).await;
    for span in &tries {
        assert_eq!(span.span_context.trace_id().to_string(), TRACE);
        assert_eq!(span.parent_span_id.to_string(), SPAN);
        assert!(span.parent_span_is_remote);
    }
    let failed = |span| matches!(&tries[span as usize].status, Status::Error { .. });
    assert_eq!([0, 1, 2, 3].map(failed), [true, false, true, false]);
    assert_eq!(attributes(&tries[0])["error.type"], "panic");
    assert_eq!(attributes(&tries[3])["attempt"], "2");
    // What the handler says and the retry are events of the span.
    let told: BTreeSet<&str> = tries[0].events.iter().map(|event| event.name.as_ref()).collect();
    assert!(told.contains("began") && told.iter().any(|name| name.contains("it is tried again")), "{told:?}");
    // What is published is of the try that went well.
    let out = shop.entries(OUT).await;
    assert_eq!((parent_in(&out[0]), parent_in(&out[1])), (parent_of(&tries[1]), parent_of(&tries[3])));
    let state = |at: usize| out[at].iter().find(|(name, _)| name == "tracestate").map(|(_, state)| state.as_str());
    assert_eq!((state(0), state(1)), (Some("a=1,b=2"), None));
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_malformed_parent_is_as_none() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let consumer = shop.spawn().await;
    let malformed = ["", "nonsense", &elsewhere("1"), &elsewhere("01-x"), &elsewhere("01").to_uppercase()];
    for parent in malformed {
        shop.add_traced(&Order::number(1), parent, "a=1").await;
    }
    processed(&consumer, malformed.len() as u64).await;
    let spans = tracer.ended(PROCESS, malformed.len()).await;
    spans.iter().for_each(assert_root);
    let traces: BTreeSet<String> = spans.iter().map(|span| span.span_context.trace_id().to_string()).collect();
    assert_eq!(traces.len(), malformed.len());
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn what_was_not_sampled_stays_so() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let consumer = shop.spawn().await;
    shop.add_traced(&Order::number(1), &elsewhere("00"), "").await;
    processed(&consumer, 1).await;
    let parent = parent_in(&shop.entries(OUT).await[0]);
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert!(tracer.spans(PROCESS).is_empty());
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_keeps_the_trace_and_requeueing_goes_on_with_it() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let consumer = shop.giving_up(OnFailure::dead_letter(DEAD)).handler(Till::default()).spawn().await.unwrap();
    let order = Order::failing(1, 1, "permanent");
    shop.add_traced(&order, &elsewhere("01"), "a=1").await;
    processed(&consumer, 1).await;
    let (original, letter) = (shop.entries(STREAM).await.remove(0), shop.entries(DEAD).await.remove(0));
    assert_eq!(letter[..original.len()], original, "as they were");
    assert_eq!(parent_in(&letter), elsewhere("01"));
    within(consumer.shutdown()).await.unwrap();

    let consumer = shop.giving_up(OnFailure::dead_letter(DEAD)).handler(Till::cured()).spawn().await.unwrap();
    DeadLetters::new(shop.server.url(), DEAD).unwrap().requeue_all().await.unwrap();
    processed(&consumer, 1).await;
    assert_eq!(shop.entries(STREAM).await[1], original);
    for span in tracer.ended(PROCESS, 2).await {
        assert_eq!(
            (span.span_context.trace_id().to_string().as_str(), span.parent_span_id.to_string().as_str()),
            (TRACE, SPAN)
        );
    }
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_of_an_unparked_key_go_on_with_their_traces() {
    let mut shop = Shop::open().await;
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer")).handler(Till::default()).spawn().await.unwrap();
    let ada = |order: Order| Order { customer: "ada".to_owned(), ..order };
    shop.add_traced(&ada(Order::failing(1, 9, "permanent")), &elsewhere("01"), "").await;
    shop.add_traced(&ada(Order::number(2)), &elsewhere("01"), "").await;
    processed(&consumer, 2).await;
    within(consumer.shutdown()).await.unwrap();
    let tracer = Tracer::start();
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer")).handler(Till::cured()).spawn().await.unwrap();
    assert!(DeadLetters::new(shop.server.url(), DEAD).unwrap().unpark(STREAM, GROUP, "ada").await.unwrap());
    let spans = tracer.ended(PROCESS, 2).await;
    eventually("the letters are handled", async || consumer.stats().unparked == 2).await;
    let out = shop.entries(OUT).await;
    for (span, out) in spans.iter().zip(&out) {
        assert_eq!(span.parent_span_id.to_string(), SPAN);
        assert_eq!(parent_in(out), parent_of(span));
    }
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn fields_of_its_own_stay_as_they_are() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    // It hands the entry on as it is.
    let handler = handler_fn(async |fields: Fields, tx: &mut Transaction| Ok(tx.publish(OUT, &fields)?));
    let consumer = shop.consumer().handler(handler).spawn().await.unwrap();
    let id = shop.add_traced(&Order::number(1), &elsewhere("01"), "").await;
    let producer = Producer::new(shop.server.url()).unwrap();
    let own: Fields = [("n", "2"), ("traceparent", "mine")].into_iter().collect();
    producer.publish(STREAM, &own).await.unwrap();
    processed(&consumer, 2).await;
    let (entries, out) = (shop.entries(STREAM).await, shop.entries(OUT).await);
    assert_eq!(entries, out);
    assert_eq!(parent_in(&out[0]), elsewhere("01"));
    assert_eq!(out[1], [("n", "2"), ("traceparent", "mine")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(attributes(&tracer.spans(PROCESS)[0])["messaging.message.id"], id.to_string());
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn no_publish_fails_for_the_fields_of_a_trace() {
    let mut shop = Shop::open().await;
    let tracer = Tracer::start();
    let handler = handler_fn(async |order: Order, tx: &mut Transaction| {
        let wide: Fields = (0..order.n).map(|n| (n.to_string(), "")).collect();
        Ok(tx.publish(OUT, &wide)?)
    });
    let consumer = shop.giving_up(OnFailure::dead_letter(DEAD)).handler(handler).spawn().await.unwrap();
    let most = u32::try_from(MAX_PUBLISH_FIELDS).unwrap();
    for n in [most - 2, most - 1, most, most + 1] {
        shop.add_traced(&Order::number(n), &elsewhere("01"), "a=1").await;
    }
    processed(&consumer, 4).await;
    let lengths: Vec<usize> = shop.entries(OUT).await.iter().map(Vec::len).collect();
    assert_eq!(lengths, [MAX_PUBLISH_FIELDS; 3]);
    assert_eq!(shop.entries(DEAD).await.len(), 1, "one field too many is one too many");
    assert_eq!(attributes(&tracer.spans(PROCESS)[3])["error.type"], "publish");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn groups_and_lost_replies_leave_each_entry_its_own_trace() {
    let mut shop = Shop::open().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    let tracer = Tracer::start();
    let consumer = shop.consumer().redis_url(proxy.url()).lease(Duration::from_millis(600));
    let consumer = consumer.coalesce(16, Duration::from_millis(1)).handler(Till::default()).spawn().await.unwrap();
    for round in 0..5 {
        for n in 0..40 {
            shop.add(&Order::number(40 * round + n)).await;
        }
        let recoveries = consumer.stats().recoveries;
        let replies = proxy.hold_replies_after_request(OUT.as_bytes());
        shop.add(&Order::number(1_000)).await;
        replies.wait_until_held().await;
        // What is on its way is applied, and nobody knows.
        proxy.cut_all();
        replies.release();
        eventually("the session ends", async || consumer.stats().recoveries > recoveries).await;
    }
    let done = async || shop.entries(OUT).await.len() == 205;
    eventually("each order is handled once", done).await;
    within(consumer.shutdown()).await.unwrap();
    let (entries, out) = (shop.entries_with_ids(STREAM).await, shop.entries(OUT).await);
    let spans = tracer.spans(PROCESS);
    for ((id, _), out) in entries.iter().zip(&out) {
        let parent = parent_in(out);
        let span = spans.iter().find(|span| parent_of(span) == parent).expect("a span that was there");
        assert_eq!(attributes(span)["messaging.message.id"], *id);
        assert_root(span);
    }
}

#[tokio::test]
async fn without_a_layer_nothing_is_added() {
    let mut shop = Shop::open().await;
    let consumer = shop.spawn().await;
    shop.add_traced(&Order::number(1), &elsewhere("01"), "a=1").await;
    Producer::new(shop.server.url()).unwrap().publish(STREAM, &Order::number(2)).await.unwrap();
    processed(&consumer, 2).await;
    let names = |entry: &[(String, String)]| entry.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let of_an_order = ["n", "customer", "failures", "by", "waits"];
    assert_eq!(names(&shop.entries(STREAM).await[1]), of_an_order);
    for out in shop.entries(OUT).await {
        assert_eq!(names(&out), of_an_order, "not passed on either");
    }
    within(consumer.shutdown()).await.unwrap();
}
