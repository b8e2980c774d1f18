//! Keys whose entries follow a dead letter, and their letters handled in order when the key is unparked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{
    ConsumerBuilder, ConsumerHandle, DeadLetter, DeadLetters, Entry, ErrorKind, Fields, Handler, HandlerError,
    HandlerResult, OnFailure, Persistable, RetryPolicy, Transaction,
};
use redis::AsyncCommands;
use support::{Proxy, Rng, Snapshot, eventually, seed};

use crate::puppet::puppet;
use crate::site::{GROUP, RECORD, STREAM, Site, within};

const DEAD: &str = "orders:dead";
const LEASE: Duration = Duration::from_millis(600);

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Numbers that cannot be handled now.
type Bad = Arc<Mutex<BTreeSet<u64>>>;

/// Notes and publishes the numbers of each customer.
#[derive(Persistable)]
struct Book {
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
struct Desk {
    site: Site,
    bad: Bad,
    added: u64,
    /// Entries are handled in groups.
    groups: usize,
}

impl Desk {
    async fn open(bad: impl IntoIterator<Item = u64>) -> Self {
        let bad = Arc::new(Mutex::new(bad.into_iter().collect()));
        Self { site: Site::start().await, bad, added: 0, groups: 1 }
    }

    fn builder(&self, url: &str) -> ConsumerBuilder<Book> {
        let pause = Duration::from_millis(1);
        let consumer = self.site.consumer().redis_url(url).lease(LEASE);
        let consumer = consumer.retry(RetryPolicy::exponential(pause, pause).max_attempts(3));
        let consumer = consumer.on_failure(OnFailure::park(DEAD, "customer"));
        let consumer = consumer.coalesce(self.groups, Duration::from_millis(1));
        consumer.handler(Book { numbers: BTreeMap::new(), bad: Arc::clone(&self.bad) })
    }

    async fn spawn(&self) -> ConsumerHandle {
        self.builder(self.site.server.url()).spawn().await.unwrap()
    }

    /// Adds the next number for a customer.
    async fn add(&mut self, customer: &[u8]) {
        let mut command = redis::cmd("XADD");
        command.arg(STREAM).arg("*").arg("n").arg(self.added).arg("customer").arg(customer);
        let _: String = command.query_async(&mut self.site.redis).await.unwrap();
        self.added += 1;
    }

    fn cure(&self) {
        self.bad.lock().unwrap().clear();
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(self.site.server.url(), DEAD).unwrap()
    }

    async fn unpark(&self, key: &[u8]) -> bool {
        self.letters().unpark(STREAM, GROUP, key).await.unwrap()
    }

    async fn parked(&self) -> Vec<Vec<u8>> {
        self.letters().parked(STREAM, GROUP).await.unwrap().into_iter().map(|parked| parked.key).collect()
    }

    /// Waits until everything that was added is committed and nobody waits for a key to be unparked.
    async fn settled(&mut self) {
        let last = self.raw(STREAM).await.last().unwrap().id.to_string();
        eventually("everything is committed and answered", async || {
            let asked: usize = self.site.redis.hlen(format!("{RECORD}@map:@unparking")).await.unwrap();
            asked == 0 && self.site.record("@position").await == last
        })
        .await;
    }

    async fn raw(&mut self, stream: &str) -> Vec<Entry> {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg("-").arg("+");
        let entries: Vec<(String, Pairs)> = command.query_async(&mut self.site.redis).await.unwrap();
        let entry =
            |(id, fields): (String, Pairs)| Entry { id: id.parse().unwrap(), fields: fields.into_iter().collect() };
        entries.into_iter().map(entry).collect()
    }

    async fn numbers(&mut self, stream: &str) -> BTreeMap<String, Vec<u64>> {
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
    async fn check(&mut self) -> BTreeMap<String, Vec<u64>> {
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

    async fn dead(&mut self) -> Vec<DeadLetter> {
        self.raw(DEAD).await.into_iter().map(|entry| DeadLetter::of(entry).expect("a dead letter")).collect()
    }
}

#[tokio::test]
async fn later_entries_of_a_dead_key_follow_it_and_others_go_on() {
    for groups in [1, 64] {
        let mut desk = Desk { groups, ..Desk::open([3]).await };
        for n in 0..60 {
            desk.add([&b"a"[..], b"b", b"\xff\x00 c"][n % 3]).await;
        }
        let consumer = desk.spawn().await;
        desk.settled().await;
        let waiting = desk.check().await;
        assert_eq!(waiting, BTreeMap::from([("a".to_owned(), (3..60).step_by(3).collect())]));
        let dead = desk.dead().await;
        let first = dead[0].entry.id;
        assert_eq!((dead[0].attempts, dead[0].error.as_str(), dead[0].parked_behind), (1, "not this one", None));
        for letter in &dead[1..] {
            assert_eq!((letter.attempts, letter.parked_behind), (0, Some(first)));
            assert!(letter.error.contains(&first.to_string()), "{}", letter.error);
        }
        assert!(dead.iter().all(|letter| letter.key.as_deref() == Some(b"a")));
        let stats = consumer.stats();
        assert_eq!((stats.processed, stats.dead_lettered, stats.unparked), (60, 19, 0));
        within(consumer.shutdown()).await.unwrap();

        // Another process knows it.
        let consumer = desk.spawn().await;
        for _ in 0..6 {
            desk.add(b"a").await;
            desk.add(b"b").await;
        }
        desk.settled().await;
        assert_eq!(desk.check().await["a"].len(), 19 + 6);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_without_the_field_is_an_ordinary_dead_letter() {
    let mut desk = Desk::open([0, 1]).await;
    let consumer = desk.spawn().await;
    for n in ["0", "1", "2"] {
        desk.site.add(&[("n", n)]).await;
    }
    desk.settled().await;
    let dead = desk.dead().await;
    assert_eq!(dead.iter().map(|letter| letter.key.clone()).collect::<Vec<_>>(), [None, None]);
    assert_eq!((desk.parked().await.len(), desk.site.record("@parked_by").await.as_str()), (0, ""));
    assert_eq!(desk.letters().requeue_all().await.unwrap(), 2);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_of_a_parked_key_are_not_requeued() {
    let mut desk = Desk::open([0]).await;
    for customer in [b"a", b"a", b"b"] {
        desk.add(customer).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    let before = desk.dead().await;
    let error = desk.letters().requeue(before[1].id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyParked, "{error}");
    assert!(error.to_string().contains("unpark"), "{error}");
    assert_eq!(desk.letters().requeue_all().await.unwrap(), 0);
    assert_eq!(desk.dead().await, before);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_would_not_keep_the_order_does_not_start() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    for policy in
        [OnFailure::Block, OnFailure::dead_letter(DEAD), OnFailure::park(DEAD, "n"), OnFailure::park("x", "customer")]
    {
        let builder = desk.builder(desk.site.server.url()).retry(RetryPolicy::default()).on_failure(policy);
        let error = builder.spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("orders:dead by customer"), "{error}");
        assert_eq!(desk.site.record("@lease").await, "0");
    }
    desk.cure();
    let consumer = desk.spawn().await;
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let plain = desk.builder(desk.site.server.url()).on_failure(OnFailure::Skip);
    within(plain.spawn().await.unwrap().shutdown()).await.unwrap();
}

#[tokio::test]
async fn unparked_letters_are_handled_in_order_before_later_entries_of_the_key() {
    for groups in [1, 64] {
        let mut desk = Desk { groups, ..Desk::open([2, 3]).await };
        let keys = [&b"a"[..], b"b", b"\xff\r\n\x00", b"d"];
        for n in 0..400 {
            desk.add(keys[n % 4]).await;
        }
        let consumer = desk.spawn().await;
        desk.settled().await;
        assert_eq!(desk.check().await.len(), 2);
        desk.cure();
        assert!(!desk.unpark(b"a").await, "it is not parked");
        assert!(desk.unpark(keys[2]).await);
        assert!(desk.unpark(keys[2]).await, "asked twice");
        assert!(desk.unpark(b"d").await);
        let mut n = 0;
        while !desk.parked().await.is_empty() {
            desk.add(keys[n % 4]).await;
            n += 1;
        }
        assert!(n > 10, "no entries came meanwhile");
        desk.settled().await;
        assert_eq!(desk.check().await, BTreeMap::new());
        let stats = consumer.stats();
        assert_eq!(stats.processed, 400 + n as u64);
        assert!(stats.unparked >= 200, "{stats:?}");
        assert_eq!(desk.site.processed().await, 400 + n as u64);
        assert!(!desk.unpark(b"d").await);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn the_handler_sees_the_entry_as_it_was() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().lease(LEASE).on_failure(OnFailure::park(DEAD, "customer"));
    let consumer = consumer.handler(handler).spawn().await.unwrap();
    let first = site.add(&[("customer", "a"), ("n", "0")]).await;
    let second = site.add(&[("customer", "a"), ("n", "1")]).await;
    calls.next().await.fail(HandlerError::permanent("no"));
    site.until_processed(2).await;
    assert!(DeadLetters::new(site.server.url(), DEAD).unwrap().unpark(STREAM, GROUP, "a").await.unwrap());
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.count), (first, 1, 1));
    call.fail("not at once");
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.count), (first, 2, 1));
    let (_, sequence) = site.head().await;
    let third = site.add(&[("customer", "a"), ("n", "2")]).await;
    call.done();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.fields.get_str("n")), (second, 1, Some("1")));
    assert!(site.head().await.1 > sequence);
    assert_eq!((site.processed().await, site.record("@position").await), (2, second.to_string()));
    call.done();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.count), (third, 3));
    call.done();
    site.until_processed(3).await;
    assert_eq!(site.column("out", "n").await, ["0", "1", "2"]);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_letter_that_fails_again_stays_and_those_behind_it() {
    let mut desk = Desk::open([0, 4]).await;
    for n in 0..20 {
        desk.add([b"a", b"b"][n % 2]).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    for _ in 0..2 {
        assert!(desk.unpark(b"a").await);
        desk.settled().await;
        assert_eq!(desk.check().await["a"].len(), 10);
    }
    desk.bad.lock().unwrap().remove(&0);
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    assert_eq!(desk.check().await["a"], (4..20).step_by(2).collect::<Vec<_>>());
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await["a"].len(), 9);
    // One that is removed is left out, and the others keep their order.
    let first = desk.dead().await[0].id;
    assert!(desk.letters().remove(first).await.unwrap());
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!(handled["a"], [0, 2].into_iter().chain((6..21).step_by(2)).collect::<Vec<_>>());
    assert_eq!((desk.parked().await.len(), consumer.stats().unparked), (0, 10));
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_without_letters_is_unparked_all_the_same() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    let letter = desk.dead().await[0].id;
    assert!(desk.letters().remove(letter).await.unwrap());
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    assert!(desk.parked().await.is_empty());
    desk.add(b"a").await;
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!(handled["a"], [1]);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_of_others_are_left_alone() {
    let mut desk = Desk::open([0]).await;
    for customer in [b"a", b"a"] {
        desk.add(customer).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let (handler, mut calls) = puppet();
    let other = atomic_streams::Consumer::builder(STREAM, "other")
        .redis_url(desk.site.server.url())
        .on_failure(OnFailure::park(DEAD, "customer"))
        .handler(handler);
    let other = other.spawn().await.unwrap();
    calls.next().await.fail(HandlerError::permanent("neither"));
    eventually("both groups have their letters", async || desk.raw(DEAD).await.len() == 4).await;
    let consumer = desk.spawn().await;
    desk.cure();
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    let left = desk.dead().await;
    assert_eq!(left.iter().map(|letter| letter.group.as_str()).collect::<Vec<_>>(), ["other", "other"]);
    within(other.shutdown()).await.unwrap();
    within(consumer.shutdown()).await.unwrap();
}

/// A letter's commit is held on its way to the server.
async fn letter_held(desk: &mut Desk, proxy: &Proxy) -> (ConsumerHandle, support::Hold) {
    for _ in 0..5 {
        desk.add(b"a").await;
    }
    let consumer = desk.builder(&proxy.url()).max_in_flight(1).spawn().await.unwrap();
    desk.settled().await;
    assert_eq!(desk.check().await["a"].len(), 5);
    desk.cure();
    let hold = proxy.hold_requests_containing(b"$3\r\nout\r\n");
    assert!(desk.unpark(b"a").await);
    hold.wait_until_held().await;
    (consumer, hold)
}

#[tokio::test]
async fn a_letter_that_is_removed_while_it_is_handled_has_no_effect() {
    let mut desk = Desk::open([0]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let (consumer, hold) = letter_held(&mut desk, &proxy).await;
    let first = desk.dead().await[0].id;
    assert!(desk.letters().remove(first).await.unwrap());
    hold.release();
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!((&handled["a"], &handled), (&vec![1, 2, 3, 4], &desk.numbers("out").await));
    assert!(consumer.stats().recoveries >= 1);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_that_a_rollback_brings_back_are_handled_again_with_the_state_that_was_before() {
    let mut desk = Desk::open([0]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let (consumer, hold) = letter_held(&mut desk, &proxy).await;
    let before = Snapshot::take(&mut desk.site.redis).await;
    hold.release();
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    before.restore(&mut desk.site.redis).await;
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    assert!(consumer.stats().recoveries >= 1);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_parking_is_rolled_back_is_not_parked() {
    let mut desk = Desk::open([]).await;
    let consumer = desk.spawn().await;
    desk.add(b"a").await;
    desk.settled().await;
    let before = Snapshot::take(&mut desk.site.redis).await;
    desk.bad.lock().unwrap().insert(1);
    desk.add(b"a").await;
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await["a"], [1, 2]);
    desk.cure();
    before.restore(&mut desk.site.redis).await;
    for _ in 0..3 {
        desk.add(b"a").await;
    }
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_parked_ends_the_consumer_at_its_entry() {
    let mut desk = Desk::open([1]).await;
    desk.add(b"a").await;
    desk.add(&[b'x'; 1_025]).await;
    let consumer = desk.spawn().await;
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EntryFailed, "{error}");
    assert!(error.to_string().contains("1025 bytes"), "{error}");
    assert_eq!((desk.site.processed().await, desk.site.record("@lease").await.as_str()), (1, "0"));
    assert_eq!(desk.raw(DEAD).await, []);
}

#[tokio::test]
async fn parked_keys_that_are_gone_from_beside_the_record_are_missed() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let _: u64 = desk.site.redis.del(format!("{RECORD}@map:@parked")).await.unwrap();
    let error = desk.builder(desk.site.server.url()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
}

/// Random keys, failures, unparkings, restarts, lost connections and rollbacks against what the input says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_key_is_handled_once_and_in_order() {
    let mut rng = Rng::new(seed());
    for groups in [1, 16] {
        let mut desk = Desk { groups, ..Desk::open([]).await };
        let proxy = Proxy::start(desk.site.server.addr()).await;
        let keys: Vec<Vec<u8>> = (0..6_u8).map(|n| vec![n, b' ', 0xff - n]).collect();
        let mut consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
        let mut snapshot = None;
        let mut parked = 0;
        for round in 0..24 {
            for _ in 0..rng.below(40) {
                if rng.percent(8) {
                    desk.bad.lock().unwrap().insert(desk.added);
                }
                let key = keys[rng.below(6) as usize].clone();
                desk.add(&key).await;
            }
            if rng.percent(60) {
                if rng.percent(70) {
                    let good: Vec<u64> = desk.bad.lock().unwrap().iter().copied().filter(|_| rng.percent(60)).collect();
                    desk.bad.lock().unwrap().retain(|n| !good.contains(n));
                }
                for key in &keys {
                    if rng.percent(60) {
                        desk.unpark(key).await;
                    }
                }
            }
            match rng.below(5) {
                0 => proxy.cut_all(),
                1 => {
                    tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
                    proxy.cut_all();
                }
                2 => {
                    within(consumer.shutdown()).await.unwrap();
                    consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
                }
                3 => {
                    if let Some(snapshot) = snapshot.take() {
                        Snapshot::restore(&snapshot, &mut desk.site.redis).await;
                        desk.add(&keys[0]).await;
                    }
                }
                _ => {}
            }
            if round % 4 == 3 {
                desk.settled().await;
                parked += desk.check().await.len();
                if rng.percent(50) {
                    snapshot = Some(Snapshot::take(&mut desk.site.redis).await);
                }
            }
        }
        desk.cure();
        desk.add(&keys[0]).await;
        desk.settled().await;
        for key in &keys {
            desk.unpark(key).await;
        }
        desk.settled().await;
        assert_eq!(desk.check().await, BTreeMap::new());
        println!("{parked} keys were parked at a look, {:?}", consumer.stats());
        assert!(parked > 0);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let desk = Desk::open([]).await;
    for (stream, group) in [("", "g"), ("s", "a@b")] {
        assert_eq!(desk.letters().unpark(stream, group, "k").await.unwrap_err().kind(), ErrorKind::InvalidConfig);
        assert_eq!(desk.letters().parked(stream, group).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    }
    assert!(!desk.letters().unpark("none", "g", "k").await.unwrap());
    assert_eq!(desk.letters().parked("none", "g").await.unwrap(), []);
    let builder = desk.builder(desk.site.server.url()).on_failure(OnFailure::park(DEAD, ""));
    assert_eq!(builder.spawn().await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let builder = desk.builder(desk.site.server.url()).on_failure(OnFailure::park(STREAM, "customer"));
    assert_eq!(builder.spawn().await.unwrap_err().kind(), ErrorKind::InvalidConfig);
}
