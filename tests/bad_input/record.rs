//! The record's own fields, which the scripts calculate with.

use atomic_streams::{ErrorKind, Fields, Handler, HandlerResult, Persistable, Transaction, async_trait};
use redis::AsyncCommands;

use crate::bench::{Bench, RECORD, STREAM, within};

#[derive(Persistable)]
struct Count {
    count: u64,
}

#[async_trait]
impl Handler for Count {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, _: &mut Transaction) -> HandlerResult {
        self.count += 1;
        Ok(())
    }
}

fn count() -> Count {
    Count { count: 0 }
}

/// A record with three entries behind it, and one before it.
async fn used() -> Bench {
    let mut bench = Bench::start().await;
    for n in 0..3 {
        bench.add(STREAM, &[("n", n.to_string())].into_iter().collect()).await;
    }
    let consumer = bench.consumer().handler(count()).spawn().await.unwrap();
    bench.until_processed(3).await;
    within(consumer.shutdown()).await.unwrap();
    bench.add(STREAM, &[("n", "3")].into_iter().collect()).await;
    bench
}

/// Goes on from where it was.
async fn goes_on(bench: &mut Bench) {
    let consumer = bench.consumer().handler(count()).spawn().await.unwrap();
    bench.until_processed(4).await;
    within(consumer.shutdown()).await.unwrap();
    let count: Vec<u8> = bench.redis.hget(RECORD, "count").await.unwrap();
    assert_eq!(rmp_serde::from_slice::<u64>(&count).unwrap(), 4);
}

#[tokio::test]
async fn each_field_that_is_damaged_is_named_and_nothing_is_written() {
    let mut bench = used().await;
    let sound = bench.picture().await;
    let (digits, mebibytes) = ("9".repeat(30), "1".repeat(10 << 20));
    for (field, values, wanted) in [
        (
            "@head",
            &["no head", "a.1.1.1:", "a.1.1.1:18446744073709551615", &digits, &mebibytes][..],
            "`token:sequence`",
        ),
        ("@position", &["1", "one-two", "1-18446744073709551616", "", &digits, &mebibytes], "an entry ID"),
        ("@processed", &["-3", "", "1e3", &digits, &mebibytes], "a number"),
        ("@lease", &["soon", "", "inf", "-1", &digits], "a number"),
        ("@base", &["none", "1.5", &digits], "a number"),
        ("@epoch", &["first", "", &digits], "a number"),
        ("@trying", &["", "1-0", "1-0 -1", "x 3", &digits], "`ID crashes`"),
    ] {
        for value in values {
            let () = bench.redis.hset(RECORD, field, value).await.unwrap();
            let error = bench.refused_at_once(count).await;
            assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
            let text = error.to_string();
            let shown = &value[..value.len().min(30)];
            for words in [&format!("field `{field}` holds `{shown}"), wanted, "backup", "orders", "tally"] {
                assert!(text.contains(words), "{words} is missing: {text}");
            }
            bench.put_back(&sound, RECORD).await;
        }
    }
    let () = bench.redis.hset(RECORD, "@head", b"\xff\x00\n").await.unwrap();
    let text = bench.refused_at_once(count).await.to_string();
    assert!(text.contains("`\u{fffd}\\0\\n`"), "{text}");
    bench.put_back(&sound, RECORD).await;
    goes_on(&mut bench).await;
}

#[tokio::test]
async fn a_field_that_is_missing_is_named() {
    let mut bench = used().await;
    let sound = bench.picture().await;
    for field in ["@head", "@position", "@processed", "@lease", "@epoch"] {
        let () = bench.redis.hdel(RECORD, field).await.unwrap();
        let error = bench.refused_at_once(count).await;
        assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
        assert!(error.to_string().contains(&format!("field `{field}` holds ``")), "{error}");
        bench.put_back(&sound, RECORD).await;
    }
    for (field, kind) in [("@stream", ErrorKind::WrongType), ("@group", ErrorKind::WrongType)] {
        let () = bench.redis.hdel(RECORD, field).await.unwrap();
        assert_eq!(bench.refused_at_once(count).await.kind(), kind, "{field}");
        bench.put_back(&sound, RECORD).await;
    }
    for format in ["", "0", "11", &"9".repeat(1 << 20)] {
        let () = bench.redis.hset(RECORD, "@format", format).await.unwrap();
        assert_eq!(bench.refused_at_once(count).await.kind(), ErrorKind::UnsupportedServer);
        bench.put_back(&sound, RECORD).await;
    }
    goes_on(&mut bench).await;
}

#[tokio::test]
async fn a_damaged_schema_is_shown_in_short() {
    let mut bench = used().await;
    let sound = bench.picture().await;
    let schema = bench.record("@schema").await;
    let many: Vec<String> = (0..100_000).map(|n| format!("\"{}{n}\":\"i64\"", "f".repeat(90))).collect();
    let mut schemas: Vec<(String, ErrorKind)> =
        (0..schema.len()).map(|end| (schema[..end].to_owned(), ErrorKind::StateDamaged)).collect();
    schemas.extend([
        ("[".repeat(100_000), ErrorKind::StateDamaged),
        (format!("{{\"version\":1,\"fields\":{}", "{\"a\":".repeat(50_000)), ErrorKind::StateDamaged),
        ("x".repeat(10 << 20), ErrorKind::StateDamaged),
        ("{\"version\":-1,\"fields\":{}}".to_owned(), ErrorKind::StateDamaged),
        ("{\"version\":99999999999,\"fields\":{}}".to_owned(), ErrorKind::StateDamaged),
        (schema.clone() + "}", ErrorKind::StateDamaged),
        ("{\"version\":4294967295,\"fields\":{}}".to_owned(), ErrorKind::SchemaMismatch),
    ]);
    for (text, kind) in schemas {
        let () = bench.redis.hset(RECORD, "@schema", &text).await.unwrap();
        let error = bench.refused_at_once(count).await;
        assert_eq!(error.kind(), kind, "{error}");
        bench.put_back(&sound, RECORD).await;
    }
    let text = format!("{{\"version\":1,\"fields\":{{{}}}}}", many.join(","));
    let () = bench.redis.hset(RECORD, "@schema", text).await.unwrap();
    let error = within(bench.consumer().handler(count()).spawn()).await.expect_err("it started");
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    let text = error.to_string();
    assert!(text.len() < 50_000 && text.contains("and 99901 more"), "{} bytes: {:.2000}", text.len(), text);
    bench.put_back(&sound, RECORD).await;
    goes_on(&mut bench).await;
}

/// The next commit writes what it knows; what it does not is found at the renewal, and the consumer ends as a new one would.
#[tokio::test]
async fn damage_while_it_runs_is_mended_or_ends_the_consumer() {
    for (field, ends) in
        [("@position", true), ("@processed", true), ("@head", true), ("@base", false), ("@trying", false)]
    {
        let mut bench = used().await;
        let lease = std::time::Duration::from_millis(600);
        let consumer = bench.consumer().lease(lease).handler(count()).spawn().await.unwrap();
        bench.until_processed(4).await;
        let () = bench.redis.hset(RECORD, field, "damaged").await.unwrap();
        if ends {
            let error = within(consumer.wait()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StateDamaged, "{field}: {error}");
            assert!(error.to_string().contains(field), "{error}");
            assert_eq!(bench.record(field).await, "damaged");
        } else {
            if field == "@base" {
                support::eventually("a renewal settles it anew", async || bench.record(field).await != "damaged").await;
            }
            within(consumer.shutdown()).await.unwrap();
            let mended = if field == "@base" { "0" } else { "" };
            assert_eq!(bench.record(field).await, mended, "{field}");
        }
    }
}
