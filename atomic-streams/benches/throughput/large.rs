//! A state of very many entries of which a message changes one: what does not change should cost nothing.

use std::time::Duration;

use atomic_streams::{Consumer, Handler, HandlerResult, Persistable, StateMap, Transaction, async_trait};
use redis::AsyncCommands;

use crate::stand::Failure;
use crate::stand::child::Job;
use crate::stand::consumer::{self, Shop, record};
use crate::stand::meter::{Meter, Sample, connect};
use crate::stand::workload::Sale;

/// The counter, and one more for each of many things.
#[derive(Persistable)]
struct Large {
    sold: u64,
    by_thing: StateMap<u64, u64>,
    #[persist(skip)]
    things: u64,
    #[persist(skip)]
    shop: Shop,
}

#[async_trait]
impl Handler for Large {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        // All over the map, as sales of many things are.
        let thing = self.sold.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.things;
        *self.by_thing.get_or_insert_with(thing, || 0) += 1;
        self.shop.sell(&mut self.sold, &sale, tx)
    }
}

/// The same state, and nothing handled.
#[derive(Persistable)]
struct Filled {
    sold: u64,
    by_thing: StateMap<u64, u64>,
}

#[async_trait]
impl Handler for Filled {
    type Message = Sale;

    async fn handle(&mut self, _: Sale, _: &mut Transaction) -> HandlerResult {
        std::future::pending().await
    }
}

/// Works a job off with a map of so many entries. The clock begins when the map is there.
pub async fn run(job: &Job, things: u64) -> Result<Sample, Failure> {
    let filled = Filled { sold: 0, by_thing: (0..things).map(|thing| (thing, 0)).collect() };
    let builder = Consumer::builder(&job.stream, &job.group).redis_url(&job.url).handler(filled);
    let consumer = builder.grace_period(Duration::ZERO).spawn().await?;
    let mut connection = connect(&job.url).await?;
    let key = record(&job.stream, &job.group);
    while connection.hget::<_, _, Option<u64>>(&key, "@size:by_thing").await? != Some(things) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    consumer.shutdown().await?;
    let shop = Shop::new(job);
    let large = Large { sold: 0, by_thing: StateMap::new(), things, shop: shop.clone() };
    let builder = Consumer::builder(&job.stream, &job.group).redis_url(&job.url).handler(large);
    let consumer = builder.spawn().await?;
    let meter = Meter::start(&job.url).await?;
    consumer::finish(job, &shop, &consumer, meter, "sold").await
}
