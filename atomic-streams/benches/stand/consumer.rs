//! The work done by this library.

use std::sync::Arc;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, Handler, HandlerResult, Persistable, Transaction, async_trait,
};
use redis::AsyncCommands;
use tokio::sync::Notify;

use super::Failure;
use super::child::Job;
use super::meter::{Meter, Sample, connect};
use super::workload::{ALERT_QUANTITY, Alert, Sale};

/// The counter, and nothing else.
#[derive(Persistable)]
pub struct Tracker {
    sold: u64,
    #[persist(skip)]
    shop: Shop,
}

impl Tracker {
    /// The field of the record that holds the counter.
    pub const FIELD: &str = "sold";

    /// With nothing sold.
    pub fn new(shop: Shop) -> Self {
        Self { sold: 0, shop }
    }
}

#[async_trait]
impl Handler for Tracker {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.shop.sell(&mut self.sold, &sale, tx)
    }
}

/// What a handler does with a sale, whatever the struct that holds its counter.
#[derive(Clone, Debug)]
pub struct Shop {
    alerts: String,
    total: u64,
    closing: Arc<Notify>,
}

impl Shop {
    /// Publishes to the job's output and closes when everything is sold.
    pub fn new(job: &Job) -> Self {
        Self { alerts: job.alerts.clone(), total: job.total, closing: Arc::new(Notify::new()) }
    }

    /// Counts a sale and publishes an alert if it is worth one.
    pub fn sell(&self, sold: &mut u64, sale: &Sale, tx: &mut Transaction) -> HandlerResult {
        *sold += sale.quantity;
        if sale.quantity == ALERT_QUANTITY {
            tx.publish(&self.alerts, &Alert { sku: &sale.sku, sold: *sold })?;
        }
        if *sold == self.total {
            self.closing.notify_one();
        }
        Ok(())
    }

    /// Waits until the last sale has been handled.
    pub async fn closing(&self) {
        self.closing.notified().await;
    }
}

/// Works a job off with the handler that `handler` makes, whose counter is the record's `field`.
pub async fn run<H: Handler + 'static>(
    job: &Job,
    settings: impl FnOnce(ConsumerBuilder<H>) -> ConsumerBuilder<H>,
    handler: impl FnOnce(Shop) -> H,
    field: &str,
) -> Result<Sample, Failure> {
    let shop = Shop::new(job);
    let handler = handler(shop.clone());
    let meter = Meter::start(&job.url).await?;
    let builder = Consumer::builder(&job.stream, &job.group).redis_url(&job.url).handler(handler);
    let consumer = settings(builder).spawn().await?;
    finish(job, &shop, &consumer, meter, field).await
}

/// Waits until the job is done and reads what has come of it.
pub async fn finish(
    job: &Job,
    shop: &Shop,
    consumer: &ConsumerHandle,
    meter: Meter,
    field: &str,
) -> Result<Sample, Failure> {
    shop.closing().await;
    while consumer.stats().processed < job.entries {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sample = meter.stop().await?;
    consumer.shutdown().await?;
    let stored: Option<Vec<u8>> = connect(&job.url).await?.hget(record(&job.stream, &job.group), field).await?;
    let state = stored.map(|stored| rmp_serde::from_slice(&stored)).transpose()?;
    Ok(Sample { state, ..sample })
}

/// The key of the record.
pub fn record(stream: &str, group: &str) -> String {
    format!("atomic-streams:{{{stream}}}:{group}")
}
