//! State fields: bytes that are not what a handler has written.

use std::collections::BTreeMap;

use atomic_streams::{ErrorKind, Fields, Handler, HandlerResult, Persistable, Transaction, async_trait};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, RECORD, STREAM, within};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Group(Vec<Shape>),
}

#[derive(Persistable, Debug)]
struct Drawing {
    shape: Shape,
    names: BTreeMap<String, Option<u32>>,
    bytes: Vec<u8>,
}

#[async_trait]
impl Handler for Drawing {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, tx: &mut Transaction) -> HandlerResult {
        let state = &*self;
        tx.publish("seen", &BTreeMap::from([("state", format!("{state:?}"))]))?;
        Ok(())
    }
}

fn drawing() -> Drawing {
    Drawing {
        shape: Shape::Group(vec![Shape::Point, Shape::Circle { radius: 1.5 }]),
        names: [("a".to_owned(), Some(70_000)), ("b".to_owned(), None)].into(),
        bytes: vec![1, 200, 3],
    }
}

async fn start() -> Bench {
    let bench = Bench::start().await;
    let consumer = bench.consumer().handler(drawing()).spawn().await.unwrap();
    within(consumer.shutdown()).await.unwrap();
    bench
}

/// What is refused, with words of the reason.
fn damages(field: &str, sound: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut damages: Vec<(Vec<u8>, &str)> = (0..sound.len()).map(|end| (sound[..end].to_vec(), "they end")).collect();
    damages.push(([sound, b"\x00"].concat(), "1 bytes follow"));
    damages.push(([sound, sound].concat(), "follow the value"));
    for (marker, what) in
        [(0xdc, 2), (0xdd, 4), (0xde, 2), (0xdf, 4), (0xda, 2), (0xdb, 4), (0xc5, 2), (0xc6, 4), (0xc9, 4)]
    {
        damages.push(([&[marker][..], &vec![0xff; what][..]].concat(), "they end"));
        damages.push(([&[0x91, marker][..], &vec![0xff; what][..], b"\x01\x02\x03"].concat(), "they end"));
    }
    for nested in
        [&b"\x91"[..], b"\x81\xa5Group", b"\x81\xa5Group\x91", b"\x81\xa1a", b"\x81\x91", b"\xdd\x00\x00\x00\x01"]
    {
        damages.push((nested.repeat(10_000), "nested more than 64 deep"));
    }
    damages.push((b"\xc1".to_vec(), "byte 0 begins no value"));
    damages.push((b"\xd6\x01time".to_vec(), "does not fit its type"));
    damages.push((b"\xc7\x03\x05abc".to_vec(), "does not fit its type"));
    damages.push((b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00".to_vec(), "does not fit its type"));
    damages.push(([b"\xdb\x00\x10\x00\x00", &vec![b'x'; 1 << 20][..]].concat(), "does not fit its type"));
    damages.push((b"\xc3".to_vec(), "does not fit its type"));
    damages.push((b"\xa3\xff\xfe\xfd".to_vec(), "does not fit its type"));
    damages.push((b"\x82\xa1a\x01\xa1\xff\x01".to_vec(), "does not fit its type"));
    damages.push((b"\x81\xa6Circle\x81\xa6radius\xa1x".to_vec(), "does not fit its type"));
    damages.push((b"\x81\xa6Circle\x80".to_vec(), "does not fit its type"));
    damages.push((b"\x92\x01\xcd\x01\x00".to_vec(), "does not fit its type"));
    if field != "names" {
        damages.push((b"\x81\xa6Square\xc0".to_vec(), "does not fit its type"));
        damages.push((b"\x80".to_vec(), "does not fit its type"));
    }
    damages
}

#[tokio::test]
async fn every_damage_is_named_and_left_as_it_is() {
    let mut bench = start().await;
    let sound = bench.picture().await;
    for field in ["shape", "names", "bytes"] {
        let value: Vec<u8> = bench.redis.hget(RECORD, field).await.unwrap();
        for (bytes, words) in damages(field, &value) {
            let () = bench.redis.hset(RECORD, field, &bytes).await.unwrap();
            let shown = &bytes[..bytes.len().min(12)];
            let error = bench.refused(drawing).await;
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::StateDamaged, "{field} {shown:x?}: {text}");
            for words in [words, &format!("field `{field}`"), "backup"] {
                assert!(text.contains(words), "{field} {shown:x?}: {words} is missing: {text}");
            }
        }
        bench.put_back(&sound, RECORD).await;
    }
    shows(&mut bench, &format!("{:?}", drawing())).await;
}

/// Handles one entry, which shows the state.
async fn shows(bench: &mut Bench, state: &str) {
    let consumer = bench.consumer().handler(drawing()).spawn().await.unwrap();
    bench.add(STREAM, &[("n", "1")].into_iter().collect()).await;
    let processed: u64 = bench.record("@processed").await.parse().unwrap();
    bench.until_processed(processed.max(1)).await;
    within(consumer.shutdown()).await.unwrap();
    let seen = bench.entries("seen").await;
    assert_eq!(seen.last().unwrap().fields.get_str("state"), Some(state));
}

#[tokio::test]
async fn what_no_handler_wrote_but_means_something_is_taken() {
    let mut bench = start().await;
    // A number that is none, an unknown member, longer forms than need be, a field of nobody.
    for (field, bytes) in [
        ("shape", &b"\x81\xa6Circle\x82\xa5color\x93\x01\x02\x80\xa6radius\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"[..]),
        ("names", b"\xdf\x00\x00\x00\x01\xdb\x00\x00\x00\x01x\xcf\x00\x00\x00\x00\x00\x00\x00\x07"),
        ("bytes", b"\xc4\x02\x05\x06"),
        ("nobody", b"\xc1"),
    ] {
        let () = bench.redis.hset(RECORD, field, bytes).await.unwrap();
    }
    let expected = "Drawing { shape: Circle { radius: NaN }, names: {\"x\": Some(7)}, bytes: [5, 6] }";
    shows(&mut bench, expected).await;
    let nobody: Vec<u8> = bench.redis.hget(RECORD, "nobody").await.unwrap();
    assert_eq!(nobody, b"\xc1", "what is not ours is left alone");
}

#[tokio::test]
async fn a_value_that_is_too_long_is_refused_before_it_is_decoded() {
    let mut bench = start().await;
    let mut long = b"\xc6\x04\x00\x00\x00".to_vec();
    long.resize(5 + (64 << 20), 7);
    let () = bench.redis.hset(RECORD, "bytes", &long).await.unwrap();
    let error = within(bench.consumer().handler(drawing()).spawn()).await.expect_err("it started");
    assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
    assert!(error.to_string().contains("has 67108869 bytes and at most 67108864"), "{error}");
    let left: Vec<u8> = bench.redis.hget(RECORD, "bytes").await.unwrap();
    assert!(left == long);
}
