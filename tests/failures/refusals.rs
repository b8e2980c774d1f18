//! Servers that refuse writes for a while: each is named in the status and outlasted.

use std::path::Path;
use std::time::Duration;

use atomic_streams::Status;
use redis::AsyncCommands;
use support::{Server, eventually};

use crate::bench::{Bench, LONG_LEASE, active, recovering, standing_by};
use crate::ledger::{OUTPUT, STREAM};

/// Lets the server refuse writes while commits are on their way, waits for the words in the status, and lets it go on.
async fn outlasted(bench: &mut Bench, refuse: &str, words: &str, allow: &str) {
    let consumer = bench.consumer().lease(Duration::from_secs(2)).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..400).await;
    hold.wait_until_held().await;
    bench.run(refuse).await;
    hold.release();
    recovering(&consumer, words).await;
    bench.check().await;
    assert_eq!(bench.books().await.processed, 20, "a refused commit was applied in part");
    bench.run(allow).await;
    bench.settled_exactly().await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_server_out_of_memory_is_named_and_outlasted() {
    let mut bench = Bench::start().await;
    outlasted(&mut bench, "CONFIG SET maxmemory 1", "maxmemory", "CONFIG SET maxmemory 0").await;
}

#[tokio::test]
async fn a_server_that_has_become_a_replica_is_named_and_outlasted() {
    let mut bench = Bench::start().await;
    // Of a primary that is not there, so that it keeps its data.
    outlasted(&mut bench, "REPLICAOF 127.0.0.1 1", "read-only replica", "REPLICAOF NO ONE").await;
}

#[tokio::test]
async fn a_server_with_too_few_replicas_is_named_and_outlasted() {
    let mut bench = Bench::start().await;
    let refuse = "CONFIG SET min-replicas-to-write 1";
    outlasted(&mut bench, refuse, "min-replicas-to-write", "CONFIG SET min-replicas-to-write 0").await;
}

#[tokio::test]
async fn a_server_that_cannot_write_its_snapshot_is_named_and_outlasted() {
    let mut bench = Bench::start().await;
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut bench.redis).await.unwrap();
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    // A folder where the snapshot would go.
    let in_the_way = Path::new(&folder).join("dump.rdb");
    std::fs::create_dir(&in_the_way).unwrap();
    let mut save = redis::cmd("CONFIG");
    let () = save.arg("SET").arg("save").arg("3600 1").query_async(&mut bench.redis).await.unwrap();
    snapshot_ends(&mut bench, "err").await;
    recovering(&consumer, "cannot write to its disk").await;
    std::fs::remove_dir(&in_the_way).unwrap();
    snapshot_ends(&mut bench, "ok").await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

async fn snapshot_ends(bench: &mut Bench, how: &str) {
    let redis = bench.redis.clone();
    eventually("the snapshot ends", async || {
        let mut redis = redis.clone();
        // One that runs already is as good.
        let _: redis::RedisResult<()> = redis::cmd("BGSAVE").query_async(&mut redis).await;
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis).await.unwrap();
        info.contains(&format!("rdb_last_bgsave_status:{how}"))
    })
    .await;
}

#[tokio::test]
async fn a_server_busy_with_a_script_is_named_and_outlasted() {
    let mut bench = Bench::with(Server::builder().arg("--lua-time-limit", "20")).await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let mut stuck = bench.server.connection().await;
    let script = tokio::spawn(async move {
        redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<redis::Value>(&mut stuck).await
    });
    recovering(&consumer, "busy").await;
    bench.run("SCRIPT KILL").await;
    assert!(script.await.unwrap().is_err());
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn an_idle_owner_keeps_its_lease_on_a_server_out_of_memory() {
    let mut bench = Bench::start().await;
    let lease = Duration::from_secs(2);
    let owner = bench.consumer().lease(lease).spawn().await.unwrap();
    let standby = bench.consumer().lease(lease).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    bench.run("CONFIG SET maxmemory 1").await;
    // Three leases: each is renewed three times.
    bench.renewals(9).await;
    assert_eq!(*owner.status().borrow(), Status::Active);
    assert_eq!(owner.stats().recoveries, 0);
    assert_ne!(*standby.status().borrow(), Status::Active);
    bench.run("CONFIG SET maxmemory 0").await;
    standing_by(&standby).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    assert_eq!((owner.stats().recoveries, standby.stats().processed), (0, 0));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_pipeline_lets_none_behind_be_applied() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    for round in 0..5 {
        let first = 1_000 * round;
        let mut pipe = redis::pipe();
        for n in first..first + 1_000 {
            pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
        }
        let () = pipe.query_async(&mut bench.redis).await.unwrap();
        bench.processed(first as u64 + 1).await;
        bench.run("CONFIG SET min-replicas-to-write 1").await;
        bench.check().await;
        bench.run("CONFIG SET min-replicas-to-write 0").await;
        bench.settled_exactly().await;
    }
    active(&consumer).await;
    assert_eq!(bench.redis.xlen::<_, u64>(OUTPUT).await.unwrap(), 5_000);
}
