//! One input, several outputs: payments go to a stream by their country, large ones to an audit stream as well.
//!
//! ```sh
//! cargo run --example routing
//! ```

mod setup;

use std::error::Error;

use atomic_streams::{Consumer, Transaction, Trim, handler_fn};
use serde::{Deserialize, Serialize};
use setup::{Setup, until_processed};

#[derive(Serialize, Deserialize)]
struct Payment {
    country: String,
    cents: u64,
    reference: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::find().await;
    let builder =
        Consumer::builder("payments", "router").handler(handler_fn(async |payment: Payment, tx: &mut Transaction| {
            // Both become visible at once, or neither does.
            tx.publish(format!("payments:{}", payment.country), &payment)?;
            if payment.cents >= 1_000_000 {
                tx.publish("audit", &payment)?;
                tx.trim("audit", Trim::max_len(10_000))?;
            }
            Ok(())
        }));
    let consumer = setup.connect(builder).spawn().await?;

    let producer = setup.producer()?;
    for (country, cents) in [("fi", 1_250), ("pt", 2_000_000), ("fi", 990), ("pt", 40)] {
        let payment =
            Payment { country: country.to_owned(), cents, reference: (cents > 1_000).then(|| format!("ref-{cents}")) };
        producer.publish("payments", &payment).await?;
        println!("added a payment of {cents} cents from {country}");
    }

    until_processed(&consumer, 4).await;
    consumer.shutdown().await?;
    for stream in ["payments:fi", "payments:pt", "audit"] {
        let cents: Vec<_> = setup.read(stream).await?.into_iter().map(|payment| payment["cents"].clone()).collect();
        println!("{stream}: {}", cents.join(", "));
    }
    Ok(())
}
