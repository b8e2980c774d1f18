//! What a handler publishes and trims.

use std::collections::BTreeMap;

use async_trait::async_trait;
use atomic_streams::entry::MAX_PUBLISH_FIELDS;
use atomic_streams::{
    EntryId, Fields, Handler, HandlerResult, Persistable, PublishError, Transaction, Trim, handler_fn,
};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::site::{STREAM, Site, within};

#[derive(Deserialize, Serialize)]
struct Number {
    n: u64,
}

/// Sends each entry back to its own stream, one less, until it is 0.
#[derive(Persistable)]
struct Countdown {
    handled: Vec<u64>,
}

#[async_trait]
impl Handler for Countdown {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.handled.push(number.n);
        if number.n > 0 {
            tx.publish(STREAM, &Number { n: number.n - 1 })?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn entries_may_be_published_to_the_input_stream_and_are_handled_later() {
    let mut site = Site::start().await;
    for n in ["3", "2"] {
        site.add(&[("n", n)]).await;
    }
    let _consumer = site.consumer().handler(Countdown { handled: Vec::new() }).spawn().await.unwrap();
    site.until_processed(7).await;
    let handled: Vec<u64> = site.state("handled").await.unwrap();
    assert_eq!(handled.len(), 7);
    let in_stream: Vec<u64> = site.column(STREAM, "n").await.iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(handled, in_stream);
    assert_eq!(handled.iter().filter(|n| **n == 0).count(), 2);
}

#[tokio::test]
async fn one_entry_may_publish_to_several_streams_in_order() {
    let mut site = Site::start().await;
    site.add_numbers(5).await;
    let handler = handler_fn(async |number: Number, tx: &mut Transaction| {
        for copy in 0..number.n {
            tx.publish(["even", "odd"][(copy % 2) as usize], &Number { n: 10 * number.n + copy })?;
        }
        Ok(())
    });
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(5).await;
    assert_eq!(site.column("even", "n").await, ["10", "20", "30", "32", "40", "42"]);
    assert_eq!(site.column("odd", "n").await, ["21", "31", "41", "43"]);
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 5);
    assert_eq!(consumer.stats().published, 10);
}

#[tokio::test]
async fn an_exact_trim_by_length_keeps_the_newest() {
    let mut site = Site::start().await;
    site.add_numbers(20).await;
    let handler = handler_fn(async |number: Number, tx: &mut Transaction| {
        tx.publish("out", &number)?;
        tx.trim("out", Trim::max_len(1).exact())?;
        tx.trim("out", Trim::max_len(3).exact())?;
        Ok(())
    });
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(20).await;
    assert_eq!(site.column("out", "n").await, ["17", "18", "19"], "the last word counts");
}

#[tokio::test]
async fn an_exact_trim_by_id_drops_what_is_older() {
    let mut site = Site::start().await;
    for ms in 1..=5_u64 {
        let () = site.redis.xadd("log", format!("{ms}-0"), &[("ms", ms)]).await.unwrap();
    }
    site.add(&[("n", "4")]).await;
    let handler = handler_fn(async |number: Number, tx: &mut Transaction| {
        tx.trim("log", Trim::min_id(EntryId::new(number.n, 0)).exact())?;
        Ok(())
    });
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(1).await;
    assert_eq!(site.column("log", "ms").await, ["4", "5"]);
}

#[tokio::test]
async fn nothing_is_trimmed_unasked_and_an_approximate_trim_keeps_at_least_its_bound() {
    let mut site = Site::start().await;
    site.add_numbers(500).await;
    let handler = handler_fn(async |number: Number, tx: &mut Transaction| {
        tx.publish("all", &number)?;
        tx.publish("some", &number)?;
        tx.trim("some", Trim::max_len(50))?;
        Ok(())
    });
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(500).await;
    let (all, some): (usize, usize) =
        redis::pipe().xlen("all").xlen("some").query_async(&mut site.redis).await.unwrap();
    assert_eq!(all, 500);
    assert!((50..500).contains(&some), "{some}");
}

#[tokio::test]
async fn what_cannot_be_published_is_an_error_that_leaves_the_transaction_usable() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let handler = handler_fn(async |number: Number, tx: &mut Transaction| {
        tx.publish("out", &Number { n: 1 })?;
        assert!(matches!(tx.publish("out", &number.n), Err(PublishError::Encode { .. })));
        let empty = tx.publish("out", &Fields::new()).unwrap_err();
        assert!(empty.to_string().contains("at least one field"), "{empty}");
        assert!(matches!(tx.publish("", &number), Err(PublishError::InvalidName { .. })));
        let wide: Fields = (0..=MAX_PUBLISH_FIELDS).map(|n| (n.to_string(), "")).collect();
        assert!(matches!(tx.publish("out", &wide), Err(PublishError::TooManyFields { .. })));
        assert!(tx.trim("a\nb", Trim::max_len(1)).is_err());
        let nan = tx.publish("out", &BTreeMap::from([("list", [f64::NAN])])).unwrap_err();
        assert!(nan.to_string().contains("`out`") && nan.to_string().contains("list"), "{nan}");
        tx.publish("out", &Number { n: 2 })?;
        Ok(())
    });
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(1).await;
    assert_eq!(site.column("out", "n").await, ["1", "2"]);
    assert_eq!(consumer.stats().failed, 0);
}

#[tokio::test]
async fn the_widest_entry_is_published_whole() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let handler = handler_fn(async |_: Number, tx: &mut Transaction| {
        let wide: Fields = (0..MAX_PUBLISH_FIELDS).map(|n| (n.to_string(), n.to_string())).collect();
        tx.publish("out", &wide)?;
        Ok(())
    });
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(1).await;
    assert_eq!(site.entries("out").await[0].len(), MAX_PUBLISH_FIELDS);
}
