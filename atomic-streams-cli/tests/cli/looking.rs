//! ls, show, state, lag, doctor, tail.

use redis::AsyncCommands;
use serde_json::json;
use support::{Process, eventually};

use crate::ran::TOOL;
use crate::shop::{INVENTORY, Shop};

/// The lines of a table, each as its cells, which two blanks part.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

#[tokio::test]
async fn ls_says_who_owns_what_and_how_far_behind_it_is() {
    let shop = Shop::busy().await;
    let table = shop.run("ls").await.done();
    let rows = cells(&table);
    assert_eq!(rows[0], ["STREAM", "GROUP", "OWNER", "LEASE", "POSITION", "LAG", "BEHIND"]);
    let at = |minute| shop.id(minute).to_string();
    assert_eq!(rows[1][..6], ["orders", "billing", "desk", "held", &at(3), "0"]);
    assert_eq!(rows[2], ["sales", "audit", "auditor", "released", &at(5), "3", "55 min"]);
    assert_eq!(rows[3], ["sales", INVENTORY, "till-1", "held", &at(8), "0", "-"]);

    let json = shop.run("ls --json").await.json();
    let audit = &json[1];
    assert_eq!(
        (&audit["stream"], &audit["group"], &audit["owner"]),
        (&json!("sales"), &json!("audit"), &json!("auditor"))
    );
    assert_eq!(
        (&audit["lease"], &audit["lease_left_ms"], &audit["lag"]),
        (&json!("released"), &json!(null), &json!(3))
    );
    assert!(audit["lag_ms"].as_u64().unwrap() >= 3_300_000);
    assert_eq!((&json[0]["parked_keys"], &json[2]["processed"]), (&json!(1), &json!(8)));
    assert!((1..=10_000).contains(&json[2]["lease_left_ms"].as_u64().unwrap()), "{json}");
}

#[tokio::test]
async fn ls_shows_an_owner_that_was_killed() {
    let mut shop = Shop::at_rest().await;
    let now: (u64, u64) = redis::cmd("TIME").query_async(&mut shop.redis).await.unwrap();
    let record = "atomic-streams:{sales}:inventory-tracker";
    let () = shop.redis.hset(record, "@lease", now.0 * 1_000 - 100_000).await.unwrap();
    let table = shop.run("ls").await.done();
    assert!(table.contains("expired 1 min ago"), "{table}");
    let json = shop.run("ls --json").await.json();
    assert_eq!(json[2]["lease"], "expired");
    assert!(json[2]["lease_expired_ms"].as_u64().unwrap() >= 99_000);
}

#[tokio::test]
async fn show_says_all_there_is_to_know() {
    let shop = Shop::busy().await;
    let text = shop.run("show sales inventory-tracker").await.done();
    let rows = cells(&text);
    let of = |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name}: {text}"))[1];
    assert_eq!((of("owner"), of("takeovers"), of("processed")), ("till-1", "1", "8 entries"));
    assert!(of("lease").starts_with("held, for "), "{text}");
    assert!(of("position").starts_with(&format!("{}, of 20", shop.id(8))), "{text}");
    assert!(of("position").ends_with("(53 min ago)"), "{text}");
    assert_eq!((of("lag"), of("fields"), of("collections")), ("0 entries", "sold", "articles (3 entries)"));
    assert!(of("stream holds").starts_with(&format!("8 entries, from {}", shop.id(1))), "{text}");

    let json = shop.run("show --json orders billing").await.json();
    assert_eq!((&json["parked_keys"], &json["epoch"], &json["trying"]), (&json!(1), &json!(1), &json!(null)));
    assert_eq!(
        (&json["record"], &json["stream_last_id"]),
        (&json!("atomic-streams:{orders}:billing"), &json!(shop.id(3).to_string()))
    );
}

#[tokio::test]
async fn state_is_json_of_one_instant() {
    let shop = Shop::busy().await;
    let state: serde_json::Value =
        serde_json::from_str(&shop.run("state sales inventory-tracker").await.done()).unwrap();
    assert_eq!(state, json!({"sold": 11, "articles": {"A-1": 3, "B-7": 4, "C-3": 4}}));
    assert_eq!(shop.run("state sales inventory-tracker --field sold").await.done(), "11\n");
    let json = shop.run("state sales inventory-tracker --json").await.json();
    assert_eq!(
        (&json["state"], &json["processed"], &json["position"]),
        (&state, &json!(8), &json!(shop.id(8).to_string()))
    );
    let error = shop.run("state sales inventory-tracker --field stock").await.refused(3);
    assert!(error.contains("no field `stock`: it has articles, sold"), "{error}");
}

#[tokio::test]
async fn lag_gives_an_exit_code_for_alarms() {
    let shop = Shop::busy().await;
    let table = shop.run("lag").await.done();
    assert_eq!(cells(&table)[2], ["sales", "audit", "3", "55 min"]);
    let json = shop.run("lag sales audit --json").await.json();
    assert_eq!((&json["lag"], &json["exceeded"]), (&json!(3), &json!(false)));
    for (line, code) in [
        ("lag --max 3", 0),
        ("lag --max 2", 5),
        ("lag sales audit --max 2", 5),
        ("lag sales inventory-tracker --max 0 --max-time 0s", 0),
        ("lag sales audit --max 3 --max-time 50min", 5),
        ("lag sales audit --max-time 2h", 0),
    ] {
        let ran = shop.run(line).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{line}: {ran:?}");
        assert_eq!(ran.stdout.contains("above the limit"), code == 5, "{line}: {ran:?}");
    }
    assert_eq!(shop.run("lag --json --max 2").await.json()[1]["exceeded"], true);
}

/// After a seek the counters do not tell; what the stream holds is never too few.
#[tokio::test]
async fn an_unknown_lag_is_reckoned_by_what_the_stream_holds() {
    let mut shop = Shop::at_rest().await;
    let () = shop.redis.xdel("sales", &[shop.id(2).to_string()]).await.unwrap();
    shop.run("seek sales audit --to start --yes").await.done();
    let found = shop.inspect("audit").await;
    assert_eq!(found.lag, None, "the server tells");
    let table = shop.run("lag sales audit").await.done();
    assert!(table.contains("≤ 7"), "{table}");
    assert_eq!(shop.run("lag sales audit --max 7").await.code, 0);
    assert_eq!(shop.run("lag sales audit --max 6").await.code, 5);
}

#[tokio::test]
async fn doctor_ends_with_5_where_no_consumer_can_work() {
    let mut shop = Shop::at_rest().await;
    let json = shop.run("doctor --json").await.json();
    assert!(json["findings"].as_array().unwrap().iter().any(|each| each["setting"] == "maxmemory"), "{json}");
    assert_ne!(json["worst"], "error", "{json}");
    for (name, value) in [("maxmemory", "500mb"), ("maxmemory-policy", "allkeys-lru")] {
        let () = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(&mut shop.redis).await.unwrap();
    }
    let ran = shop.run("doctor sales inventory-tracker --output totals").await;
    assert_eq!(ran.code, 5, "{ran:?}");
    let first = ran.stdout.lines().nth(3).unwrap();
    assert!(first.starts_with("error") && first.contains("allkeys-lru"), "{}", ran.stdout);
    assert_eq!(shop.run("doctor --json").await.json()["worst"], "error");
    // Nobody has a replica here.
    let ran = shop.run("doctor --replicas 1 --json").await;
    assert!(
        ran.json()["findings"].as_array().unwrap().iter().any(|each| each["setting"] == "connected_slaves"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn tail_shows_the_newest_entries_or_those_from_somewhere_on() {
    let mut shop = Shop::at_rest().await;
    let minutes = |text: &str| {
        let ids = text.lines().map(|line| line.split(' ').next().unwrap().to_owned());
        ids.map(|id| (1..=8).find(|minute| shop.id(*minute).to_string() == id).unwrap()).collect::<Vec<_>>()
    };
    for (line, shown) in [
        ("tail sales -n 2", vec![7, 8]),
        ("tail sales", (1..=8).collect()),
        ("tail sales --from start --count 3", vec![1, 2, 3]),
        (&format!("tail sales --from {}", shop.id(6)), vec![7, 8]),
        ("tail sales --from end", vec![]),
        ("tail sales -n 0", vec![]),
    ] {
        assert_eq!(minutes(&shop.run(line).await.done()), shown, "{line}");
    }
    let line = shop.run("tail sales -n 1").await.done();
    assert!(line.starts_with(&format!("{}  20", shop.id(8))) && line.ends_with("Z  sku=B-7 quantity=1\n"), "{line}");

    let id = "9999999999999-7";
    let pairs: [(&str, &[u8]); 4] = [("n", b"1"), ("n", b"two words"), ("raw", b"\xff\x1b[2J"), ("", b"")];
    let () = shop.redis.xadd("sales", id, &pairs).await.unwrap();
    let line = shop.run("tail sales -n 1").await.done();
    assert!(line.ends_with("Z  n=1 n=\"two words\" raw=\\xff\\u{1b}[2J =\"\"\n"), "{line}");
    let json = shop.run("tail sales -n 2 --json").await.done();
    let last = json.lines().nth(1).unwrap();
    assert!(last.ends_with(r#""fields":{"n":["1","two words"],"raw":{"hex":"ff1b5b324a"},"":""}}"#), "{last}");
}

#[tokio::test]
async fn tail_follows_until_ctrl_c() {
    let mut shop = Shop::at_rest().await;
    let tail = Process::binary(TOOL).args(["tail", "sales", "--follow", "-n", "1", "--url", shop.server.url()]).start();
    tail.wait_for_line(|line| line.contains("quantity=1")).await;
    eventually("it waits", async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut shop.redis.clone()).await.unwrap();
        clients.contains("cmd=xread")
    })
    .await;
    let () = shop.redis.xadd("sales", "*", &[("late", "yes")]).await.unwrap();
    tail.wait_for_line(|line| line.ends_with("late=yes")).await;
    tail.interrupt();
    let status = tail.wait().await;
    assert_eq!(status.code(), Some(0), "{}", tail.output());
    // A stream that is not there yet is waited for.
    let tail = Process::binary(TOOL).args(["tail", "new", "-f", "--json", "--count", "1", "--from", "end"]);
    let tail = tail.env("REDIS_URL", shop.server.url()).start();
    eventually("it waits", async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut shop.redis.clone()).await.unwrap();
        clients.contains("cmd=xread")
    })
    .await;
    let () = shop.redis.xadd("new", "5-1", &[("a", "b")]).await.unwrap();
    assert_eq!(tail.wait().await.code(), Some(0));
    assert_eq!(tail.output().trim(), r#"{"id":"5-1","time":"1970-01-01T00:00:00.005Z","fields":{"a":"b"}}"#);
}
