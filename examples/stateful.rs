//! State that survives a restart: a running average of temperatures for each sensor.
//!
//! ```sh
//! cargo run --example stateful
//! ```

mod setup;

use std::collections::BTreeMap;
use std::error::Error;

use atomic_streams::{Consumer, ConsumerHandle, Handler, HandlerResult, Persistable, Transaction, async_trait};
use serde::{Deserialize, Serialize};
use setup::{Setup, until_processed};

#[derive(Serialize, Deserialize)]
struct Reading {
    sensor: String,
    celsius: f64,
}

#[derive(Serialize, Deserialize, Default)]
struct Average {
    readings: u64,
    celsius: f64,
}

#[derive(Persistable, Default)]
struct Averages {
    #[persist(default)]
    sensors: BTreeMap<String, Average>,
}

#[async_trait]
impl Handler for Averages {
    type Message = Reading;

    async fn handle(&mut self, reading: Reading, tx: &mut Transaction) -> HandlerResult {
        let average = self.sensors.entry(reading.sensor.clone()).or_default();
        average.readings += 1;
        average.celsius += (reading.celsius - average.celsius) / average.readings as f64;
        tx.publish("averages", &Reading { sensor: reading.sensor, celsius: average.celsius })?;
        Ok(())
    }
}

async fn start(setup: &Setup) -> Result<ConsumerHandle, atomic_streams::Error> {
    setup.connect(Consumer::builder("temperatures", "averages").handler(Averages::default())).spawn().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::find().await;
    let producer = setup.producer()?;

    println!("first run");
    let consumer = start(&setup).await?;
    for (sensor, celsius) in [("attic", 20.0), ("attic", 24.0), ("cellar", 11.0)] {
        producer.publish("temperatures", &Reading { sensor: sensor.to_owned(), celsius }).await?;
        println!("measured {celsius} °C in the {sensor}");
    }
    until_processed(&consumer, 3).await;
    let report = consumer.shutdown().await?;
    println!("shut down after {} readings; a new start begins with the state that was committed", report.processed);

    println!("second run");
    let consumer = start(&setup).await?;
    producer.publish("temperatures", &Reading { sensor: "attic".to_owned(), celsius: 28.0 }).await?;
    println!("measured 28 °C in the attic");
    until_processed(&consumer, 1).await;
    consumer.shutdown().await?;

    for average in setup.read("averages").await? {
        println!("published: the {} has {} °C on average", average["sensor"], average["celsius"]);
    }
    Ok(())
}
