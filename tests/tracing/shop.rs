//! A server with a stream of orders, and a handler that tells what it does and does what the order says.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, EntryId, Handler, HandlerError, HandlerResult, NoHandler, OnFailure,
    Persistable, RetryPolicy, Transaction,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use support::{Server, eventually};
use tokio::time::timeout;
use tracing::info;

pub(crate) const STREAM: &str = "orders";
pub(crate) const GROUP: &str = "till";
pub(crate) const RECORD: &str = "atomic-streams:{orders}:till";
pub(crate) const DEAD: &str = "orders:dead";
pub(crate) const OUT: &str = "receipts";

/// The pause before an order is tried again.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(20);

/// Names and values, in order.
pub(crate) type Fields = Vec<(String, String)>;

pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
}

/// What an order asks the handler to do.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) n: u32,
    #[serde(default)]
    pub(crate) customer: String,
    /// It fails so often before it succeeds.
    #[serde(default)]
    pub(crate) failures: u32,
    /// What it fails by: `error`, `permanent` or `panic`.
    #[serde(default)]
    pub(crate) by: String,
    /// How often it awaits something.
    #[serde(default)]
    pub(crate) waits: u32,
}

impl Order {
    pub(crate) fn number(n: u32) -> Self {
        Self { n, ..Self::default() }
    }

    /// One that fails so often, by this.
    pub(crate) fn failing(n: u32, failures: u32, by: &str) -> Self {
        Self { n, failures, by: by.to_owned(), ..Self::default() }
    }
}

/// Says what it does, and publishes each order's number to [`OUT`].
#[derive(Default, Persistable)]
pub(crate) struct Till {
    count: u64,
    /// Nothing fails any more.
    #[persist(skip)]
    is_cured: bool,
}

impl Till {
    pub(crate) fn cured() -> Self {
        Self { is_cured: true, ..Self::default() }
    }
}

#[async_trait]
impl Handler for Till {
    type Message = Order;

    async fn handle(&mut self, order: Order, tx: &mut Transaction) -> HandlerResult {
        info!(n = order.n, "began");
        self.count += 1;
        for _ in 0..order.waits {
            tokio::task::yield_now().await;
            info!(n = order.n, "went on");
        }
        tx.publish(OUT, &Order::number(order.n))?;
        if self.is_cured || tx.message().attempt() > order.failures {
            return Ok(());
        }
        match order.by.as_str() {
            "panic" => panic!("dropped a plate"),
            "permanent" => Err(HandlerError::permanent("no such article")),
            _ => Err("out of paper".into()),
        }
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        Self { server, redis }
    }

    /// The consumer of [`STREAM`] as [`GROUP`], with short pauses.
    pub(crate) fn consumer(&self) -> ConsumerBuilder<NoHandler> {
        let policy = RetryPolicy::exponential(PAUSE, PAUSE);
        Consumer::builder(STREAM, GROUP).redis_url(self.server.url()).retry(policy)
    }

    /// [`consumer`](Self::consumer), one that gives an order up after three tries.
    pub(crate) fn giving_up(&self, how: OnFailure) -> ConsumerBuilder<NoHandler> {
        let policy = RetryPolicy::exponential(PAUSE, PAUSE).max_attempts(3);
        self.consumer().lease(Duration::from_millis(600)).retry(policy).on_failure(how)
    }

    pub(crate) async fn spawn(&self) -> ConsumerHandle {
        self.consumer().handler(Till::default()).spawn().await.unwrap()
    }

    /// Adds an order as another program would.
    pub(crate) async fn add(&mut self, order: &Order) -> EntryId {
        let (n, failures, waits) = (order.n.to_string(), order.failures.to_string(), order.waits.to_string());
        let fields = [("n", &n), ("customer", &order.customer), ("failures", &failures), ("by", &order.by)];
        let fields: Vec<(&str, &String)> = fields.into_iter().chain([("waits", &waits)]).collect();
        self.add_fields(&fields).await
    }

    /// Adds an order with the fields of a trace; no `tracestate` if it is empty.
    pub(crate) async fn add_traced(&mut self, order: &Order, parent: &str, state: &str) -> EntryId {
        let (n, failures) = (order.n.to_string(), order.failures.to_string());
        let mut fields = vec![("n", n), ("customer", order.customer.clone()), ("failures", failures)];
        fields.extend([("by", order.by.clone()), ("traceparent", parent.to_owned())]);
        fields.extend((!state.is_empty()).then(|| ("tracestate", state.to_owned())));
        let fields: Vec<(&str, &String)> = fields.iter().map(|(name, value)| (*name, value)).collect();
        self.add_fields(&fields).await
    }

    /// What a stream holds.
    pub(crate) async fn entries_with_ids(&mut self, stream: &str) -> Vec<(String, Fields)> {
        redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query_async(&mut self.redis).await.unwrap()
    }

    /// The fields of its entries.
    pub(crate) async fn entries(&mut self, stream: &str) -> Vec<Fields> {
        self.entries_with_ids(stream).await.into_iter().map(|(_, fields)| fields).collect()
    }

    /// Waits until the owner has renewed its lease.
    pub(crate) async fn renewal(&mut self) {
        let before: String = self.redis.hget(RECORD, "@lease").await.unwrap();
        let renewed = async || self.redis.hget::<_, _, String>(RECORD, "@lease").await.unwrap() != before;
        eventually("the lease is renewed", renewed).await;
    }

    pub(crate) async fn add_fields(&mut self, fields: &[(&str, &String)]) -> EntryId {
        let id: String = self.redis.xadd(STREAM, "*", fields).await.unwrap();
        id.parse().unwrap()
    }
}

/// Waits until a consumer has committed so many entries.
pub(crate) async fn processed(consumer: &ConsumerHandle, entries: u64) {
    eventually(&format!("{entries} entries are committed"), async || consumer.stats().processed >= entries).await;
}

/// Waits for what must end.
pub(crate) async fn within<T>(ending: impl Future<Output = T>) -> T {
    timeout(LIMIT, ending).await.expect("what must end did not within 20 s")
}
