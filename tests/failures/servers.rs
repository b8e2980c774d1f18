//! Servers that are not there yet, go and come back, load, are full, or stand still.

use atomic_streams::Status;
use redis::AsyncCommands;
use support::{Server, eventually};

use crate::bench::{Bench, LONG_LEASE, active, consumer, recoveries, recovering};
use crate::ledger::{OUTPUT, STREAM};

fn durable() -> support::ServerBuilder {
    Server::builder().append_only("always")
}

#[tokio::test]
async fn a_consumer_may_be_started_before_its_server() {
    let mut bench = Bench::with(durable()).await;
    bench.add(0..20).await;
    bench.server.kill();
    let consumer = consumer(bench.server.url()).spawn().await.unwrap();
    recovering(&consumer, "connection").await;
    assert_eq!(consumer.stats().position, None);
    bench.server.restart().await;
    bench.redis = bench.server.connection().await;
    bench.settled_exactly().await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_consumer_may_be_started_on_a_replica_that_is_promoted_later() {
    let primary = Server::start().await;
    let mut bench = Bench::with(Server::builder().replica_of(&primary)).await;
    let consumer = bench.spawn().await;
    recovering(&consumer, "read-only replica").await;
    bench.run("REPLICAOF NO ONE").await;
    bench.add(0..20).await;
    bench.settled_exactly().await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_restart_while_idle_costs_nothing() {
    let mut bench = Bench::with(durable()).await;
    let consumer = bench.spawn().await;
    bench.add(0..50).await;
    bench.settled().await;
    bench.server.restart().await;
    bench.redis = bench.server.connection().await;
    recoveries(&consumer, 1).await;
    bench.add(50..100).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_restart_before_a_commit_arrives_costs_nothing() {
    let mut bench = Bench::with(durable()).await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(0..100).await;
    hold.wait_until_held().await;
    bench.server.kill();
    bench.server.restart().await;
    hold.release();
    bench.redis = bench.server.connection().await;
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_restart_after_a_commit_is_applied_and_before_its_reply_arrives_costs_nothing() {
    let mut bench = Bench::with(durable()).await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    let hold = bench.proxy.hold_replies_after_request(OUTPUT.as_bytes());
    bench.add(0..100).await;
    hold.wait_until_held().await;
    bench.processed(1).await;
    bench.server.kill();
    bench.proxy.cut_all();
    hold.release();
    bench.server.restart().await;
    bench.redis = bench.server.connection().await;
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn restarts_under_load_cost_nothing() {
    let mut bench = Bench::with(durable()).await;
    let consumer = bench.spawn().await;
    for round in 0..3 {
        let (first, before) = (400 * round, consumer.stats().recoveries);
        bench.add(first..first + 400).await;
        bench.processed(first as u64 + 1).await;
        bench.server.restart().await;
        bench.redis = bench.server.connection().await;
        rewrite_append_only_file(&bench.redis).await;
        recoveries(&consumer, before + 1).await;
        bench.check().await;
    }
    bench.settled_exactly().await;
}

/// Without it, Redis 7.0 and 8.2 replay the beginning of a transaction in whose midst they were killed at the restart after
/// the next: they cut the file behind the last whole command, not before the transaction.
async fn rewrite_append_only_file(redis: &redis::aio::MultiplexedConnection) {
    let () = redis::cmd("BGREWRITEAOF").query_async(&mut redis.clone()).await.unwrap();
    eventually("the append-only file is rewritten", async || {
        let persistence: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis.clone()).await.unwrap();
        ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"]
            .iter()
            .all(|line| persistence.contains(line))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for_by_name() {
    // Some milliseconds for each key, between which it answers: long enough to be met while it loads.
    let server =
        Server::builder().arg("--key-load-delay", "4000").arg("--loading-process-events-interval-bytes", "1024");
    let mut bench = Bench::with(server).await;
    let mut pipe = redis::pipe();
    for key in 0..600_u64 {
        let incompressible: Vec<u8> =
            (0..1_500).map(|n| (key.wrapping_mul(7_919).wrapping_add(n * n * 31) >> 3) as u8).collect();
        pipe.set(key, incompressible).ignore();
    }
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    bench.server.stop().await;
    tokio::join!(bench.server.restart(), recovering(&consumer, "loading"));
    bench.redis = bench.server.connection().await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_waited_for() {
    for password in ["", "secret"] {
        let builder = Server::builder();
        let builder = if password.is_empty() { builder } else { builder.password(password) };
        let mut bench = Bench::with(builder).await;
        let url = match password {
            "" => bench.proxy.url(),
            password => format!("redis://:{password}@{}/", bench.proxy.addr()),
        };
        let consumer = consumer(&url).spawn().await.unwrap();
        bench.add(0..20).await;
        bench.settled().await;
        bench.run("CONFIG SET maxclients 1").await;
        bench.add(20..40).await;
        let accepted = bench.proxy.accepted();
        bench.proxy.cut_all();
        // The refusal comes before any request, so the client may know no more than that it was hung up on.
        eventually("attaches are tried in vain", async || bench.proxy.accepted() >= accepted + 3).await;
        assert!(matches!(*consumer.status().borrow(), Status::Recovering { .. }));
        bench.run("CONFIG SET maxclients 1000").await;
        bench.settled_exactly().await;
    }
}

#[tokio::test]
async fn a_consumer_may_be_started_while_the_server_has_too_many_clients() {
    let mut bench = Bench::start().await;
    bench.add(0..20).await;
    bench.run("CONFIG SET maxclients 1").await;
    let consumer = bench.spawn().await;
    assert!(matches!(*consumer.status().borrow(), Status::Recovering { .. }));
    bench.run("CONFIG SET maxclients 1000").await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_while_it_is_set_up_is_given_up() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let hold = bench.proxy.hold_requests_containing(b"SCRIPT");
    bench.proxy.cut_all();
    hold.wait_until_held().await;
    let accepted = bench.proxy.accepted();
    eventually("another connection is tried", async || bench.proxy.accepted() > accepted).await;
    hold.release();
    bench.add(20..40).await;
    bench.settled_exactly().await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_server_that_stands_still_for_several_leases_costs_nothing() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..600).await;
    bench.processed(1).await;
    bench.server.pause();
    recoveries(&consumer, 1).await;
    // Each vain attempt waits about a lease for an answer.
    let accepted = bench.proxy.accepted();
    eventually("attaches are tried in vain", async || bench.proxy.accepted() >= accepted + 3).await;
    assert!(matches!(*consumer.status().borrow(), Status::Recovering { .. }));
    bench.server.resume();
    bench.settled_exactly().await;
    bench.add(600..700).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn scripts_flushed_while_idle_are_loaded_again() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    bench.run("SCRIPT FLUSH").await;
    recoveries(&consumer, 1).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn scripts_flushed_between_the_commits_of_a_pipeline_let_none_behind_be_applied() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    for round in 0..5 {
        let (first, before) = (1_000 * round, consumer.stats().recoveries);
        // In one pipeline: the flush comes in the middle of what the consumer commits.
        let mut pipe = redis::pipe();
        for n in first..first + 1_000 {
            pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
            if n == first + 700 {
                pipe.cmd("SCRIPT").arg("FLUSH").ignore();
            }
        }
        let () = pipe.query_async(&mut bench.redis).await.unwrap();
        recoveries(&consumer, before + 1).await;
        bench.settled_exactly().await;
    }
    let length: i64 = bench.redis.xlen(STREAM).await.unwrap();
    assert_eq!(length, 5_000);
}
