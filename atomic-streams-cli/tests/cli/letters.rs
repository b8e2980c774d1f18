//! Dead letters.

use redis::AsyncCommands;
use serde_json::json;
use support::eventually;

use crate::shop::{DEAD, INVENTORY, Shop};

/// Adds a sale that fails, and waits for its letter.
async fn fail(shop: &mut Shop, minute: u64) {
    shop.sell(minute, "Z-0", -(minute as i64)).await;
    shop.until_at(INVENTORY, minute).await;
}

#[tokio::test]
async fn what_failed_and_why_is_listed_and_shown() {
    let shop = Shop::busy().await;
    let [letter] = &shop.letters(DEAD).await[..] else { panic!("not one letter") };
    let table = shop.run("dead-letters ls sales:dead").await.done();
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(letter) && row.ends_with("cannot sell -1 of A-1"), "{table}");
    let json = &shop.run("dead-letters ls sales:dead --json").await.json()[0];
    assert_eq!(
        (&json["stream"], &json["group"], &json["entry_id"]),
        (&json!("sales"), &json!(INVENTORY), &json!(shop.id(3).to_string()))
    );
    assert_eq!(
        (&json["attempts"], &json["key"], &json["fields"]),
        (&json!(1), &json!(null), &json!({"sku": "A-1", "quantity": "-1"}))
    );
    let text = shop.run(&format!("dead-letters show sales:dead {letter}")).await.done();
    assert!(text.contains("error     cannot sell -1 of A-1") && text.contains("quantity  -1\n"), "{text}");
    let error = shop.run("dead-letters show sales:dead 1-1").await.refused(3);
    assert!(error.contains("dead-letters ls sales:dead"), "{error}");
    let parked = shop.run("dead-letters ls orders:dead --json").await.json();
    assert_eq!((&parked[0]["key"], &parked[0]["parked_behind"]), (&json!("Ada"), &json!(null)));
    assert_eq!(parked[1]["parked_behind"], shop.id(1).to_string());
}

#[tokio::test]
async fn letters_are_searched_by_text_origin_and_time() {
    let mut shop = Shop::busy().await;
    for minute in 9..=10 {
        fail(&mut shop, minute).await;
    }
    for (options, found) in [
        ("", 3),
        ("--text 'cannot sell -9'", 1),
        ("--text Z-0", 2),
        ("--text quantity", 3),
        ("--text nothing", 0),
        ("--stream sales", 3),
        ("--stream orders", 0),
        ("--group inventory-tracker --text Z-0", 2),
        ("--group audit", 0),
        ("--since 1h", 3),
        ("--until 1h", 0),
        ("--since 1h --until 2020-01-01", 0),
        ("--count 2", 2),
    ] {
        let json = shop.run(&format!("dead-letters search sales:dead {options} --json")).await.json();
        assert_eq!(json.as_array().unwrap().len(), found, "{options}");
    }
    let ids = shop.letters(DEAD).await;
    let json = shop.run(&format!("dead-letters ls sales:dead -n 1 --after {} --json", ids[0])).await.json();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["id"]), (1, &json!(ids[1])));
    assert_eq!(
        shop.run("dead-letters search sales:dead --group audit").await.done(),
        "no dead letter among the 3 entries of sales:dead is as asked for\n"
    );
}

/// More letters than are read at once, with others between them, and some that come while they are put back.
#[tokio::test]
async fn all_that_are_there_are_requeued_once() {
    let mut shop = Shop::busy().await;
    for n in 0..250 {
        shop.sell(100 + n, "Z-0", -1).await;
        if n % 100 == 50 {
            let () = shop.redis.xadd(DEAD, "*", &[("no", "letter")]).await.unwrap();
        }
    }
    shop.until_at(INVENTORY, 349).await;
    // They fail again, and are letters again, also while this runs.
    let json = shop.run("dead-letters requeue sales:dead --all --yes --json").await.json();
    assert_eq!((&json["requeued"], &json["parked"], &json["missing"]), (&json!(251), &json!(0), &json!(0)), "{json}");
    eventually("each has failed again", async || {
        let found = shop.inspect(INVENTORY).await;
        found.processed == 8 + 250 + 251 && found.lag == Some(0)
    })
    .await;
    let length: u64 = shop.redis.xlen(DEAD).await.unwrap();
    assert_eq!(length, 251 + 2);
    let length: u64 = shop.redis.xlen("sales").await.unwrap();
    assert_eq!(length, 8 + 250 + 251);
}

#[tokio::test]
async fn some_are_requeued_and_each_has_its_outcome() {
    let mut shop = Shop::busy().await;
    for minute in 9..=10 {
        fail(&mut shop, minute).await;
    }
    shop.close().await;
    let ids = shop.letters(DEAD).await;
    let ran = shop.run(&format!("dead-letters requeue sales:dead {} 1-1 {} --json", ids[0], ids[2])).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["requeued"], &json["missing"], &json["entries"][1]["letter"]),
        (&json!(2), &json!(1), &json!(ids[2]))
    );
    let added = json["entries"][0]["entry"].as_str().unwrap();
    let tail = shop.run("tail sales -n 2").await.done();
    assert!(tail.contains(added) && tail.contains("sku=A-1 quantity=-1"), "{tail}");
    assert_eq!(shop.letters(DEAD).await, [ids[1].clone()]);
    let error = shop.run(&format!("dead-letters requeue sales:dead {} --text x", ids[1])).await.refused(2);
    assert!(error.contains("choose among --all"), "{error}");
    shop.run("dead-letters requeue sales:dead").await.refused(2);
    let json = shop.run("dead-letters requeue sales:dead --all --group audit --yes --json").await.json();
    assert_eq!(json["requeued"], 0);
}

#[tokio::test]
async fn letters_are_dropped_one_by_one_or_by_choice() {
    let mut shop = Shop::busy().await;
    for minute in 9..=11 {
        fail(&mut shop, minute).await;
    }
    let ids = shop.letters(DEAD).await;
    assert_eq!(shop.run(&format!("dead-letters drop sales:dead {} --yes", ids[0])).await.done(), "1 letter removed\n");
    let ran = shop.run(&format!("dead-letters drop sales:dead {} {} --yes", ids[0], ids[1])).await;
    assert!(ran.code == 3 && ran.stdout.ends_with("1 letter removed\n"), "{ran:?}");
    let json = shop.run("dead-letters drop sales:dead --all --text 'sell -11' --yes --json").await.json();
    assert_eq!((&json["dropped"], &json["missing"]), (&json!(1), &json!(0)));
    assert_eq!(shop.letters(DEAD).await, [ids[2].clone()]);
}

#[tokio::test]
async fn parked_keys_are_shown_left_and_unparked() {
    let mut shop = Shop::busy().await;
    let table = shop.run("dead-letters parked orders billing").await.done();
    assert_eq!(table, format!("KEY  BEHIND ENTRY\nAda  {}\n", shop.id(1)));
    let ids = shop.letters("orders:dead").await;
    let ran = shop.run(&format!("dead-letters requeue orders:dead {}", ids[0])).await;
    assert!(ran.code == 4 && ran.stdout.contains("dead-letters unpark orders billing"), "{ran:?}");
    for dry in ["", " --dry-run"] {
        let json = shop.run(&format!("dead-letters requeue orders:dead --all --yes --json{dry}")).await.json();
        assert_eq!((&json["requeued"], &json["parked"]), (&json!(0), &json!(2)), "{dry}");
    }
    let error = shop.run("dead-letters unpark orders billing Grace").await.refused(3);
    assert!(error.contains("no parked key `Grace`"), "{error}");
    shop.run("dead-letters unpark orders billing Ada --dry-run").await.done();
    assert!(shop.run("dead-letters parked orders billing --json").await.json()[0]["key"] == "Ada");

    // Somebody who can bill her.
    shop.close().await;
    shop.start_billing().await;
    let text = shop.run("dead-letters unpark orders billing 416461 --hex").await.done();
    assert!(text.contains("key `Ada`, in order"), "{text}");
    eventually("she is billed", async || {
        shop.run("dead-letters parked orders billing").await.stdout == "no key is parked\n"
    })
    .await;
    let length: u64 = shop.redis.xlen("bills").await.unwrap();
    assert_eq!(length, 3);
    assert!(shop.letters("orders:dead").await.is_empty());
}

#[tokio::test]
async fn a_damaged_letter_is_named_and_in_nobodys_way() {
    let mut shop = Shop::at_rest().await;
    let damaged: String = redis::cmd("XADD")
        .arg(&[
            DEAD,
            "*",
            "@stream",
            "sales",
            "@group",
            "g",
            "@id",
            "x",
            "@time_ms",
            "1",
            "@attempts",
            "1",
            "@error",
            "e",
        ])
        .arg(&["@fields", "0"])
        .query_async(&mut shop.redis)
        .await
        .unwrap();
    let ran = shop.run("dead-letters ls sales:dead").await;
    assert!(ran.code == 0 && ran.stderr.contains("left out") && ran.stderr.contains(&damaged), "{ran:?}");
    let error = shop.run(&format!("dead-letters show sales:dead {damaged}")).await.refused(1);
    assert!(error.contains("dead-letters drop"), "{error}");
    let ran = shop.run("dead-letters requeue sales:dead --all --yes").await;
    assert!(ran.code == 0 && ran.stdout == "1 letter requeued\n", "{ran:?}");
    shop.run(&format!("dead-letters drop sales:dead {damaged} --yes")).await.done();
    let length: u64 = shop.redis.xlen(DEAD).await.unwrap();
    assert_eq!(length, 0);
}
