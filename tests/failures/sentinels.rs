//! Primaries that fail and come back, found through real sentinels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use atomic_streams::redis::Client;
use atomic_streams::{Consumer, ConsumerBuilder, ConsumerHandle, DeadLetters, ErrorKind, Producer, Sentinel, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use support::{SentinelSettings, Sentinels, Server, eventually};
use tokio::task::JoinHandle;

use crate::bench::{LEASE, active, recovering, run, settled};
use crate::ledger::{Books, GROUP, Ledger, OUTPUT, RECORD, STREAM};

const NAME: &str = "mymaster";

#[derive(Serialize)]
struct Number {
    n: i64,
}

/// A primary, a replica, and those who watch them.
struct Set {
    primary: Server,
    replica: Server,
    sentinels: Sentinels,
}

impl Set {
    async fn start() -> Self {
        let primary = Server::builder().append_only("always").start().await;
        let replica = Server::builder().append_only("always").replica_of(&primary).start().await;
        let settings = SentinelSettings { down_after_ms: 1_000, ..SentinelSettings::default() };
        let sentinels = Sentinels::watch(&primary, 1, NAME, settings).await;
        Self { primary, replica, sentinels }
    }

    /// Waits until one of the two is a primary and the other its replica; says which is which. On a machine that stands still for
    /// a while, the sentinels may change their minds more than once.
    async fn at_rest(&self) -> (&Server, &Server) {
        // A connection for each question: who becomes a primary or a replica hangs up on its clients.
        let role = async |server: &Server| -> Option<(bool, bool)> {
            let mut redis = server.client().get_multiplexed_async_connection().await.ok()?;
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut redis).await.ok()?;
            Some((info.contains("role:master"), info.contains("master_link_status:up")))
        };
        eventually("one follows the other", async || match (role(&self.primary).await, role(&self.replica).await) {
            (Some((true, _)), Some((false, true))) => Some((&self.primary, &self.replica)),
            (Some((false, true)), Some((true, _))) => Some((&self.replica, &self.primary)),
            _ => None,
        })
        .await
    }

    fn sentinel(&self) -> Sentinel {
        Sentinel::new(NAME, self.sentinels.urls()).unwrap()
    }
}

fn consumer(sentinel: &Sentinel) -> ConsumerBuilder<Ledger> {
    Consumer::builder(STREAM, GROUP).sentinel(sentinel).lease(LEASE).handler(Ledger::default())
}

/// Adds number after number, each once, whatever becomes of it; returns how many were added.
fn produce(sentinel: &Sentinel, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    let producer = Producer::with_sentinel(sentinel);
    tokio::spawn(async move {
        let mut added = 0;
        for n in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            // It waits for a new primary as long as it takes.
            match producer.publish(STREAM, &Number { n }).await {
                Ok(_) => added += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
            tokio::task::yield_now().await;
        }
        added
    })
}

async fn processed(redis: &MultiplexedConnection) -> u64 {
    redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap().unwrap_or(0)
}

async fn more_than(redis: &MultiplexedConnection, entries: u64) {
    eventually("more is committed", async || processed(redis).await > entries).await;
}

/// State and outputs on this server are those of what it has kept.
async fn check(server: &Server) -> Books {
    let mut redis = server.connection().await;
    settled(&mut redis, STREAM, RECORD).await;
    let books = Books::read(&mut redis, STREAM, RECORD, OUTPUT).await;
    books.assert_are_of(&books.handled);
    books
}

async fn end(stop: &AtomicBool, producing: JoinHandle<usize>) -> usize {
    stop.store(true, Relaxed);
    producing.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_followed_by_its_replica() {
    let set = Set::start().await;
    let (sentinel, stop) = (set.sentinel(), Arc::new(AtomicBool::new(false)));
    let consumer = consumer(&sentinel).spawn().await.unwrap();
    let producing = produce(&sentinel, Arc::clone(&stop));
    more_than(&set.primary.connection().await, 200).await;
    set.primary.kill();
    set.sentinels.agree_on(&set.replica).await;

    let redis = set.replica.connection().await;
    let before = processed(&redis).await;
    more_than(&redis, before + 200).await;
    let added = end(&stop, producing).await;
    active(&consumer).await;
    let books = check(&set.replica).await;
    assert!(books.handled.len() > 400 && added > 400, "{} of {added}", books.handled.len());
    assert!(consumer.stats().recoveries > 0);
    assert!(consumer.shutdown().await.unwrap().released);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_primary_that_comes_back_has_no_say() {
    let set = Set::start().await;
    let (sentinel, stop) = (set.sentinel(), Arc::new(AtomicBool::new(false)));
    let consumer = consumer(&sentinel).spawn().await.unwrap();
    let producing = produce(&sentinel, Arc::clone(&stop));
    more_than(&set.primary.connection().await, 200).await;
    set.primary.pause();
    set.sentinels.agree_on(&set.replica).await;
    let redis = set.replica.connection().await;
    let before = processed(&redis).await;
    more_than(&redis, before + 200).await;

    // It takes itself for a primary until the sentinels tell it otherwise, and works off what had been sent to it.
    set.primary.resume();
    let (primary, replica) = set.at_rest().await;
    let before = consumer.stats().processed;
    eventually("the consumer goes on", async || consumer.stats().processed > before + 200).await;
    end(&stop, producing).await;
    active(&consumer).await;
    let there = check(primary).await;
    let here = check(replica).await;
    assert_eq!(here.handled, there.handled);
}

#[tokio::test]
async fn a_sentinel_that_stands_still_is_passed_over() {
    let set = Set::start().await;
    set.sentinels.pause(0);
    let consumer = consumer(&set.sentinel()).spawn().await.unwrap();
    active(&consumer).await;
}

/// One sentinel that takes the server for the primary, whatever becomes of it.
async fn credulous(server: &Server) -> (Sentinels, Sentinel) {
    let settings = SentinelSettings { count: 1, down_after_ms: 600_000, ..SentinelSettings::default() };
    let sentinels = Sentinels::watch(server, 0, NAME, settings).await;
    let sentinel = Sentinel::new(NAME, sentinels.urls()).unwrap();
    (sentinels, sentinel)
}

#[tokio::test]
async fn a_server_that_says_that_it_is_a_replica_is_not_used() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (_sentinels, sentinel) = credulous(&server).await;
    let mut redis = server.connection().await;
    run(&mut redis, &format!("REPLICAOF 127.0.0.1 {}", other.port())).await;
    server.linked().await;
    let consumer = consumer(&sentinel).spawn().await.unwrap();
    recovering(&consumer, "is a replica").await;
    let error = Producer::with_sentinel(&sentinel).publish(STREAM, &Number { n: 1 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("is a replica"), "{error}");
    run(&mut redis, "REPLICAOF NO ONE").await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_primary_that_nobody_knows_is_waited_for() {
    let server = Server::start().await;
    let (sentinels, _) = credulous(&server).await;
    let sentinel = Sentinel::new("another", sentinels.urls()).unwrap();
    let consumer = consumer(&sentinel).spawn().await.unwrap();
    recovering(&consumer, "`another`").await;
    let mut asked =
        Client::open(sentinels.urls()[0].as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    run(&mut asked, &format!("SENTINEL MONITOR another 127.0.0.1 {} 1", server.port())).await;
    active(&consumer).await;
}

async fn refused(sentinel: &Sentinel, words: &str) -> ErrorKind {
    let error = consumer(sentinel).spawn().await.unwrap_err();
    let letters = DeadLetters::with_sentinel(sentinel, "numbers:dead").unwrap();
    let kinds = [
        Producer::with_sentinel(sentinel).publish(STREAM, &Number { n: 1 }).await.unwrap_err().kind(),
        letters.list(1).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [error.kind(); 2]);
    assert!(error.to_string().contains(words), "{error}");
    error.kind()
}

#[tokio::test]
async fn a_server_that_is_no_sentinel_is_refused() {
    let server = Server::start().await;
    let sentinel = Sentinel::new(NAME, [server.url()]).unwrap();
    assert_eq!(refused(&sentinel, "is no sentinel").await, ErrorKind::InvalidConfig);
}

#[tokio::test]
async fn passwords_of_sentinels_and_servers_are_told_apart() {
    let server = Server::builder().password("of-the-server").start().await;
    let (theirs, own) = (Some("of-the-server"), Some("of-the-sentinel"));
    let settings = SentinelSettings { count: 1, password: theirs, own_password: own, ..SentinelSettings::default() };
    let sentinels = Sentinels::watch(&server, 0, NAME, settings).await;
    let primary = Client::open("redis://:of-the-server@primary").unwrap();
    let sentinel = Sentinel::new(NAME, sentinels.urls()).unwrap();
    // The sentinel lets it in, the server does not.
    assert_eq!(refused(&sentinel, "credentials").await, ErrorKind::Denied);
    let sentinel = sentinel.primary_like(&primary);
    works(&sentinel, &server).await;
    // The other way round.
    let stranger = Sentinel::new(NAME, [format!("redis://{}", sentinels.hosts())]).unwrap().primary_like(&primary);
    assert_eq!(refused(&stranger, "sentinel at 127.0.0.1").await, ErrorKind::Denied);
}

#[tokio::test]
async fn an_address_in_words_does_as_well() {
    let server = Server::builder().password("of-the-server").start().await;
    let settings = SentinelSettings { password: Some("of-the-server"), ..SentinelSettings::default() };
    let sentinels = Sentinels::watch(&server, 0, NAME, settings).await;
    let url = format!("redis+sentinel://:of-the-server@{}/{NAME}", sentinels.hosts());
    let consumer = Consumer::builder(STREAM, GROUP).redis_url(&url).handler(Ledger::default()).spawn().await.unwrap();
    Producer::new(&url).unwrap().publish(STREAM, &Number { n: 7 }).await.unwrap();
    assert_eq!(DeadLetters::new(&url, "numbers:dead").unwrap().list(1).await.unwrap(), []);
    done(&consumer, &server).await;
}

async fn works(sentinel: &Sentinel, server: &Server) {
    let consumer = consumer(sentinel).spawn().await.unwrap();
    Producer::with_sentinel(sentinel).publish(STREAM, &Number { n: 7 }).await.unwrap();
    assert_eq!(DeadLetters::with_sentinel(sentinel, "numbers:dead").unwrap().list(1).await.unwrap(), []);
    done(&consumer, server).await;
}

async fn done(consumer: &ConsumerHandle, server: &Server) {
    assert_eq!(check(server).await.handled, [7]);
    assert_eq!(*consumer.status().borrow(), Status::Active);
    consumer.shutdown().await.unwrap();
}
