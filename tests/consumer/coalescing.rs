//! Messages that are committed in groups: what is in Redis is the same, in fewer calls, and nobody waits for longer than
//! they may.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{ConsumerHandle, Handler, HandlerError, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use redis::streams::StreamInfoGroupsReply;
use serde::{Deserialize, Serialize};

use crate::puppet::{Calls, puppet};
use crate::site::{STREAM, Site, within};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(1_200);
/// Its third is as long.
const LONG_LEASE: Duration = Duration::from_secs(3_600);

#[derive(Deserialize, Serialize)]
struct Number {
    n: i64,
}

/// Each number fails once if it can be divided by `moody`, after it has changed everything.
#[derive(Persistable)]
struct Chain {
    count: i64,
    digest: i64,
    #[persist(skip)]
    moody: i64,
}

#[async_trait]
impl Handler for Chain {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        self.digest = link(self.digest, number.n);
        tx.publish("out", &number)?;
        tx.publish(if number.n % 2 == 0 { "even" } else { "odd" }, &number)?;
        if number.n % self.moody == 0 && tx.message().attempt() == 1 {
            return Err(HandlerError::retry_after("not now", Duration::from_millis(1)));
        }
        Ok(())
    }
}

fn link(digest: i64, n: i64) -> i64 {
    digest.wrapping_mul(31).wrapping_add(n)
}

async fn script_calls(site: &mut Site) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut site.redis).await.unwrap();
    let calls = info.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

async fn holds_exactly(site: &mut Site, numbers: i64) {
    let expected: Vec<i64> = (0..numbers).collect();
    for (output, expected) in [
        ("out", expected.clone()),
        ("even", expected.iter().copied().filter(|n| n % 2 == 0).collect()),
        ("odd", expected.iter().copied().filter(|n| n % 2 == 1).collect()),
    ] {
        let published: Vec<i64> = site.column(output, "n").await.iter().map(|n| n.parse().unwrap()).collect();
        assert_eq!(published, expected, "{output}");
    }
    assert_eq!(site.state("count").await, Some(numbers));
    assert_eq!(site.state("digest").await, Some(expected.into_iter().fold(0, link)));
    let groups: StreamInfoGroupsReply = site.redis.xinfo_groups(STREAM).await.unwrap();
    assert_eq!((groups.groups[0].lag, groups.groups[0].pending), (Some(0), 0));
}

#[tokio::test]
async fn a_backlog_is_committed_in_few_calls_and_leaves_what_it_would_leave_one_by_one() {
    let mut site = Site::start().await;
    site.add_numbers(5_000).await;
    let handler = Chain { count: 0, digest: 0, moody: i64::MAX };
    let builder = site.consumer().lease(LONG_LEASE).coalesce(256, LONG).handler(handler);
    let consumer = builder.spawn().await.unwrap();
    site.until_processed(5_000).await;
    holds_exactly(&mut site, 5_000).await;
    // Of 21 reads, each in one group, or in a few: its proof waits for 2 ms only.
    let calls = script_calls(&mut site).await;
    println!("{calls} calls");
    assert!(calls < 100, "{calls} calls");
    assert!(site.head().await.1 >= 5_001, "each message counts in the head");
    let report = within(consumer.shutdown()).await.unwrap();
    let stats = consumer.stats();
    assert_eq!((report.processed, stats.processed, stats.published, stats.in_flight), (5_000, 5_000, 10_000, 0));
}

#[tokio::test]
async fn without_a_wait_what_is_there_is_folded() {
    let mut site = Site::start().await;
    site.add_numbers(5_000).await;
    let handler = Chain { count: 0, digest: 0, moody: i64::MAX };
    let consumer = site.consumer().coalesce(256, Duration::ZERO).handler(handler).spawn().await.unwrap();
    site.until_processed(5_000).await;
    holds_exactly(&mut site, 5_000).await;
    let calls = script_calls(&mut site).await;
    println!("{calls} calls");
    assert!(calls < 2_500, "{calls} calls");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_message_that_fails_in_the_middle_of_a_group_is_rolled_back_alone() {
    for longest_wait in [Duration::ZERO, Duration::from_millis(20)] {
        let mut site = Site::start().await;
        site.add_numbers(600).await;
        let handler = Chain { count: 0, digest: 0, moody: 7 };
        let consumer = site.consumer().coalesce(100, longest_wait).handler(handler).spawn().await.unwrap();
        site.until_processed(600).await;
        holds_exactly(&mut site, 600).await;
        within(consumer.shutdown()).await.unwrap();
        let stats = consumer.stats();
        assert_eq!((stats.failed, stats.recoveries, stats.processed), (86, 0, 600));
    }
}

/// A consumer that has committed entry 0, read all others and proved that, and is in the call of entry 1.
async fn in_the_second_read(site: &mut Site, settings: Settings) -> (ConsumerHandle, Calls) {
    site.add_numbers(8).await;
    let (handler, mut calls) = puppet();
    let Settings { max_messages, longest_wait, max_in_flight } = settings;
    let builder = site.consumer().lease(LONG_LEASE).max_in_flight(max_in_flight);
    let consumer = builder.coalesce(max_messages, longest_wait).handler(handler).spawn().await.unwrap();
    // The first step writes the fields of a new record, the second proves the first read, which is of one entry.
    let call = calls.next().await;
    support::eventually("the first read is proved", async || site.head().await.1 == 2).await;
    call.done();
    // Nothing more can come of its group.
    site.until_processed(1).await;
    support::eventually("the second read is proved", async || site.head().await.1 == 4).await;
    (consumer, calls)
}

struct Settings {
    max_messages: usize,
    longest_wait: Duration,
    max_in_flight: usize,
}

const PATIENT: Settings = Settings { max_messages: 100, longest_wait: LONG, max_in_flight: 100 };

/// That nothing follows cannot be waited for: the server is asked a few things instead.
async fn stays_at(site: &mut Site, processed: u64) {
    for _ in 0..50 {
        assert_eq!(site.processed().await, processed);
    }
}

#[tokio::test]
async fn a_group_waits_until_its_time_is_over_while_the_handler_is_at_work() {
    let mut site = Site::start().await;
    let longest_wait = Duration::from_millis(50);
    let (_consumer, mut calls) = in_the_second_read(&mut site, Settings { longest_wait, ..PATIENT }).await;
    for processed in 2..6 {
        calls.next().await.done();
        site.until_processed(processed).await;
    }
}

#[tokio::test]
async fn a_full_group_is_committed_and_the_next_one_waits() {
    let mut site = Site::start().await;
    let (_consumer, mut calls) = in_the_second_read(&mut site, Settings { max_messages: 2, ..PATIENT }).await;
    let sequence = site.head().await.1;
    let before = script_calls(&mut site).await;
    calls.next().await.done();
    let call = calls.next().await;
    stays_at(&mut site, 1).await;
    call.done();
    let call = calls.next().await;
    site.until_processed(3).await;
    assert_eq!(script_calls(&mut site).await - before, 1);
    assert_eq!(site.head().await.1 - sequence, 2);
    call.done();
    let _call = calls.next().await;
    stays_at(&mut site, 3).await;
}

#[tokio::test]
async fn a_group_is_committed_when_all_that_was_read_is_handled() {
    let mut site = Site::start().await;
    let (_consumer, mut calls) = in_the_second_read(&mut site, PATIENT).await;
    for _ in 1..8 {
        calls.next().await.done();
    }
    site.until_processed(8).await;
    // One that comes alone waits for nobody.
    for processed in 9..20 {
        site.add(&[("n", "0")]).await;
        calls.next().await.done();
        site.until_processed(processed).await;
    }
}

#[tokio::test]
async fn a_group_is_committed_when_no_more_may_be_in_flight() {
    let mut site = Site::start().await;
    let (_consumer, mut calls) = in_the_second_read(&mut site, Settings { max_in_flight: 2, ..PATIENT }).await;
    calls.next().await.done();
    let call = calls.next().await;
    stays_at(&mut site, 1).await;
    call.done();
    // Handled only if there is room, and there is room only if what waits is committed.
    let _call = calls.next().await;
    site.until_processed(3).await;
}

#[tokio::test]
async fn shutdown_commits_what_waits_before_the_handler_is_done() {
    let mut site = Site::start().await;
    let (consumer, mut calls) = in_the_second_read(&mut site, PATIENT).await;
    calls.next().await.done();
    let call = calls.next().await;
    stays_at(&mut site, 1).await;
    let ending = tokio::spawn(async move { consumer.shutdown().await });
    call.cancelled().await;
    site.until_processed(2).await;
    call.done();
    let report = within(ending).await.unwrap().unwrap();
    assert_eq!((report.processed, report.released), (3, true));
    assert_eq!(site.column("out", "n").await, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_renewal_takes_along_what_waits() {
    let mut site = Site::start().await;
    site.add_numbers(4).await;
    let (handler, mut calls) = puppet();
    let lease = Duration::from_millis(900);
    let builder = site.consumer().lease(lease).coalesce(100, lease / 3).handler(handler);
    let consumer = builder.spawn().await.unwrap();
    calls.next().await.done();
    calls.next().await.done();
    calls.next().await.done();
    let call = calls.next().await;
    site.until_processed(3).await;
    let before = site.record("@lease").await;
    support::eventually("the lease is renewed", async || site.record("@lease").await != before).await;
    call.done();
    site.until_processed(4).await;
    assert_eq!(consumer.stats().recoveries, 0);
}
