//! A handler tested without Redis: what it does, and that it stays right when everything around it fails.
//!
//! ```sh
//! cargo run --example testing
//! ```
//!
//! In a project of your own each of these is a `#[tokio::test]`.

use std::error::Error;

use atomic_streams::{Handler, HandlerResult, Persistable, Sent, TestDriver, Transaction, async_trait};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Transfer {
    to: String,
    cents: i64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Receipt {
    to: String,
    balance: i64,
}

#[derive(Persistable)]
struct Account {
    #[persist(default = 1_000)]
    balance: i64,
}

#[async_trait]
impl Handler for Account {
    type Message = Transfer;

    async fn handle(&mut self, transfer: Transfer, tx: &mut Transaction) -> HandlerResult {
        self.balance -= transfer.cents;
        tx.publish("receipts", &Receipt { to: transfer.to, balance: self.balance })?;
        if self.balance < 0 {
            // What was changed and staged above is rolled back.
            return Err("the account is empty".into());
        }
        Ok(())
    }
}

fn transfer(cents: i64) -> Transfer {
    Transfer { to: "Ada".to_owned(), cents }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    takes_money_and_writes_a_receipt().await?;
    println!("takes money and writes a receipt: passed");
    an_empty_account_changes_nothing().await?;
    println!("an empty account changes nothing: passed");
    nothing_is_paid_twice().await?;
    println!("nothing is paid twice, whatever fails: passed");
    Ok(())
}

async fn takes_money_and_writes_a_receipt() -> Result<(), Box<dyn Error>> {
    let mut driver = TestDriver::new(|| Account { balance: 1_000 }).await?;
    assert_eq!(driver.send(&transfer(300)).await?, Sent::Committed);
    assert_eq!(driver.state()?.balance, 700);
    assert_eq!(driver.published::<Receipt>("receipts")?, [Receipt { to: "Ada".to_owned(), balance: 700 }]);
    Ok(())
}

async fn an_empty_account_changes_nothing() -> Result<(), Box<dyn Error>> {
    let mut driver = TestDriver::new(|| Account { balance: 1_000 }).await?;
    let sent = driver.send(&transfer(1_001)).await?;
    assert!(matches!(sent, Sent::Blocked { error, .. } if error.contains("empty")));
    assert_eq!(driver.state()?.balance, 1_000);
    assert!(driver.published::<Receipt>("receipts")?.is_empty());
    Ok(())
}

async fn nothing_is_paid_twice() -> Result<(), Box<dyn Error>> {
    let mut driver = TestDriver::new(|| Account { balance: 1_000 }).await?;
    driver.lose_next_reply();
    driver.send(&transfer(100)).await?;
    driver.fail_next_commit();
    driver.send(&transfer(100)).await?;
    driver.crash_and_restart().await?;
    driver.send(&transfer(100)).await?;
    driver.second_owner().await?;
    driver.send(&transfer(100)).await?;
    assert_eq!(driver.state()?.balance, 600);
    let balances: Vec<i64> = driver.published::<Receipt>("receipts")?.iter().map(|receipt| receipt.balance).collect();
    assert_eq!(balances, [900, 800, 700, 600]);
    Ok(())
}
