//! A server with one stream, and a consumer whose entries say what is to happen with them.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, EntryId, Fields, Handler, HandlerError, HandlerResult, OnFailure,
    Persistable, RetryPolicy, StateSet, Status, Transaction,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Server, eventually};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const STREAM: &str = "orders";
pub(crate) const GROUP: &str = "tally";
pub(crate) const RECORD: &str = "atomic-streams:{orders}:tally";
pub(crate) const DEAD: &str = "orders:dead";

/// So short that renewals, which count the lag, come every 200 ms.
pub(crate) const LEASE: Duration = Duration::from_millis(600);

/// Counts entries, remembers them, and publishes each; then does what the entry's field `does` says.
#[derive(Persistable)]
pub(crate) struct Tally {
    count: u64,
    seen: StateSet<String>,
    #[persist(skip)]
    open: watch::Receiver<bool>,
}

#[async_trait]
impl Handler for Tally {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        self.seen.insert(tx.message().id().to_string());
        tx.publish("out", &fields)?;
        match fields.get_str("does").unwrap_or_default() {
            "fail twice" if tx.message().attempt() <= 2 => Err("not yet".into()),
            "fail" => Err(HandlerError::permanent("never")),
            "wait" => {
                self.open.wait_for(|open| *open).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
    gate: watch::Sender<bool>,
}

impl Shop {
    pub(crate) async fn start() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        Self { server, redis, gate: watch::Sender::new(false) }
    }

    pub(crate) fn consumer(&self, url: &str) -> ConsumerBuilder<Tally> {
        let pause = Duration::from_millis(1);
        Consumer::builder(STREAM, GROUP)
            .redis_url(url)
            .lease(LEASE)
            .retry(RetryPolicy::exponential(pause, pause))
            .on_failure(OnFailure::dead_letter(DEAD))
            .handler(Tally { count: 0, seen: StateSet::new(), open: self.gate.subscribe() })
    }

    pub(crate) async fn spawn(&self) -> ConsumerHandle {
        self.consumer(self.server.url()).spawn().await.unwrap()
    }

    /// Lets entries that wait go on, and those to come.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// Adds entries, one for each word of what is to happen with it.
    pub(crate) async fn add(&mut self, deeds: &[&str]) -> Vec<EntryId> {
        let mut ids = Vec::new();
        for does in deeds {
            let id: String = self.redis.xadd(STREAM, "*", &[("does", *does)]).await.unwrap();
            ids.push(id.parse().unwrap());
        }
        ids
    }

    pub(crate) async fn delete(&mut self, id: EntryId) {
        let deleted: u64 = self.redis.xdel(STREAM, &[id.to_string()]).await.unwrap();
        assert_eq!(deleted, 1);
    }

    /// Keeps the newest entries.
    pub(crate) async fn trim_to(&mut self, entries: u64) {
        let trim = redis::cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg(entries).to_owned();
        let _: u64 = trim.query_async(&mut self.redis).await.unwrap();
    }
}

/// What must end does so.
pub(crate) async fn within<T>(ending: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), ending).await.expect("what must end did not within 20 s")
}

pub(crate) async fn until_status(consumer: &ConsumerHandle, what: &str, wanted: impl Fn(&Status) -> bool) {
    let mut status = consumer.status();
    let seen = timeout(Duration::from_secs(20), status.wait_for(wanted)).await;
    assert!(seen.is_ok(), "waited in vain for this: {what}; the status is {:?}", *consumer.status().borrow());
}

pub(crate) async fn until_processed(consumer: &ConsumerHandle, entries: u64) {
    eventually(&format!("{entries} entries are committed"), async || consumer.stats().processed == entries).await;
}
