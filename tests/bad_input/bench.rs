//! A server with one stream, read and written byte for byte.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, DeadLetters, Entry, EntryId, Error, Fields, Handler, NoHandler,
    OnFailure, Status,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Server, eventually_within};
use tokio::time::timeout;

pub(crate) const STREAM: &str = "orders";
pub(crate) const GROUP: &str = "tally";
pub(crate) const RECORD: &str = "atomic-streams:{orders}:tally";
pub(crate) const DEAD: &str = "orders:dead";

/// How long a test waits for what must happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A server of the test's own, with a connection beside those of the consumers.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
}

/// Everything that a server holds: each key's dump.
pub(crate) type Picture = BTreeMap<String, Vec<u8>>;

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::on(Server::start().await).await
    }

    pub(crate) async fn on(server: Server) -> Self {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(LIMIT));
        let redis = server.client().get_multiplexed_async_connection_with_config(&config).await.unwrap();
        Self { server, redis }
    }

    /// The consumer of [`STREAM`] as [`GROUP`].
    pub(crate) fn consumer(&self) -> ConsumerBuilder<NoHandler> {
        self.consumer_of(STREAM, GROUP)
    }

    pub(crate) fn consumer_of(&self, stream: &str, group: &str) -> ConsumerBuilder<NoHandler> {
        Consumer::builder(stream, group).redis_url(self.server.url())
    }

    /// The same, with dead letters in [`DEAD`], and the time that large ones take.
    pub(crate) fn to_dead_letters(&self) -> ConsumerBuilder<NoHandler> {
        self.consumer().lease(Duration::from_secs(60)).on_failure(OnFailure::dead_letter(DEAD))
    }

    pub(crate) fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.server.url(), DEAD).unwrap()
    }

    /// Adds an entry as any program could.
    pub(crate) async fn add(&mut self, stream: &str, fields: &Fields) -> EntryId {
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("*");
        for (name, value) in fields.iter() {
            command.arg(name).arg(value);
        }
        command.query_async::<String>(&mut self.redis).await.unwrap().parse().unwrap()
    }

    /// The entries of a stream with their fields as they are, repeats and order included.
    pub(crate) async fn entries(&mut self, stream: &str) -> Vec<Entry> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+");
        type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
        let entries: Vec<(String, Pairs)> = command.query_async(&mut self.redis).await.unwrap();
        let entry =
            |(id, fields): (String, Pairs)| Entry { id: id.parse().unwrap(), fields: fields.into_iter().collect() };
        entries.into_iter().map(entry).collect()
    }

    /// A field of the record that is text.
    pub(crate) async fn record(&mut self, field: &str) -> String {
        self.redis.hget::<_, _, Option<String>>(RECORD, field).await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn until_processed(&mut self, entries: u64) {
        let redis = self.redis.clone();
        let processed = async || redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap();
        eventually_within(LIMIT, &format!("{entries} entries are committed"), async || {
            processed().await == Some(entries)
        })
        .await;
    }

    pub(crate) async fn picture(&mut self) -> Picture {
        let keys: Vec<String> = self.redis.keys("*").await.unwrap();
        let mut picture = Picture::new();
        for key in keys {
            let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut self.redis).await.unwrap();
            picture.insert(key, dump);
        }
        picture
    }

    /// What each key holds, to be compared.
    async fn contents(&mut self) -> Picture {
        let keys: Vec<String> = self.redis.keys("*").await.unwrap();
        let mut contents = Picture::new();
        for key in keys {
            contents.insert(key.clone(), support::contents(&mut self.redis, &key).await);
        }
        contents
    }

    /// Puts a key back as it was.
    pub(crate) async fn put_back(&mut self, picture: &Picture, key: &str) {
        let mut command = redis::cmd("RESTORE");
        command.arg(key).arg(0).arg(&picture[key]).arg("REPLACE");
        let () = command.query_async(&mut self.redis).await.unwrap();
    }

    /// The same, but for who owns the record: what an attach that is given up may write.
    async fn state(&mut self) -> (Picture, BTreeMap<String, Vec<u8>>) {
        let mut picture = self.contents().await;
        picture.remove(RECORD);
        let mut record: BTreeMap<String, Vec<u8>> = self.redis.hgetall(RECORD).await.unwrap();
        record.retain(|field, _| !["@head", "@epoch", "@owner", "@lease"].contains(&field.as_str()));
        (picture, record)
    }

    /// Starts a consumer that must not start, twice: the state was not changed, nobody has to wait for the lease, and a restart
    /// ends as the first start did.
    pub(crate) async fn refused<H: Handler + 'static>(&mut self, handler: impl Fn() -> H) -> Error {
        let before = self.state().await;
        let error = self.refused_twice(handler).await;
        assert!(self.state().await == before, "something was written: {error}");
        assert_eq!(self.record("@lease").await, "0");
        error
    }

    /// The same before the record is taken: not a byte was changed.
    pub(crate) async fn refused_at_once<H: Handler + 'static>(&mut self, handler: impl Fn() -> H) -> Error {
        let before = self.contents().await;
        let error = self.refused_twice(handler).await;
        assert!(self.contents().await == before, "something was written: {error}");
        error
    }

    async fn refused_twice<H: Handler + 'static>(&mut self, handler: impl Fn() -> H) -> Error {
        let mut errors = Vec::new();
        for _ in 0..2 {
            let spawned = within(self.consumer().handler(handler()).spawn()).await;
            let error = spawned.map(|_| ()).expect_err("it started");
            assert_eq!((error.stream(), error.group()), (Some(STREAM), Some(GROUP)), "{error}");
            assert!(error.to_string().len() < 1_000, "{error}");
            errors.push(error);
        }
        assert_eq!(errors[0].to_string(), errors[1].to_string());
        errors.swap_remove(0)
    }
}

/// Waits for what must end.
pub(crate) async fn within<T>(ending: impl Future<Output = T>) -> T {
    timeout(LIMIT, ending).await.expect("what must end did not")
}

/// Waits until an entry fails; returns what the status says of it.
pub(crate) async fn until_retrying(consumer: &ConsumerHandle) -> (EntryId, String) {
    let mut status = consumer.status();
    let retrying = within(status.wait_for(|status| matches!(status, Status::Retrying { .. }))).await.unwrap().clone();
    match retrying {
        Status::Retrying { entry, error, .. } => (entry, error),
        other => panic!("{other:?}"),
    }
}
