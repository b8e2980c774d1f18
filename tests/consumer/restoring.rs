//! Collections read back at an attach: all of them belong to its head, whatever happens meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerHandle, ErrorKind, Handler, HandlerResult, Persistable, StateMap, Status, Transaction,
    async_trait,
};
use redis::AsyncCommands;
use serde::Deserialize;
use support::{Hold, Proxy, Snapshot, eventually};

use crate::site::{GROUP, RECORD, STREAM, Site, until_status, within};

const KEY: &str = "atomic-streams:{orders}:tally@map:stock";

/// Enough for several parts.
const MANY: u64 = 6_000;

#[derive(Deserialize)]
struct Sale {
    /// The first of the entries that are set.
    from: u64,
    count: u64,
    value: u64,
}

thread_local! {
    /// What the handlers of this test have held, also those whose commits came too late: a test has one thread.
    static HELD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// No handler has ever held anything but these.
fn held_only(states: &[String]) {
    HELD.with_borrow(|held| {
        assert!(held.iter().all(|state| states.contains(state)), "{held:?} are not all in {states:?}")
    });
}

/// Shows how many entries there are, and their sums.
#[derive(Persistable, Default)]
struct Shop {
    stock: StateMap<u64, u64>,
    #[persist(default = 0)]
    sales: u64,
}

#[async_trait]
impl Handler for Shop {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.sales += 1;
        for key in sale.from..sale.from + sale.count {
            self.stock.insert(key, sale.value);
        }
        let state = (self.stock.len(), self.stock.keys().sum::<u64>(), self.stock.values().sum::<u64>(), self.sales);
        let state = format!("{state:?}");
        HELD.with_borrow_mut(|held| held.push(state.clone()));
        tx.publish("seen", &BTreeMap::from([("state", state)]))?;
        Ok(())
    }
}

async fn sell(site: &mut Site, from: u64, count: u64, value: u64) {
    let fields = [("from", from.to_string()), ("count", count.to_string()), ("value", value.to_string())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    site.add(&fields).await;
}

/// Sells, waits until that is committed, and returns what the handler held then.
async fn sold(site: &mut Site, from: u64, count: u64, value: u64) -> String {
    let processed = site.processed().await;
    sell(site, from, count, value).await;
    site.until_processed(processed + 1).await;
    site.column("seen", "state").await.pop().unwrap()
}

/// What a handler shows that has entries with these values from key 0 on, after so many sales.
fn state(values: &[(u64, u64)], sales: u64) -> String {
    let count: u64 = values.iter().map(|(count, _)| count).sum();
    let sum: u64 = values.iter().map(|(count, value)| count * value).sum();
    format!("{:?}", (count, count * (count - 1) / 2, sum, sales))
}

async fn spawn(url: &str, lease_ms: u64) -> ConsumerHandle {
    let builder = Consumer::builder(STREAM, GROUP).redis_url(url).lease(Duration::from_millis(lease_ms));
    builder.handler(Shop::default()).spawn().await.unwrap()
}

async fn active(consumer: &ConsumerHandle) {
    until_status(consumer, "it is active", |status| *status == Status::Active).await;
}

/// A record with many entries, released.
async fn filled() -> Site {
    let mut site = Site::start().await;
    let owner = spawn(site.server.url(), 10_000).await;
    assert_eq!(sold(&mut site, 0, MANY, 1).await, state(&[(MANY, 1)], 1));
    within(owner.shutdown()).await.unwrap();
    site
}

/// A consumer that has read one part of the entries and gets no reply to the next request.
async fn halfway(proxy: &Proxy, lease_ms: u64) -> (tokio::task::JoinHandle<ConsumerHandle>, Hold) {
    let hold = proxy.hold_replies_after_request(KEY.as_bytes());
    let url = proxy.url();
    let spawned = tokio::spawn(async move { spawn(&url, lease_ms).await });
    hold.wait_until_held().await;
    hold.step();
    hold.wait_until_held().await;
    (spawned, hold)
}

#[tokio::test]
async fn an_owner_that_takes_over_and_commits_meanwhile_mixes_nothing() {
    for more in [0, 100] {
        let mut site = filled().await;
        let proxy = Proxy::start(site.server.addr()).await;
        let (first, hold) = halfway(&proxy, 300).await;
        // The first one cannot renew: its lease ends.
        let second = spawn(site.server.url(), 300).await;
        active(&second).await;
        let entries = [(MANY + more, 7)];
        let states = [state(&[(MANY, 1)], 1), state(&entries, 2), state(&entries, 3)];
        assert_eq!(sold(&mut site, 0, MANY + more, 7).await, states[1]);
        hold.release();
        let first = first.await.unwrap();
        until_status(&first, "it stands by", |status| matches!(status, Status::Standby { .. })).await;
        within(second.shutdown()).await.unwrap();
        active(&first).await;
        assert_eq!(sold(&mut site, 0, 1, 7).await, states[2]);
        held_only(&states);
        HELD.with_borrow_mut(Vec::clear);
    }
}

#[tokio::test]
async fn a_rollback_meanwhile_mixes_nothing() {
    for more in [0, 100] {
        let mut site = filled().await;
        let older = Snapshot::take(&mut site.redis).await;
        let owner = spawn(site.server.url(), 10_000).await;
        let states = [state(&[(MANY, 1)], 1), state(&[(MANY + more, 5)], 2), state(&[(MANY, 1)], 2)];
        assert_eq!(sold(&mut site, 0, MANY + more, 5).await, states[1]);
        within(owner.shutdown()).await.unwrap();

        let proxy = Proxy::start(site.server.addr()).await;
        let (spawned, hold) = halfway(&proxy, 10_000).await;
        older.restore(&mut site.redis).await;
        // Before anything can tell of the rollback, there is an entry to be handled.
        sell(&mut site, 0, 1, 1).await;
        hold.release();
        let consumer = spawned.await.unwrap();
        site.until_processed(2).await;
        assert_eq!(site.column("seen", "state").await.pop().unwrap(), states[2]);
        active(&consumer).await;
        held_only(&states);
        HELD.with_borrow_mut(Vec::clear);
    }
}

#[tokio::test]
async fn the_lease_is_kept_however_long_it_takes() {
    const LEASE_MS: u64 = 1_500;
    let mut site = filled().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let (first, hold) = halfway(&proxy, LEASE_MS).await;
    let standby = spawn(site.server.url(), LEASE_MS).await;
    let token = site.head().await.0;
    let clock = async |site: &mut Site| {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut site.redis).await.unwrap();
        seconds * 1_000 + micros / 1_000
    };
    let began = clock(&mut site).await;
    for round in 1..=2 {
        // Longer than its third, shorter than all of it.
        let redis = site.redis.clone();
        eventually("a part of the lease is over", async || {
            let time: (u64, u64) = redis::cmd("TIME").query_async(&mut redis.clone()).await.unwrap();
            time.0 * 1_000 + time.1 / 1_000 >= began + round * (LEASE_MS - 500)
        })
        .await;
        hold.step();
        hold.wait_until_held().await;
    }
    assert!(clock(&mut site).await > began + LEASE_MS);
    hold.release();
    let first = first.await.unwrap();
    active(&first).await;
    assert_eq!(site.head().await.0, token, "it is the same attach");
    assert!(matches!(*standby.status().borrow(), Status::Standby { .. }));
    assert_eq!(sold(&mut site, 0, 1, 1).await, state(&[(MANY, 1)], 2));
}

#[tokio::test]
async fn a_standby_that_takes_over_has_all_entries() {
    let mut site = filled().await;
    let first = spawn(site.server.url(), 10_000).await;
    let second = spawn(site.server.url(), 10_000).await;
    assert!(matches!(*second.status().borrow(), Status::Standby { .. }));
    sold(&mut site, 0, 10, 4).await;
    within(first.shutdown()).await.unwrap();
    active(&second).await;
    assert_eq!(sold(&mut site, MANY, 1, 9).await, state(&[(10, 4), (MANY - 10, 1), (1, 9)], 3));
}

#[tokio::test]
async fn a_shutdown_meanwhile_gives_the_lease_back() {
    let mut site = filled().await;
    let owner = spawn(site.server.url(), 10_000).await;
    let proxy = Proxy::start(site.server.addr()).await;
    let standby = spawn(&proxy.url(), 10_000).await;
    let hold = proxy.hold_replies_after_request(KEY.as_bytes());
    within(owner.shutdown()).await.unwrap();
    hold.wait_until_held().await;
    let ending = tokio::spawn(async move { standby.shutdown().await });
    tokio::task::yield_now().await;
    // No reply to any further part comes.
    hold.step();
    assert!(within(ending).await.unwrap().unwrap().released);
    assert_eq!(site.record("@lease").await, "0");
    let _next = spawn(site.server.url(), 10_000).await;
    assert_eq!(sold(&mut site, 0, 1, 1).await, state(&[(MANY, 1)], 2));
}

#[tokio::test]
async fn leftovers_of_a_record_that_is_gone_are_not_taken_for_state() {
    let mut site = filled().await;
    let () = site.redis.del(RECORD).await.unwrap();
    let () = redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(GROUP).query_async(&mut site.redis).await.unwrap();
    let builder = site.consumer().handler(Shop::default()).start_at_end();
    let owner = builder.spawn().await.unwrap();
    active(&owner).await;
    assert_eq!(sold(&mut site, 0, 3, 2).await, state(&[(3, 2)], 1));
    assert_eq!(site.redis.hlen::<_, u64>(KEY).await.unwrap(), 3);
}

/// Starts a build that must not start, and leaves everything as it is.
async fn refused(site: &mut Site) -> (ErrorKind, String) {
    let before: Vec<u8> = redis::cmd("DUMP").arg(KEY).query_async(&mut site.redis).await.unwrap_or_default();
    let error = site.consumer().handler(Shop::default()).spawn().await.expect_err("it started");
    let after: Vec<u8> = redis::cmd("DUMP").arg(KEY).query_async(&mut site.redis).await.unwrap_or_default();
    assert!(before == after);
    assert_eq!(site.record("@lease").await, "0", "nobody should wait for it");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_key_that_is_not_what_was_written_is_named_with_the_way_out() {
    let mut site = filled().await;
    let whole: Vec<u8> = redis::cmd("DUMP").arg(KEY).query_async(&mut site.redis).await.unwrap();
    let () = site.redis.del(KEY).await.unwrap();
    let (kind, text) = refused(&mut site).await;
    assert_eq!(kind, ErrorKind::StateDamaged, "{text}");
    assert!(text.contains(KEY) && text.contains("holds 0 entries") && text.contains("6000"), "{text}");
    assert!(text.contains("backup") && text.contains("delete"), "{text}");

    let () = site.redis.set(KEY, "text").await.unwrap();
    let (kind, text) = refused(&mut site).await;
    assert_eq!(kind, ErrorKind::WrongType, "{text}");
    assert!(text.contains(KEY) && text.contains("another type") && text.contains("backup"), "{text}");

    let () =
        redis::cmd("RESTORE").arg(KEY).arg(0).arg(&whole).arg("REPLACE").query_async(&mut site.redis).await.unwrap();
    for (key, value, words) in [
        (&b"\x01"[..], &b"\xc1"[..], "damaged"),
        (b"\x01", b"\x01\x02", "damaged"),
        (b"\x01", b"\xa1x", "stock"),
        (b"\xa1x", b"\x01", "holds 6001 entries"),
    ] {
        let () = site.redis.hset(KEY, key, value).await.unwrap();
        let (kind, text) = refused(&mut site).await;
        assert_eq!(kind, ErrorKind::StateDamaged, "{text}");
        assert!(text.contains(words) && text.len() < 500, "{text}");
    }
    let () =
        redis::cmd("RESTORE").arg(KEY).arg(0).arg(&whole).arg("REPLACE").query_async(&mut site.redis).await.unwrap();
    let _owner = spawn(site.server.url(), 10_000).await;
    assert_eq!(sold(&mut site, 0, 1, 1).await, state(&[(MANY, 1)], 2));
}

#[tokio::test]
async fn a_key_that_is_lost_while_running_is_found_by_the_next_commit_that_touches_it() {
    for wrong_type in [false, true] {
        let mut site = filled().await;
        let owner = spawn(site.server.url(), 10_000).await;
        active(&owner).await;
        let () = site.redis.del(KEY).await.unwrap();
        if wrong_type {
            let () = site.redis.set(KEY, "text").await.unwrap();
        }
        // It touches nothing.
        assert_eq!(sold(&mut site, 0, 0, 0).await, state(&[(MANY, 1)], 2));
        sell(&mut site, 0, 1, 5).await;
        let error = within(owner.wait()).await.unwrap_err();
        let expected = if wrong_type { ErrorKind::WrongType } else { ErrorKind::StateDamaged };
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(KEY), "{error}");
        assert_eq!(site.processed().await, 2);
    }
}
