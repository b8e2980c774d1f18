//! Builds whose collections are other fields than those of the build before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use atomic_streams::{
    Consumer, ErrorKind, Fields, Handler, HandlerResult, Persistable, StateDeque, StateError, StateFields, StateMap,
    StateSet, Transaction, async_trait,
};
use redis::AsyncCommands;
use support::{Process, Proxy};

use crate::showing::{refused, seen, start_once};
use crate::site::{GROUP, RECORD, STREAM, Site, within};

/// Implements `Handler` so that every entry publishes the state, in an order that does not depend on hashes.
macro_rules! showing_sorted {
    ($($handler:ident: $($field:ident),*;)*) => {$(
        #[async_trait]
        impl Handler for $handler {
            type Message = Fields;

            async fn handle(&mut self, _: Fields, tx: &mut Transaction) -> HandlerResult {
                let state = [$(format!("{} {:?}", stringify!($field), sorted(&self.$field))),*].join("; ");
                tx.publish("seen", &BTreeMap::from([("state", state)]))?;
                Ok(())
            }
        }
    )*};
}

/// The words of a value's debug text, sorted: long ones in short.
fn sorted(value: &impl std::fmt::Debug) -> Vec<String> {
    let text = format!("{value:?}");
    let mut words: Vec<String> = text.split([' ', ',', '[', ']', '{', '}', ':']).map(str::to_owned).collect();
    words.retain(|word| !word.is_empty());
    words.sort();
    if words.len() > 100 {
        let bytes: usize = words.iter().map(String::len).sum();
        words = vec![format!("{} words of {bytes} bytes from {} to {}", words.len(), words[0], words[words.len() - 1])];
    }
    words
}

#[derive(Persistable)]
struct Plain {
    hash_map: HashMap<u32, String>,
    btree_map: BTreeMap<u32, String>,
    hash_set: HashSet<u32>,
    btree_set: BTreeSet<u32>,
    list: Vec<u32>,
    window: Vec<u32>,
    queue: VecDeque<u32>,
}

#[derive(Persistable, Default)]
struct Kept {
    hash_map: StateMap<u32, String>,
    btree_map: StateMap<u32, String>,
    hash_set: StateSet<u32>,
    btree_set: StateSet<u32>,
    list: StateSet<u32>,
    window: StateDeque<u32>,
    queue: StateDeque<u32>,
}

showing_sorted! {
    Plain: hash_map, btree_map, hash_set, btree_set, list, window, queue;
    Kept: hash_map, btree_map, hash_set, btree_set, list, window, queue;
}

fn plain(count: u32) -> Plain {
    Plain {
        hash_map: (0..count).map(|n| (n, format!("v{n}"))).collect(),
        btree_map: (5..5 + count / 2).map(|n| (n, format!("w{n}"))).collect(),
        hash_set: (0..count).collect(),
        btree_set: (7..7 + count / 3).collect(),
        list: (0..count / 4).collect(),
        window: (0..count / 5).rev().collect(),
        queue: (0..count / 6).collect(),
    }
}

/// The keys beside the record.
async fn keys(site: &mut Site) -> Vec<String> {
    let mut keys: Vec<String> = site.redis.keys(format!("{RECORD}@*")).await.unwrap();
    keys.iter_mut().for_each(|key| *key = key[RECORD.len()..].to_owned());
    keys.sort();
    keys
}

async fn sizes(site: &mut Site) -> BTreeMap<String, String> {
    let record: BTreeMap<String, Vec<u8>> = site.redis.hgetall(RECORD).await.unwrap();
    let sizes = record.into_iter().filter(|(name, _)| name.starts_with("@size:"));
    sizes.map(|(name, value)| (name[6..].to_owned(), String::from_utf8(value).unwrap())).collect()
}

#[tokio::test]
async fn plain_fields_become_collections_without_losing_anything() {
    for count in [0, 30, 4_003] {
        let mut site = Site::start().await;
        let before = seen(&mut site, plain(count)).await;
        for _ in 0..2 {
            assert_eq!(seen(&mut site, Kept::default()).await, before);
        }
        assert_eq!(site.state_names().await, [""; 0], "the plain values are gone");
        let sizes = sizes(&mut site).await;
        assert_eq!((sizes.len(), sizes["hash_map"].parse()), (7, Ok(count)));
        let error = refused(&site, plain(1)).await;
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
    }
}

#[tokio::test]
async fn the_order_of_a_queue_is_kept() {
    let mut site = Site::start().await;
    start_once(&site, plain(60)).await;
    start_once(&site, Kept::default()).await;
    let entries: Vec<(Vec<u8>, Vec<u8>)> = site.redis.hgetall(format!("{RECORD}@deque:window")).await.unwrap();
    let decode = |bytes: &[u8]| rmp_serde::from_slice::<i64>(bytes).unwrap();
    let mut entries: Vec<(i64, i64)> = entries.iter().map(|(key, value)| (decode(key), decode(value))).collect();
    entries.sort_unstable();
    assert_eq!(entries.iter().map(|(_, value)| *value).collect::<Vec<_>>(), (0..12).rev().collect::<Vec<_>>());
}

const WORKER_URL: &str = "CONVERSION_WORKER_URL";

/// As a process of its own: the new build, which is killed.
#[tokio::test]
async fn is_a_test_binary_in_another_role() {
    let Ok(url) = std::env::var(WORKER_URL) else { return };
    let consumer = Consumer::builder(STREAM, GROUP).redis_url(url).handler(Kept::default()).spawn().await.unwrap();
    consumer.wait().await.unwrap();
}

/// Runs a build for one entry behind a dead owner; returns what it held.
async fn seen_after_a_death<H: Handler + 'static>(site: &mut Site, handler: H) -> String {
    let consumer = site.consumer().lease(Duration::from_millis(300)).handler(handler).spawn().await.unwrap();
    let processed = site.processed().await;
    site.add(&[("n", "1")]).await;
    site.until_processed(processed + 1).await;
    within(consumer.shutdown()).await.unwrap();
    site.column("seen", "state").await.pop().unwrap()
}

#[tokio::test]
async fn killed_in_the_middle_the_old_build_has_its_data_and_the_new_one_completes() {
    let mut site = Site::start().await;
    let before = seen(&mut site, plain(40_000)).await;
    let record: BTreeMap<String, Vec<u8>> = site.redis.hgetall(RECORD).await.unwrap();
    for (needle, steps) in [("@map:hash_map", 30), ("@set:list", 0), ("@deque:queue", 5)] {
        let proxy = Proxy::start(site.server.addr()).await;
        let hold = proxy.hold_requests_containing(needle.as_bytes());
        let test = std::env::current_exe().unwrap();
        let worker = Process::binary(test).args(["--exact", "conversion::is_a_test_binary_in_another_role"]);
        let worker = worker.arg("--nocapture").env(WORKER_URL, proxy.url()).start();
        for _ in 0..steps {
            hold.wait_until_held().await;
            hold.step();
        }
        hold.wait_until_held().await;
        worker.kill();
        assert!(!keys(&mut site).await.is_empty(), "nothing was written yet");
        let now: BTreeMap<String, Vec<u8>> = site.redis.hgetall(RECORD).await.unwrap();
        for name in ["hash_map", "btree_map", "hash_set", "btree_set", "list", "window", "queue", "@schema"] {
            assert!(now[name] == record[name], "{name} was changed before all was written");
        }
        assert!(sizes(&mut site).await.is_empty());
        assert_eq!(seen_after_a_death(&mut site, plain(1)).await, before);
        // What the dead process had sent comes too late.
        drop(hold);
    }
    for _ in 0..2 {
        assert_eq!(seen_after_a_death(&mut site, Kept::default()).await, before);
    }
    assert_eq!(keys(&mut site).await.len(), 7);
}

#[derive(Persistable, Default)]
struct First {
    stock: StateMap<String, i64>,
    seen: StateSet<u8>,
    last: StateDeque<u8>,
}

#[derive(Persistable, Default)]
#[persist(removed("last"))]
struct Renamed {
    #[persist(alias = "stock")]
    by_sku: StateMap<String, i64>,
    seen: StateSet<u8>,
}

showing_sorted! {
    First: stock, seen, last;
    Renamed: by_sku, seen;
}

fn first() -> First {
    let mut seen: StateSet<u8> = [1, 2].into_iter().collect();
    seen.insert_with_ttl(3, Duration::from_secs(1_000_000_000));
    First {
        stock: [("a".to_owned(), 1), ("b".to_owned(), 2)].into_iter().collect(),
        seen,
        last: [7].into_iter().collect(),
    }
}

#[tokio::test]
async fn collections_are_renamed_and_dropped() {
    let mut site = Site::start().await;
    start_once(&site, first()).await;
    assert_eq!(keys(&mut site).await, ["@deque:last", "@map:stock", "@set:seen"]);
    for _ in 0..2 {
        let state = seen(&mut site, Renamed::default()).await;
        assert_eq!(state, r#"by_sku ["\"a\"", "\"b\"", "1", "2"]; seen ["1", "2", "3"]"#);
        assert_eq!(keys(&mut site).await, ["@map:by_sku", "@set:seen"]);
        let sizes: Vec<_> = sizes(&mut site).await.into_iter().collect();
        assert_eq!(sizes, [("by_sku".to_owned(), "2".to_owned()), ("seen".to_owned(), "3".to_owned())]);
    }
}

#[derive(Persistable, Default)]
#[persist(version = 2, migrate = to_cents)]
struct Cents {
    stock: StateMap<String, u64>,
    /// As it was.
    seen: StateSet<u8>,
    /// Of another kind, under the same name.
    last: StateSet<u8>,
}

fn to_cents(mut fields: StateFields) -> Result<StateFields, StateError> {
    let names: Vec<&str> = fields.names().collect();
    if names != ["last", "stock"] {
        return Err(StateError::new(format!("the fields are {names:?}")));
    }
    let stock: BTreeMap<String, i64> = fields.take("stock")?;
    let last: VecDeque<u8> = fields.take("last")?;
    fields.insert("stock", &stock.into_iter().map(|(sku, euros)| (sku, euros * 100)).collect::<HashMap<_, _>>())?;
    fields.insert("last", &last)?;
    Ok(fields)
}

#[derive(Persistable, Default)]
#[persist(version = 3, migrate = back)]
struct Back {
    stock: BTreeMap<String, u64>,
    seen: StateSet<u8>,
    last: Vec<u8>,
}

fn back(mut fields: StateFields) -> Result<StateFields, StateError> {
    // Whoever gives a collection that has not changed another value means it.
    fields.insert("seen", &[9_u8])?;
    Ok(fields)
}

showing_sorted! {
    Cents: stock, seen, last;
    Back: stock, seen, last;
}

#[tokio::test]
async fn a_migration_sees_plain_values_and_leaves_alone_what_has_not_changed() {
    let mut site = Site::start().await;
    start_once(&site, First { seen: StateSet::default(), ..first() }).await;
    let marked = [(b"\x05".to_vec(), b"\xc0\xd7\x01\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec())];
    let () = site.redis.hset_multiple(format!("{RECORD}@set:seen"), &marked).await.unwrap();
    let () = site.redis.hset(RECORD, "@size:seen", 1).await.unwrap();
    for _ in 0..2 {
        let state = seen(&mut site, Cents::default()).await;
        assert_eq!(state, r#"stock ["\"a\"", "\"b\"", "100", "200"]; seen ["5"]; last ["7"]"#);
        assert_eq!(keys(&mut site).await, ["@map:stock", "@set:last", "@set:seen"]);
        let seen: Vec<(Vec<u8>, Vec<u8>)> = site.redis.hgetall(format!("{RECORD}@set:seen")).await.unwrap();
        assert_eq!(seen, marked, "its time to live is kept");
    }
    for _ in 0..2 {
        let state = seen(&mut site, Back::default()).await;
        assert_eq!(state, r#"stock ["\"a\"", "\"b\"", "100", "200"]; seen ["9"]; last ["7"]"#);
        assert_eq!(keys(&mut site).await, ["@set:seen"]);
    }
}

#[tokio::test]
async fn a_migration_in_place_keeps_what_it_is_made_from_until_it_is_done() {
    let mut site = Site::start().await;
    let stock: StateMap<String, i64> = (0..3_000).map(|n| (format!("sku-{n}"), n)).collect();
    start_once(&site, First { stock, seen: StateSet::default(), last: StateDeque::default() }).await;
    let key = format!("{RECORD}@map:stock");
    let schema: String = site.redis.hget(RECORD, "@schema").await.unwrap();
    let before: BTreeMap<Vec<u8>, Vec<u8>> = site.redis.hgetall(&key).await.unwrap();
    assert_eq!(before.len(), 3_000);

    let proxy = Proxy::start(site.server.addr()).await;
    let hold = proxy.hold_requests_containing(b"@map:stock");
    let url = proxy.url();
    let mut migration = tokio::spawn(async move {
        let consumer = Consumer::builder(STREAM, GROUP).redis_url(url).handler(Cents::default()).spawn().await.unwrap();
        consumer.shutdown().await.unwrap();
    });
    let mut points = 0;
    loop {
        tokio::select! {
            () = hold.wait_until_held() => {}
            ended = &mut migration => break ended.unwrap(),
        }
        // Whoever dies here leaves this.
        points += 1;
        let now: String = site.redis.hget(RECORD, "@schema").await.unwrap();
        let entries: BTreeMap<Vec<u8>, Vec<u8>> = site.redis.hgetall(&key).await.unwrap();
        assert!(now != schema || entries == before, "the old build finds {} of 3000 entries", entries.len());
        hold.step();
    }
    assert!(points > 1, "nothing was held");
    let after: BTreeMap<Vec<u8>, Vec<u8>> = site.redis.hgetall(&key).await.unwrap();
    assert_eq!((after.len(), after == before), (3_000, false));
}
