//! What goes to the dead-letter stream, with the commit that moves past it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use atomic_streams::admin::{Admin, Position};
use atomic_streams::{
    ConsumerBuilder, DeadLetter, Entry, EntryId, ErrorKind, Fields, Handler, HandlerError, HandlerResult, NoHandler,
    OnFailure, Persistable, RetryPolicy, Transaction,
};
use redis::AsyncCommands;
use serde::Deserialize;
use support::{Rng, eventually, seed};

use crate::puppet::puppet;
use crate::site::{GROUP, STREAM, Site, within};

const DEAD: &str = "orders:dead";

fn to_dead_letters(site: &Site) -> ConsumerBuilder<NoHandler> {
    let pause = Duration::from_millis(1);
    let policy = RetryPolicy::exponential(pause, pause).max_attempts(2);
    site.consumer().retry(policy).on_failure(OnFailure::dead_letter(DEAD))
}

/// Names and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The entries of a stream with their fields as they are, repeats and order included.
async fn raw(site: &mut Site, stream: &str) -> Vec<Entry> {
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg("-").arg("+");
    let entries: Vec<(String, Pairs)> = command.query_async(&mut site.redis).await.unwrap();
    let entry = |(id, fields): (String, Pairs)| Entry { id: id.parse().unwrap(), fields: fields.into_iter().collect() };
    entries.into_iter().map(entry).collect()
}

async fn letters(site: &mut Site) -> Vec<DeadLetter> {
    raw(site, DEAD).await.into_iter().map(|entry| DeadLetter::of(entry).expect("a dead letter")).collect()
}

async fn add(site: &mut Site, fields: &Fields) -> EntryId {
    let mut command = redis::cmd("XADD");
    command.arg(STREAM).arg("*");
    for (name, value) in fields.iter() {
        command.arg(name).arg(value);
    }
    command.query_async::<String>(&mut site.redis).await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_dead_letter_holds_the_entry_as_it_was_and_what_there_is_to_know() {
    let mut site = Site::start().await;
    let mut fields = Fields::new();
    for (name, value) in [("n", "1"), ("n", "2"), ("@error", "own"), ("", "")] {
        fields.push(name, value);
    }
    fields.push([0xff, 0], [0xfe, 0]);
    let id = add(&mut site, &fields).await;
    let (handler, mut calls) = puppet();
    let before = SystemTime::now() - Duration::from_millis(1);
    let consumer = to_dead_letters(&site).handler(handler).spawn().await.unwrap();
    calls.next().await.fail("out of paper");
    calls.next().await.fail("x".repeat(100_000));
    site.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    let found = letters(&mut site).await;
    let [letter] = &found[..] else { panic!("{found:?}") };
    assert_eq!(letter.entry, Entry { id, fields: fields.clone() });
    assert_eq!((letter.stream.as_str(), letter.group.as_str(), letter.attempts), (STREAM, GROUP, 2));
    assert_eq!(letter.error, "x".repeat(2_048));
    assert!(before <= letter.time && letter.time <= SystemTime::now(), "{:?}", letter.time);
    let written = &raw(&mut site, DEAD).await[0].fields;
    let names: Vec<&[u8]> = written.iter().map(|(name, _)| name).skip(fields.len()).collect();
    assert_eq!(names, ["@stream", "@group", "@id", "@time_ms", "@attempts", "@error", "@fields"].map(str::as_bytes));
    assert_eq!((site.state("count").await, site.entries("out").await.len()), (Some(0), 0));
    let stats = consumer.stats();
    assert_eq!((stats.processed, stats.dead_lettered, stats.published), (1, 1, 1));
}

#[derive(Deserialize)]
struct Number {
    n: i64,
}

/// Fails for good at every seventh, now and then at others.
#[derive(Persistable)]
struct Sum {
    seen: Vec<i64>,
}

#[async_trait]
impl Handler for Sum {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        self.seen.push(number.n);
        tx.publish("out", &BTreeMap::from([("n", number.n)]))?;
        match number.n {
            n if n % 7 == 0 => Err(HandlerError::permanent("a seventh")),
            n if n % 5 == 0 && tx.message().attempt() == 1 => Err("not at once".into()),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn every_entry_is_either_handled_or_dead_and_both_are_in_order() {
    for group in [1, 64] {
        let mut site = Site::start().await;
        site.add_numbers(500).await;
        let consumer = to_dead_letters(&site).coalesce(group, Duration::from_millis(1));
        let consumer = consumer.handler(Sum { seen: Vec::new() }).spawn().await.unwrap();
        site.until_processed(500).await;
        within(consumer.shutdown()).await.unwrap();
        let (dead, handled): (Vec<i64>, Vec<i64>) = (0..500).partition(|n| n % 7 == 0);
        assert_eq!(site.state::<Vec<i64>>("seen").await, Some(handled.clone()));
        let column = |values: Vec<String>| values.iter().map(|n| n.parse().unwrap()).collect::<Vec<i64>>();
        assert_eq!(column(site.column("out", "n").await), handled);
        assert_eq!(column(site.column(DEAD, "n").await), dead);
        assert_eq!(consumer.stats().dead_lettered, dead.len() as u64);
    }
}

#[tokio::test]
async fn what_does_not_decode_is_a_dead_letter_at_once() {
    let mut site = Site::start().await;
    site.add(&[("n", "one")]).await;
    site.add(&[("m", "1")]).await;
    site.add(&[("n", "1")]).await;
    let consumer = to_dead_letters(&site).handler(Sum { seen: Vec::new() }).spawn().await.unwrap();
    site.until_processed(3).await;
    let found = letters(&mut site).await;
    let shown: Vec<(u32, &str)> = found.iter().map(|letter| (letter.attempts, letter.error.as_str())).collect();
    assert!(matches!(shown[..], [(1, a), (1, b)] if a.contains("`n`") && b.contains("`n`")), "{shown:?}");
    assert_eq!(site.state::<Vec<i64>>("seen").await, Some(vec![1]));
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_entry_too_large_for_one_xadd_of_a_script_is_packed() {
    let mut site = Site::start().await;
    let mut rng = Rng::new(seed());
    for count in [3_893, 3_894, 30_000] {
        let fields: Fields = (0..count).map(|n| (format!("f{}", rng.below(1_000)), n.to_string())).collect();
        let id = add(&mut site, &fields).await;
        let consumer = to_dead_letters(&site).handler(Sum { seen: Vec::new() }).spawn().await.unwrap();
        let dead = async || {
            let found = letters(&mut site).await;
            found.into_iter().find(|letter| letter.entry.id == id)
        };
        let letter = eventually("it is a dead letter", dead).await;
        assert!(letter.entry.fields == fields, "{count} fields");
        within(consumer.shutdown()).await.unwrap();
    }
    let packed: Vec<bool> =
        raw(&mut site, DEAD).await.iter().map(|entry| entry.fields.get("@packed").is_some()).collect();
    assert_eq!(packed, [false, true, true]);
}

#[tokio::test]
async fn where_dead_letters_cannot_be_written_the_consumer_ends_and_nothing_is_lost() {
    for (rights, kind) in [(false, ErrorKind::WrongType), (true, ErrorKind::Denied)] {
        let mut site = Site::start().await;
        let bad = site.add(&[("n", "bad")]).await;
        let mut consumer = to_dead_letters(&site);
        if rights {
            let rule = ["on", ">secret", "~orders", "~atomic-streams:*", "+@all"];
            let () =
                redis::cmd("ACL").arg("SETUSER").arg("worker").arg(&rule).query_async(&mut site.redis).await.unwrap();
            consumer = consumer.redis_url(format!("redis://worker:secret@{}/", site.server.addr()));
        } else {
            let () = site.redis.set(DEAD, "neither").await.unwrap();
        }
        let consumer = consumer.handler(Sum { seen: Vec::new() }).spawn().await.unwrap();
        let error = within(consumer.wait()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(DEAD), "{error}");
        assert_eq!((site.processed().await, site.record("@lease").await.as_str()), (0, "0"));

        let _: u64 = site.redis.del(DEAD).await.unwrap();
        let consumer = to_dead_letters(&site).handler(Sum { seen: Vec::new() }).spawn().await.unwrap();
        site.until_processed(1).await;
        assert_eq!(letters(&mut site).await[0].entry.id, bad);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_when_the_position_is_put_before_it() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    let consumer = to_dead_letters(&site).lease(Duration::from_millis(600)).handler(handler).spawn().await.unwrap();
    let first = site.add(&[("n", "0")]).await;
    calls.next().await.fail(HandlerError::permanent("no"));
    eventually("it is committed", async || consumer.stats().position == Some(first)).await;
    let admin = Admin::new(site.server.url()).unwrap();
    admin.seek(STREAM, GROUP, Position::Beginning).await.unwrap();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt()), (first, 1));
    call.done();
    site.until_processed(2).await;
    assert_eq!(letters(&mut site).await.len(), 1);
    within(consumer.shutdown()).await.unwrap();
}
