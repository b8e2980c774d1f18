//! A server with what the person on call finds: an owner with a standby, a consumer that lags, dead letters, parked keys.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use atomic_streams::admin::{Admin, Inspection};
use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, EntryId, Fields, Handler, HandlerError, HandlerResult, OnFailure,
    Persistable, RetryPolicy, StateMap, Transaction, async_trait, handler_fn,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use support::{Server, eventually};

use crate::ran::{Ran, run_with, words};

pub(crate) const INVENTORY: &str = "inventory-tracker";
pub(crate) const DEAD: &str = "sales:dead";

#[derive(Deserialize)]
pub(crate) struct Sale {
    sku: String,
    quantity: i64,
}

/// Counts what was sold, by article and in all.
#[derive(Persistable, Default)]
pub(crate) struct Inventory {
    #[persist(default = 0)]
    sold: i64,
    articles: StateMap<String, i64>,
}

#[async_trait]
impl Handler for Inventory {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        if sale.quantity < 0 {
            return Err(HandlerError::permanent(format!("cannot sell {} of {}", sale.quantity, sale.sku)));
        }
        self.sold += sale.quantity;
        *self.articles.get_or_insert_with(sale.sku, || 0) += sale.quantity;
        tx.publish("totals", &BTreeMap::from([("sold", self.sold)]))?;
        Ok(())
    }
}

pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) redis: MultiplexedConnection,
    pub(crate) admin: Admin,
    /// Those that run, in the order in which they were started.
    pub(crate) running: Vec<ConsumerHandle>,
    /// The time of the first sale.
    pub(crate) first_ms: u64,
}

impl Shop {
    pub(crate) async fn empty() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        let admin = Admin::new(server.url()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        Self { server, redis, admin, running: Vec::new(), first_ms: now / 1_000 * 1_000 - 3_600_000 }
    }

    /// Eight sales a minute apart since an hour ago, of which the third fails; `till-1` has them all and `till-2` stands by,
    /// while `audit` has shut down behind the fifth. A billing whose customer `Ada` is parked.
    pub(crate) async fn busy() -> Self {
        let mut shop = Self::empty().await;
        for (n, (sku, quantity)) in
            [("A-1", 2), ("B-7", 1), ("A-1", -1), ("C-3", 4), ("A-1", 1)].into_iter().enumerate()
        {
            shop.sell(n as u64 + 1, sku, quantity).await;
        }
        let audit = shop.audit().spawn().await.unwrap();
        shop.until_at("audit", 5).await;
        audit.shutdown().await.unwrap();
        for n in 6..=8 {
            shop.sell(n, "B-7", 1).await;
        }
        shop.start_inventory("till-1").await;
        shop.until_at(INVENTORY, 8).await;
        shop.start_inventory("till-2").await;
        shop.park().await;
        shop
    }

    /// The same with nobody at work.
    pub(crate) async fn at_rest() -> Self {
        let mut shop = Self::busy().await;
        shop.close().await;
        shop
    }

    pub(crate) async fn close(&mut self) {
        for consumer in self.running.drain(..) {
            consumer.shutdown().await.unwrap();
        }
    }

    pub(crate) fn inventory(&self) -> ConsumerBuilder<Inventory> {
        Consumer::builder("sales", INVENTORY)
            .redis_url(self.server.url())
            .on_failure(OnFailure::dead_letter(DEAD))
            .handler(Inventory::default())
    }

    pub(crate) async fn start_inventory(&mut self, owner: &str) {
        let consumer = self.inventory().owner_name(owner).spawn().await.unwrap();
        self.running.push(consumer);
    }

    fn audit(&self) -> ConsumerBuilder<impl Handler + use<>> {
        Consumer::builder("sales", "audit")
            .redis_url(self.server.url())
            .owner_name("auditor")
            .handler(handler_fn(async |_: Fields, _: &mut Transaction| Ok(())))
    }

    /// Orders of three customers, of whom Ada's cannot be billed.
    async fn park(&mut self) {
        for (n, customer) in ["Ada", "Grace", "Ada"].into_iter().enumerate() {
            let id = self.id(n as u64 + 1);
            let fields = [("customer", customer), ("total", "12.50")];
            let () = self.redis.xadd("orders", id.to_string(), &fields).await.unwrap();
        }
        let pause = Duration::from_millis(1);
        let billing = Consumer::builder("orders", "billing")
            .redis_url(self.server.url())
            .owner_name("desk")
            .retry(RetryPolicy::exponential(pause, pause).max_attempts(2))
            .on_failure(OnFailure::park("orders:dead", "customer"))
            .handler(handler_fn(async |order: Fields, tx: &mut Transaction| match order.get_str("customer") {
                Some("Ada") => Err(HandlerError::from("no address")),
                _ => Ok(tx.publish("bills", &order)?),
            }));
        self.running.push(billing.spawn().await.unwrap());
        let id = self.id(3);
        self.until("orders", "billing", id).await;
    }

    /// One that bills everybody.
    pub(crate) async fn start_billing(&mut self) {
        let billing = Consumer::builder("orders", "billing")
            .redis_url(self.server.url())
            .owner_name("desk-2")
            .on_failure(OnFailure::park("orders:dead", "customer"))
            .handler(handler_fn(async |order: Fields, tx: &mut Transaction| Ok(tx.publish("bills", &order)?)));
        self.running.push(billing.spawn().await.unwrap());
    }

    /// The ID of the sale of this minute.
    pub(crate) fn id(&self, minute: u64) -> EntryId {
        EntryId::new(self.first_ms + 60_000 * (minute - 1), 0)
    }

    pub(crate) async fn sell(&mut self, minute: u64, sku: &str, quantity: i64) {
        let fields = [("sku", sku.to_owned()), ("quantity", quantity.to_string())];
        let () = self.redis.xadd("sales", self.id(minute).to_string(), &fields).await.unwrap();
    }

    pub(crate) async fn inspect(&self, group: &str) -> Inspection {
        self.admin.inspect("sales", group).await.unwrap()
    }

    pub(crate) async fn until_at(&self, group: &str, minute: u64) {
        self.until("sales", group, self.id(minute)).await;
    }

    async fn until(&self, stream: &str, group: &str, id: EntryId) {
        eventually(&format!("{stream} {group} is at {id}"), async || {
            self.admin.inspect(stream, group).await.is_ok_and(|found| found.position == id)
        })
        .await;
    }

    /// Runs the tool: `ls --json`.
    pub(crate) async fn run(&self, line: &str) -> Ran {
        self.run_with(line, "").await
    }

    pub(crate) async fn run_with(&self, line: &str, input: &str) -> Ran {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run_with(Some(self.server.url()), &words, input).await
    }

    /// Everything that the server holds.
    pub(crate) async fn dump(&mut self) -> BTreeMap<String, Vec<u8>> {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut self.redis).await.unwrap();
        let mut dump = BTreeMap::new();
        for key in keys {
            let value: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut self.redis).await.unwrap();
            dump.insert(key, value);
        }
        dump
    }

    pub(crate) async fn sold(&self) -> i64 {
        self.admin.state("sales", INVENTORY).await.unwrap().field("sold").unwrap().unwrap_or_default()
    }

    /// The letters' IDs.
    pub(crate) async fn letters(&self, stream: &str) -> Vec<String> {
        let letters = self.run(&format!("dead-letters ls {stream} --json")).await;
        letters.json().as_array().unwrap().iter().map(|each| each["id"].as_str().unwrap().to_owned()).collect()
    }
}
