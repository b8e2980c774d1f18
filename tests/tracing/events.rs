//! Events are what docs/tracing.md says, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use atomic_streams::{Consumer, DeadLetters, Fields, OnFailure, Retention, Transaction, handler_fn};
use redis::AsyncCommands;
use support::{Fault, Proxy, eventually};
use tracing::Level;

use crate::listener::{Listener, Told};
use crate::shop::{DEAD, GROUP, OUT, Order, RECORD, STREAM, Shop, Till, processed, within};

/// A row of the table.
#[derive(Debug)]
struct Row {
    target: String,
    level: Level,
    fields: BTreeSet<String>,
    /// Those in brackets.
    optional: BTreeSet<String>,
}

/// The table of events, by name.
fn table() -> BTreeMap<String, Row> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tracing.md")).unwrap();
    let events = page.split_once("\n## Events\n").unwrap().1;
    let events = events.split_once("\n## ").unwrap().0;
    let mut rows = BTreeMap::new();
    for line in events.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, target, name, level, fields, ..] = cells[..] else { panic!("{line}") };
        let unquoted = |text: &str| text.trim_matches(['`', '(', ')']).to_owned();
        let (optional, fields): (Vec<_>, Vec<_>) = fields.split(' ').partition(|field| field.starts_with('('));
        let row = Row {
            target: format!("atomic_streams::{}", unquoted(target)),
            level: level.parse().unwrap(),
            fields: fields.into_iter().map(unquoted).collect(),
            optional: optional.into_iter().map(unquoted).collect(),
        };
        assert!(rows.insert(unquoted(name), row).is_none(), "two rows: {line}");
    }
    rows
}

/// Asserts that the library told of these, as the table says, and of nothing that is not in it.
fn check(listener: &Listener, expected: &[&str]) {
    let (table, told) = (table(), listener.events("atomic_streams"));
    for event in &told {
        let Some(row) = table.get(event.name) else { panic!("not in the table: {event:#?}") };
        let fields: BTreeSet<String> = event.values.keys().map(|&name| name.to_owned()).collect();
        let missing: Vec<_> = row.fields.difference(&fields).collect();
        let unknown: Vec<_> =
            fields.iter().filter(|name| !row.fields.contains(*name) && !row.optional.contains(*name)).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{missing:?} {unknown:?}: {event:#?}");
        assert_eq!((event.target, event.level), (row.target.as_str(), row.level), "{event:#?}");
        if let (Some(stream), Some(group)) = (event.values.get("stream"), event.values.get("group")) {
            assert_eq!((stream.as_str(), group.as_str()), (STREAM, GROUP));
        }
    }
    let names: BTreeSet<&str> = told.iter().map(|event| event.name).collect();
    let lacking: Vec<_> = expected.iter().filter(|name| !names.contains(**name)).collect();
    assert!(lacking.is_empty(), "not told: {lacking:?}; told: {names:?}");
}

/// What is told by these names, in order.
fn told<'a>(events: &'a [Told], name: &str, fields: &[&'static str]) -> Vec<Vec<&'a str>> {
    let of_name = events.iter().filter(|event| event.name == name);
    of_name.map(|event| fields.iter().map(|field| event.values[field].as_str()).collect()).collect()
}

/// Every event in the sources has a row, and every row an event in the sources, with its level and target.
#[test]
fn the_table_names_every_event_and_no_other() {
    let mut sources = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("atomic-streams/src"), &mut sources);
    let mut found = BTreeMap::new();
    for source in &sources {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for (at, call) in source.match_indices(&format!("{level}!(")) {
                // A longer name ends like this one.
                if source[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                    continue;
                }
                let begins = source[at + call.len()..].trim_start();
                let quoted =
                    begins.strip_prefix("name: \"").unwrap_or_else(|| panic!("an event without a name: {begins:.200}"));
                let (name, rest) = quoted.split_once('"').unwrap();
                let target = rest.split_once("target: targets::").unwrap().1.split_once(',').unwrap().0;
                found.insert(
                    name.to_owned(),
                    (level.to_uppercase(), format!("atomic_streams::{}", target.to_lowercase())),
                );
            }
        }
    }
    let table = table().into_iter().map(|(name, row)| (name, (row.level.to_string(), row.target)));
    assert_eq!(found, table.collect());
}

fn collect(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[tokio::test]
async fn retries_and_what_becomes_of_those_that_are_given_up() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let consumer = shop.giving_up(OnFailure::dead_letter(DEAD)).handler(Till::default()).spawn().await.unwrap();
    let id = shop.add(&Order::failing(1, 9, "error")).await.to_string();
    processed(&consumer, 1).await;
    within(consumer.shutdown()).await.unwrap();
    let consumer = shop.giving_up(OnFailure::Skip).handler(Till::default()).spawn().await.unwrap();
    shop.add(&Order::failing(2, 9, "permanent")).await;
    processed(&consumer, 1).await;
    within(consumer.shutdown()).await.unwrap();
    check(
        &listener,
        &[
            "subscription.created",
            "state.completed",
            "ownership.taken",
            "entry.retried",
            "entry.dead_lettered",
            "entry.skipped",
            "consumer.shut_down",
            "server.examined",
        ],
    );
    let events = listener.events("atomic_streams");
    let words = "out of paper";
    let retries = told(&events, "entry.retried", &["id", "attempt", "error"]);
    assert_eq!(retries, [[&id, "1", words], [&id, "2", words]]);
    let dead = told(&events, "entry.dead_lettered", &["id", "attempt", "error", "letters"]);
    assert_eq!(dead, [[&id, "3", words, DEAD]]);
    assert_eq!(told(&events, "entry.skipped", &["attempt", "error"]), [["1", "no such article"]]);
    assert_eq!(told(&events, "ownership.taken", &["created", "clean"]), [["true", "true"], ["false", "true"]]);
    // A retry is told inside the span of the try that failed.
    let attempts: Vec<String> = events
        .iter()
        .filter(|event| event.name == "entry.retried")
        .map(|event| listener.span(event.span.unwrap()).values["attempt"].clone())
        .collect();
    assert_eq!(attempts, ["1", "2"]);
}

#[tokio::test]
async fn what_the_server_refuses_is_a_retry_too() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let full = format!("{0}-{0}", u64::MAX);
    let _: String = shop.redis.xadd(OUT, full, &[("n", 0)]).await.unwrap();
    let consumer = shop.spawn().await;
    let id = shop.add(&Order::number(1)).await.to_string();
    let retried = listener.event("entry.retried").await;
    assert_eq!((&retried.values["id"], retried.values["attempt"].as_str()), (&id, "1"));
    assert!(retried.values["error"].contains(OUT), "{retried:?}");
    within(consumer.shutdown()).await.unwrap();
    check(&listener, &["session.ended", "entry.retried"]);
}

#[tokio::test]
async fn keys_that_are_parked_and_unparked() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer")).handler(Till::default()).spawn().await.unwrap();
    let ada = |order: Order| Order { customer: "ada".to_owned(), ..order };
    let first = shop.add(&ada(Order::failing(1, 3, "error"))).await.to_string();
    let second = shop.add(&ada(Order::number(2))).await.to_string();
    processed(&consumer, 2).await;
    let letters = DeadLetters::new(shop.server.url(), DEAD).unwrap();
    assert!(letters.unpark(STREAM, GROUP, "ada").await.unwrap());
    listener.event("key.kept").await;
    within(consumer.shutdown()).await.unwrap();
    let cured = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer")).handler(cured).spawn().await.unwrap_err();
    // Another handler has another state: the one that is parked needs the same fields.
    assert!(consumer.to_string().contains("count"), "{consumer}");
    let consumer = shop.giving_up(OnFailure::park(DEAD, "customer")).handler(Till::cured()).spawn().await.unwrap();
    assert!(letters.unpark(STREAM, GROUP, "ada").await.unwrap());
    listener.event("key.unparked").await;
    within(consumer.shutdown()).await.unwrap();
    check(&listener, &["entry.dead_lettered", "entry.parked", "key.kept", "key.restored", "key.unparked"]);
    let events = listener.events("atomic_streams");
    assert_eq!(told(&events, "entry.dead_lettered", &["id", "key"]), [[&first, "ada"]]);
    assert_eq!(told(&events, "entry.parked", &["id", "key", "behind"]), [[&second, "ada", &first]]);
    assert_eq!(told(&events, "key.kept", &["key", "handled", "error"]), [["ada", "0", "out of paper"]]);
    assert_eq!(told(&events, "key.unparked", &["key", "handled"]), [["ada", "2"]]);
}

#[tokio::test]
async fn standby_takeover_and_fencing() {
    let mut shop = Shop::open().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    let lease = Duration::from_millis(600);
    let listener = Listener::start();
    let first = shop.consumer().redis_url(proxy.url()).lease(lease).handler(Till::default()).spawn().await.unwrap();
    let second = shop.consumer().lease(lease).handler(Till::default()).spawn().await.unwrap();
    listener.event("ownership.standby").await;
    // The standby looks more than once meanwhile.
    shop.renewal().await;
    shop.renewal().await;
    let renewal = proxy.hold_requests_containing(b"EVALSHA");
    renewal.wait_until_held().await;
    let taken = async || told(&listener.events("atomic_streams"), "ownership.taken", &["clean"]).len() == 2;
    eventually("the standby takes over", taken).await;
    shop.add(&Order::number(1)).await;
    processed(&second, 1).await;
    renewal.release();
    listener.event("ownership.lost").await;
    eventually("the first stands by", async || told(&listener.events(""), "ownership.standby", &["owner"]).len() == 2)
        .await;
    within(second.shutdown()).await.unwrap();
    within(first.shutdown()).await.unwrap();
    check(&listener, &["ownership.standby", "ownership.taken", "ownership.lost", "session.ended"]);
    let events = listener.events("atomic_streams");
    let reasons = told(&events, "session.ended", &["reason"]);
    assert!(reasons[0][0].contains("ownership was taken over"), "{reasons:?}");
    assert_eq!(told(&events, "ownership.taken", &["clean"])[..2], [["true"], ["false"]]);
    let owners = told(&events, "ownership.standby", &["owner"]);
    assert_eq!(owners.len(), 2, "told once, however often it tries: {owners:?}");
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back() {
    let mut shop = Shop::open().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    let listener = Listener::start();
    let consumer = shop.consumer().redis_url(proxy.url()).handler(Till::default()).spawn().await.unwrap();
    proxy.set(Fault::Reset);
    proxy.cut_all();
    listener.event("session.refused").await;
    proxy.set(Fault::Pass);
    shop.add(&Order::number(1)).await;
    processed(&consumer, 1).await;
    within(consumer.shutdown()).await.unwrap();
    check(&listener, &["session.ended", "session.refused", "ownership.taken", "consumer.shut_down"]);
}

#[tokio::test]
async fn what_goes_from_the_stream() {
    let mut shop = Shop::open().await;
    let lease = Duration::from_millis(600);
    let consumer = shop.consumer().lease(lease).handler(Till::default()).spawn().await.unwrap();
    shop.add(&Order::number(0)).await;
    processed(&consumer, 1).await;
    // Everything is counted up to here.
    shop.renewal().await;
    within(consumer.shutdown()).await.unwrap();
    let mut ids = Vec::new();
    for n in 1..5 {
        ids.push(shop.add(&Order::number(n)).await.to_string());
    }
    let _: u64 = shop.redis.xdel(STREAM, &ids[..3]).await.unwrap();
    let listener = Listener::start();
    let consumer = shop.consumer().lease(lease).handler(Till::default()).spawn().await.unwrap();
    listener.event("unread.deleted").await;
    shop.renewal().await;
    within(consumer.shutdown()).await.unwrap();
    for n in 5..15 {
        shop.add(&Order::number(n)).await;
    }
    let _: u64 = shop.redis.xtrim(STREAM, redis::streams::StreamMaxlen::Equals(4)).await.unwrap();
    let consumer = shop.consumer().lease(lease).handler(Till::default()).spawn().await.unwrap();
    listener.event("unread.trimmed").await;
    processed(&consumer, 4).await;
    within(consumer.shutdown()).await.unwrap();
    let retained = Retention::new(shop.server.url(), STREAM).unwrap().exact().trim().await.unwrap();
    check(&listener, &["unread.trimmed", "unread.deleted", "stream.trimmed"]);
    let events = listener.events("atomic_streams");
    // A renewal in the midst of it may see a part of them.
    let sum = |name| told(&events, name, &["entries"]).iter().map(|row| row[0].parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!((sum("unread.trimmed"), sum("unread.deleted")), (6, 3));
    let trimmed = (retained.removed.to_string(), retained.left.to_string());
    assert_eq!(told(&events, "stream.trimmed", &["entries", "left"]), [[&trimmed.0, &trimmed.1]]);
}

#[tokio::test]
async fn a_record_that_is_gone_and_a_consumer_that_must_stop() {
    let mut shop = Shop::open().await;
    let consumer = shop.spawn().await;
    shop.add(&Order::number(0)).await;
    processed(&consumer, 1).await;
    let listener = Listener::start();
    let _: u64 = shop.redis.del(RECORD).await.unwrap();
    shop.add(&Order::number(1)).await;
    within(consumer.wait()).await.unwrap_err();
    check(&listener, &["session.ended", "consumer.stopped"]);
    assert!(listener.events("atomic_streams").iter().all(|event| event.name != "ownership.lost"), "nobody took over");
    let stopped = listener.event("consumer.stopped").await;
    assert!(stopped.values["error"].contains("on_record_lost"), "{stopped:?}");
}

#[tokio::test]
async fn other_consumers_names_are_their_own() {
    let mut shop = Shop::open().await;
    let listener = Listener::start();
    let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
    let consumer =
        Consumer::builder(STREAM, "audit").redis_url(shop.server.url()).handler(handler).spawn().await.unwrap();
    shop.add(&Order::number(0)).await;
    processed(&consumer, 1).await;
    within(consumer.shutdown()).await.unwrap();
    let taken = listener.event("ownership.taken").await;
    assert_eq!((taken.values["stream"].as_str(), taken.values["group"].as_str()), (STREAM, "audit"));
}
