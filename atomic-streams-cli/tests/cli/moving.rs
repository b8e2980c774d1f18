//! seek, reset, delete, copies.

use serde_json::json;

use crate::shop::{INVENTORY, Shop};

#[tokio::test]
async fn seek_starts_again_from_a_time() {
    let mut shop = Shop::at_rest().await;
    // The sixth sale was 55 minutes ago.
    let text = shop.run("seek sales inventory-tracker --since 55min30s --yes --keep before").await.done();
    assert!(text.contains("Z (55 min ago) or later, from "), "{text}");
    assert!(text.contains("entries from there on are handled again, on the state of now"), "{text}");
    assert!(text.contains("copies put-back sales inventory-tracker before"), "{text}");
    let found = shop.inspect(INVENTORY).await;
    assert!(shop.id(5) < found.position && found.position < shop.id(6), "{}", found.position);
    shop.start_inventory("till-3").await;
    shop.until_at(INVENTORY, 8).await;
    assert_eq!(shop.sold().await, 11 + 3);
    shop.close().await;

    let json = shop.run("copies put-back sales inventory-tracker before --yes --json").await.json();
    assert_eq!((&json["to"], &json["processed"]), (&json!(shop.id(8).to_string()), &json!(8)));
    assert_eq!(shop.sold().await, 11);
}

#[tokio::test]
async fn seek_and_reset_say_what_they_did_in_json() {
    let shop = Shop::at_rest().await;
    let at = |minute| shop.id(minute).to_string();
    let json = shop.run(&format!("seek sales audit --to {} --yes --json", at(7))).await.json();
    assert_eq!(
        json,
        json!({"stream": "sales", "group": "audit", "from": at(5), "to": at(7), "dropped_fields": 0,
            "dropped_collections": 0, "kept": null, "dry_run": false})
    );
    let json = shop.run("reset sales inventory-tracker --to start --keep old --yes --json").await.json();
    assert_eq!(
        json,
        json!({"stream": "sales", "group": INVENTORY, "from": at(8), "to": "0-0", "dropped_fields": 1,
            "dropped_collections": 1, "kept": "old", "dry_run": false})
    );
    assert_eq!(shop.run("state sales inventory-tracker").await.done(), "{}\n");
    let state = shop.run("state sales inventory-tracker --copy old --field sold").await.done();
    assert_eq!(state, "11\n");
    // Without a place, the position stays.
    let json = shop.run("reset sales audit --yes --json").await.json();
    assert_eq!((&json["from"], &json["to"]), (&json!(at(7)), &json!(at(7))));
}

/// The state is the fold of the entries from the new position on, whatever the consumer was doing.
#[tokio::test]
async fn a_running_consumer_goes_on_from_where_it_was_put() {
    let mut shop = Shop::busy().await;
    for round in 0..3_u64 {
        for n in 0..50 {
            shop.sell(100 + 100 * round + n, "D-9", 1).await;
        }
        let text = shop.run("reset sales inventory-tracker --to start --yes").await.done();
        assert!(text.starts_with("sales inventory-tracker goes on at the start, from "), "{text}");
        shop.until_at(INVENTORY, 100 + 100 * round + 49).await;
        assert_eq!(shop.sold().await, 11 + 50 * (round as i64 + 1), "round {round}");
    }
    // On the state of now: the last fifty once more.
    let place = shop.id(349 - 50);
    shop.run(&format!("seek sales inventory-tracker --to {place} --yes")).await.done();
    shop.sell(400, "D-9", 1).await;
    shop.until_at(INVENTORY, 400).await;
    assert_eq!(shop.sold().await, 11 + 150 + 50 + 1);
}

#[tokio::test]
async fn a_place_behind_the_end_is_refused() {
    let shop = Shop::at_rest().await;
    let error = shop.run("seek sales audit --to 9999999999999-0 --yes").await.refused(2);
    assert!(error.contains("behind the end of the stream"), "{error}");
    let error = shop.run("seek sales audit --since yesterday --yes").await.refused(2);
    assert!(error.contains("or how long ago: 90s, 15min, 3h, 2d"), "{error}");
    let error = shop.run("seek sales audit --to beginning --yes").await.refused(2);
    assert!(error.contains("write `start`, `end` or an entry ID"), "{error}");
    let error = shop.run("seek sales audit --yes").await.refused(2);
    assert!(error.contains("--to <PLACE>|--since <TIME>"), "{error}");
}

#[tokio::test]
async fn copies_are_kept_listed_shown_and_dropped() {
    let mut shop = Shop::at_rest().await;
    assert_eq!(shop.run("copies ls sales inventory-tracker").await.done(), "no copies are kept of it\n");
    assert_eq!(shop.run("keep sales inventory-tracker one").await.done(), "sales inventory-tracker kept as `one`\n");
    let error = shop.run("keep sales inventory-tracker one").await.refused(4);
    assert!(error.contains("a copy of this name"), "{error}");
    let error = shop.run("keep sales inventory-tracker one --dry-run").await.refused(4);
    assert!(error.contains("a copy `one` already"), "{error}");
    let json = shop.run("copies ls sales inventory-tracker --json").await.json();
    assert_eq!(
        (&json[0]["name"], &json[0]["position"], &json[0]["processed"]),
        (&json!("one"), &json!(shop.id(8).to_string()), &json!(8))
    );
    let table = shop.run("copies ls sales inventory-tracker").await.done();
    assert!(table.starts_with("NAME  KEPT") && table.lines().nth(1).unwrap().starts_with("one   20"), "{table}");
    let state = shop.run("copies show sales inventory-tracker one").await.done();
    assert!(state.contains("\"sold\": 11"), "{state}");

    // Put back under a running consumer: it goes on from the copy.
    shop.start_inventory("till-4").await;
    shop.sell(9, "A-1", 5).await;
    shop.until_at(INVENTORY, 9).await;
    let text = shop.run("copies put-back sales inventory-tracker one --keep two --yes").await.done();
    assert!(text.contains("what there was is kept as `two`"), "{text}");
    shop.sell(10, "A-1", 1).await;
    shop.until_at(INVENTORY, 10).await;
    assert_eq!(shop.sold().await, 11 + 5 + 1);
    assert_eq!(shop.run("state sales inventory-tracker --copy two --field sold").await.done(), "16\n");

    assert_eq!(
        shop.run("copies drop sales inventory-tracker one --yes").await.done(),
        "copy `one` of sales inventory-tracker dropped\n"
    );
    for line in [
        "copies drop sales inventory-tracker one --yes",
        "copies put-back sales inventory-tracker one --yes",
        "copies show sales inventory-tracker one",
    ] {
        shop.run(line).await.refused(3);
    }
}

#[tokio::test]
async fn delete_removes_what_nobody_runs() {
    let mut shop = Shop::busy().await;
    let error = shop.run("delete sales inventory-tracker --yes").await.refused(4);
    assert!(error.contains("owner `till-1` is alive") && error.contains("shut it down first"), "{error}");
    shop.close().await;
    let json = shop.run("delete sales inventory-tracker --yes --json").await.json();
    assert_eq!((&json["processed"], &json["collections"], &json["dry_run"]), (&json!(8), &json!(1), &json!(false)));
    shop.run("show sales inventory-tracker").await.refused(3);
    assert!(!shop.dump().await.keys().any(|key| key.contains(INVENTORY)));
}
