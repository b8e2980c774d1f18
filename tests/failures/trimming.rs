//! Entries that go from the stream before they are read or committed.

use std::sync::atomic::{AtomicBool, Ordering};

use atomic_streams::{ConsumerHandle, ErrorKind, UnreadTrimmed};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoGroupsReply;
use support::{Snapshot, eventually};

use crate::bench::{Bench, LONG_LEASE, Log, ended, recoveries};
use crate::ledger::{GROUP, OUTPUT, RECORD, STREAM};

async fn vanished(consumer: &ConsumerHandle, entries: u64) {
    eventually("the lost entries are counted", async || consumer.stats().vanished >= entries).await;
    assert_eq!(consumer.stats().vanished, entries);
}

/// Adds numbers and keeps the newest ones, in one breath: no reader sees the others.
async fn add_and_trim(bench: &mut Bench, numbers: std::ops::Range<i64>, keep: usize) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in numbers {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    pipe.cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg("=").arg(keep).ignore();
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
}

async fn base(bench: &Bench, base: i64) {
    let redis = bench.redis.clone();
    eventually("a renewal has counted", async || {
        redis.clone().hget::<_, _, i64>(RECORD, "@base").await.unwrap() == base
    })
    .await;
}

/// The lag as the server tells it. A negative one would come as a huge or an unreadable number.
async fn lag(redis: &mut MultiplexedConnection) -> Option<usize> {
    let groups: StreamInfoGroupsReply = redis.xinfo_groups(STREAM).await.unwrap();
    let lag = groups.groups.first()?.lag;
    assert!(lag.is_none_or(|lag| lag < 1_000_000), "lag {lag:?}");
    lag
}

async fn no_lag(bench: &mut Bench) {
    let redis = bench.redis.clone();
    eventually("the lag is 0", async || lag(&mut redis.clone()).await == Some(0)).await;
}

#[tokio::test]
async fn entries_trimmed_while_nobody_reads_are_counted() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..10).await;
    bench.settled_exactly().await;
    consumer.shutdown().await.unwrap();
    bench.add(10..40).await;
    bench.run(&format!("XTRIM {STREAM} MAXLEN = 12")).await;
    let log = Log::start();
    let consumer = bench.spawn().await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..10).chain(28..40).collect::<Vec<_>>());
    vanished(&consumer, 18).await;
    let told = ["trimmed before they were read", "entries=18", STREAM, GROUP, "MAXLEN", "Retention"];
    log.shows(&told).await;
    no_lag(&mut bench).await;
    bench.renewals(2).await;
    assert_eq!(log.count(&["before they were read"]), 1, "they are told of once");
    let stats = consumer.stats();
    assert_eq!((stats.trimmed, stats.deleted), (18, 0));
    assert_eq!(consumer.shutdown().await.unwrap().vanished, 18);
    let next = bench.spawn().await;
    bench.renewals(1).await;
    assert_eq!(next.stats().vanished, 0, "an earlier consumer has told of them");
}

#[tokio::test]
async fn a_consumer_that_is_to_stop_at_trimmed_entries_handles_nothing_behind_them() {
    let mut bench = Bench::start().await;
    let stopping = |bench: &Bench| bench.consumer().on_unread_trimmed(UnreadTrimmed::Stop);
    let consumer = stopping(&bench).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled_exactly().await;
    consumer.shutdown().await.unwrap();
    bench.add(10..40).await;
    bench.run(&format!("XTRIM {STREAM} MAXLEN = 12")).await;
    for _ in 0..2 {
        let error = stopping(&bench).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnreadTrimmed);
        let text = error.to_string();
        for words in [STREAM, GROUP, ": 18 entries were trimmed", "MAXLEN", "UnreadTrimmed::Warn"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    bench.books().await.assert_are_of(&(0..10).collect::<Vec<_>>());
    // Who knows of it goes on.
    let consumer = bench.spawn().await;
    bench.settled().await;
    vanished(&consumer, 18).await;
    consumer.shutdown().await.unwrap();
    let consumer = stopping(&bench).spawn().await.unwrap();
    bench.add(40..50).await;
    bench.settled().await;
    bench.renewals(2).await;
    bench.books().await.assert_are_of(&(0..10).chain(28..50).collect::<Vec<_>>());
    assert_eq!(consumer.stats().vanished, 0);
}

#[tokio::test]
async fn a_running_consumer_that_is_to_stop_ends_at_its_next_renewal_and_so_does_the_next() {
    let mut bench = Bench::start().await;
    let stopping = |bench: &Bench| bench.consumer().on_unread_trimmed(UnreadTrimmed::Stop);
    let consumer = stopping(&bench).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    add_and_trim(&mut bench, 10..40, 5).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::UnreadTrimmed);
    assert!(error.to_string().contains("25 entries were trimmed"), "{error}");
    // Nobody need wait for its lease, and what it had handled is not taken for an answer.
    let next = stopping(&bench).lease(LONG_LEASE).spawn().await.unwrap_err();
    assert_eq!(next.kind(), ErrorKind::UnreadTrimmed);
    let consumer = bench.spawn().await;
    bench.settled().await;
    vanished(&consumer, 25).await;
    bench.books().await.assert_are_of(&(0..10).chain(35..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_renewal_that_is_rolled_back_does_not_count_again() {
    for cut in [false, true] {
        let mut bench = Bench::start().await;
        let log = Log::start();
        let consumer = bench.consumer().lease(std::time::Duration::from_secs(3)).spawn().await.unwrap();
        bench.add(0..10).await;
        bench.settled().await;
        let hold = bench.proxy.hold_requests_containing(RECORD.as_bytes());
        add_and_trim(&mut bench, 10..40, 5).await;
        hold.wait_until_held().await;
        let snapshot = Snapshot::take(&mut bench.redis).await;
        hold.release();
        vanished(&consumer, 25).await;
        let before = consumer.stats().recoveries;
        snapshot.restore(&mut bench.redis).await;
        if cut {
            bench.proxy.cut_all();
        }
        recoveries(&consumer, before + 1).await;
        bench.settled().await;
        base(&bench, 25).await;
        bench.renewals(1).await;
        bench.books().await.assert_are_of(&(0..10).chain(35..40).collect::<Vec<_>>());
        assert_eq!(consumer.stats().vanished, 25);
        assert_eq!(log.count(&["before they were read"]), 1);
        add_and_trim(&mut bench, 40..60, 3).await;
        bench.settled().await;
        vanished(&consumer, 25 + 17).await;
    }
}

#[tokio::test]
async fn what_a_renewal_counts_is_told_though_its_reply_is_lost() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(std::time::Duration::from_secs(6)).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    let hold = bench.proxy.hold_requests_containing(RECORD.as_bytes());
    hold.wait_until_held().await;
    // The renewal finds the position before all that the stream holds.
    add_and_trim(&mut bench, 10..40, 5).await;
    let replies = bench.proxy.hold_replies_after_request(RECORD.as_bytes());
    hold.release();
    base(&bench, 25).await;
    bench.proxy.cut_all();
    replies.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    vanished(&consumer, 25).await;
    bench.renewals(1).await;
    assert_eq!(consumer.stats().vanished, 25);
}

#[tokio::test]
async fn entries_trimmed_before_a_running_reader_gets_to_them_are_counted() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(std::time::Duration::from_secs(3)).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    add_and_trim(&mut bench, 10..40, 5).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..10).chain(35..40).collect::<Vec<_>>());
    vanished(&consumer, 25).await;
    no_lag(&mut bench).await;
}

#[tokio::test]
async fn entries_deleted_between_others_are_counted_and_leave_no_lag() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..10).await;
    bench.settled().await;
    // Everything is counted up to here.
    bench.renewals(1).await;
    consumer.shutdown().await.unwrap();
    for n in 1..=9 {
        bench.add_as(&format!("99999999999999-{n}"), 9 + n).await;
    }
    let () = bench.redis.xdel(STREAM, &["99999999999999-3", "99999999999999-9"]).await.unwrap();
    // What is deleted by name is no reason to stop.
    let consumer = bench.consumer().on_unread_trimmed(UnreadTrimmed::Stop).spawn().await.unwrap();
    let redis = bench.redis.clone();
    eventually("the entries are handled", async || {
        redis.clone().hget::<_, _, u64>(RECORD, "@processed").await.unwrap() == 17
    })
    .await;
    bench.books().await.assert_are_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17]);
    // The position is before the stream's last ID until another entry comes.
    bench.add_as("99999999999999-10", 19).await;
    bench.settled().await;
    vanished(&consumer, 2).await;
    let stats = consumer.stats();
    assert_eq!((stats.trimmed, stats.deleted), (0, 2), "the first entries are still there");
    no_lag(&mut bench).await;
}

#[tokio::test]
async fn a_whole_read_that_is_trimmed_before_its_first_commit_is_read_again() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    // All of it lies there before the reader looks again, and its first read takes less than 30.
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..40 {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
    hold.wait_until_held().await;
    bench.run(&format!("XTRIM {STREAM} MAXLEN = 10")).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(30..40).collect::<Vec<_>>());
    bench.add(40..60).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(30..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_emptied_before_the_first_commit_of_a_read_is_gone_on_with() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(0..10).await;
    hold.wait_until_held().await;
    bench.run(&format!("XTRIM {STREAM} MAXLEN = 0")).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.add(10..30).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(10..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn progress_is_made_while_a_producer_keeps_the_stream_at_ten_entries() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    let enough = AtomicBool::new(false);
    let mut redis = bench.server.connection().await;
    let produce = async {
        let mut n = 0;
        while !enough.load(Ordering::Relaxed) {
            let mut add = redis::cmd("XADD");
            add.arg(STREAM).arg("MAXLEN").arg("=").arg(10).arg("*").arg("n").arg(n);
            let () = add.query_async(&mut redis).await.unwrap();
            n += 1;
        }
        n as u64
    };
    let mut looking = bench.redis.clone();
    let watch = async {
        eventually("entries are handled all the while", async || {
            lag(&mut looking).await;
            consumer.stats().processed >= 2_000
        })
        .await;
        enough.store(true, Ordering::Relaxed);
    };
    let (added, ()) = tokio::join!(produce, watch);
    bench.settled().await;
    no_lag(&mut bench).await;
    let books = bench.books().await;
    let numbers: Vec<i64> = books.sums.iter().map(|sum| sum.n).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "entries were repeated or changed places");
    books.assert_are_of(&numbers);
    assert_eq!(numbers.last(), Some(&(added as i64 - 1)));
    vanished(&consumer, added - numbers.len() as u64).await;
}

#[tokio::test]
async fn trimmed_entries_are_counted_while_more_come_and_go() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    let enough = AtomicBool::new(false);
    let mut redis = bench.server.connection().await;
    let produce = async {
        let mut n = 0;
        while !enough.load(Ordering::Relaxed) {
            // Of thirty entries in one breath, twenty are never there for a reader.
            let mut pipe = redis::pipe();
            pipe.atomic();
            for _ in 0..30 {
                pipe.cmd("XADD").arg(STREAM).arg("MAXLEN").arg("=").arg(10).arg("*").arg("n").arg(n).ignore();
                n += 1;
            }
            let () = pipe.query_async(&mut redis).await.unwrap();
        }
        n as u64
    };
    let watch = async {
        for _ in 0..3 {
            let before = consumer.stats().vanished;
            eventually("more are counted all the while", async || consumer.stats().vanished > before).await;
        }
        enough.store(true, Ordering::Relaxed);
    };
    let (added, ()) = tokio::join!(produce, watch);
    bench.settled().await;
    let handled = bench.books().await.sums.len() as u64;
    vanished(&consumer, added - handled).await;
    // Where a session ends before the reply to its renewal is there, the count is known and the cause is not.
    let stats = consumer.stats();
    assert!(stats.deleted == 0 && stats.trimmed > 0, "nothing was ever deleted by name: {stats:?}");
    no_lag(&mut bench).await;
}
