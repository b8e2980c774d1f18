//! A consumer that parks the keys of what it cannot handle, and what must be true of each key at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    ConsumerBuilder, ConsumerHandle, DeadLetter, DeadLetters, Entry, Fields, Handler, HandlerError, HandlerResult,
    OnFailure, Persistable, RetryPolicy, Transaction,
};
use redis::AsyncCommands;
use support::eventually;

use crate::site::{GROUP, RECORD, STREAM, Site};

pub(crate) const DEAD: &str = "orders:dead";
pub(crate) const LEASE: Duration = Duration::from_millis(600);

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Numbers that cannot be handled now.
pub(crate) type Bad = Arc<Mutex<BTreeSet<u64>>>;

/// Notes and publishes the numbers of each customer.
#[derive(Persistable)]
pub(crate) struct Book {
    numbers: BTreeMap<String, Vec<u64>>,
    #[persist(skip)]
    bad: Bad,
}

#[async_trait]
impl Handler for Book {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let customer = fields.get("customer").unwrap_or_default().escape_ascii().to_string();
        let n: u64 = fields.get_str("n").unwrap_or_default().parse()?;
        self.numbers.entry(customer.clone()).or_default().push(n);
        tx.publish("out", &BTreeMap::from([("customer", customer), ("n", n.to_string())]))?;
        if self.bad.lock().unwrap().contains(&n) {
            return Err(HandlerError::permanent("not this one"));
        }
        if n % 5 == 1 && tx.message().attempt() == 1 {
            return Err("not at once".into());
        }
        Ok(())
    }
}

/// A site where some numbers are bad.
pub(crate) struct Desk {
    pub(crate) site: Site,
    pub(crate) bad: Bad,
    pub(crate) added: u64,
    /// Entries are handled in groups.
    pub(crate) groups: usize,
}

impl Desk {
    pub(crate) async fn open(bad: impl IntoIterator<Item = u64>) -> Self {
        let bad = Arc::new(Mutex::new(bad.into_iter().collect()));
        Self { site: Site::start().await, bad, added: 0, groups: 1 }
    }

    pub(crate) fn builder(&self, url: &str) -> ConsumerBuilder<Book> {
        let pause = Duration::from_millis(1);
        let consumer = self.site.consumer().redis_url(url).lease(LEASE);
        let consumer = consumer.retry(RetryPolicy::exponential(pause, pause).max_attempts(3));
        let consumer = consumer.on_failure(OnFailure::park(DEAD, "customer"));
        let consumer = consumer.coalesce(self.groups, Duration::from_millis(1));
        consumer.handler(Book { numbers: BTreeMap::new(), bad: Arc::clone(&self.bad) })
    }

    pub(crate) async fn spawn(&self) -> ConsumerHandle {
        self.builder(self.site.server.url()).spawn().await.unwrap()
    }

    /// Adds the next number for a customer.
    pub(crate) async fn add(&mut self, customer: &[u8]) {
        let mut command = redis::cmd("XADD");
        command.arg(STREAM).arg("*").arg("n").arg(self.added).arg("customer").arg(customer);
        let _: String = command.query_async(&mut self.site.redis).await.unwrap();
        self.added += 1;
    }

    pub(crate) fn cure(&self) {
        self.bad.lock().unwrap().clear();
    }

    pub(crate) fn letters(&self) -> DeadLetters {
        DeadLetters::new(self.site.server.url(), DEAD).unwrap()
    }

    pub(crate) async fn unpark(&self, key: &[u8]) -> bool {
        self.letters().unpark(STREAM, GROUP, key).await.unwrap()
    }

    pub(crate) async fn parked(&self) -> Vec<Vec<u8>> {
        self.letters().parked(STREAM, GROUP).await.unwrap().into_iter().map(|parked| parked.key).collect()
    }

    /// Waits until everything that was added is committed and nobody waits for a key to be unparked.
    pub(crate) async fn settled(&mut self) {
        let last = self.raw(STREAM).await.last().unwrap().id.to_string();
        eventually("everything is committed and answered", async || {
            let asked: usize = self.site.redis.hlen(format!("{RECORD}@map:@unparking")).await.unwrap();
            asked == 0 && self.site.record("@position").await == last
        })
        .await;
    }

    pub(crate) async fn raw(&mut self, stream: &str) -> Vec<Entry> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+");
        let entries: Vec<(String, Pairs)> = command.query_async(&mut self.site.redis).await.unwrap();
        let entry =
            |(id, fields): (String, Pairs)| Entry { id: id.parse().unwrap(), fields: fields.into_iter().collect() };
        entries.into_iter().map(entry).collect()
    }

    pub(crate) async fn numbers(&mut self, stream: &str) -> BTreeMap<String, Vec<u64>> {
        let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for entry in self.raw(stream).await {
            let Some(customer) = entry.fields.get("customer") else { continue };
            // The output has them escaped, which another escaping leaves as they are unless a backslash is among them.
            let customer = match stream {
                "out" => String::from_utf8(customer.to_vec()).unwrap(),
                _ => customer.escape_ascii().to_string(),
            };
            numbers.entry(customer).or_default().push(entry.fields.get_str("n").unwrap().parse().unwrap());
        }
        numbers
    }

    /// Asserts that what is handled and what waits are the entries of each customer, each once and in order; returns what waits.
    pub(crate) async fn check(&mut self) -> BTreeMap<String, Vec<u64>> {
        let handled: BTreeMap<String, Vec<u64>> = self.site.state("numbers").await.unwrap_or_default();
        assert_eq!(self.numbers("out").await, handled, "publishes and state");
        let waiting = self.numbers(DEAD).await;
        let mut both = handled;
        for (customer, numbers) in &waiting {
            both.entry(customer.clone()).or_default().extend(numbers);
        }
        assert_eq!(both, self.numbers(STREAM).await);
        let parked: BTreeSet<String> = self.parked().await.iter().map(|key| key.escape_ascii().to_string()).collect();
        assert_eq!(parked, waiting.keys().cloned().collect(), "the keys of the letters are parked and no others");
        assert_eq!(self.site.record("@size:@parked").await.parse().unwrap_or(0), parked.len());
        waiting
    }

    pub(crate) async fn dead(&mut self) -> Vec<DeadLetter> {
        self.raw(DEAD).await.into_iter().map(|entry| DeadLetter::of(entry).expect("a dead letter")).collect()
    }
}
