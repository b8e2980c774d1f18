//! Commits that count only when replicas or disks have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    Consumer, ConsumerHandle, Durability, Error, ErrorKind, Fields, Handler, HandlerResult, MemoryStore, Persistable,
    Status, Transaction,
};
use redis::AsyncCommands;
use support::{Server, ServerBuilder, eventually};

use crate::site::{GROUP, RECORD, STREAM, Site, until_status, within};

/// A wait of this lease lasts 250 ms at most.
const LEASE: Duration = Duration::from_secs(1);

/// Publishes the number of each entry, and counts its calls.
#[derive(Persistable, Default)]
struct Copier {
    count: u64,
    #[persist(skip)]
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Handler for Copier {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        self.calls.fetch_add(1, Ordering::SeqCst);
        tx.publish("out", &fields)?;
        Ok(())
    }
}

async fn site(server: ServerBuilder) -> Site {
    let server = server.start().await;
    let redis = server.connection().await;
    Site { server, redis }
}

/// Whether the server has WAITAOF.
async fn has_waitaof(server: &Server) -> bool {
    server.version().await.number >= (7, 2, 0)
}

async fn spawn(site: &Site, durability: Durability) -> Result<ConsumerHandle, Error> {
    site.consumer().lease(LEASE).durability(durability).handler(Copier::default()).spawn().await
}

/// Waits until the consumer says that so many entries are done.
async fn reported(consumer: &ConsumerHandle, entries: u64) {
    eventually("entries are reported as done", async || consumer.stats().processed == entries).await;
}

/// Everything up to `entries` was published, each once and in order.
async fn assert_exactly(site: &mut Site, entries: usize) {
    let expected: Vec<String> = (0..entries).map(|n| n.to_string()).collect();
    assert_eq!(site.column("out", "n").await, expected);
    assert_eq!(site.state::<u64>("count").await, Some(entries as u64));
}

async fn waits_for_replicas(consumer: &ConsumerHandle) {
    let waiting = |status: &Status| matches!(status, Status::Recovering { reason } if reason.starts_with("waiting for replicas: 0 of 1 have"));
    until_status(consumer, "the consumer waits for replicas", waiting).await;
}

#[tokio::test]
async fn what_is_reported_is_on_the_replica() {
    let mut site = Site::start().await;
    let replica = Server::builder().replica_of(&site.server).start().await;
    let mut copy = replica.connection().await;
    let consumer = spawn(&site, Durability::Replicas(1)).await.unwrap();
    for round in 1..=100 {
        let id = site.add(&[("n", &(round - 1).to_string())]).await;
        // Seen at once: a moment later the replica would have it anyway.
        within(async {
            while consumer.stats().position != Some(id) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The primary is not asked: what counts must be here already.
        let (position, published): (String, u64) =
            redis::pipe().hget(RECORD, "@position").xlen("out").query_async(&mut copy).await.unwrap();
        assert_eq!((position, published), (id.to_string(), round));
    }
    assert_eq!(consumer.stats().recoveries, 0);
    let report = within(consumer.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.released), (100, true));
    assert_exactly(&mut site, 100).await;
}

#[tokio::test]
async fn without_the_replica_no_more_is_handled_than_may_be_in_flight_and_nothing_twice() {
    const MOST: usize = 4;
    let mut site = Site::start().await;
    let replica = Server::builder().replica_of(&site.server).start().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let builder = site.consumer().lease(LEASE).durability(Durability::Replicas(1)).max_in_flight(MOST);
    let handler = Copier { count: 0, calls: Arc::clone(&calls) };
    let consumer = builder.handler(handler).spawn().await.unwrap();
    site.add_numbers(3).await;
    reported(&consumer, 3).await;
    let confirmed = consumer.stats().position;

    replica.pause();
    for n in 3..40 {
        site.add(&[("n", &n.to_string())]).await;
    }
    waits_for_replicas(&consumer).await;
    // Attaches follow each other, and none of them leads to a session.
    let epoch: u64 = site.record("@epoch").await.parse().unwrap();
    let redis = site.redis.clone();
    eventually("the consumer attaches again and again", async || {
        redis.clone().hget::<_, _, u64>(RECORD, "@epoch").await.unwrap() >= epoch + 4
    })
    .await;
    let handled = calls.load(Ordering::SeqCst);
    assert!((4..=3 + MOST).contains(&handled), "{handled} entries were handled");
    // The server has applied what was sent, and the consumer does not say so.
    let applied = site.processed().await as usize;
    assert!((4..=handled).contains(&applied), "{applied} of {handled} entries are applied");
    assert_eq!((consumer.stats().position, consumer.stats().processed), (confirmed, 3));

    replica.resume();
    until_status(&consumer, "it goes on", |status| *status == Status::Active).await;
    site.until_processed(40).await;
    let report = within(consumer.shutdown()).await.unwrap();
    // Only what was handled and not sent when the session ended.
    assert_eq!(calls.load(Ordering::SeqCst), 40 + handled - applied, "entries were handled again");
    assert_eq!(report.position.unwrap().to_string(), site.record("@position").await);
    assert_exactly(&mut site, 40).await;
}

#[tokio::test]
async fn a_consumer_that_waits_for_replicas_shuts_down_and_gives_its_lease_back() {
    let mut site = Site::start().await;
    let replica = Server::builder().replica_of(&site.server).start().await;
    let consumer = spawn(&site, Durability::Replicas(1)).await.unwrap();
    site.add_numbers(1).await;
    reported(&consumer, 1).await;
    let confirmed = consumer.stats().position;
    replica.pause();

    // In the middle of the wait for its last commit.
    site.add(&[("n", "1")]).await;
    site.until_processed(2).await;
    let report = within(consumer.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.position, report.released), (1, confirmed, true));
    assert_eq!(site.record("@lease").await, "0");

    // While it attaches in vain.
    let consumer = spawn(&site, Durability::Replicas(1)).await.unwrap();
    waits_for_replicas(&consumer).await;
    let report = within(consumer.shutdown()).await.unwrap();
    assert_eq!((report.processed, report.position, report.released), (0, None, true));
    assert_eq!(site.record("@lease").await, "0");
    replica.resume();
    assert_exactly(&mut site, 2).await;
}

#[tokio::test]
async fn a_promoted_replica_has_everything_that_was_reported() {
    let mut site = Site::start().await;
    let replica = Server::builder().replica_of(&site.server).start().await;
    let consumer = spawn(&site, Durability::Replicas(1)).await.unwrap();
    site.add_numbers(5_000).await;
    eventually("some entries are done", async || consumer.stats().processed > 0).await;
    site.server.kill();
    let mut copy = replica.connection().await;
    let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut copy).await.unwrap();
    let stats = consumer.stats();
    let processed: u64 = copy.hget(RECORD, "@processed").await.unwrap();
    assert!(processed >= stats.processed, "{processed} entries survive, and {} were reported", stats.processed);
}

#[tokio::test]
async fn a_wait_that_comes_with_a_group_of_messages() {
    let mut site = Site::start().await;
    let _replica = Server::builder().replica_of(&site.server).start().await;
    let builder = site.consumer().lease(LEASE).durability(Durability::Replicas(1)).coalesce(64, Duration::ZERO);
    let consumer = builder.handler(Copier::default()).spawn().await.unwrap();
    site.add_numbers(500).await;
    reported(&consumer, 500).await;
    assert_exactly(&mut site, 500).await;
    assert_eq!(consumer.stats().recoveries, 0);
}

#[tokio::test]
async fn on_the_servers_own_disk() {
    let mut site = site(Server::builder().append_only("always")).await;
    let spawned = spawn(&site, Durability::LocalDisk).await;
    if !has_waitaof(&site.server).await {
        let error = spawned.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedServer);
        assert!(error.to_string().contains("WAITAOF, which the server does not have: use Redis 7.2"), "{error}");
        assert!(!site.redis.exists::<_, bool>(RECORD).await.unwrap(), "the refused consumer has attached");
        return;
    }
    let consumer = spawned.unwrap();
    site.add_numbers(300).await;
    reported(&consumer, 300).await;
    assert_eq!(consumer.stats().recoveries, 0);
    site.server.kill();
    site.server.restart().await;
    site.redis = site.server.connection().await;
    assert_exactly(&mut site, 300).await;
}

#[tokio::test]
async fn on_a_disk_that_is_written_every_second() {
    let mut site = site(Server::builder().append_only("everysec")).await;
    if !has_waitaof(&site.server).await {
        return;
    }
    // The shortest that is accepted.
    let builder = site.consumer().lease(Duration::from_secs(8)).durability(Durability::LocalDisk);
    let consumer = builder.handler(Copier::default()).spawn().await.unwrap();
    // More than may be in flight: several waits.
    site.add_numbers(2_500).await;
    reported(&consumer, 2_500).await;
    assert_eq!(consumer.stats().recoveries, 0);
    assert_exactly(&mut site, 2_500).await;
}

#[tokio::test]
async fn on_the_disks_of_replicas() {
    let mut site = site(Server::builder().append_only("always").arg("--repl-diskless-sync-delay", "0")).await;
    if !has_waitaof(&site.server).await {
        return;
    }
    let forgetful = Server::builder().replica_of(&site.server).start().await;
    // The shortest that is accepted: a replica tells once a second what it has fsynced.
    let builder = site.consumer().lease(Duration::from_secs(8)).durability(Durability::LocalAndReplicaDisks(1));
    let consumer = builder.handler(Copier::default()).spawn().await.unwrap();
    site.add_numbers(20).await;
    // It receives everything and has no file.
    waits_for_replicas(&consumer).await;
    let keeper = Server::builder().append_only("always").replica_of(&site.server).start().await;
    until_status(&consumer, "it goes on", |status| *status == Status::Active).await;
    site.until_processed(20).await;
    eventually("what is applied is reported", async || {
        consumer.stats().position.unwrap().to_string() == site.record("@position").await
    })
    .await;
    assert_eq!(consumer.stats().recoveries, 0, "a wait was in vain");
    drop(forgetful);
    assert_exactly(&mut site, 20).await;
    // The disk of the replica has it, without anybody's help.
    site.server.kill();
    keeper.kill();
    keeper.restart().await;
    let mut copy = keeper.connection().await;
    let kept: (u64, u64) = redis::pipe().hget(RECORD, "@processed").xlen("out").query_async(&mut copy).await.unwrap();
    assert_eq!(kept, (20, 20));
}

#[tokio::test]
async fn a_server_that_cannot_keep_it_is_refused() {
    for (name, value, lease, words) in [
        ("--appendonly", "no", LEASE, "set `appendonly yes`"),
        ("--appendfsync", "no", LEASE, "set `appendfsync everysec`"),
        ("--appendfsync", "everysec", LEASE, "the lease of 1s"),
    ] {
        let mut site = site(Server::builder().append_only("always").arg(name, value)).await;
        if !has_waitaof(&site.server).await {
            continue;
        }
        let builder = site.consumer().lease(lease).durability(Durability::LocalDisk).handler(Copier::default());
        let error = builder.spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedServer, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!site.redis.exists::<_, bool>(RECORD).await.unwrap(), "the refused consumer has attached");
    }
}

#[tokio::test]
async fn an_append_only_file_that_is_switched_off_ends_the_consumer() {
    let mut site = site(Server::builder().append_only("always")).await;
    if !has_waitaof(&site.server).await {
        return;
    }
    let consumer = spawn(&site, Durability::LocalDisk).await.unwrap();
    let () = redis::cmd("CONFIG").arg(&["SET", "appendonly", "no"]).query_async(&mut site.redis).await.unwrap();
    site.add_numbers(1).await;
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedServer);
    assert!(error.to_string().contains("set `appendonly yes`"), "{error}");
}

#[tokio::test]
async fn the_right_to_wait_is_needed() {
    let mut site = Site::start().await;
    let user = ["SETUSER", "worker", "on", ">secret", "~*", "+@all", "-wait"];
    let () = redis::cmd("ACL").arg(&user).query_async(&mut site.redis).await.unwrap();
    let url = format!("redis://worker:secret@127.0.0.1:{}/", site.server.port());
    let builder = Consumer::builder(STREAM, GROUP).redis_url(url).durability(Durability::Replicas(1));
    let error = builder.handler(Copier::default()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().to_lowercase().contains("wait"), "{error}");
}

#[tokio::test]
async fn a_store_in_memory_takes_every_wait_for_satisfied() {
    for durability in [Durability::Replicas(3), Durability::LocalDisk, Durability::LocalAndReplicaDisks(2)] {
        let store = MemoryStore::new();
        let id = store.add(STREAM, Fields::from_iter([("n", "0")]));
        let builder = Consumer::builder(STREAM, GROUP).in_memory(&store).durability(durability);
        let consumer = builder.handler(Copier::default()).spawn().await.unwrap();
        eventually("the entry is done", async || consumer.stats().position == Some(id)).await;
        assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 1);
    }
}

#[tokio::test]
async fn waits_that_cannot_work_do_not_build() {
    for durability in [Durability::Replicas(0), Durability::LocalAndReplicaDisks(0)] {
        let builder = Consumer::builder(STREAM, GROUP).in_memory(&MemoryStore::new()).durability(durability);
        let error = builder.handler(Copier::default()).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("choose 1 or more"), "{error}");
    }
    let builder = Consumer::builder(STREAM, GROUP).in_memory(&MemoryStore::new()).lease(Duration::from_secs(7));
    let builder = builder.durability(Durability::LocalAndReplicaDisks(1)).handler(Copier::default());
    let error = builder.spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("choose a lease of 8s or more"), "{error}");
}
