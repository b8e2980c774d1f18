//! Records that are deleted, evicted, or about to expire, and a server that is emptied.

use atomic_streams::{ErrorKind, RecordLost, Status};
use redis::AsyncCommands;
use support::{Server, eventually};

use crate::bench::{Bench, Log, active, ended, recoveries};
use crate::ledger::{OUTPUT, RECORD, STREAM};

#[tokio::test]
async fn an_emptied_server_makes_a_new_subscription_and_says_so() {
    let log = Log::start();
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..50).await;
    bench.settled_exactly().await;
    bench.run("FLUSHALL").await;
    recoveries(&consumer, 1).await;
    bench.add(100..150).await;
    bench.settled_exactly().await;
    assert_eq!(bench.books().await.processed, 50, "the old state has come back");
    log.shows(&["session ended", "the record is gone", STREAM]).await;
    log.shows(&["a new subscription begins", STREAM]).await;
}

#[tokio::test]
async fn a_server_emptied_under_load_keeps_state_and_outputs_together() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    for round in 0..4 {
        let (first, before) = (500 * round, consumer.stats().recoveries);
        bench.add(first..first + 500).await;
        bench.processed(1).await;
        bench.run("FLUSHALL").await;
        recoveries(&consumer, before + 1).await;
        bench.check().await;
    }
    bench.add(5_000..5_050).await;
    bench.settled_exactly().await;
    assert_eq!(bench.books().await.processed, 50);
}

#[tokio::test]
async fn a_record_deleted_under_a_running_consumer_ends_it() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..50).await;
    bench.settled().await;
    let () = bench.redis.del(RECORD).await.unwrap();
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::RecordLost);
    assert!(error.to_string().contains("on_record_lost"), "{error}");
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
    assert!(!bench.redis.exists::<_, bool>(RECORD).await.unwrap(), "it has made another record");
}

#[tokio::test]
async fn a_record_deleted_before_the_start_refuses_it() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..50).await;
    bench.settled().await;
    consumer.shutdown().await.unwrap();
    let () = bench.redis.del(RECORD).await.unwrap();
    let error = bench.consumer().spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordLost);
    assert!(!bench.redis.exists::<_, bool>(RECORD).await.unwrap(), "it has made another record");
}

#[tokio::test]
async fn a_lost_record_is_begun_anew_where_that_is_allowed_running_and_before_the_start() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().on_record_lost(RecordLost::StartOver).spawn().await.unwrap();
    bench.add(0..50).await;
    bench.settled_exactly().await;
    let () = bench.redis.del(RECORD).await.unwrap();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    assert_twice(&mut bench, 50).await;

    consumer.shutdown().await.unwrap();
    let () = bench.redis.del(&[RECORD, OUTPUT]).await.unwrap();
    let consumer = bench.consumer().on_record_lost(RecordLost::StartOver).spawn().await.unwrap();
    bench.settled_exactly().await;
    active(&consumer).await;
}

/// The state is that of one time, and the outputs are there for each time.
async fn assert_twice(bench: &mut Bench, numbers: i64) {
    let mut books = bench.books().await;
    let again = books.sums.split_off(numbers as usize);
    assert_eq!(books.sums, again);
    books.assert_are_of(&(0..numbers).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_may_evict_the_record_is_refused_unless_that_is_allowed() {
    let evicting = Server::builder().arg("--maxmemory", "1gb").arg("--maxmemory-policy", "allkeys-lru");
    let evicting = evicting.arg("--maxmemory-samples", "64");
    let mut bench = Bench::with(evicting).await;
    let error = bench.consumer().spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedServer);
    assert!(error.to_string().contains("allkeys-lru") && error.to_string().contains("allow_eviction"), "{error}");

    let consumer = bench.consumer().allow_eviction().spawn().await.unwrap();
    bench.add(0..50).await;
    bench.settled_exactly().await;
    consumer.shutdown().await.unwrap();
    evict_the_record(&mut bench).await;
    let error = bench.consumer().allow_eviction().spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordLost);
    let over = bench.consumer().allow_eviction().on_record_lost(RecordLost::StartOver);
    let consumer = over.spawn().await.unwrap();
    bench.settled().await;
    active(&consumer).await;
}

/// Makes the memory so small that the server evicts what was not used for longest: the record, and some fillers.
async fn evict_the_record(bench: &mut Bench) {
    unused_unlike_the_streams(bench, RECORD).await;
    for filler in 0..10 {
        let () = bench.redis.set(format!("filler-{filler}"), vec![b'x'; 100_000]).await.unwrap();
    }
    unused_unlike_the_streams(bench, "filler-9").await;
    let memory: String = redis::cmd("INFO").arg("memory").query_async(&mut bench.redis).await.unwrap();
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse::<u64>().ok()).unwrap();
    bench.run(&format!("CONFIG SET maxmemory {}", used - 200_000)).await;
    let mut redis = bench.redis.clone();
    eventually("the record is evicted", async || !redis.exists::<_, bool>(RECORD).await.unwrap()).await;
    bench.run("CONFIG SET maxmemory 1gb").await;
    assert!(bench.redis.exists::<_, bool>(STREAM).await.unwrap());
}

/// Waits until the key was not used for a while and the streams were; the server tells such times by the second.
async fn unused_unlike_the_streams(bench: &mut Bench, key: &str) {
    let mut redis = bench.redis.clone();
    eventually("the key was not used for a while", async || {
        let mut pipe = redis::pipe();
        pipe.xlen(STREAM).ignore().xlen(OUTPUT).ignore().cmd("OBJECT").arg("IDLETIME").arg(key);
        let (idle,): (u64,) = pipe.query_async(&mut redis).await.unwrap();
        idle >= 1
    })
    .await;
}

#[tokio::test]
async fn a_record_that_was_given_a_time_to_live_keeps_it_no_longer_than_to_the_next_start() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    consumer.shutdown().await.unwrap();
    let () = bench.redis.expire(RECORD, 3_600).await.unwrap();
    let _consumer = bench.spawn().await;
    assert_eq!(bench.redis.ttl::<_, i64>(RECORD).await.unwrap(), -1);
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_record_that_expires_is_a_lost_record() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let () = bench.redis.pexpire(RECORD, 1).await.unwrap();
    assert_eq!(ended(&consumer).await.kind(), ErrorKind::RecordLost);
}
