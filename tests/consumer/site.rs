//! A server with one stream, and what the record of one group says.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::{Consumer, ConsumerBuilder, ConsumerHandle, EntryId, NoHandler, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::de::DeserializeOwned;
use support::{Server, eventually};
use tokio::time::timeout;

pub(crate) const STREAM: &str = "orders";
pub(crate) const GROUP: &str = "tally";
pub(crate) const RECORD: &str = "atomic-streams:{orders}:tally";

/// How long a test waits for what must happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A server of the test's own, with a connection beside those of the consumers.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        Self { server, redis }
    }

    /// The consumer of [`STREAM`] as [`GROUP`].
    pub(crate) fn consumer(&self) -> ConsumerBuilder<NoHandler> {
        Consumer::builder(STREAM, GROUP).redis_url(self.server.url())
    }

    /// Adds one entry to [`STREAM`].
    pub(crate) async fn add(&mut self, fields: &[(&str, &str)]) -> EntryId {
        self.add_to(STREAM, fields).await
    }

    pub(crate) async fn add_to(&mut self, stream: &str, fields: &[(&str, &str)]) -> EntryId {
        let id: String = self.redis.xadd(stream, "*", fields).await.unwrap();
        id.parse().unwrap()
    }

    /// Adds entries whose field `n` counts from 0.
    pub(crate) async fn add_numbers(&mut self, count: usize) {
        let mut pipe = redis::pipe();
        for n in 0..count {
            pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
        }
        let () = pipe.query_async(&mut self.redis).await.unwrap();
    }

    /// A state field of the record.
    pub(crate) async fn state<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let bytes: Option<Vec<u8>> = self.redis.hget(RECORD, name).await.unwrap();
        bytes.map(|bytes| rmp_serde::from_slice(&bytes).unwrap())
    }

    /// A field of the record that is text.
    pub(crate) async fn record(&mut self, name: &str) -> String {
        self.redis.hget::<_, _, Option<String>>(RECORD, name).await.unwrap().unwrap_or_default()
    }

    /// The names of the record's state fields.
    pub(crate) async fn state_names(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.redis.hkeys(RECORD).await.unwrap();
        names.retain(|name| !name.starts_with('@'));
        names.sort();
        names
    }

    pub(crate) async fn processed(&mut self) -> u64 {
        self.record("@processed").await.parse().unwrap_or(0)
    }

    pub(crate) async fn until_processed(&mut self, entries: u64) {
        eventually(&format!("{entries} entries are committed"), async || self.processed().await == entries).await;
    }

    /// The token and the sequence of the record's head.
    pub(crate) async fn head(&mut self) -> (String, u64) {
        let head = self.record("@head").await;
        let (token, sequence) = head.rsplit_once(':').unwrap();
        (token.to_owned(), sequence.parse().unwrap())
    }

    /// What a stream holds, as text.
    pub(crate) async fn entries(&mut self, stream: &str) -> Vec<BTreeMap<String, String>> {
        let reply: StreamRangeReply = self.redis.xrange_all(stream).await.unwrap();
        let text = |value| redis::from_redis_value::<String>(value).unwrap();
        reply
            .ids
            .into_iter()
            .map(|entry| entry.map.into_iter().map(|(name, value)| (name, text(value))).collect())
            .collect()
    }

    /// The values of one field in a stream's entries.
    pub(crate) async fn column(&mut self, stream: &str, name: &str) -> Vec<String> {
        self.entries(stream).await.iter().map(|entry| entry[name].clone()).collect()
    }
}

/// Waits for the end of a consumer, or of anything else that must end.
pub(crate) async fn within<T>(ending: impl Future<Output = T>) -> T {
    timeout(LIMIT, ending).await.expect("what must end did not within 20 s")
}

/// Waits for a status. The tests' runtimes have one thread, so that one which lasts for a moment is seen as well.
pub(crate) async fn until_status(consumer: &ConsumerHandle, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = consumer.status();
    let seen = timeout(LIMIT, status.wait_for(wanted)).await.map(|seen| seen.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("waited in vain for this: {what}; the status is {:?}", *consumer.status().borrow()))
}

/// Waits until an entry fails; returns its attempt and what it says.
pub(crate) async fn until_retrying(consumer: &ConsumerHandle) -> (u32, String) {
    match until_status(consumer, "an entry is retried", |status| matches!(status, Status::Retrying { .. })).await {
        Status::Retrying { attempt, error, .. } => (attempt, error),
        other => panic!("{other:?}"),
    }
}
