//! State of any size: the stock of each article, and the orders of the last day, so that none is sold twice.
//!
//! ```sh
//! cargo run --example large_state
//! ```

mod setup;

use std::error::Error;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerHandle, Handler, HandlerResult, Persistable, StateMap, StateSet, Transaction, async_trait,
};
use serde::{Deserialize, Serialize};
use setup::{Setup, until_processed};

const ARTICLES: u64 = 2_000;
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Serialize, Deserialize)]
struct Sale {
    order: u64,
    sku: String,
    quantity: i64,
}

#[derive(Serialize)]
struct Left<'a> {
    sku: &'a str,
    left: i64,
    articles: usize,
}

#[derive(Persistable, Default)]
struct Stock {
    /// One entry for each article: a sale writes one of them, however many there are.
    #[persist(default)]
    by_sku: StateMap<String, i64>,
    /// Orders are remembered for a day, in the time of the messages.
    #[persist(default)]
    seen: StateSet<u64>,
}

#[async_trait]
impl Handler for Stock {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        if !self.seen.insert_with_ttl(sale.order, DAY) {
            return Ok(());
        }
        let stock = self.by_sku.get_or_insert_with(sale.sku.clone(), || 100);
        *stock -= sale.quantity;
        let left = *stock;
        if left < 0 {
            // Neither the article nor the order is changed: both are as they were before this message.
            return Err("more is sold than there is".into());
        }
        tx.publish("left", &Left { sku: &sale.sku, left, articles: self.by_sku.len() })?;
        Ok(())
    }
}

async fn start(setup: &Setup) -> Result<ConsumerHandle, atomic_streams::Error> {
    setup.connect(Consumer::builder("sales", "stock").handler(Stock::default())).spawn().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::find().await;
    let producer = setup.producer()?;

    println!("first run");
    let consumer = start(&setup).await?;
    for order in 0..ARTICLES {
        producer.publish("sales", &Sale { order, sku: format!("A-{order}"), quantity: 1 }).await?;
    }
    until_processed(&consumer, ARTICLES).await;
    consumer.shutdown().await?;
    println!("sold one of each of {ARTICLES} articles");

    println!("second run");
    let consumer = start(&setup).await?;
    for order in [7, 7_000, 7_000] {
        producer.publish("sales", &Sale { order, sku: "A-7".to_owned(), quantity: 10 }).await?;
    }
    until_processed(&consumer, 3).await;
    consumer.shutdown().await?;
    println!("sent order 7 again, and order 7000 twice");

    let published = setup.read("left").await?;
    for left in &published[published.len() - 1..] {
        println!("published: {} of {} are left, one of {} articles", left["left"], left["sku"], left["articles"]);
    }
    println!("published {} times", published.len());
    Ok(())
}
