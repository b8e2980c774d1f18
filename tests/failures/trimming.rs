//! Entries that go from the stream before they are read or committed.

use std::sync::atomic::{AtomicBool, Ordering};

use atomic_streams::ConsumerHandle;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoGroupsReply;
use support::eventually;

use crate::bench::{Bench, LONG_LEASE, recoveries};
use crate::ledger::{OUTPUT, STREAM};

async fn vanished(consumer: &ConsumerHandle, entries: u64) {
    eventually("the lost entries are counted", async || consumer.stats().vanished >= entries).await;
    assert_eq!(consumer.stats().vanished, entries);
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
    let consumer = bench.spawn().await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..10).chain(28..40).collect::<Vec<_>>());
    vanished(&consumer, 18).await;
    no_lag(&mut bench).await;
}

#[tokio::test]
async fn entries_trimmed_before_a_running_reader_gets_to_them_are_counted() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(std::time::Duration::from_secs(3)).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 10..40 {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    pipe.cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg("=").arg(5).ignore();
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
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
    consumer.shutdown().await.unwrap();
    for n in 1..=9 {
        bench.add_as(&format!("99999999999999-{n}"), 9 + n).await;
    }
    let () = bench.redis.xdel(STREAM, &["99999999999999-3", "99999999999999-9"]).await.unwrap();
    let consumer = bench.spawn().await;
    let redis = bench.redis.clone();
    eventually("the entries are handled", async || {
        redis.clone().hget::<_, _, u64>(crate::ledger::RECORD, "@processed").await.unwrap() == 17
    })
    .await;
    bench.books().await.assert_are_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17]);
    // The position is before the stream's last ID until another entry comes.
    bench.add_as("99999999999999-10", 19).await;
    bench.settled().await;
    vanished(&consumer, 2).await;
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
