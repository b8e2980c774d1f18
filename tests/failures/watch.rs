//! Idle consumers that wait together on one connection, when that breaks or what they wait for goes bad: those whom it
//! concerns recover or end, and nobody else notices.

use std::time::Duration;

use atomic_streams::{Consumer, ConsumerHandle, ErrorKind};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Existing, Server, eventually};

use crate::bench::{Bench, LEASE, active, ended, recoveries, run, settled};
use crate::ledger::{Books, GROUP, Ledger};

/// More than may be idle on connections of their own.
const MANY: usize = 10;

/// The one that something happens to.
const ONE: usize = 4;

fn stream(n: usize) -> String {
    format!("{{idle-{n}}}")
}

fn output(n: usize) -> String {
    format!("{{idle-{n}}}-sums")
}

fn record(n: usize) -> String {
    format!("atomic-streams:{{idle-{n}}}:{GROUP}")
}

async fn spawn(url: &str, lease: Duration) -> Vec<ConsumerHandle> {
    let mut consumers = Vec::new();
    for n in 0..MANY {
        let handler = Ledger::default().only_to(output(n).leak());
        let builder = Consumer::builder(stream(n), GROUP).redis_url(url).lease(lease).handler(handler);
        consumers.push(builder.spawn().await.unwrap());
    }
    consumers
}

async fn add_to(redis: &mut MultiplexedConnection, n: usize, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let () = redis.xadd(stream(n), "*", &[("n", number)]).await.unwrap();
    }
}

/// Waits until all that the stream holds is handled, and holds the results against it.
async fn settled_exactly(redis: &mut MultiplexedConnection, n: usize) {
    settled(redis, &stream(n), &record(n)).await;
    let books = Books::read(redis, &stream(n), &record(n), &output(n)).await;
    books.assert_are_of(&books.handled);
}

/// The IDs of the clients that read.
async fn readers(redis: &mut MultiplexedConnection) -> Vec<u64> {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(redis).await.unwrap();
    let reading = clients.lines().filter(|line| line.contains(" cmd=xread "));
    reading.filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("id=")?.parse().ok())).collect()
}

/// Waits until all wait on one connection, and returns its ID.
async fn shared(redis: &MultiplexedConnection) -> u64 {
    eventually("all wait on one connection", async || {
        let readers = readers(&mut redis.clone()).await;
        (readers.len() == 1).then(|| readers[0])
    })
    .await
}

/// Waits until the owner of the record has renewed its lease so many times.
async fn renewals(redis: &MultiplexedConnection, n: usize, times: usize) {
    let lease = || async { redis.clone().hget::<_, _, Option<String>>(record(n), "@lease").await.unwrap() };
    for _ in 0..times {
        let before = lease().await;
        eventually("the lease is renewed", async || lease().await != before).await;
    }
}

/// What the others do while something happens to one: they go on in the session that they had.
async fn others_go_on(redis: &mut MultiplexedConnection, consumers: &[ConsumerHandle]) {
    for n in (0..MANY).filter(|n| *n != ONE) {
        add_to(redis, n, 0..3).await;
        settled_exactly(redis, n).await;
        assert_eq!(consumers[n].stats().recoveries, 0);
    }
}

#[tokio::test]
async fn the_shared_connection_is_killed() {
    let mut bench = Bench::start().await;
    let consumers = spawn(&bench.proxy.url(), LEASE).await;
    let watch = shared(&bench.redis).await;
    bench.kill_client(watch).await;
    for (n, consumer) in consumers.iter().enumerate() {
        recoveries(consumer, 1).await;
        add_to(&mut bench.redis, n, 0..3).await;
    }
    for (n, consumer) in consumers.iter().enumerate() {
        settled_exactly(&mut bench.redis, n).await;
        assert_eq!(consumer.stats().recoveries, 1);
        active(consumer).await;
    }
    // They come together again, on another one.
    assert_ne!(shared(&bench.redis).await, watch);
    add_to(&mut bench.redis, ONE, 3..6).await;
    settled_exactly(&mut bench.redis, ONE).await;
}

#[tokio::test]
async fn a_stream_that_is_watched_is_deleted_and_made_anew() {
    let mut bench = Bench::start().await;
    let consumers = spawn(&bench.proxy.url(), LEASE).await;
    add_to(&mut bench.redis, ONE, 0..3).await;
    settled_exactly(&mut bench.redis, ONE).await;
    shared(&bench.redis).await;
    let () = bench.redis.del(stream(ONE)).await.unwrap();
    renewals(&bench.redis, ONE, 2).await;
    add_to(&mut bench.redis, ONE, 3..6).await;
    settled(&mut bench.redis, &stream(ONE), &record(ONE)).await;
    let books = Books::read(&mut bench.redis, &stream(ONE), &record(ONE), &output(ONE)).await;
    books.assert_are_of(&(0..6).collect::<Vec<_>>());
    others_go_on(&mut bench.redis, &consumers).await;
}

#[tokio::test]
async fn a_stream_that_is_watched_becomes_another_type() {
    let mut bench = Bench::start().await;
    let consumers = spawn(&bench.proxy.url(), LEASE).await;
    shared(&bench.redis).await;
    // It is not the renewal that finds it out.
    let renewal = bench.proxy.hold_requests_containing(record(ONE).as_bytes());
    renewal.wait_until_held().await;
    let () = bench.redis.set(stream(ONE), "a string").await.unwrap();
    let error = ended(&consumers[ONE]).await;
    assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
    others_go_on(&mut bench.redis, &consumers).await;
}

#[tokio::test]
async fn the_right_to_read_one_of_the_streams_is_withdrawn() {
    let mut bench = Bench::start().await;
    let rule = "ACL SETUSER worker reset on >secret +@all allkeys";
    bench.run(rule).await;
    let consumers = spawn(&format!("redis://worker:secret@{}/", bench.proxy.addr()), LEASE).await;
    shared(&bench.redis).await;
    let renewal = bench.proxy.hold_requests_containing(record(ONE).as_bytes());
    renewal.wait_until_held().await;
    let rest = (0..MANY).filter(|n| *n != ONE).map(|n| format!(" ~{}*", stream(n))).collect::<String>();
    bench.run(&format!("ACL SETUSER worker resetkeys ~atomic-streams:*{rest}")).await;
    let error = ended(&consumers[ONE]).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    others_go_on(&mut bench.redis, &consumers).await;
}

#[tokio::test]
async fn a_server_that_refuses_to_read_many_streams_at_once_is_asked_no_second_time() {
    let bench = Bench::with(Server::builder().arg("--cluster-enabled", "yes")).await;
    let mut redis = bench.redis.clone();
    run(&mut redis, "CLUSTER ADDSLOTSRANGE 0 16383").await;
    eventually("the cluster is up", async || {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut redis).await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
    let consumers = spawn(bench.server.url(), LEASE).await;
    let refusals = || async {
        let info: String = redis::cmd("INFO").arg("errorstats").query_async(&mut bench.redis.clone()).await.unwrap();
        info.lines().find_map(|line| line.strip_prefix("errorstat_CROSSSLOT:count=")?.trim().parse::<u64>().ok())
    };
    eventually("streams are read together", async || refusals().await.is_some()).await;
    // Time to ask again, and to take leave from a connection once more.
    renewals(&bench.redis, ONE, 16).await;
    eventually("each waits by itself", async || readers(&mut bench.redis.clone()).await.len() == MANY).await;
    assert_eq!(refusals().await, Some(1));
    let mut redis = bench.redis.clone();
    add_to(&mut redis, ONE, 0..3).await;
    settled_exactly(&mut redis, ONE).await;
    others_go_on(&mut redis, &consumers).await;
    assert_eq!(consumers[ONE].stats().recoveries, 0);
}

/// A replica that has what the server has, and gets more.
async fn replica_of(bench: &Bench) -> (Server, MultiplexedConnection) {
    let replica = Server::builder().replica_of(&bench.server).start().await;
    let copy = replica.connection().await;
    (replica, copy)
}

/// Waits until the replica holds the attaches of all.
async fn replicated(bench: &Bench, copy: &MultiplexedConnection) {
    for n in 0..MANY {
        eventually("the replica knows the owner", async || {
            let head = |redis: &MultiplexedConnection| {
                let mut redis = redis.clone();
                async move { redis.hget::<_, _, Option<String>>(record(n), "@head").await.unwrap() }
            };
            head(&bench.redis).await == head(copy).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_shared_connection_left_on_a_demoted_server_is_noticed_by_all() {
    let mut bench = Bench::start().await;
    let (replica, mut copy) = replica_of(&bench).await;
    // Nobody is idle before it is said so.
    let reads = bench.proxy.hold_requests_containing(b"\r\nXREAD\r\n");
    let consumers = spawn(&bench.proxy.url(), Duration::from_secs(3)).await;
    replicated(&bench, &copy).await;
    // What connects from here on, does so to the replica; it is the shared connection.
    bench.proxy.retarget(replica.addr(), Existing::Stay);
    reads.release();
    shared(&copy).await;
    eventually("nobody reads here", async || readers(&mut bench.redis.clone()).await.is_empty()).await;
    bench.proxy.retarget(bench.server.addr(), Existing::Stay);
    run(&mut copy, "REPLICAOF NO ONE").await;
    for n in 0..MANY {
        add_to(&mut bench.redis, n, 0..3).await;
    }
    for (n, consumer) in consumers.iter().enumerate() {
        recoveries(consumer, 1).await;
        settled_exactly(&mut bench.redis, n).await;
        active(consumer).await;
    }
}

#[tokio::test]
async fn a_session_of_another_server_does_not_come_to_wait_on_the_shared_connection() {
    let mut bench = Bench::start().await;
    let (replica, mut copy) = replica_of(&bench).await;
    let consumers = spawn(&bench.proxy.url(), LEASE).await;
    shared(&bench.redis).await;
    replicated(&bench, &copy).await;
    run(&mut copy, "REPLICAOF NO ONE").await;
    // One attaches on the promoted server, the others and their connection stay behind.
    bench.proxy.retarget(replica.addr(), Existing::Stay);
    let committer = committer(&mut bench.redis).await;
    bench.kill_client(committer).await;
    let moved =
        eventually("one session ends", async || consumers.iter().position(|it| it.stats().recoveries == 1)).await;
    renewals(&copy, moved, 10).await;
    add_to(&mut copy, moved, 0..3).await;
    settled_exactly(&mut copy, moved).await;
    assert_eq!(consumers[moved].stats().recoveries, 1, "it has waited on the wrong server");
}

/// A connection on which commits and renewals go.
async fn committer(redis: &mut MultiplexedConnection) -> u64 {
    eventually("a client runs a script", async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(redis).await.unwrap();
        let line = clients.lines().find(|line| line.contains(" cmd=evalsha "))?;
        line.split(' ').find_map(|field| field.strip_prefix("id=")?.parse().ok())
    })
    .await
}
