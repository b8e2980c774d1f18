//! What a handler gets: the decoded entry, and what is known about it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use atomic_streams::{EntryId, Fields, Handler, HandlerResult, Persistable, Status, Transaction, handler_fn};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::puppet::puppet;
use crate::site::{STREAM, Site, until_retrying, until_status, within};

#[derive(Deserialize, Serialize)]
struct Sale {
    sku: String,
    quantity: i64,
    #[serde(default)]
    express: bool,
    discount: Option<f64>,
}

#[derive(Persistable)]
struct Sold {
    total: i64,
}

#[async_trait]
impl Handler for Sold {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.total += sale.quantity;
        tx.publish("out", &sale)?;
        Ok(())
    }
}

#[tokio::test]
async fn messages_are_typed_both_ways() {
    let mut site = Site::start().await;
    site.add(&[("sku", "007"), ("quantity", "-3"), ("express", "1"), ("discount", "0.5"), ("unknown", "x")]).await;
    site.add(&[("quantity", "8"), ("sku", "")]).await;
    let _consumer = site.consumer().handler(Sold { total: 0 }).spawn().await.unwrap();
    site.until_processed(2).await;
    assert_eq!(site.state("total").await, Some(5));
    let expected: [&[(&str, &str)]; 2] = [
        &[("sku", "007"), ("quantity", "-3"), ("express", "true"), ("discount", "0.5")],
        &[("sku", ""), ("quantity", "8"), ("express", "false")],
    ];
    let owned = |fields: &[(&str, &str)]| -> BTreeMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    assert_eq!(site.entries("out").await, expected.map(owned));
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_blocks_until_a_build_that_can() {
    let mut site = Site::start().await;
    site.add(&[("sku", "a"), ("quantity", "1")]).await;
    let bad = site.add(&[("sku", "b"), ("quantity", "a dozen")]).await;
    site.add(&[("sku", "c"), ("quantity", "1")]).await;
    let consumer = site.consumer().handler(Sold { total: 0 }).spawn().await.unwrap();
    let retrying = until_status(&consumer, "it blocks", |status| matches!(status, Status::Retrying { .. })).await;
    let Status::Retrying { entry, error, pause, .. } = retrying else { unreachable!() };
    assert_eq!((entry, pause), (bad, Duration::from_secs(30)));
    assert!(error.contains("quantity") && error.contains("a dozen"), "{error}");
    site.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!((site.processed().await, site.state("total").await), (1, Some(1)));

    let (handler, mut calls) = lenient();
    let _newer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(3).await;
    assert_eq!(site.state("total").await, Some(14));
    assert_eq!(calls.try_recv().unwrap(), bad, "it begins with the entry that blocked");
}

/// The newer build: knows what a dozen is.
#[derive(Persistable)]
struct Lenient {
    total: i64,
    #[persist(skip)]
    seen: tokio::sync::mpsc::UnboundedSender<EntryId>,
}

fn lenient() -> (Lenient, tokio::sync::mpsc::UnboundedReceiver<EntryId>) {
    let (seen, receiver) = tokio::sync::mpsc::unbounded_channel();
    (Lenient { total: 0, seen }, receiver)
}

#[async_trait]
impl Handler for Lenient {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.seen.send(tx.message().id())?;
        let quantity = fields.get_str("quantity").ok_or("no quantity")?;
        self.total += if quantity == "a dozen" { 12 } else { quantity.parse()? };
        Ok(())
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let mut site = Site::start().await;
    site.add(&[("sku", "a")]).await;
    let consumer = site.consumer().handler(Sold { total: 0 }).spawn().await.unwrap();
    let (_, error) = until_retrying(&consumer).await;
    assert!(error.contains("quantity"), "{error}");
}

#[tokio::test]
async fn the_message_says_where_and_when_the_entry_was_added() {
    let mut site = Site::start().await;
    let id = EntryId::new(1_700_000_000_123, 4);
    let () = site.redis.xadd(STREAM, id.to_string(), &[("n", "1")]).await.unwrap();
    let (handler, mut calls) = puppet();
    let _consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.stream(), call.message.group()), (id, STREAM, "tally"));
    let added = call.message.timestamp().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(added, Duration::from_millis(1_700_000_000_123));
    assert!(!call.message.cancelled().is_cancelled());
}

#[tokio::test]
async fn the_idempotency_key_is_the_same_at_every_attempt_and_in_every_process() {
    let mut site = Site::start().await;
    let id = site.add(&[("n", "1")]).await;
    let mut keys = Vec::new();
    for _process in 0..2 {
        let (handler, mut calls) = puppet();
        let consumer = site.consumer().grace_period(Duration::ZERO).handler(handler).spawn().await.unwrap();
        let call = calls.next().await;
        keys.push(call.message.idempotency_key());
        call.fail("again");
        let call = calls.next().await;
        keys.push(call.message.idempotency_key());
        within(consumer.shutdown()).await.unwrap();
    }
    assert_eq!(keys, vec![format!("orders/tally/{id}"); 4]);
}

#[tokio::test]
async fn a_function_is_a_handler_without_state() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let double = handler_fn(async |fields: Fields, tx: &mut Transaction| {
        let n: i64 = fields.get_str("n").ok_or("no n")?.parse()?;
        tx.publish("out", &BTreeMap::from([("twice", 2 * n)]))?;
        Ok(())
    });
    let _consumer = site.consumer().handler(double).spawn().await.unwrap();
    site.until_processed(3).await;
    assert_eq!(site.column("out", "twice").await, ["0", "2", "4"]);
    assert_eq!(site.state_names().await, [""; 0]);
}

#[derive(Persistable)]
struct Forwarder;

#[async_trait]
impl Handler for Forwarder {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        tx.publish("out", &fields)?;
        Ok(())
    }
}

#[tokio::test]
async fn a_unit_struct_is_a_handler_and_fields_keep_order_repeats_and_bytes() {
    let mut site = Site::start().await;
    let entry: [(&str, &[u8]); 4] = [("b", b"1"), ("a", &[0, 0xff, b'\r', b'\n']), ("b", b"2"), ("", b"")];
    let () = site.redis.xadd(STREAM, "*", &entry).await.unwrap();
    let _consumer = site.consumer().handler(Forwarder).spawn().await.unwrap();
    site.until_processed(1).await;
    let range = async |redis: &mut redis::aio::MultiplexedConnection, stream: &str| {
        let command = redis::cmd("XRANGE").arg(stream).arg("-").arg("+").to_owned();
        let entries: Vec<(String, Vec<Vec<u8>>)> = command.query_async(redis).await.unwrap();
        entries.into_iter().map(|(_, fields)| fields).collect::<Vec<_>>()
    };
    let published = range(&mut site.redis, "out").await;
    assert_eq!(published, range(&mut site.redis, STREAM).await);
    assert_eq!(published[0].len(), 8);
}
