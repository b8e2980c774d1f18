//! What is read arrives whole, in order, and with its proof.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{Fields, Handler, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use support::{Proxy, eventually};

use crate::puppet::puppet;
use crate::site::{STREAM, Site, within};

#[derive(Deserialize)]
struct Number {
    n: u64,
}

/// A sum that depends on the order.
#[derive(Persistable)]
struct Chain {
    last: Option<u64>,
    digest: u64,
    count: u64,
}

#[async_trait]
impl Handler for Chain {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.digest = link(self.digest, number.n);
        self.last = Some(number.n);
        self.count += 1;
        if number.n.is_multiple_of(100) {
            tx.publish("out", &std::collections::BTreeMap::from([("n", number.n)]))?;
        }
        Ok(())
    }
}

fn link(digest: u64, n: u64) -> u64 {
    digest.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n + 1)
}

#[tokio::test]
async fn a_backlog_of_10_000_entries_is_handled_once_each_in_order() {
    let mut site = Site::start().await;
    site.add_numbers(10_000).await;
    let consumer = site.consumer().handler(Chain { last: None, digest: 0, count: 0 }).spawn().await.unwrap();
    site.until_processed(10_000).await;
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 10_000);
    assert_eq!(consumer.stats().recoveries, 0);
    assert_eq!(site.state("digest").await, Some((0..10_000).fold(0, link)));
    assert_eq!((site.state("count").await, site.state("last").await), (Some(10_000), Some(Some(9_999))));
    let out: Vec<u64> = site.column("out", "n").await.iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(out, (0..100).map(|n| n * 100).collect::<Vec<_>>());
}

#[tokio::test]
async fn entries_that_come_one_by_one_are_handled_as_they_come() {
    let mut site = Site::start().await;
    let consumer = site.consumer().handler(Chain { last: None, digest: 0, count: 0 }).spawn().await.unwrap();
    for n in 0..50 {
        site.add(&[("n", &n.to_string())]).await;
        site.until_processed(n + 1).await;
    }
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 50);
    assert_eq!(site.state("digest").await, Some((0..50).fold(0, link)));
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

/// The fields of a stream's entries, names and values in turn.
async fn raw(redis: &mut MultiplexedConnection, stream: &str) -> Vec<Vec<Vec<u8>>> {
    let command = redis::cmd("XRANGE").arg(stream).arg("-").arg("+").to_owned();
    let entries: Vec<(String, Vec<Vec<u8>>)> = command.query_async(redis).await.unwrap();
    entries.into_iter().map(|(_, fields)| fields).collect()
}

#[tokio::test]
async fn odd_entries_arrive_as_they_were_added() {
    let mut site = Site::start().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![b'x'; 1 << 20];
    let wide: Vec<(String, String)> = (0..1_000).map(|n| (format!("field {n}"), "v".repeat(n % 7))).collect();
    let odd: [&[(&[u8], &[u8])]; 5] = [
        &[(b"empty", b"")],
        &[(b"", b"")],
        &[(&every_byte, &every_byte)],
        &[(b"large", &large)],
        &[(b"twice", b"1"), (b"twice", b"1")],
    ];
    for entry in odd {
        let () = site.redis.xadd(STREAM, "*", entry).await.unwrap();
    }
    let () = site.redis.xadd(STREAM, "*", &wide).await.unwrap();
    let consumer = site.consumer().handler(Forwarder).spawn().await.unwrap();
    site.until_processed(6).await;
    assert_eq!(consumer.stats().recoveries, 0);
    let added = raw(&mut site.redis, STREAM).await;
    assert_eq!((added.len(), added[5].len()), (6, 2_000));
    assert!(added == raw(&mut site.redis, "out").await, "what was published is not what was read");
}

#[tokio::test]
async fn a_read_is_proved_without_waiting_for_a_slow_handler() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    // One step has written the first fields.
    eventually("a step that carries nothing but the proof", async || site.head().await.1 == 2).await;
    assert_eq!((site.processed().await, site.record("@position").await.as_str()), (0, "0-0"));
    call.done();
    for _ in 0..2 {
        calls.next().await.done();
    }
    site.until_processed(3).await;
    assert_eq!(site.head().await.1, 5, "a read is proved once");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_quick_handlers_first_commit_carries_the_proof() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let consumer = site.consumer().handler(Forwarder).spawn().await.unwrap();
    site.until_processed(3).await;
    assert_eq!(site.head().await.1, 3);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_entry_that_is_deleted_after_it_was_read_is_not_handled_on_the_old_read() {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let builder = site.consumer().redis_url(proxy.url()).lease(Duration::from_secs(3));
    let consumer = builder.handler(Forwarder).spawn().await.unwrap();
    let commits = proxy.hold_requests_containing(b"\r\nout\r\n");
    let gone = site.add(&[("n", "gone")]).await;
    commits.wait_until_held().await;
    let () = site.redis.xdel(STREAM, &[gone.to_string()]).await.unwrap();
    site.add(&[("n", "there")]).await;
    commits.release();
    site.until_processed(1).await;
    assert_eq!(site.column("out", "n").await, ["there"]);
    assert_eq!(consumer.stats().recoveries, 1);
}
