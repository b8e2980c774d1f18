//! The test driver itself: each fault that it offers happens, and the promises hold under it.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used)]

mod collections;
mod dead_letters;
mod parking;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{ConsumerBuilder, Handler, HandlerResult, Persistable, Sent, Status, TestDriver, Transaction};
use serde::{Deserialize, Serialize};
use support::eventually;

#[derive(Serialize, Deserialize)]
struct Deposit {
    cents: i64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Balance {
    cents: i64,
}

/// Refuses to go below zero; counts its calls outside of its state.
#[derive(Persistable)]
struct Account {
    #[persist(default = 0)]
    cents: i64,
    #[persist(skip)]
    calls: Arc<AtomicU32>,
}

#[async_trait]
impl Handler for Account {
    type Message = Deposit;

    async fn handle(&mut self, deposit: Deposit, tx: &mut Transaction) -> HandlerResult {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.cents += deposit.cents;
        tx.publish("balances", &Balance { cents: self.cents })?;
        if self.cents < 0 { Err("below zero".into()) } else { Ok(()) }
    }
}

struct Bank {
    driver: TestDriver<Account>,
    calls: Arc<AtomicU32>,
}

impl Bank {
    async fn open() -> Self {
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let driver = TestDriver::new(move || Account { cents: 0, calls: Arc::clone(&counter) }).await.unwrap();
        Self { driver, calls }
    }

    /// Deposits are committed in groups, as large as they come.
    async fn open_in_groups() -> Self {
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let account = move || Account { cents: 0, calls: Arc::clone(&counter) };
        let groups = |consumer: ConsumerBuilder<Account>| consumer.coalesce(100, Duration::from_millis(10));
        Self { driver: TestDriver::with_settings(account, groups).await.unwrap(), calls }
    }

    /// Adds so many deposits of 1 at once, and waits until they are committed.
    async fn deposit_many(&mut self, deposits: usize) {
        for _ in 0..deposits {
            self.driver.add(&Deposit { cents: 1 }).await.unwrap();
        }
        assert_eq!(self.driver.settle().await.unwrap(), Sent::Committed);
    }

    async fn deposit(&mut self, cents: i64) {
        assert_eq!(self.driver.send(&Deposit { cents }).await.unwrap(), Sent::Committed);
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn holds(&self, balances: &[i64]) {
        assert_eq!(self.driver.state().unwrap().cents, balances.last().copied().unwrap_or(0));
        let published = self.driver.published::<Balance>("balances").unwrap();
        assert_eq!(published, balances.iter().map(|cents| Balance { cents: *cents }).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn state_and_outputs_are_seen_after_each_entry() {
    let mut bank = Bank::open().await;
    bank.holds(&[]);
    bank.deposit(5).await;
    bank.holds(&[5]);
    bank.deposit(7).await;
    bank.holds(&[5, 12]);
    assert_eq!(bank.driver.status(), Status::Active);
    assert_eq!(bank.driver.shutdown().await.unwrap().processed, 2);
}

#[tokio::test]
async fn an_entry_that_fails_blocks_and_changes_nothing() {
    let mut bank = Bank::open().await;
    let first = bank.driver.add(&Deposit { cents: -1 }).await.unwrap();
    let Sent::Blocked { entry, error } = bank.driver.settle().await.unwrap() else { panic!("it was committed") };
    assert_eq!((entry, error.as_str()), (first, "below zero"));
    bank.holds(&[]);
    let calls = bank.calls();
    eventually("another try", async || bank.calls() > calls).await;
    bank.holds(&[]);
}

#[tokio::test]
async fn a_lost_reply_applies_nothing_twice() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    bank.driver.lose_next_reply();
    bank.deposit(2).await;
    bank.deposit(4).await;
    bank.holds(&[1, 3, 7]);
    assert_eq!(bank.calls(), 3, "what was applied is not handled again");
}

#[tokio::test]
async fn a_refused_commit_is_handled_again() {
    let mut bank = Bank::open().await;
    bank.driver.fail_next_commit();
    bank.deposit(2).await;
    bank.deposit(4).await;
    bank.holds(&[2, 6]);
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_dead_one_was() {
    let mut bank = Bank::open().await;
    for cents in [1, 2, 3] {
        bank.deposit(cents).await;
        bank.driver.crash_and_restart().await.unwrap();
    }
    bank.deposit(4).await;
    bank.holds(&[1, 3, 6, 10]);
}

#[tokio::test]
async fn lost_commits_are_made_again_from_the_entries_that_survive() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    bank.driver.add(&Deposit { cents: 2 }).await.unwrap();
    bank.driver.settle().await.unwrap();
    // The commit of the second entry is the newest write, unless a renewal came behind it.
    bank.driver.lose_newest_writes(1);
    bank.deposit(4).await;
    bank.holds(&[1, 3, 7]);
}

#[tokio::test]
async fn lost_entries_and_their_effects_are_lost_together() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    let kept = bank.driver.store().entries("input").len();
    bank.driver.add(&Deposit { cents: 2 }).await.unwrap();
    bank.driver.settle().await.unwrap();
    while bank.driver.store().entries("input").len() > kept {
        bank.driver.lose_newest_writes(1);
    }
    bank.deposit(4).await;
    bank.holds(&[1, 5]);
}

#[tokio::test]
async fn the_first_owner_commits_nothing_once_there_is_a_second() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    bank.driver.second_owner().await.unwrap();
    bank.deposit(2).await;
    bank.driver.second_owner().await.unwrap();
    bank.deposit(3).await;
    bank.holds(&[1, 3, 6]);
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn a_server_clock_set_back_costs_time_and_nothing_else() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    // By this clock the dead owner's lease lasts for another hour; the successor's own clock says otherwise.
    bank.driver.store().set_clock_offset(-HOUR_MS);
    bank.driver.crash_and_restart().await.unwrap();
    assert!(matches!(bank.driver.status(), Status::Standby { .. }));
    bank.deposit(2).await;
    bank.holds(&[1, 3]);
}

#[tokio::test]
async fn a_server_clock_set_forward_lets_another_take_over_and_nothing_else() {
    let mut bank = Bank::open().await;
    bank.deposit(1).await;
    bank.driver.store().set_clock_offset(HOUR_MS);
    bank.driver.second_owner().await.unwrap();
    bank.deposit(2).await;
    bank.driver.store().set_clock_offset(2 * HOUR_MS);
    bank.driver.crash_and_restart().await.unwrap();
    bank.deposit(3).await;
    bank.holds(&[1, 3, 6]);
}

#[tokio::test]
async fn groups_outlast_every_fault_of_the_driver() {
    let mut bank = Bank::open_in_groups().await;
    let mut deposits = 0;
    let mut more = async |bank: &mut Bank| {
        bank.deposit_many(200).await;
        deposits += 200;
        bank.holds(&(1..=deposits).collect::<Vec<_>>());
    };
    more(&mut bank).await;
    bank.driver.fail_next_commit();
    more(&mut bank).await;
    bank.driver.lose_next_reply();
    more(&mut bank).await;
    bank.driver.crash_and_restart().await.unwrap();
    more(&mut bank).await;
    bank.driver.second_owner().await.unwrap();
    more(&mut bank).await;
    // The last commit, or a renewal that came after it.
    bank.driver.lose_newest_writes(1);
    more(&mut bank).await;
    assert!(bank.driver.shutdown().await.unwrap().released);
}
