//! Keeps stock from a stream of sales and publishes an alert whenever it runs low, through a crash.
//!
//! ```sh
//! cargo run --release --example inventory
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --release --example inventory -- --consume
//! ```
//!
//! The first makes its own sales, kills the consumer in the middle with SIGKILL, starts it again, and checks the outcome.
//! With `--consume` it only consumes `sales` as group `inventory-tracker`, quietly, until Ctrl-C or SIGTERM, so that
//! others can feed it, kill it, start it twice and look into its record. `--lease-ms N` sets the lease (2,000).

use std::error::Error;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    Consumer, ConsumerBuilder, Fields, Handler, HandlerResult, MemoryStore, Persistable, Producer, Transaction, redis,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::{Deserialize, Serialize};
use support::example_server;
use tokio::signal::unix::{SignalKind, signal};

const SALES: &str = "sales";
const ALERTS: &str = "restock-alerts";
const GROUP: &str = "inventory-tracker";
const RECORD: &str = "atomic-streams:{sales}:inventory-tracker";

#[derive(Deserialize, Serialize)]
struct Sale {
    sku: String,
    quantity: i64,
}

#[derive(Serialize)]
struct RestockAlert<'a> {
    sku: &'a str,
    stock: i64,
}

#[derive(Persistable)]
struct InventoryTracker {
    #[persist(default = 100)]
    stock: i64,
}

#[async_trait]
impl Handler for InventoryTracker {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.stock -= sale.quantity;
        if self.stock <= 10 {
            tx.publish(ALERTS, &RestockAlert { sku: &sale.sku, stock: self.stock })?;
        }
        Ok(())
    }
}

fn consumer() -> ConsumerBuilder<InventoryTracker> {
    Consumer::builder(SALES, GROUP).handler(InventoryTracker { stock: 100 })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--consume") {
        return consume(&arguments).await;
    }
    match example_server().await {
        Some(server) => crash_and_go_on(server.url()).await,
        None => without_a_server().await,
    }
}

/// Consumes quietly until asked to end.
async fn consume(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let url = std::env::var("REDIS_URL").map_err(|_| "set REDIS_URL, such as redis://127.0.0.1:6379")?;
    let lease_ms = match arguments.iter().position(|argument| argument == "--lease-ms") {
        Some(at) => arguments.get(at + 1).ok_or("--lease-ms needs a number")?.parse()?,
        None => 2_000,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let asked_to_end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    consumer().redis_url(url).lease(Duration::from_millis(lease_ms)).run_until(asked_to_end).await?;
    Ok(())
}

/// The story of this example: sales, a crash, a new start, and the sums.
async fn crash_and_go_on(url: &str) -> Result<(), Box<dyn Error>> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let producer = Producer::new(url)?;
    println!("adding 2,000 sales to the stream `{SALES}`");
    for number in 0..2_000 {
        let sale = Sale { sku: format!("sku-{}", number % 7), quantity: [7, 5, 9, -20][number % 4] };
        producer.publish(SALES, &sale).await?;
    }

    println!("starting a consumer in a process of its own");
    let mut first = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--consume", "--lease-ms", "500"])
        .env("REDIS_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    while processed(&mut connection).await? < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    first.kill().await?;
    println!("killed it with SIGKILL when it had committed {} sales", processed(&mut connection).await?);

    println!("starting a consumer in this process; it waits for the dead one's lease to end");
    let second = consumer().redis_url(url).lease(Duration::from_millis(500)).spawn().await?;
    let sales: Vec<Sale> = read_all(&mut connection, SALES, |fields| {
        Some(Sale { sku: fields.get_str("sku")?.to_owned(), quantity: fields.get_str("quantity")?.parse().ok()? })
    })
    .await?;
    while processed(&mut connection).await? < sales.len() as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = second.shutdown().await?;
    println!("it committed the other {} and shut down", report.processed);

    let mut stock = 100;
    let mut expected = Vec::new();
    for sale in &sales {
        stock -= sale.quantity;
        if stock <= 10 {
            expected.push(stock);
        }
    }
    let alerts = read_all(&mut connection, ALERTS, |fields| fields.get_str("stock")?.parse::<i64>().ok()).await?;
    let stored: Vec<u8> = connection.hget(RECORD, "stock").await?;
    let stored: i64 = rmp_serde::from_slice(&stored)?;
    println!("stock: {stored}, by the sales {stock}");
    println!("alerts: {}, by the sales {}", alerts.len(), expected.len());
    if stored != stock || alerts != expected {
        return Err("the outcome is not what the sales say".into());
    }
    println!("every sale was applied exactly once, and every alert published exactly once, in order");
    Ok(())
}

/// The same sales on the in-memory store, where nothing can crash.
async fn without_a_server() -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::new();
    let producer = Producer::in_memory(&store);
    for number in 0..2_000 {
        let sale = Sale { sku: format!("sku-{}", number % 7), quantity: [7, 5, 9, -20][number % 4] };
        producer.publish(SALES, &sale).await?;
    }
    let consumer = consumer().in_memory(&store).spawn().await?;
    while consumer.stats().processed < 2_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = consumer.shutdown().await?;
    println!("applied {} sales and published {} alerts", report.processed, store.entries(ALERTS).len());
    Ok(())
}

/// How many sales are committed, as anybody can read it in the record.
async fn processed(connection: &mut MultiplexedConnection) -> redis::RedisResult<u64> {
    Ok(connection.hget::<_, _, Option<u64>>(RECORD, "@processed").await?.unwrap_or(0))
}

async fn read_all<T>(
    connection: &mut MultiplexedConnection,
    stream: &str,
    read: impl Fn(&Fields) -> Option<T>,
) -> Result<Vec<T>, Box<dyn Error>> {
    let reply: StreamRangeReply = connection.xrange_all(stream).await?;
    let entries = reply.ids.into_iter().map(|entry| {
        let fields = entry
            .map
            .into_iter()
            .filter_map(|(name, value)| Some((name, redis::from_redis_value::<Vec<u8>>(value).ok()?)));
        read(&fields.collect())
    });
    entries.collect::<Option<_>>().ok_or_else(|| format!("`{stream}` holds entries of another kind").into())
}
