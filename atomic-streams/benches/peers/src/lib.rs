//! What the programs of this package share: the job they get, and how they measure themselves, by the benchmark's own module.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

#[path = "../../stand/meter.rs"]
pub mod meter;

use meter::{Meter, Sample, connect};

/// What ends a program, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A sale of this many is worth an alert.
pub const ALERT_QUANTITY: u64 = 9;

/// What the benchmark asks for.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    pub url: String,
    pub alerts: String,
    pub entries: u64,
}

/// A job of a queue, or a message of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sale {
    pub sku: String,
    pub quantity: u64,
}

impl Job {
    /// From the arguments of this process, which ends with its parent from now on.
    pub fn read() -> Result<Self, Failure> {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            std::process::exit(1);
        });
        let text = std::env::args().nth(1).ok_or("the job is missing")?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The sales, as the benchmark's other variants get them.
    pub fn sales(&self) -> impl Iterator<Item = Sale> {
        (0..self.entries).map(|number| Sale { sku: format!("sku-{number}"), quantity: number % 10 })
    }
}

/// What a handler has to write: the counter, which several handlers may write at once, and the alerts.
#[derive(Clone)]
pub struct Shop {
    connection: MultiplexedConnection,
    alerts: String,
}

impl Shop {
    pub async fn open(job: &Job) -> Result<Self, Failure> {
        Ok(Self { connection: connect(&job.url).await?, alerts: job.alerts.clone() })
    }

    /// Counts a sale, and publishes an alert with it if it is worth one: one transaction.
    pub async fn sell(&self, sale: &Sale) -> Result<(), Failure> {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("INCRBY").arg("sold").arg(sale.quantity).ignore();
        if sale.quantity == ALERT_QUANTITY {
            pipeline.cmd("XADD").arg(&self.alerts).arg("*").arg("sku").arg(&sale.sku).ignore();
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    /// Ends the measurement and shows it to the benchmark.
    pub async fn report(&self, meter: Meter) -> Result<(), Failure> {
        let sample = meter.stop().await?;
        let state = self.connection.clone().get("sold").await?;
        println!("{}", serde_json::to_string(&Sample { state, ..sample })?);
        Ok(())
    }
}
