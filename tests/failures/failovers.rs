//! Primaries that are demoted, and replicas that lag behind, under connections that survive.

use std::time::Duration;

use redis::AsyncCommands;
use support::{Existing, Fault, Server, eventually};

use crate::bench::{Bench, LONG_LEASE, active, add, recoveries, run, settled};
use crate::ledger::{Books, OUTPUT, RECORD, STREAM};

/// A replica of the bench's server that has what the server has now, and will get no more.
async fn lagging_replica(bench: &mut Bench) -> Server {
    let replica = Server::builder().replica_of(&bench.server).start().await;
    let mut copy = replica.connection().await;
    let redis = bench.redis.clone();
    eventually("the replica has everything", async || {
        let there = Books::read(&mut redis.clone(), STREAM, RECORD, OUTPUT).await;
        let here = Books::read(&mut copy, STREAM, RECORD, OUTPUT).await;
        there.processed == here.processed && there.sums == here.sums
    })
    .await;
    run(&mut copy, "REPLICAOF NO ONE").await;
    replica
}

/// Makes the bench's server what the other one is, and a primary again, while its clients stay connected.
async fn resynchronise(bench: &mut Bench, other: &Server) {
    bench.run(&format!("REPLICAOF 127.0.0.1 {}", other.port())).await;
    bench.server.linked().await;
    bench.run("REPLICAOF NO ONE").await;
}

#[tokio::test]
async fn a_primary_demoted_resynchronised_and_promoted_in_place_while_the_consumer_is_idle() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let other = lagging_replica(&mut bench).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    resynchronise(&mut bench, &other).await;
    recoveries(&consumer, 1).await;
    bench.add(40..60).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..20).chain(40..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_that_arrives_after_its_primary_was_demoted_and_promoted_is_refused() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    let other = lagging_replica(&mut bench).await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..40).await;
    hold.wait_until_held().await;
    resynchronise(&mut bench, &other).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.add(40..60).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..20).chain(40..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_primary_demoted_and_promoted_under_load() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let other = lagging_replica(&mut bench).await;
    bench.add(20..1_000).await;
    bench.processed(100).await;
    resynchronise(&mut bench, &other).await;
    recoveries(&consumer, 1).await;
    bench.add(1_000..1_500).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..20).chain(1_000..1_500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_proxy_that_survives_a_failover_to_a_lagging_replica_and_sends_again() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let replica = lagging_replica(&mut bench).await;
    load_scripts(&replica).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    fail_over(&bench, &replica);

    let mut redis = replica.connection().await;
    recoveries(&consumer, 1).await;
    add(&mut redis, 40..60).await;
    settled(&mut redis, STREAM, RECORD).await;
    let books = Books::read(&mut redis, STREAM, RECORD, OUTPUT).await;
    books.assert_are_of(&(0..20).chain(40..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_that_a_proxy_sends_again_to_a_lagging_replica_is_refused() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    let replica = lagging_replica(&mut bench).await;
    load_scripts(&replica).await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..40).await;
    hold.wait_until_held().await;
    fail_over(&bench, &replica);
    hold.release();

    let mut redis = replica.connection().await;
    recoveries(&consumer, 1).await;
    Books::read(&mut redis, STREAM, RECORD, OUTPUT).await.assert_are_of(&(0..20).collect::<Vec<_>>());
    add(&mut redis, 40..60).await;
    settled(&mut redis, STREAM, RECORD).await;
    let books = Books::read(&mut redis, STREAM, RECORD, OUTPUT).await;
    books.assert_are_of(&(0..20).chain(40..60).collect::<Vec<_>>());
}

/// A consumer of another stream leaves the scripts there: without them, no commit could harm the replica anyway.
async fn load_scripts(server: &Server) {
    let builder = atomic_streams::Consumer::builder("elsewhere", "ledger").redis_url(server.url());
    builder.handler(crate::ledger::Ledger::default()).spawn().await.unwrap().shutdown().await.unwrap();
}

/// The clients notice nothing: their connections go on, and what was in flight is sent again.
fn fail_over(bench: &Bench, to: &Server) {
    bench.proxy.set(Fault::BlackHole);
    bench.server.kill();
    bench.proxy.retarget(to.addr(), Existing::MoveAndResend);
    bench.proxy.set(Fault::Pass);
}

#[tokio::test]
async fn a_reader_left_on_a_demoted_server_is_noticed() {
    let mut bench = Bench::start().await;
    let replica = Server::builder().replica_of(&bench.server).start().await;
    let mut copy = replica.connection().await;
    let () = bench.redis.set("any", "value").await.unwrap();
    eventually("what is written goes to the replica", async || copy.exists::<_, bool>("any").await.unwrap()).await;
    // The committer connects here; the reader, when this attach has reached the replica, connects there.
    let attach = bench.proxy.hold_replies_after_request(OWNER.as_bytes());
    let builder = bench.consumer().lease(Duration::from_secs(2)).owner_name(OWNER);
    let spawning = tokio::spawn(builder.spawn());
    attach.wait_until_held().await;
    eventually("the replica knows the owner", async || {
        let owner: Option<String> = copy.hget(RECORD, "@owner").await.unwrap();
        owner.is_some()
    })
    .await;
    bench.proxy.retarget(replica.addr(), Existing::Stay);
    attach.release();
    let consumer = spawning.await.unwrap().unwrap();
    eventually("the reader waits at the replica", async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut copy).await.unwrap();
        clients.contains(" cmd=xread ")
    })
    .await;
    bench.proxy.retarget(bench.server.addr(), Existing::Stay);
    run(&mut copy, "REPLICAOF NO ONE").await;

    bench.add(0..20).await;
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
    active(&consumer).await;
}

const OWNER: &str = "the-owner-of-this-test";
