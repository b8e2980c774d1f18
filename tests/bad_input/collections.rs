//! Collections: what lies beside the record and is not what a handler has written.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::{
    ErrorKind, Fields, Handler, HandlerResult, Persistable, StateDeque, StateMap, StateSet, Transaction, async_trait,
};
use redis::AsyncCommands;

use crate::bench::{Bench, RECORD, STREAM, within};

#[derive(Persistable, Default)]
struct Shelf {
    map: StateMap<u64, String>,
    set: StateSet<String>,
    deque: StateDeque<u16>,
}

#[async_trait]
impl Handler for Shelf {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, tx: &mut Transaction) -> HandlerResult {
        let first = self.map.len() as u64;
        for n in first..first + 3 {
            self.map.insert_with_ttl(n, format!("v{n}"), Duration::from_secs(1_000_000));
            self.set.insert(format!("s{n}"));
            self.deque.push_back(n as u16);
        }
        let lengths = format!("{} {} {}", self.map.len(), self.set.len(), self.deque.len());
        tx.publish("seen", &BTreeMap::from([("lengths", lengths)]))?;
        Ok(())
    }
}

fn key(collection: &str) -> String {
    format!("{RECORD}@{collection}:{collection}")
}

/// Three entries in each.
async fn filled() -> Bench {
    let mut bench = Bench::start().await;
    goes_on(&mut bench, 1).await;
    bench
}

async fn goes_on(bench: &mut Bench, processed: u64) {
    let consumer = bench.consumer().handler(Shelf::default()).spawn().await.unwrap();
    bench.add(STREAM, &[("n", "1")].into_iter().collect()).await;
    bench.until_processed(processed).await;
    within(consumer.shutdown()).await.unwrap();
    let lengths = vec![(3 * processed).to_string(); 3].join(" ");
    assert_eq!(bench.entries("seen").await.last().unwrap().fields.get_str("lengths"), Some(lengths.as_str()));
}

#[tokio::test]
async fn keys_and_values_that_do_not_fit_are_named() {
    let mut bench = filled().await;
    let sound = bench.picture().await;
    let deep = b"\x91".repeat(10_000);
    let too_deep: &[u8] = &deep;
    let (number, text) = (&b"\x01"[..], &b"\xa2s1"[..]);
    for (collection, bad_keys, good_key, bad_values) in [
        (
            "map",
            &[&b""[..], b"\xa1x", b"\xc0", b"\xff", b"\x01\x01", b"\xdb\xff\xff\xff\xff", too_deep][..],
            number,
            &[&b""[..], b"\xa5v", b"\x05", b"\xa1v\xd7\x01", b"\xa1v\xd7\x02\0\0\0\0\0\0\0\0", b"\xa1v\xa1w", too_deep]
                [..],
        ),
        (
            "set",
            &[&b""[..], b"\x01", b"\xa1\xff", b"\xa2x", b"\xa1xx", too_deep],
            text,
            &[&b""[..], b"\x05", b"\xc0\xd7\x01\0", too_deep],
        ),
        (
            "deque",
            &[&b""[..], b"\xa1x", b"\xcb\0\0\0\0\0\0\0\0", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", too_deep],
            number,
            &[&b""[..], b"\xce\0\x01\0\0", b"\xa1x", too_deep],
        ),
    ] {
        let damages = bad_keys.iter().map(|key| (*key, &b"\xc0"[..]));
        let damages = damages.chain(bad_values.iter().map(|value| (good_key, *value)));
        for (entry, value) in damages {
            let shown = (&entry[..entry.len().min(12)], &value[..value.len().min(12)]);
            // In the place of another: there are as many as there should be.
            if entry != good_key {
                let keys: Vec<Vec<u8>> = bench.redis.hkeys(key(collection)).await.unwrap();
                let () = bench.redis.hdel(key(collection), &keys[0]).await.unwrap();
            }
            let () = bench.redis.hset(key(collection), entry, value).await.unwrap();
            let error = bench.refused(Shelf::default).await;
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::StateDamaged, "{collection} {shown:x?}: {text}");
            assert!(text.contains(&format!("field `{collection}`")), "{collection} {shown:x?}: {text}");
            assert!(text.contains("backup"), "{text}");
            bench.put_back(&sound, &key(collection)).await;
        }
    }
    goes_on(&mut bench, 2).await;
}

#[tokio::test]
async fn equal_keys_in_different_bytes_are_named() {
    let mut bench = filled().await;
    let sound = bench.picture().await;
    let others = [
        ("map", &b"\x02"[..], &b"\xcd\0\x01"[..], &b"\xa1v"[..]),
        ("set", b"\xa2s2", b"\xd9\x02s1", b"\xc0"),
        ("deque", b"\x02", b"\xd1\0\x01", b"\x07"),
    ];
    for (collection, away, twin, value) in others {
        let () = bench.redis.hdel(key(collection), away).await.unwrap();
        let () = bench.redis.hset(key(collection), twin, value).await.unwrap();
        let error = bench.refused(Shelf::default).await;
        assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
        let text = error.to_string();
        assert!(text.contains("are 2 different ones") && text.contains(&key(collection)), "{text}");
        bench.put_back(&sound, &key(collection)).await;
    }
    goes_on(&mut bench, 2).await;
}

#[tokio::test]
async fn a_queue_with_gaps_or_at_the_end_of_its_numbers_is_named() {
    let mut bench = filled().await;
    let sound = bench.picture().await;
    let number = |n: i64| rmp_serde::to_vec(&n).unwrap();
    for (numbers, words) in [
        ([0, 1, 3], "missing between number 0 and number 3"),
        ([i64::MIN, 0, i64::MAX], "missing between"),
        ([i64::MAX - 2, i64::MAX - 1, i64::MAX], "no queue counts"),
        ([i64::MIN, i64::MIN + 1, i64::MIN + 2], "no queue counts"),
    ] {
        let () = bench.redis.del(key("deque")).await.unwrap();
        for n in numbers {
            let () = bench.redis.hset(key("deque"), number(n), b"\x07").await.unwrap();
        }
        let text = bench.refused(Shelf::default).await.to_string();
        assert!(text.contains(words) && text.contains("field `deque`"), "{text}");
        bench.put_back(&sound, &key("deque")).await;
    }
    goes_on(&mut bench, 2).await;
}

#[tokio::test]
async fn a_size_that_is_wrong_or_a_key_of_another_type_is_named() {
    let mut bench = filled().await;
    let sound = bench.picture().await;
    let digits = "9".repeat(30);
    for collection in ["map", "set", "deque"] {
        for (size, words) in [
            ("2", "holds 3 entries, and the record says that there are 2"),
            ("4", "holds 3 entries"),
            ("0", "holds 3 entries"),
            ("18446744073709551615", "holds 3 entries"),
            ("", "is no number"),
            ("-3", "is no number"),
            ("three", "is no number"),
            (&digits, "is no number"),
        ] {
            let () = bench.redis.hset(RECORD, format!("@size:{collection}"), size).await.unwrap();
            let error = bench.refused(Shelf::default).await;
            assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains(collection), "{size:?}: {text}");
        }
        bench.put_back(&sound, RECORD).await;
        for (command, arguments) in
            [("SET", &["text"][..]), ("XADD", &["*", "a", "b"]), ("SADD", &["a", "b", "c"]), ("ZADD", &["1", "a"])]
        {
            let () = bench.redis.del(key(collection)).await.unwrap();
            let mut make = redis::cmd(command);
            let () = make.arg(key(collection)).arg(arguments).query_async(&mut bench.redis).await.unwrap();
            let error = bench.refused(Shelf::default).await;
            assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
            assert!(error.to_string().contains(&key(collection)), "{error}");
        }
        let () = bench.redis.del(key(collection)).await.unwrap();
        bench.put_back(&sound, &key(collection)).await;
    }
    goes_on(&mut bench, 2).await;
}
