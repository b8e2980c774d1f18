//! What of a handler is kept, and when it is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{Fields, Handler, HandlerError, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::site::{RECORD, Site, within};

fn soon() -> HandlerError {
    HandlerError::retry_after("not yet", Duration::from_millis(1))
}

#[derive(Persistable)]
struct WithClient {
    count: i64,
    /// Neither serializable nor comparable, and shared with the test.
    #[persist(skip)]
    calls: Arc<AtomicUsize>,
    #[persist(skip)]
    own_calls: i64,
}

#[async_trait]
impl Handler for WithClient {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.own_calls += 1;
        tx.publish("out", &BTreeMap::from([("own_calls", self.own_calls)]))?;
        if tx.message().attempt() < 3 { Err(soon()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn skipped_fields_are_neither_stored_nor_rolled_back() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = WithClient { count: 0, calls: Arc::clone(&calls), own_calls: 0 };
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(2).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(site.state("count").await, Some(2));
    assert_eq!(calls.load(Ordering::SeqCst), 6);
    assert_eq!(site.column("out", "own_calls").await, ["3", "6"]);
    assert_eq!(site.state_names().await, ["count"]);

    let handler = WithClient { count: 0, calls, own_calls: 100 };
    let _next = site.consumer().handler(handler).spawn().await.unwrap();
    site.add_numbers(1).await;
    site.until_processed(3).await;
    assert_eq!(site.column("out", "own_calls").await, ["3", "6", "103"]);
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Customer {
    name: String,
    tags: Vec<(u8, Option<String>)>,
    kind: Kind,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
enum Kind {
    Private,
    Company { vat: String, seats: [u16; 2] },
}

#[derive(Persistable)]
struct Crm {
    earlier: Vec<Customer>,
    by_name: BTreeMap<String, (u64, Customer)>,
    last: Option<Customer>,
    #[persist(default = Kind::Private)]
    kind: Kind,
}

#[async_trait]
impl Handler for Crm {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let name = fields.get_str("n").ok_or("no n")?.to_owned();
        let kind = Kind::Company { vat: format!("VAT{name}"), seats: [1, 2] };
        let customer = Customer { name: name.clone(), tags: vec![(7, None), (8, Some("ü".into()))], kind };
        self.by_name.entry(name).or_insert((0, customer.clone())).0 += 1;
        if let Some(mut last) = self.last.take() {
            last.tags.push((9, None));
            self.earlier.push(last);
        }
        self.kind = customer.kind.clone();
        self.last = Some(customer);
        if tx.message().attempt() < 2 { Err(soon()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn nested_types_are_kept_and_rolled_back() {
    let mut site = Site::start().await;
    for processed in [2, 4] {
        site.add_numbers(2).await;
        let handler = Crm { earlier: Vec::new(), by_name: BTreeMap::new(), last: None, kind: Kind::Private };
        let consumer = site.consumer().handler(handler).spawn().await.unwrap();
        site.until_processed(processed).await;
        within(consumer.shutdown()).await.unwrap();
    }
    let earlier: Vec<Customer> = site.state("earlier").await.unwrap();
    assert_eq!(earlier.iter().map(|customer| customer.name.as_str()).collect::<Vec<_>>(), ["0", "1", "0"]);
    assert_eq!(earlier[2].tags, [(7, None), (8, Some("ü".into())), (9, None)]);
    let by_name: BTreeMap<String, (u64, Customer)> = site.state("by_name").await.unwrap();
    assert_eq!((by_name["0"].0, by_name["1"].0), (2, 2));
    let last: Option<Customer> = site.state("last").await.unwrap();
    let kind = Kind::Company { vat: "VAT1".into(), seats: [1, 2] };
    assert_eq!((last.unwrap().tags.len(), site.state("kind").await), (2, Some(kind)));
}

#[derive(Persistable)]
struct Words {
    counts: HashMap<String, i64>,
    untouched: HashMap<String, i64>,
    total: i64,
}

#[async_trait]
impl Handler for Words {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let word = fields.get_str("word").ok_or("no word")?;
        self.total += 1;
        *self.counts.entry(word.to_owned()).or_default() += 1;
        if tx.message().attempt() < 2 { Err(soon()) } else { Ok(()) }
    }
}

fn words() -> Words {
    let untouched = (0..50).map(|n| (format!("word {n}"), n)).collect();
    Words { counts: HashMap::new(), untouched, total: 0 }
}

#[tokio::test]
async fn a_hash_map_is_kept_and_rolled_back_and_not_rewritten_while_it_does_not_change() {
    let mut site = Site::start().await;
    for n in 0..40 {
        site.add(&[("word", ["a", "b", "c"][n % 3])]).await;
    }
    let first = site.consumer().handler(words()).spawn().await.unwrap();
    site.until_processed(40).await;
    within(first.shutdown()).await.unwrap();
    let second = site.consumer().handler(words()).spawn().await.unwrap();
    // A restored hash map lists its members in another order, which is no change.
    let () = site.redis.hdel(RECORD, "untouched").await.unwrap();
    for word in ["c", "d"] {
        site.add(&[("word", word)]).await;
    }
    site.until_processed(42).await;
    within(second.shutdown()).await.unwrap();
    assert_eq!(site.state_names().await, ["counts", "total"]);
    let counts: HashMap<String, i64> = site.state("counts").await.unwrap();
    let expected = HashMap::from([("a".into(), 14), ("b".into(), 13), ("c".into(), 14), ("d".into(), 1)]);
    assert_eq!((counts, site.state("total").await), (expected, Some(42)));
}

#[derive(Persistable)]
struct Pair {
    left: i64,
    right: i64,
}

#[async_trait]
impl Handler for Pair {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, _: &mut Transaction) -> HandlerResult {
        match fields.get_str("side") {
            Some("left") => self.left += 1,
            Some("right") => self.right += 1,
            // Written and found to be what it was.
            _ => {
                self.left += 1;
                self.left -= 1;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn only_fields_that_changed_are_written() {
    let mut site = Site::start().await;
    let _consumer = site.consumer().handler(Pair { left: 3, right: 4 }).spawn().await.unwrap();
    site.add(&[("side", "left")]).await;
    site.until_processed(1).await;
    assert_eq!(site.state_names().await, ["left", "right"], "a new record gets all of them");
    let () = site.redis.hdel(RECORD, &["left", "right"]).await.unwrap();
    site.add(&[("side", "right")]).await;
    site.until_processed(2).await;
    assert_eq!(site.state_names().await, ["right"]);
    let () = site.redis.hdel(RECORD, "right").await.unwrap();
    site.add(&[("side", "none")]).await;
    site.until_processed(3).await;
    assert_eq!(site.state_names().await, [""; 0]);
    site.add(&[("side", "left")]).await;
    site.until_processed(4).await;
    assert_eq!(site.state("left").await, Some(5));
}
