//! A function as a handler: each order becomes a confirmation, exactly once.
//!
//! ```sh
//! cargo run --example stateless
//! ```

mod setup;

use std::error::Error;

use atomic_streams::{Consumer, Transaction, handler_fn};
use serde::{Deserialize, Serialize};
use setup::{Setup, until_processed};

#[derive(Serialize, Deserialize)]
struct Order {
    number: u32,
    customer: String,
}

#[derive(Serialize)]
struct Confirmation {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::find().await;
    let builder =
        Consumer::builder("orders", "confirmations").handler(handler_fn(async |order: Order, tx: &mut Transaction| {
            let text = format!("Thank you, {}: order {} is on its way.", order.customer, order.number);
            tx.publish("confirmations", &Confirmation { text })?;
            Ok(())
        }));
    let consumer = setup.connect(builder).spawn().await?;
    println!("the consumer is running");

    let producer = setup.producer()?;
    for (number, customer) in [(1, "Ada"), (2, "Grace"), (3, "Barbara")] {
        let id = producer.publish("orders", &Order { number, customer: customer.to_owned() }).await?;
        println!("added order {number} as entry {id}");
    }

    until_processed(&consumer, 3).await;
    consumer.shutdown().await?;
    for confirmation in setup.read("confirmations").await? {
        println!("published: {}", confirmation["text"]);
    }
    Ok(())
}
