//! Streams that are trimmed by those who know their readers, while these run, lag and lose their server's newest writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::retention::Holding;
use atomic_streams::{
    Consumer, ConsumerHandle, ErrorKind, Fields, Handler, HandlerResult, Persistable, Retention, Transaction,
    UnreadTrimmed,
};
use redis::AsyncCommands;
use support::{Proxy, Snapshot, eventually};

use crate::site::{GROUP, STREAM, Site, within};

/// Copies each entry's `n` to a stream of its own.
#[derive(Persistable)]
struct Copier {
    #[persist(skip)]
    output: String,
}

#[async_trait]
impl Handler for Copier {
    type Message = Fields;

    async fn handle(&mut self, entry: Fields, tx: &mut Transaction) -> HandlerResult {
        let n = entry.get_str("n").unwrap_or_default();
        tx.publish(self.output.as_str(), &BTreeMap::from([("n", n)]))?;
        Ok(())
    }
}

/// A consumer that ends where anything was trimmed before it was read.
async fn copying(url: &str, group: &str) -> ConsumerHandle {
    let handler = Copier { output: format!("copies-of-{group}") };
    let consumer = Consumer::builder(STREAM, group).redis_url(url).lease(Duration::from_millis(600));
    consumer.on_unread_trimmed(UnreadTrimmed::Stop).handler(handler).spawn().await.unwrap()
}

fn retention(site: &Site) -> Retention {
    Retention::new(site.server.url(), STREAM).unwrap()
}

async fn add(site: &Site, numbers: std::ops::Range<usize>) {
    let mut pipe = redis::pipe();
    for n in numbers {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    let () = pipe.query_async(&mut site.redis.clone()).await.unwrap();
}

async fn copied(site: &mut Site, group: &str, numbers: usize) {
    let output = format!("copies-of-{group}");
    let redis = site.redis.clone();
    eventually(&format!("{group} has copied {numbers}"), async || {
        redis.clone().xlen::<_, usize>(&output).await.unwrap() >= numbers
    })
    .await;
    let expected: Vec<String> = (0..numbers).map(|n| n.to_string()).collect();
    assert_eq!(site.column(&output, "n").await, expected, "{group}");
}

#[tokio::test]
async fn what_running_lagging_and_stopped_consumers_have_yet_to_read_stays() {
    let mut site = Site::start().await;
    let quick = copying(site.server.url(), "quick").await;
    let proxy = Proxy::start(site.server.addr()).await;
    let lagging = copying(&proxy.url(), "lagging").await;
    let stopped = copying(site.server.url(), "stopped").await;
    add(&site, 0..100).await;
    copied(&mut site, "stopped", 100).await;
    within(stopped.shutdown()).await.unwrap();

    let done = AtomicBool::new(false);
    let loading = async {
        for n in 1..60 {
            // The lagging one stands still for a third of the time.
            let hold = (n % 3 == 0).then(|| proxy.hold_requests_containing(b"copies-of-lagging"));
            add(&site, 100 * n..100 * (n + 1)).await;
            tokio::task::yield_now().await;
            if let Some(hold) = hold {
                hold.release();
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let trimming = async {
        let exact = retention(&site).exact();
        let mut removed = 0;
        while !done.load(Ordering::Relaxed) {
            removed += exact.trim().await.unwrap().removed;
            removed += retention(&site).keep_entries(50).trim().await.unwrap().removed;
        }
        removed
    };
    let ((), removed) = tokio::join!(loading, trimming);
    assert!(removed <= 100, "{removed} entries were removed, and one group has committed 100");
    copied(&mut site, "quick", 6_000).await;
    copied(&mut site, "lagging", 6_000).await;
    let last = retention(&site).exact().trim().await.unwrap();
    let held = last.held_back_by.unwrap();
    assert_eq!((held.group.as_str(), held.behind, last.left, held.why), ("stopped", 5_900, 5_900, Holding::Behind));
    assert_eq!(removed + last.removed, 100);

    // It catches up, with trims at its heels.
    let stopped = copying(site.server.url(), "stopped").await;
    let gone = async {
        let exact = retention(&site).exact();
        loop {
            if exact.trim().await.unwrap().left == 0 {
                break;
            }
        }
    };
    within(gone).await;
    for (consumer, group) in [(quick, "quick"), (lagging, "lagging"), (stopped, "stopped")] {
        copied(&mut site, group, 6_000).await;
        assert_eq!(consumer.stats().vanished, 0, "{group}");
        assert_eq!(within(consumer.shutdown()).await.unwrap().vanished, 0, "{group}");
    }
}

#[tokio::test]
async fn what_a_rollback_takes_from_a_consumer_is_still_there() {
    for cut in [false, true] {
        let mut site = Site::start().await;
        let proxy = Proxy::start(site.server.addr()).await;
        let consumer = copying(&proxy.url(), "copier").await;
        add(&site, 0..20).await;
        copied(&mut site, "copier", 20).await;
        let hold = proxy.hold_requests_containing(b"copies-of-copier");
        add(&site, 20..40).await;
        hold.wait_until_held().await;
        let snapshot = Snapshot::take(&mut site.redis).await;
        hold.release();
        copied(&mut site, "copier", 40).await;
        // The consumer has forty entries in memory, and the server has twenty committed ones.
        snapshot.restore(&mut site.redis).await;
        let retained = retention(&site).exact().trim().await.unwrap();
        assert!(retained.removed >= 20, "{retained:?}");
        if cut {
            proxy.cut_all();
        }
        copied(&mut site, "copier", 40).await;
        eventually("it has found it out", async || consumer.stats().recoveries > 0).await;
        assert_eq!(consumer.stats().vanished, 0);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn pending_entries_of_another_program_stay_until_they_are_acknowledged() {
    let mut site = Site::start().await;
    add(&site, 0..1_000).await;
    let ids: Vec<String> = {
        let () = site.redis.xgroup_create(STREAM, "theirs", "0").await.unwrap();
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("theirs").arg("one").arg("COUNT").arg(600).arg("STREAMS").arg(STREAM).arg(">");
        let reply: redis::streams::StreamReadReply = read.query_async(&mut site.redis).await.unwrap();
        reply.keys[0].ids.iter().map(|entry| entry.id.clone()).collect()
    };
    let trim = async || retention(&site).exact().trim().await.unwrap();
    let mut redis = site.redis.clone();
    let held = trim().await;
    assert_eq!((held.removed, held.held_back_by.unwrap().why), (0, Holding::Pending));
    // All but the 250th and the last of them.
    let acknowledged: Vec<&String> = ids.iter().filter(|id| ![&ids[249], &ids[599]].contains(id)).collect();
    let () = redis.xack(STREAM, "theirs", &acknowledged).await.unwrap();
    let held = trim().await;
    assert_eq!((held.removed, held.left), (249, 751));
    let by = held.held_back_by.unwrap();
    assert_eq!((by.group.as_str(), by.behind, by.why), ("theirs", 751, Holding::Pending));
    assert_eq!(by.position.unwrap().to_string(), ids[599]);
    let () = redis.xack(STREAM, "theirs", &[&ids[249]]).await.unwrap();
    assert_eq!(trim().await.left, 401);
    let () = redis.xack(STREAM, "theirs", &[&ids[599]]).await.unwrap();
    let held = trim().await;
    assert_eq!((held.left, held.held_back_by.unwrap().why), (400, Holding::Behind));
}

#[tokio::test]
async fn a_large_stream_is_trimmed_in_parts_and_by_whole_nodes_unless_exactly() {
    let mut site = Site::start().await;
    add(&site, 0..35_050).await;
    let () = site.redis.xgroup_create(STREAM, "theirs", "$").await.unwrap();
    add(&site, 35_050..35_120).await;
    let floor = retention(&site).keep_entries(10_000).trim().await.unwrap();
    assert!((10_000..10_200).contains(&floor.left) && floor.held_back_by.is_none(), "{floor:?}");
    assert_eq!(floor.removed + floor.left, 35_120);
    let rough = retention(&site).trim().await.unwrap();
    assert!((70..270).contains(&rough.left), "{rough:?}");
    let held = rough.held_back_by.unwrap();
    assert_eq!((held.group.as_str(), held.behind), ("theirs", 70));
    // What rough trimming has left does not make a group that keeps up with the floor one that lags.
    assert_eq!(retention(&site).keep_entries(70).trim().await.unwrap().held_back_by, None);
    let dry = retention(&site).dry_run().await.unwrap();
    let exact = retention(&site).exact().trim().await.unwrap();
    assert_eq!((exact.left, dry), (70, exact));
}

#[tokio::test]
async fn a_group_that_comes_while_the_others_are_asked_is_heeded() {
    let mut site = Site::start().await;
    add(&site, 0..10).await;
    let () = site.redis.xgroup_create(STREAM, "first", "$").await.unwrap();
    let proxy = Proxy::start(site.server.addr()).await;
    let retention = Arc::new(Retention::new(&proxy.url(), STREAM).unwrap().exact());
    let hold = proxy.hold_requests_containing(b"EVALSHA");
    let call = tokio::spawn({
        let retention = Arc::clone(&retention);
        async move { retention.trim().await }
    });
    hold.wait_until_held().await;
    let () = site.redis.xgroup_create(STREAM, "second", "0").await.unwrap();
    hold.release();
    let retained = within(call).await.unwrap().unwrap();
    assert_eq!((retained.removed, retained.held_back_by.unwrap().group), (0, "second".to_owned()));
    let hold = proxy.hold_requests_containing(b"EVALSHA");
    let call = tokio::spawn(async move { retention.trim().await });
    hold.wait_until_held().await;
    let () = site.redis.xgroup_destroy(STREAM, "second").await.unwrap();
    hold.release();
    assert_eq!(within(call).await.unwrap().unwrap().removed, 10, "one that has gone is not waited for");
}

#[tokio::test]
async fn its_rights_are_enough_and_without_them_nothing_is_removed() {
    let mut site = Site::start().await;
    add(&site, 0..10).await;
    let consumer = copying(site.server.url(), GROUP).await;
    copied(&mut site, GROUP, 10).await;
    within(consumer.shutdown()).await.unwrap();
    let () = site.redis.xgroup_create(STREAM, "theirs", "0").await.unwrap();
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("theirs").arg("one").arg("COUNT").arg(2).arg("STREAMS").arg(STREAM).arg(">");
    let _: redis::Value = read.query_async(&mut site.redis).await.unwrap();
    let () = site.redis.xgroup_setid(STREAM, "theirs", "$").await.unwrap();
    let needed = "+evalsha +script|load +type +time +hmget +xinfo|groups +xinfo|stream +xinfo|consumers +xpending +xrange +xtrim";
    let needed: Vec<&str> = needed.split(' ').collect();
    let url = format!("redis://clerk:secret@{}/", site.server.addr());
    let trim = async || {
        let retention = Retention::new(&url, STREAM).unwrap().exact().keep_for(Duration::from_millis(1));
        retention.trim().await
    };
    for missing in &needed {
        let rights: Vec<&str> = needed.iter().copied().filter(|right| right != missing).collect();
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("clerk").arg("reset").arg("on").arg(">secret");
        command.arg(format!("~{STREAM}")).arg("~atomic-streams:*").arg(rights);
        let () = command.query_async(&mut site.redis).await.unwrap();
        if *missing == "+xtrim" {
            // Only now is there something to trim.
            let entries = site.redis.xrange_count::<_, _, _, _, redis::streams::StreamRangeReply>(STREAM, "-", "+", 2);
            let ids: Vec<String> = entries.await.unwrap().ids.into_iter().map(|entry| entry.id).collect();
            let () = site.redis.xack(STREAM, "theirs", &ids).await.unwrap();
        }
        let error = trim().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{missing}: {error}");
        assert_eq!(site.redis.xlen::<_, usize>(STREAM).await.unwrap(), 10, "{missing}");
    }
    let () = redis::cmd("ACL").arg("SETUSER").arg("clerk").arg("+xtrim").query_async(&mut site.redis).await.unwrap();
    assert_eq!(trim().await.unwrap().removed, 10);
}

#[tokio::test]
async fn a_full_server_can_be_trimmed_and_one_that_is_not_there_is_unavailable() {
    let mut site = Site::start().await;
    add(&site, 0..10).await;
    let () = site.redis.xgroup_create(STREAM, "theirs", "$").await.unwrap();
    let retention = retention(&site).exact();
    let () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).query_async(&mut site.redis).await.unwrap();
    assert_eq!(retention.trim().await.unwrap().removed, 10);
    site.server.kill();
    assert_eq!(retention.trim().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(Retention::new("http://x", STREAM).unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert_eq!(Retention::new("redis://x", "").unwrap_err().kind(), ErrorKind::InvalidConfig);
}
