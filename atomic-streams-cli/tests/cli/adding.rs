//! publish and trim.

use redis::AsyncCommands;
use serde_json::json;

use crate::shop::{INVENTORY, Shop};

/// The fields of the newest entry.
async fn newest(shop: &Shop, stream: &str) -> String {
    let line = shop.run(&format!("tail {stream} -n 1")).await.done();
    line.trim_end().split("  ").nth(2).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn publish_adds_fields_or_objects_in_their_order() {
    let mut shop = Shop::empty().await;
    let id = shop.run("publish new sku=A-1 note='a = b' sku=again empty=").await.done();
    assert_eq!(shop.admin.stream("new").await.unwrap().last_id.to_string(), id.trim());
    assert_eq!(newest(&shop, "new").await, r#"sku=A-1 note="a = b" sku=again empty="""#);
    let object = r#"{"z": 1, "a": "text", "deep": {"n": [1.5, true]}}"#;
    let json = shop.run(&format!("publish new --json --object '{object}'")).await.json();
    assert_eq!(
        (&json["stream"], &json["entries"], json["ids"].as_array().unwrap().len()),
        (&json!("new"), &json!(1), 1)
    );
    assert_eq!(newest(&shop, "new").await, r#"z=1 a=text deep="{\"n\": [1.5, true]}""#);

    let object = r#"{"n": 123456789012345678901234567890, "price": 1.50, "none": null, "deep": {"x": 0.10}}"#;
    shop.run(&format!("publish new --object '{object}'")).await.done();
    let written = r#"n=123456789012345678901234567890 price=1.50 deep="{\"x\": 0.10}""#;
    assert_eq!(newest(&shop, "new").await, written, "the digits that were written");

    let ran = shop.run_with("publish lines --object -", "{\"n\": 1}\n\n{\"n\": 2}\n[3]\n").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("standard input, line 4, after 2 were added: invalid type"), "{ran:?}");
    let length: u64 = shop.redis.xlen("lines").await.unwrap();
    assert_eq!(length, 2);
    for line in
        ["publish new", "publish new sku", "publish new a=b --object {}", "publish new --object {}", "publish '' a=b"]
    {
        shop.run(line).await.refused(2);
    }
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    for (members, says) in [
        ("", "none of its members makes one"),
        (r#""a": null"#, "none of its members makes one"),
        (r#""a": 1, "b": 2, "a": null"#, "`a` is there twice"),
        (r#""a": ["\ud800"]"#, "escape"),
        (&format!(r#""a": {deep}"#), "recursion"),
    ] {
        for dry_run in ["", "--dry-run"] {
            let error = shop.run(&format!("publish new --object '{{{members}}}' {dry_run}")).await.refused(2);
            assert!(error.contains(says), "{error}");
        }
    }
    let shown = shop.run("publish new --object '{\"a\": \"\u{202e}x\"}' --dry-run").await.done();
    assert_eq!(shown, "would be added to new: a=\\u{202e}x\n");
    let error = shop.run("show 'no\u{202e}ne' audit").await.refused(3);
    assert!(error.contains("no\\u{202e}ne"), "{error}");
    assert_eq!(shop.run("publish new a=b --dry-run").await.done(), "would be added to new: a=b\n");
    let length: u64 = shop.redis.xlen("new").await.unwrap();
    assert_eq!(length, 3);
}

#[tokio::test]
async fn what_is_published_is_handled() {
    let mut shop = Shop::empty().await;
    shop.start_inventory("till").await;
    let id = shop.run("publish sales sku=A-1 quantity=7").await.done();
    support::eventually("it is handled", async || {
        shop.inspect(INVENTORY).await.position.to_string() == id.trim() && shop.sold().await == 7
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn trim_removes_what_every_group_has_committed() {
    let mut shop = Shop::at_rest().await;
    let text = shop.run("trim sales --exact --dry-run").await.done();
    assert_eq!(
        text,
        "sales: 5 entries would be removed at most, 3 would be left\n3 entries held back by the group audit, which has yet to \
         commit them\n"
    );
    let json = shop.run("trim sales --keep-entries 6 --exact --yes --json").await.json();
    assert_eq!((&json["removed"], &json["left"], &json["held_back_by"]), (&json!(2), &json!(6), &json!(null)));
    let json = shop.run("trim sales --keep-for 56min30s --exact --yes --json").await.json();
    assert_eq!((&json["removed"], &json["left"]), (&json!(2), &json!(4)));
    let json = shop.run("trim sales --exact --expect-group nobody --yes --json").await.json();
    assert_eq!((&json["removed"], &json["held_back_by"]["why"]), (&json!(0), &json!("missing")));
    let json = shop.run("trim sales --exact --yes --json").await.json();
    assert_eq!(
        (&json["removed"], &json["left"], &json["held_back_by"]["group"]),
        (&json!(1), &json!(3), &json!("audit"))
    );

    let error = shop.run("trim sales:dead --yes").await.refused(3);
    assert!(error.contains("--without-groups"), "{error}");
    let error = shop.run("trim sales:dead --without-groups --yes").await.refused(2);
    assert!(error.contains("all of it would go"), "{error}");
    shop.run("trim no --yes").await.refused(3);
    let length: u64 = shop.redis.xlen("sales").await.unwrap();
    assert_eq!(length, 3);
}
