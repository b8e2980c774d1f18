//! A shop whose state is a plain field and a map.

use std::collections::BTreeMap;

use atomic_streams::admin::{Admin, Inspection};
use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, EntryId, Handler, HandlerResult, Persistable, StateMap, Transaction,
    async_trait,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::Deserialize;
use support::{Server, eventually};

pub(crate) const STREAM: &str = "sales";
pub(crate) const GROUP: &str = "stock";

#[derive(Deserialize)]
pub(crate) struct Sale {
    sku: String,
    quantity: i64,
}

/// Counts sales by article, and publishes the sum after each.
#[derive(Persistable, Default, Debug)]
pub(crate) struct Stock {
    #[persist(default = 0)]
    pub(crate) sum: i64,
    pub(crate) articles: StateMap<String, i64>,
}

#[async_trait]
impl Handler for Stock {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.sum += sale.quantity;
        *self.articles.get_or_insert_with(sale.sku, || 0) += sale.quantity;
        tx.publish("sums", &BTreeMap::from([("sum", self.sum)]))?;
        Ok(())
    }
}

/// A server, a connection of the test's own, and administration.
pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
    pub(crate) admin: Admin,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        let admin = Admin::new(server.url()).unwrap();
        Self { server, redis, admin }
    }

    pub(crate) fn builder(&self) -> ConsumerBuilder<Stock> {
        Consumer::builder(STREAM, GROUP).redis_url(self.server.url()).owner_name("till").handler(Stock::default())
    }

    pub(crate) async fn spawn(&self) -> ConsumerHandle {
        self.builder().spawn().await.unwrap()
    }

    /// Sells `quantity` of an article at this time.
    pub(crate) async fn sell(&mut self, ms: u64, sku: &str, quantity: i64) {
        let fields = [("sku", sku.to_owned()), ("quantity", quantity.to_string())];
        let () = self.redis.xadd(STREAM, format!("{ms}-1"), &fields).await.unwrap();
    }

    /// Five sales, of 1 to 5, at the times 10 to 50, of the articles `a` and `b` in turn.
    pub(crate) async fn sell_five(&mut self) {
        for n in 1..=5 {
            self.sell(10 * n, if n % 2 == 1 { "a" } else { "b" }, n as i64).await;
        }
    }

    pub(crate) async fn inspect(&self) -> Inspection {
        self.admin.inspect(STREAM, GROUP).await.unwrap()
    }

    pub(crate) async fn until_at(&self, ms: u64) {
        eventually(&format!("the position is {ms}-1"), async || {
            self.admin.inspect(STREAM, GROUP).await.is_ok_and(|found| found.position == id(ms))
        })
        .await;
    }

    /// Everything that was published, in its order.
    pub(crate) async fn sums(&mut self) -> Vec<i64> {
        let reply: StreamRangeReply = self.redis.xrange_all("sums").await.unwrap();
        reply.ids.iter().map(|entry| entry.get("sum").unwrap()).collect()
    }

    /// The state as JSON.
    pub(crate) async fn state(&self) -> String {
        self.admin.state(STREAM, GROUP).await.unwrap().to_json().unwrap().to_string()
    }

    /// A consumer handles five sales and shuts down.
    pub(crate) async fn after_five() -> Self {
        let mut shop = Self::open().await;
        shop.sell_five().await;
        let consumer = shop.spawn().await;
        shop.until_at(50).await;
        consumer.shutdown().await.unwrap();
        shop
    }
}

pub(crate) fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 1)
}
