//! Entries that are far larger than anybody expects, through the dead letters and back.

use std::time::Duration;

use atomic_streams::{DeadLetter, Fields, HandlerError, OnFailure, Transaction, handler_fn};
use serde::Deserialize;

use crate::bench::{Bench, DEAD, STREAM, within};

#[derive(Deserialize)]
struct Number {
    #[allow(dead_code, reason = "read by serde")]
    n: i64,
}

/// Bytes of every value, so that nothing takes them for text.
fn bytes(length: usize) -> Vec<u8> {
    (0..=u8::MAX).collect::<Vec<u8>>().repeat(length / 256)
}

/// Names that come back, with values that tell them apart.
fn many(count: usize) -> Fields {
    (0..count).map(|n| ((n % 1_000).to_string(), format!("value {n}"))).collect()
}

async fn goes_both_ways(fields: Fields, packed: bool) {
    let mut bench = Bench::start().await;
    let id = bench.add(STREAM, &fields).await;
    bench.add(STREAM, &[("n", "1")].into_iter().collect()).await;
    let handler = handler_fn(async |_: Number, _: &mut Transaction| Ok(()));
    let consumer = bench.to_dead_letters().handler(handler).spawn().await.unwrap();
    bench.until_processed(2).await;
    within(consumer.shutdown()).await.unwrap();
    let written = bench.entries(DEAD).await.pop().unwrap();
    assert_eq!(written.fields.get("@packed").is_some(), packed);
    assert_eq!(written.fields.len(), if packed { 8 } else { fields.len() + 7 });
    let letter = DeadLetter::of(written).unwrap();
    assert!(letter.entry.fields == fields && letter.entry.id == id, "the letter holds something else");
    assert!(letter.error.contains("`n` is missing"), "{}", letter.error);
    assert!(bench.dead_letters().requeue(letter.id).await.unwrap().is_some());
    assert!(bench.entries(STREAM).await[2].fields == fields, "what was requeued is something else");
    assert_eq!(bench.entries(DEAD).await.len(), 0);
}

#[tokio::test]
async fn a_hundred_thousand_fields_go_both_ways() {
    goes_both_ways(many(100_000), true).await;
}

#[tokio::test]
async fn a_value_of_64_mib_goes_both_ways() {
    goes_both_ways([("v", bytes(64 << 20))].into_iter().collect(), false).await;
}

#[tokio::test]
async fn many_fields_and_a_large_one_go_both_ways() {
    let mut fields = many(5_000);
    fields.push("v", bytes(16 << 20));
    fields.push("", "");
    goes_both_ways(fields, true).await;
}

#[tokio::test]
async fn what_takes_bare_fields_takes_all_of_them_and_fails_with_its_own_words() {
    let mut bench = Bench::start().await;
    bench.add(STREAM, &many(100_000)).await;
    bench.add(STREAM, &[("v", bytes(64 << 20))].into_iter().collect()).await;
    let handler = handler_fn(async |fields: Fields, tx: &mut Transaction| {
        // Both are beyond what one transaction may publish.
        tx.publish("out", &fields).map_err(HandlerError::permanent)
    });
    let consumer = bench.consumer().lease(Duration::from_secs(60)).on_failure(OnFailure::Skip);
    let consumer = consumer.handler(handler).spawn().await.unwrap();
    bench.until_processed(2).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!((consumer.stats().skipped, bench.entries("out").await.len()), (2, 0));
}

/// The types that look at every field more than once.
#[tokio::test]
async fn many_fields_that_a_type_buffers_are_refused_in_bounded_time() {
    #[derive(Deserialize)]
    struct Flat {
        #[serde(flatten)]
        #[allow(dead_code, reason = "read by serde")]
        all: std::collections::HashMap<String, i64>,
    }
    let mut bench = Bench::start().await;
    let numbers: Fields = (0..100_000).map(|n| (format!("f{n}"), n.to_string())).collect();
    bench.add(STREAM, &numbers).await;
    let handler = handler_fn(async |_: Flat, _: &mut Transaction| Ok(()));
    let consumer = bench.to_dead_letters().handler(handler).spawn().await.unwrap();
    bench.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    let letter = DeadLetter::of(bench.entries(DEAD).await.pop().unwrap()).unwrap();
    assert!(letter.error.contains("are not text"), "{}", letter.error);
}
