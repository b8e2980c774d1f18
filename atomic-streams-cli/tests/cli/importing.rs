//! import-python: going on where a consumer of the Python library has stopped.

use std::process::Stdio;
use std::time::Duration;

use atomic_streams::{
    Consumer, Handler, HandlerResult, Persistable, StateMap, StateReader, StateSet, Transaction, async_trait,
};
use redis::AsyncCommands;
use redis::streams::StreamRangeReply;
use serde::Deserialize;
use serde_json::json;
use support::{Proxy, eventually};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ran::{run_with, words};
use crate::shop::{INVENTORY, Shop};

const INDEX: &str = "atomic_streams:index:sales:inventory-tracker";
const STATE: &str = "atomic_streams:state:inventory";
const RECORD: &str = "atomic-streams:{sales}:inventory-tracker";
const LINE: &str = "import-python sales inventory-tracker --state inventory --rename _rate=rate";

#[derive(Deserialize)]
struct Sale {
    sku: String,
    quantity: i64,
}

/// The same handler as the one in Python.
#[derive(Persistable, Default)]
struct Inventory {
    sold: i64,
    articles: StateMap<String, i64>,
    seen: StateSet<String>,
    rate: f64,
}

#[async_trait]
impl Handler for Inventory {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        self.sold += sale.quantity;
        *self.articles.get_or_insert_with(sale.sku.clone(), || 0) += sale.quantity;
        self.seen.insert(sale.sku);
        tx.publish("totals", &std::collections::BTreeMap::from([("sold", self.sold)]))?;
        Ok(())
    }
}

/// Goes on in Rust up to the end, and holds state and outputs against what was sold.
async fn goes_on(shop: &mut Shop, sales: &[(&str, i64)]) {
    let builder = Consumer::builder("sales", INVENTORY).redis_url(shop.server.url()).handler(Inventory::default());
    let consumer = builder.spawn().await.unwrap();
    let last = shop.admin.stream("sales").await.unwrap().last_id;
    let reader = StateReader::new(shop.server.url(), "sales", INVENTORY).unwrap();
    let found = reader.read_at_least::<Inventory>(last, Duration::from_secs(30)).await.unwrap().state;
    let of = |sku: &str| sales.iter().filter(|(sold, _)| *sold == sku).map(|(_, quantity)| quantity).sum::<i64>();
    assert_eq!((found.sold, found.rate), (sales.iter().map(|(_, quantity)| quantity).sum(), 1.5));
    for sku in ["A-1", "B-7", "C-3"] {
        assert_eq!((found.articles.get(sku).copied().unwrap_or(0), found.seen.contains(sku)), (of(sku), of(sku) > 0));
    }
    let totals: StreamRangeReply = shop.redis.xrange_all("totals").await.unwrap();
    let totals: Vec<i64> = totals.ids.iter().map(|entry| entry.get("sold").unwrap()).collect();
    let expected = sales.iter().scan(0, |sum, (_, quantity)| {
        *sum += quantity;
        Some(*sum)
    });
    assert_eq!(totals, expected.collect::<Vec<_>>(), "each sale has one output");
    consumer.shutdown().await.unwrap();
}

/// Three sales that Python has handled, as Python 3.11 and the library 0.1.0 leave them, and two that it has not.
pub(crate) async fn recorded() -> (Shop, Vec<(&'static str, i64)>) {
    let mut shop = Shop::empty().await;
    let sales = vec![("A-1", 2), ("B-7", 1), ("A-1", 4), ("C-3", 5), ("B-7", 3)];
    for (n, (sku, quantity)) in sales.iter().enumerate() {
        shop.sell(n as u64 + 1, sku, *quantity).await;
    }
    let () = shop.redis.set(INDEX, shop.id(3).to_string()).await.unwrap();
    let fields: [(&str, &[u8]); 5] = [
        ("sold", b"\x80\x04K\x07."),
        ("articles", b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x03A-1\x94K\x06\x8c\x03B-7\x94K\x01u."),
        ("seen", b"\x80\x04\x95\x11\x00\x00\x00\x00\x00\x00\x00\x8f\x94(\x8c\x03A-1\x94\x8c\x03B-7\x94\x90."),
        ("_rate", b"\x80\x04\x95\n\x00\x00\x00\x00\x00\x00\x00G?\xf8\x00\x00\x00\x00\x00\x00."),
        ("__schema_hash__", b"1f2e3d4c"),
    ];
    let () = shop.redis.hset_multiple(STATE, &fields).await.unwrap();
    for sold in [2, 3, 7] {
        let () = shop.redis.xadd("totals", "*", &[("sold", sold)]).await.unwrap();
    }
    (shop, sales)
}

#[tokio::test]
async fn a_rust_consumer_goes_on_with_the_position_and_state_of_python() {
    let (mut shop, sales) = recorded().await;
    let before = shop.dump().await;
    let dry = shop.run(&format!("{LINE} --dry-run")).await.done();
    assert!(dry.contains("would go on behind") && dry.contains("seen      seen       set of 2"), "{dry}");
    assert!(dry.contains("rate      _rate      float"), "{dry}");
    assert_eq!(shop.dump().await, before);

    let json = shop.run(&format!("{LINE} --json")).await.json();
    assert_eq!((&json["position"], &json["dry_run"]), (&json!(shop.id(3).to_string()), &json!(false)));
    assert_eq!(json["fields"][0], json!({"field": "rate", "attribute": "_rate", "kind": "float"}));
    assert_eq!(json["fields"].as_array().unwrap().len(), 4, "{json}");
    assert_eq!((&json["index_key"], &json["state_key"]), (&json!(INDEX), &json!(STATE)));
    let state = shop.run("state sales inventory-tracker --json").await.json();
    assert_eq!(state["state"]["articles"], json!({"A-1": 6, "B-7": 1}), "{state}");
    let error = shop.run(LINE).await.refused(4);
    assert!(error.contains("already"), "{error}");
    goes_on(&mut shop, &sales).await;
}

/// What a dict of every plain type is in Rust.
#[derive(serde::Serialize, Deserialize, Default, Debug, PartialEq)]
struct Plain {
    stock: u8,
    big: u64,
    low: i64,
    price: f64,
    name: String,
    yes: bool,
    none: Option<i64>,
    raw: serde_bytes::ByteBuf,
    list: (i64, (i64, Vec<i64>)),
    tuples: Vec<Vec<i64>>,
    shared: [Vec<String>; 2],
    many: std::collections::VecDeque<u16>,
}

#[derive(Persistable, Default)]
struct Whole {
    plain: Plain,
    seen: std::collections::HashSet<String>,
}

#[tokio::test]
async fn every_plain_type_has_its_type_in_rust() {
    let (mut shop, _) = recorded().await;
    let bytes = include_bytes!("../../src/import/pickle/recorded/plain4.pickle");
    let () = shop.redis.hset(STATE, "plain", &bytes[..]).await.unwrap();
    shop.run(&format!("{} --skip sold --skip articles --skip _rate", LINE.replace(" --rename _rate=rate", "")))
        .await
        .done();
    let reader = StateReader::new(shop.server.url(), "sales", INVENTORY).unwrap();
    let Whole { plain, seen } = reader.read().await.unwrap().state;
    let expected = Plain {
        stock: 93,
        big: u64::MAX,
        low: i64::MIN,
        price: 1.5,
        name: "Zoë \\ \n 😀".to_owned(),
        yes: true,
        none: None,
        raw: serde_bytes::ByteBuf::from(b"\x00\xffab".to_vec()),
        list: (1, (2, vec![3])),
        tuples: (0..5).map(|n| (1..=n).collect()).collect(),
        shared: [vec!["x".to_owned()], vec!["x".to_owned()]],
        many: (0..2_500).collect(),
    };
    assert_eq!(plain, expected);
    assert_eq!(seen, ["A-1", "B-7"].map(str::to_owned).into());
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_named_and_nothing_is_done() {
    let (mut shop, _) = recorded().await;
    let refused = async |shop: &mut Shop, line: &str, code: i32, named: &str| {
        let before = shop.dump().await;
        let error = shop.run(line).await.refused(code);
        assert!(error.contains(named), "{named}: {error}");
        assert_eq!(shop.dump().await, before);
    };
    refused(&mut shop, "import-python sales other", 3, "atomic_streams:index:sales:other").await;
    refused(&mut shop, "import-python sales inventory-tracker", 3, "handlers with state: `inventory`").await;
    refused(&mut shop, &format!("{LINE} --skip price"), 2, "_rate, articles, seen, sold").await;
    refused(&mut shop, &format!("{LINE} --rename none=sold"), 2, "--rename none").await;
    refused(&mut shop, &format!("{LINE} --rename seen=sold"), 2, "two attributes").await;
    refused(&mut shop, &format!("{LINE} --rename seen=@head"), 1, "`seen`").await;

    let price: &[u8] =
        b"\x80\x04\x95!\0\0\0\0\0\0\0\x8c\x07decimal\x94\x8c\x07Decimal\x94\x93\x94\x8c\x031.5\x94\x85\x94R\x94.";
    let () = shop.redis.hset(STATE, "price", price).await.unwrap();
    refused(&mut shop, LINE, 1, "attribute `price` cannot be taken over: it holds a `decimal.Decimal`").await;
    let () = shop.redis.hset(STATE, "price", b"cos\nsystem\n(Vtouch /tmp/here\ntR.").await.unwrap();
    refused(&mut shop, LINE, 1, "`os.system`").await;
    let deep = [&b"N"[..], &b"\x85".repeat(100_000), b"."].concat();
    let () = shop.redis.hset(STATE, "price", deep).await.unwrap();
    refused(&mut shop, LINE, 1, "64 deep").await;
    assert!(shop.run(&format!("{LINE} --skip price --dry-run")).await.done().contains("left out: price"));

    let () = shop.redis.set(INDEX, "soon").await.unwrap();
    refused(&mut shop, LINE, 1, "`soon`, which is no entry's ID").await;
    let () = shop.redis.set(INDEX, "9999999999999-0").await.unwrap();
    refused(&mut shop, &format!("{LINE} --skip price"), 2, "behind the end").await;
    let () = shop.redis.xgroup_create("sales", INVENTORY, "0").await.unwrap();
    refused(&mut shop, &format!("{LINE} --skip price"), 1, "another program has a group").await;
}

#[tokio::test]
async fn its_rights_are_those_that_are_written_down() {
    let (mut shop, _) = recorded().await;
    let rights = "+evalsha +eval +type +exists +xinfo +hset +xgroup +time +get +hgetall +client|list";
    let url = format!("redis://mover:secret@{}/", shop.server.addr());
    for without in rights.split(' ').filter(|right| *right != "+client|list") {
        let left: Vec<&str> = rights.split(' ').filter(|right| *right != without).collect();
        let rule = format!("SETUSER mover reset on >secret ~* {}", left.join(" "));
        let () = redis::cmd("ACL")
            .arg(rule.split_whitespace().collect::<Vec<_>>())
            .query_async(&mut shop.redis)
            .await
            .unwrap();
        shop.run(&format!("{LINE} --url {url}")).await.refused(1);
        let exists: bool = shop.redis.exists(RECORD).await.unwrap();
        assert!(!exists, "{without}");
    }
    let rule = format!("SETUSER mover reset on >secret ~* {rights}");
    let () =
        redis::cmd("ACL").arg(rule.split_whitespace().collect::<Vec<_>>()).query_async(&mut shop.redis).await.unwrap();
    shop.run(&format!("{LINE} --url {url}")).await.done();
}

#[tokio::test]
async fn a_stateless_consumer_has_a_position_alone() {
    let (mut shop, _) = recorded().await;
    let () = shop.redis.del(STATE).await.unwrap();
    let text = shop.run("import-python sales audit --consumer-id inventory-tracker --stateless").await.done();
    assert!(text.starts_with("sales audit goes on behind"), "{text}");
    assert_eq!(shop.inspect("audit").await.position, shop.id(3));
}

#[tokio::test]
async fn a_client_that_reads_as_python_does_is_taken_for_a_running_consumer() {
    let (mut shop, _) = recorded().await;
    let mut reader = shop.server.connection().await;
    let reading = tokio::spawn(async move {
        let _: redis::Value = redis::cmd("CLIENT")
            .arg("SETINFO")
            .arg("LIB-NAME")
            .arg("redis-py")
            .query_async(&mut reader)
            .await
            .unwrap_or(redis::Value::Nil);
        let words = ["BLOCK", "0", "STREAMS", "sales", "$"];
        redis::cmd("XREAD").arg(&words).query_async::<redis::Value>(&mut reader).await
    });
    let redis = shop.redis.clone();
    eventually("it reads", async || {
        let clients: String = redis::cmd("INFO").arg("clients").query_async(&mut redis.clone()).await.unwrap();
        clients.contains("blocked_clients:1")
    })
    .await;
    let error = shop.run(LINE).await.refused(4);
    assert!(error.contains("a client at 127.0.0.1:"), "{error}");
    let exists: bool = shop.redis.exists(RECORD).await.unwrap();
    assert!(!exists);

    // Who may not look at connections sees whether the position moves.
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "mover", "on", ">secret", "~*", "&*", "+@all", "-client|list"])
        .query_async(&mut shop.redis)
        .await
        .unwrap();
    let url = format!("redis://mover:secret@{}/", shop.server.addr());
    let moving = moving(&shop);
    let error = shop.run(&format!("{LINE} --url {url}")).await.refused(4);
    assert!(error.contains("moved") || error.contains("changed"), "{error}");
    moving.stop().await;
    let () = shop.redis.set(INDEX, shop.id(3).to_string()).await.unwrap();
    shop.run(&format!("{LINE} --url {url} --dry-run")).await.done();
    shop.run(&format!("{LINE} --stopped")).await.done();
    reading.abort();
}

/// While it handles entries, its last command is not one that reads.
#[tokio::test]
async fn a_consumer_that_is_busy_is_seen_by_its_position() {
    let (shop, _) = recorded().await;
    let moving = moving(&shop);
    let error = shop.run(LINE).await.refused(4);
    assert!(error.contains("moved") || error.contains("changed"), "{error}");
    moving.stop().await;
}

/// The position moves until it is told to stop, slower than it is read and faster than it is watched.
struct Moving {
    stop: oneshot::Sender<()>,
    moves: JoinHandle<()>,
}

fn moving(shop: &Shop) -> Moving {
    let (mut redis, first_ms) = (shop.redis.clone(), shop.id(1).ms);
    let (stop, mut stopped) = oneshot::channel();
    let moves = tokio::spawn(async move {
        // Never where it was before: who looks twice must see it move.
        for seq in 1_u64.. {
            let () = redis.set(INDEX, format!("{first_ms}-{seq}")).await.unwrap();
            if tokio::time::timeout(Duration::from_millis(100), &mut stopped).await.is_ok() {
                break;
            }
        }
    });
    Moving { stop, moves }
}

impl Moving {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.moves.await.unwrap();
    }
}

#[tokio::test]
async fn a_position_that_moves_at_the_last_moment_is_seen() {
    let (mut shop, _) = recorded().await;
    let proxy = Proxy::start(shop.server.addr()).await;
    let hold = proxy.hold_requests_containing(RECORD.as_bytes());
    let url = proxy.url();
    let running = tokio::spawn(async move {
        let words = words(LINE);
        run_with(Some(&url), &words.iter().map(String::as_str).collect::<Vec<_>>(), "").await
    });
    hold.wait_until_held().await;
    let () = shop.redis.set(INDEX, shop.id(4).to_string()).await.unwrap();
    hold.release();
    let error = running.await.unwrap().refused(4);
    assert!(error.contains("has changed") && error.contains(&shop.id(4).to_string()), "{error}");
    let exists: bool = shop.redis.exists(RECORD).await.unwrap();
    assert!(!exists);
}

/// With the library itself, where pip can fetch it; the bytes above are as it writes them.
#[tokio::test]
async fn the_python_library_itself_runs_stops_and_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let fetch = format!(
        "python3 -m venv {at}/venv && {at}/venv/bin/pip install --quiet --disable-pip-version-check atomic-redis-streams==0.1.0"
    );
    let fetched = Command::new("bash").arg("-c").arg(&fetch).output().await.unwrap();
    if !fetched.status.success() {
        eprintln!("left out: the library cannot be fetched: {}", String::from_utf8_lossy(&fetched.stderr));
        return;
    }
    let mut shop = Shop::empty().await;
    let sales: Vec<(&str, i64)> = (1..=900).map(|n| (["A-1", "B-7", "C-3"][n % 3], n as i64)).collect();
    for (n, (sku, quantity)) in sales.iter().enumerate().take(600) {
        shop.sell(n as u64 + 1, sku, *quantity).await;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/importing/consumer.py");
    let mut python = Command::new(format!("{at}/venv/bin/python"));
    let mut python =
        python.arg(script).arg(shop.server.url()).stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let at = async |shop: &Shop, n: u64| {
        let (redis, id) = (shop.redis.clone(), shop.id(n));
        eventually("Python has got there", async || {
            let index: Option<String> = redis.clone().get(INDEX).await.unwrap();
            index.is_some_and(|index| index.parse::<atomic_streams::EntryId>().unwrap() >= id)
        })
        .await;
    };
    at(&shop, 50).await;
    let error = shop.run(LINE).await.refused(4);
    // Under load it is more often seen by what it writes than by its connection.
    assert!(error.contains("seems to be running") || error.contains("that has changed"), "{error}");
    at(&shop, 300).await;
    drop(python.stdin.take());
    assert!(python.wait().await.unwrap().success());
    let text = shop.run(LINE).await.done();
    println!("{text}");
    for (n, (sku, quantity)) in sales.iter().enumerate().skip(600) {
        shop.sell(n as u64 + 1, sku, *quantity).await;
    }
    goes_on(&mut shop, &sales).await;
}
