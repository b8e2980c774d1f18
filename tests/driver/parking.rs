//! What the driver shows of keys that are parked and unparked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use atomic_streams::{
    EntryId, Handler, HandlerError, HandlerResult, OnFailure, Persistable, RetryPolicy, Sent, TestDriver, Transaction,
};
use serde::{Deserialize, Serialize};
use support::{Rng, seed};
use tokio::sync::mpsc;

const DEAD: &str = "dead";

#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
struct Order {
    customer: String,
    n: u64,
}

/// Numbers that fail, and numbers that never come back.
#[derive(Default)]
struct Trouble {
    bad: BTreeSet<u64>,
    deadly: BTreeSet<u64>,
}

#[derive(Persistable)]
struct Clerk {
    orders: BTreeMap<String, Vec<u64>>,
    #[persist(skip)]
    trouble: Arc<Mutex<Trouble>>,
    #[persist(skip)]
    inside: mpsc::UnboundedSender<EntryId>,
}

#[async_trait]
impl Handler for Clerk {
    type Message = Order;

    async fn handle(&mut self, order: Order, tx: &mut Transaction) -> HandlerResult {
        self.orders.entry(order.customer.clone()).or_default().push(order.n);
        tx.publish("done", &order)?;
        let (bad, deadly) = {
            let trouble = self.trouble.lock().unwrap();
            (trouble.bad.contains(&order.n), trouble.deadly.contains(&order.n))
        };
        if deadly {
            self.inside.send(tx.message().id())?;
            std::future::pending::<()>().await;
        }
        if bad { Err(HandlerError::permanent("we do not sell these")) } else { Ok(()) }
    }
}

struct Desk {
    driver: TestDriver<Clerk>,
    trouble: Arc<Mutex<Trouble>>,
    deaths: mpsc::UnboundedReceiver<EntryId>,
    added: u64,
}

impl Desk {
    async fn open(bad: impl IntoIterator<Item = u64>) -> Self {
        let trouble = Arc::new(Mutex::new(Trouble { bad: bad.into_iter().collect(), ..Trouble::default() }));
        let (inside, deaths) = mpsc::unbounded_channel();
        let handler = {
            let trouble = Arc::clone(&trouble);
            move || Clerk { orders: BTreeMap::new(), trouble: Arc::clone(&trouble), inside: inside.clone() }
        };
        let settings = |consumer: atomic_streams::ConsumerBuilder<Clerk>| {
            let consumer = consumer.retry(RetryPolicy::default().max_attempts(2)).max_crashes(1);
            consumer.on_failure(OnFailure::park(DEAD, "customer"))
        };
        let driver = TestDriver::with_settings(handler, settings).await.unwrap();
        Self { driver, trouble, deaths, added: 0 }
    }

    async fn add(&mut self, customer: &str) {
        self.driver.add(&Order { customer: customer.to_owned(), n: self.added }).await.unwrap();
        self.added += 1;
    }

    async fn settle(&mut self) {
        assert_eq!(self.driver.settle().await.unwrap(), Sent::Committed);
    }

    /// Asserts that what is handled and what waits are the orders of each customer; returns how many wait.
    fn check(&self) -> usize {
        let by_customer = |stream: &str| {
            let mut orders: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for Order { customer, n } in self.driver.published::<Order>(stream).unwrap() {
                orders.entry(customer).or_default().push(n);
            }
            orders
        };
        let handled = self.driver.state().unwrap().orders;
        assert_eq!(by_customer("done"), handled);
        let mut both = handled;
        for (customer, numbers) in by_customer(DEAD) {
            both.entry(customer).or_default().extend(numbers);
        }
        assert_eq!(both, by_customer("input"));
        self.driver.dead_letters(DEAD).len()
    }

    /// Restarts the consumer each time that it dies, until it settles.
    async fn settle_in_spite_of_deaths(&mut self) {
        for _ in 0..4 {
            self.driver.crash_and_restart().await.unwrap();
            tokio::select! {
                settled = self.driver.settle() => {
                    assert_eq!(settled.unwrap(), Sent::Committed);
                    return;
                }
                _ = self.deaths.recv() => {}
            }
        }
        panic!("the culprit is not found");
    }
}

#[tokio::test]
async fn a_key_is_parked_and_unparked() {
    let mut desk = Desk::open([0]).await;
    for customer in ["a", "b", "a", "a", "b"] {
        desk.add(customer).await;
    }
    desk.settle().await;
    assert_eq!(desk.check(), 3);
    assert_eq!(desk.driver.unpark("a").await.unwrap(), Sent::Committed);
    assert_eq!(desk.check(), 3, "it fails again");
    desk.trouble.lock().unwrap().bad.clear();
    desk.driver.lose_next_reply();
    assert_eq!(desk.driver.unpark("a").await.unwrap(), Sent::Committed);
    assert_eq!(desk.check(), 0);
    assert_eq!(desk.driver.unpark("b").await.unwrap(), Sent::Committed, "it is not parked");
    desk.add("a").await;
    desk.settle().await;
    assert_eq!(desk.check(), 0);
}

#[tokio::test]
async fn an_entry_that_killed_the_process_is_handled_when_its_key_is_unparked() {
    let mut desk = Desk::open([]).await;
    desk.trouble.lock().unwrap().deadly.insert(0);
    for customer in ["a", "a", "b"] {
        desk.add(customer).await;
    }
    desk.deaths.recv().await.unwrap();
    desk.settle_in_spite_of_deaths().await;
    assert_eq!(desk.check(), 2);
    desk.trouble.lock().unwrap().deadly.clear();
    assert_eq!(desk.driver.unpark("a").await.unwrap(), Sent::Committed);
    assert_eq!(desk.check(), 0);
}

#[tokio::test]
async fn a_letter_that_kills_the_process_stays_and_its_key_parked() {
    let mut desk = Desk::open([1]).await;
    for customer in ["a", "a", "a", "b"] {
        desk.add(customer).await;
    }
    desk.settle().await;
    {
        let mut trouble = desk.trouble.lock().unwrap();
        trouble.bad.clear();
        trouble.deadly.insert(1);
    }
    let asked = desk.driver.unpark("a");
    tokio::select! {
        settled = asked => panic!("{settled:?}"),
        _ = desk.deaths.recv() => {}
    }
    desk.settle_in_spite_of_deaths().await;
    assert_eq!(desk.check(), 2);
    desk.trouble.lock().unwrap().deadly.clear();
    assert_eq!(desk.driver.unpark("a").await.unwrap(), Sent::Committed);
    assert_eq!(desk.check(), 0);
}

/// Random keys, failures, unparkings, crashes, lost replies and rollbacks against what the input says.
#[tokio::test]
async fn whatever_happens_each_key_is_handled_once_and_in_order() {
    let mut rng = Rng::new(seed());
    for _ in 0..12 {
        let mut desk = Desk::open([]).await;
        for _ in 0..30 {
            for _ in 0..rng.below(8) {
                if rng.percent(12) {
                    desk.trouble.lock().unwrap().bad.insert(desk.added);
                }
                let customer = ["a", "b", "c", "d"][rng.below(4) as usize];
                desk.add(customer).await;
            }
            match rng.below(6) {
                0 => desk.driver.lose_next_reply(),
                1 => desk.driver.fail_next_commit(),
                2 => desk.driver.crash_and_restart().await.unwrap(),
                3 => {
                    desk.settle().await;
                    desk.driver.lose_newest_writes(rng.below(12) as usize);
                    // The consumer finds out at its next commit.
                    desk.add("a").await;
                }
                _ => {
                    let good = rng.below(desk.added + 1);
                    desk.trouble.lock().unwrap().bad.retain(|n| *n > good);
                    let customer = ["a", "b", "c", "d"][rng.below(4) as usize];
                    assert_eq!(desk.driver.unpark(customer).await.unwrap(), Sent::Committed);
                }
            }
            if rng.percent(30) {
                desk.settle().await;
                desk.check();
            }
        }
        desk.trouble.lock().unwrap().bad.clear();
        desk.add("a").await;
        desk.settle().await;
        for customer in ["a", "b", "c", "d"] {
            assert_eq!(desk.driver.unpark(customer).await.unwrap(), Sent::Committed);
        }
        assert_eq!(desk.check(), 0);
    }
}
