//! Payments that cannot be handled go to a dead-letter stream, are looked at there, and are put back once the cause is gone.
//!
//! ```sh
//! cargo run --example dead_letters
//! ```

mod setup;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use atomic_streams::{
    Consumer, Handler, HandlerError, HandlerResult, OnFailure, Persistable, RetryPolicy, Transaction, async_trait,
};
use serde::Deserialize;
use setup::{Setup, until_processed};

#[derive(Deserialize)]
struct Payment {
    account: String,
    cents: u64,
}

/// Adds payments up by account.
#[derive(Persistable)]
struct Accounts {
    cents: BTreeMap<String, u64>,
    /// Accounts that are closed.
    #[persist(skip)]
    closed: Vec<&'static str>,
}

#[async_trait]
impl Handler for Accounts {
    type Message = Payment;

    async fn handle(&mut self, payment: Payment, tx: &mut Transaction) -> HandlerResult {
        let cents = self.cents.entry(payment.account.clone()).or_default();
        *cents += payment.cents;
        tx.publish("balances", &BTreeMap::from([("account", payment.account.clone()), ("cents", cents.to_string())]))?;
        // What was done above is taken back.
        match payment.account.as_str() {
            "busy" => Err("the account is busy".into()),
            account if self.closed.contains(&account) => Err(HandlerError::permanent("the account is closed")),
            _ => Ok(()),
        }
    }
}

async fn consume(setup: &Setup, closed: Vec<&'static str>, entries: u64) -> Result<(), Box<dyn Error>> {
    let builder = Consumer::builder("payments", "accounts")
        .handler(Accounts { cents: BTreeMap::new(), closed })
        .retry(RetryPolicy::exponential(Duration::from_millis(5), Duration::from_millis(20)).max_attempts(3))
        .on_failure(OnFailure::dead_letter("payments:dead"));
    let consumer = setup.connect(builder).spawn().await?;
    until_processed(&consumer, entries).await;
    consumer.shutdown().await?;
    println!("committed {entries} entries, {} of them as dead letters", consumer.stats().dead_lettered);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::find().await;
    let producer = setup.producer()?;
    for (account, cents) in [("ada", "100"), ("grace", "200"), ("busy", "300"), ("ada", "a lot"), ("ada", "400")] {
        producer.publish("payments", &BTreeMap::from([("account", account), ("cents", cents)])).await?;
    }
    consume(&setup, vec!["grace"], 5).await?;

    let letters = setup.dead_letters("payments:dead")?;
    for letter in letters.list(10).await? {
        let account = letter.entry.fields.get_str("account").unwrap_or_default();
        println!("{account}, tried {}: {}", letter.attempts, letter.error);
        // Nobody can handle it, ever.
        if letter.error.contains("a lot") {
            letters.remove(letter.id).await?;
        }
    }

    // Grace's account is open again.
    println!("put back {} payments", letters.requeue_all().await?);
    consume(&setup, Vec::new(), 2).await?;
    for balance in setup.read("balances").await? {
        println!("balance of {}: {}", balance["account"], balance["cents"]);
    }
    Ok(())
}
