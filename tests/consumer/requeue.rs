//! Dead letters looked at and put back, by those who have corrected what was wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use atomic_streams::{
    ConsumerHandle, DeadLetters, EntryId, ErrorKind, Fields, Handler, HandlerError, HandlerResult, MemoryStore,
    OnFailure, Persistable, Transaction,
};
use redis::AsyncCommands;
use support::{Proxy, eventually};

use crate::site::{STREAM, Site, within};

const DEAD: &str = "orders:dead";

/// Refuses every entry but those with an `n` of at least `good`.
#[derive(Persistable)]
struct Picky {
    #[persist(skip)]
    good: u64,
}

#[async_trait]
impl Handler for Picky {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let n = fields.get_str("n").unwrap_or_default();
        if n.parse::<u64>()? < self.good {
            return Err(HandlerError::permanent("too small"));
        }
        tx.publish("out", &BTreeMap::from([("n", n)]))?;
        Ok(())
    }
}

async fn picky(site: &Site, good: u64) -> ConsumerHandle {
    let consumer = site.consumer().on_failure(OnFailure::dead_letter(DEAD));
    consumer.handler(Picky { good }).spawn().await.unwrap()
}

/// How many entries there are in the input and how many dead letters.
async fn lengths(site: &mut Site) -> (usize, usize) {
    (site.redis.xlen(STREAM).await.unwrap(), site.redis.xlen(DEAD).await.unwrap())
}

fn letters(site: &Site) -> DeadLetters {
    DeadLetters::new(site.server.url(), DEAD).unwrap()
}

#[tokio::test]
async fn requeued_entries_are_handled_again_in_their_order() {
    let mut site = Site::start().await;
    site.add_numbers(250).await;
    let consumer = picky(&site, 240).await;
    site.until_processed(250).await;
    within(consumer.shutdown()).await.unwrap();
    let letters = letters(&site);
    let listed = letters.list(1_000).await.unwrap();
    assert_eq!(listed.len(), 240);
    let one = listed[239].id;
    assert_eq!(letters.get(one).await.unwrap().as_ref(), Some(&listed[239]));
    assert!(letters.requeue(one).await.unwrap().is_some());
    assert_eq!(letters.requeue(one).await.unwrap(), None, "once");
    assert_eq!(letters.get(one).await.unwrap(), None);
    assert!(letters.remove(listed[0].id).await.unwrap());
    assert_eq!(letters.requeue_all().await.unwrap(), 238);
    assert_eq!(letters.requeue_all().await.unwrap(), 0);
    assert_eq!(letters.list(9).await.unwrap(), []);

    let consumer = picky(&site, 0).await;
    site.until_processed(250 + 239).await;
    let expected: Vec<String> = (240..250).chain([239]).chain(1..239).map(|n| n.to_string()).collect();
    assert_eq!(site.column("out", "n").await, expected);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn pages_follow_each_other() {
    let mut site = Site::start().await;
    site.add_numbers(230).await;
    let consumer = picky(&site, 230).await;
    site.until_processed(230).await;
    within(consumer.shutdown()).await.unwrap();
    // What is no dead letter is passed over.
    site.add_to(DEAD, &[("n", "1")]).await;
    let letters = letters(&site);
    let all = letters.list(usize::MAX).await.unwrap();
    assert_eq!(all.len(), 230);
    let (mut paged, mut after) = (Vec::new(), EntryId::MIN);
    loop {
        let page = letters.list_after(after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.id;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert_eq!(letters.list_after(EntryId::new(u64::MAX, u64::MAX), 7).await.unwrap(), []);
    assert_eq!(letters.requeue_all().await.unwrap(), 230);
    assert_eq!(site.entries(DEAD).await.len(), 1, "nor requeued");
}

#[tokio::test]
async fn entries_that_fail_again_go_round_once() {
    let mut site = Site::start().await;
    site.add_numbers(300).await;
    let consumer = picky(&site, 1_000).await;
    site.until_processed(300).await;
    assert_eq!(letters(&site).requeue_all().await.unwrap(), 300);
    site.until_processed(600).await;
    assert_eq!(site.entries(DEAD).await.len(), 300);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_requeue_each_letter_once() {
    let mut site = Site::start().await;
    site.add_numbers(100).await;
    // One that no script can add at once.
    let wide: Vec<(String, String)> = (0..5_000).map(|n| (format!("f{n}"), String::new())).collect();
    let wide: Vec<(&str, &str)> =
        [("n", "0")].into_iter().chain(wide.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
    for _ in 0..10 {
        site.add(&wide).await;
    }
    let consumer = picky(&site, 1_000).await;
    site.until_processed(110).await;
    within(consumer.shutdown()).await.unwrap();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let letters = letters(&site);
            tokio::spawn(async move { letters.requeue_all().await.unwrap() })
        })
        .collect();
    let mut requeued = 0;
    for call in calls {
        requeued += call.await.unwrap();
    }
    assert_eq!(requeued, 110);
    let entries = site.entries(STREAM).await;
    assert_eq!((entries.len(), site.entries(DEAD).await.len()), (220, 0));
    let numbers: BTreeSet<&String> = entries[110..].iter().map(|entry| &entry["n"]).collect();
    assert_eq!(numbers.len(), 100);
}

#[tokio::test]
async fn a_reply_that_is_lost_costs_nothing() {
    for fields in [1, 5_000] {
        let mut site = Site::start().await;
        let names: Vec<String> = (0..fields).map(|n| format!("f{n}")).collect();
        let fields: Vec<(&str, &str)> =
            [("n", "0")].into_iter().chain(names.iter().map(|name| (name.as_str(), "x"))).collect();
        site.add(&fields).await;
        let consumer = picky(&site, 1).await;
        site.until_processed(1).await;
        within(consumer.shutdown()).await.unwrap();

        let proxy = Proxy::start(site.server.addr()).await;
        let letters = Arc::new(DeadLetters::new(&proxy.url(), DEAD).unwrap());
        let letter = letters.list(1).await.unwrap().remove(0);
        let needle: &[u8] = if fields.len() > 4_000 { b"EXEC" } else { b"EVALSHA" };
        let hold = proxy.hold_replies_after_request(needle);
        let call = tokio::spawn({
            let letters = Arc::clone(&letters);
            async move { letters.requeue(letter.id).await }
        });
        hold.wait_until_held().await;
        eventually("the server has done it", async || site.entries(STREAM).await.len() == 2).await;
        proxy.cut_all();
        hold.release();
        let error = within(call).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(within(letters.requeue(letter.id)).await.unwrap(), None);
        assert_eq!(lengths(&mut site).await, (2, 0));
    }
}

#[tokio::test]
async fn its_rights_are_enough_and_without_them_nothing_is_done() {
    let mut site = Site::start().await;
    let wide: Vec<String> = (0..5_000).map(|n| format!("f{n}")).collect();
    let wide: Vec<(&str, &str)> =
        [("n", "0")].into_iter().chain(wide.iter().map(|name| (name.as_str(), "x"))).collect();
    site.add(&wide).await;
    site.add_numbers(1).await;
    let consumer = picky(&site, 1).await;
    site.until_processed(2).await;
    within(consumer.shutdown()).await.unwrap();
    let needed = [
        "+xrange",
        "+xrevrange",
        "+xadd",
        "+xdel",
        "+evalsha",
        "+script|load",
        "+type",
        "+watch",
        "+unwatch",
        "+multi",
        "+exec",
        "+eval",
    ];
    let url = format!("redis://clerk:secret@{}/", site.server.addr());
    for missing in needed.iter().filter(|right| **right != "+unwatch") {
        let rights = needed.iter().filter(|right| *right != missing);
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("clerk").arg("reset").arg("on").arg(">secret").arg("~orders*");
        let () = command.arg(rights.collect::<Vec<_>>()).query_async(&mut site.redis).await.unwrap();
        let letters = DeadLetters::new(&url, DEAD).unwrap();
        let error = letters.requeue_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{missing}: {error}");
        assert_eq!(lengths(&mut site).await, (2, 2), "{missing}");
    }
    let () = redis::cmd("ACL").arg("SETUSER").arg("clerk").arg(&needed).query_async(&mut site.redis).await.unwrap();
    assert_eq!(DeadLetters::new(&url, DEAD).unwrap().requeue_all().await.unwrap(), 2);
    assert_eq!(lengths(&mut site).await, (4, 0));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let site = Site::start().await;
    assert_eq!(DeadLetters::new("http://x", DEAD).unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert_eq!(DeadLetters::in_memory(&MemoryStore::new(), "").unwrap_err().kind(), ErrorKind::InvalidConfig);
    let letters = letters(&site);
    assert_eq!(letters.list(9).await.unwrap(), []);
    assert_eq!((letters.requeue_all().await.unwrap(), letters.requeue(EntryId::MIN).await.unwrap()), (0, None));
    let mut redis = site.redis.clone();
    let () = redis::cmd("SET").arg(DEAD).arg("neither").query_async(&mut redis).await.unwrap();
    assert_eq!(letters.list(9).await.unwrap_err().kind(), ErrorKind::WrongType);
    let error = DeadLetters::new("redis://127.0.0.1:1", DEAD).unwrap().list(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
