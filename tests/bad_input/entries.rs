//! Entries as other programs write them: handled, or refused by name with all of it kept in the dead letter.

use std::collections::BTreeMap;
use std::sync::mpsc;

use atomic_streams::{
    DeadLetter, Entry, EntryId, Fields, Handler, HandlerResult, Persistable, Status, Transaction, async_trait,
};
use redis::AsyncCommands;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bench::{Bench, DEAD, STREAM, until_retrying, within};

/// Takes messages of one type and counts them.
struct Typed<M>(mpsc::Sender<M>);

impl<M> Persistable for Typed<M> {
    fn schema() -> atomic_streams::persist::Schema {
        atomic_streams::persist::Schema::new(Vec::new())
    }
    fn snapshot(&self, _: usize, _: &mut Vec<u8>) -> Result<(), atomic_streams::StateError> {
        Ok(())
    }
    fn restore(&mut self, _: usize, _: &[u8]) -> Result<(), atomic_streams::StateError> {
        Ok(())
    }
    fn set_default(&mut self, _: usize) {}
}

#[async_trait]
impl<M: DeserializeOwned + Send + Sync + 'static> Handler for Typed<M> {
    type Message = M;

    async fn handle(&mut self, message: M, _: &mut Transaction) -> HandlerResult {
        self.0.send(message)?;
        Ok(())
    }
}

/// Sends entries to a consumer of this type, then through the dead letters to one of bare fields.
///
/// Returns what each failed with. All of them fail: the letters hold them byte for byte, and requeueing adds them as they were.
async fn all_fail<M: DeserializeOwned + Send + Sync + 'static>(entries: &[Fields]) -> Vec<String> {
    let mut bench = Bench::start().await;
    let mut originals = Vec::new();
    for fields in entries {
        let id = bench.add(STREAM, fields).await;
        originals.push(Entry { id, fields: fields.clone() });
    }
    let (sender, _taken) = mpsc::channel::<M>();
    let consumer = bench.to_dead_letters().handler(Typed(sender)).spawn().await.unwrap();
    bench.until_processed(entries.len() as u64).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(consumer.stats().dead_lettered, entries.len() as u64, "some were handled");
    let letters: Vec<DeadLetter> =
        bench.entries(DEAD).await.into_iter().map(|entry| DeadLetter::of(entry).expect("a dead letter")).collect();
    for (letter, original) in letters.iter().zip(&originals) {
        assert!(letter.entry == *original, "{:?}", original.id);
        assert_eq!(letter.attempts, 1);
    }
    assert_eq!(bench.dead_letters().requeue_all().await.unwrap(), entries.len() as u64);
    let requeued: Vec<Fields> = bench.entries(STREAM).await.into_iter().skip(entries.len()).map(|e| e.fields).collect();
    assert!(requeued == entries, "they are not as they were");
    letters.into_iter().map(|letter| letter.error).collect()
}

fn field(name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Fields {
    [(name.into(), value.into())].into_iter().collect()
}

fn all_of(pairs: &[(&[u8], &[u8])]) -> Fields {
    pairs.iter().copied().collect()
}

/// Checks one error after the other for its words, and that none is long.
fn say(errors: &[String], words: &[&[&str]]) {
    assert_eq!(errors.len(), words.len());
    for (error, words) in errors.iter().zip(words) {
        for word in *words {
            assert!(error.contains(word), "{word} is missing: {error}");
        }
        assert!(error.len() < 600, "{} bytes: {error:.100}", error.len());
    }
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
struct Sale {
    sku: String,
    quantity: i64,
    price: Option<f32>,
}

#[tokio::test]
async fn numbers_and_texts_that_are_none_are_named_with_what_was_expected() {
    let sale = |sku: &[u8], quantity: &[u8]| all_of(&[(b"sku", sku), (b"quantity", quantity)]);
    let long = "x".repeat(1 << 20);
    let entries = [
        sale(b"a", b"9223372036854775808"),
        sale(b"a", b"-9223372036854775809"),
        sale(b"a", "9".repeat(5_000).as_bytes()),
        sale(b"a", b"NaN"),
        sale(b"a", b"1.5"),
        sale(b"a", b""),
        sale(b"a", b"1\0"),
        sale(b"a", &[0xff, 0xfe]),
        sale(b"a", long.as_bytes()),
        sale(&[0xc3, 0x28], b"1"),
        all_of(&[(b"sku", b"a"), (b"quantity", b"1"), (b"price", b"dear")]),
        all_of(&[(b"sku", b"a"), (b"quantity", b"1"), (b"quantity", b"1")]),
        all_of(&[(b"SKU", b"a"), (b"quantity", b"1")]),
        all_of(&[(b"", b"")]),
        field(long.as_bytes(), long.as_bytes()),
        field([0xff], [0xfe]),
    ];
    let errors = all_fail::<Sale>(&entries).await;
    say(
        &errors,
        &[
            &["`quantity`", "9223372036854775808", "out of range", "i64"],
            &["`quantity`", "out of range"],
            &["`quantity`", "out of range"],
            &["`quantity`", "`NaN`", "an integer (i64)"],
            &["`quantity`", "`1.5`", "an integer (i64)"],
            &["`quantity`", "an integer"],
            &["`quantity`", "an integer"],
            &["`quantity`", "an integer"],
            &["`quantity`", "an integer", "…"],
            &["`sku`", "UTF-8"],
            &["`price`", "`dear`", "a number (f32)"],
            &["`quantity`", "more than once"],
            &["`sku`", "missing"],
            &["`sku`", "missing"],
            &["`sku`", "missing"],
            &["`sku`", "missing"],
        ],
    );
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
enum Tree {
    Leaf,
    Node(Box<Tree>),
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
#[serde(tag = "is")]
enum Tagged {
    Leaf,
    Node { left: Box<Tagged> },
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
#[serde(untagged)]
enum Either {
    Number(i64),
    Many(Vec<Either>),
    Named(BTreeMap<String, Either>),
}

/// `inner` in as many pairs of `open` and `close`.
fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + inner + &close.repeat(depth)
}

#[tokio::test]
async fn json_that_is_nested_deep_is_refused_by_every_type() {
    let deep = [
        nested("[", "1", "]", 10_000),
        nested("{\"a\":", "1", "}", 10_000),
        nested("{\"Node\":", "\"Leaf\"", "}", 10_000),
        nested("{\"is\":\"Node\",\"left\":", "{\"is\":\"Leaf\"}", "}", 10_000),
        "[".repeat(1_000_000),
        nested("[", "1", "]", 128),
        format!("[{}", "\"x\",".repeat(200_000)),
        format!("{{\"{}\":[}}", "x".repeat(1 << 20)),
        format!("[1,\"{}\"", "x".repeat(1 << 20)),
    ];
    let entries: Vec<Fields> = deep.iter().map(|json| field("v", json.as_bytes())).collect();
    let all = |errors: Vec<String>| errors.iter().for_each(|error| assert!(error.len() < 600, "{error}"));
    let errors = all_fail::<BTreeMap<String, Vec<serde_json::Value>>>(&entries).await;
    say(&errors[..1], &[&["`v`", "recursion limit"]]);
    all(errors);
    all(all_fail::<BTreeMap<String, Tree>>(&entries).await);
    all(all_fail::<BTreeMap<String, Tagged>>(&entries).await);
    all(all_fail::<BTreeMap<String, Either>>(&entries).await);
    all(all_fail::<BTreeMap<String, BTreeMap<String, Box<serde_json::value::RawValue>>>>(&entries[..1]).await);
}

/// As deep as it may be, in the types that need most of the stack for it, in a task of a runtime's worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn json_of_the_greatest_depth_does_not_overflow_the_stack() {
    let mut bench = Bench::start().await;
    let tagged = nested("{\"is\":\"Node\",\"left\":", "{\"is\":\"Leaf\"}", "}", 126);
    bench.add(STREAM, &field("v", tagged.as_bytes())).await;
    let (sender, taken) = mpsc::channel::<BTreeMap<String, Tagged>>();
    let consumer = bench.to_dead_letters().handler(Typed(sender)).spawn().await.unwrap();
    bench.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    let _ = taken.try_recv();

    let mut bench = Bench::start().await;
    bench.add(STREAM, &field("v", nested("{\"a\":[", "1", "]}", 63).as_bytes())).await;
    let (sender, taken) = mpsc::channel::<BTreeMap<String, Either>>();
    let consumer = bench.to_dead_letters().handler(Typed(sender)).spawn().await.unwrap();
    bench.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    taken.try_recv().unwrap();
}

#[tokio::test]
async fn an_error_says_where_and_the_status_which_entry() {
    let mut bench = Bench::start().await;
    let bad = bench.add(STREAM, &all_of(&[(b"sku", b"a"), (b"quantity", b"a dozen")])).await;
    let (sender, _taken) = mpsc::channel::<Sale>();
    let consumer = bench.consumer().handler(Typed(sender)).spawn().await.unwrap();
    let (entry, error) = until_retrying(&consumer).await;
    assert_eq!(entry, bad);
    say(&[error], &[&["`quantity`", "`a dozen`", "an integer (i64)"]]);
    assert!(matches!(*consumer.status().borrow(), Status::Retrying { .. }));
    within(consumer.shutdown()).await.unwrap();
}

/// The checksum at the end of a dump.
fn crc64(bytes: &[u8]) -> u64 {
    const JONES: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ JONES } else { crc >> 1 })
    })
}

/// The dump of a stream of one entry of one field, with the entry's fields taken away.
fn without_fields(dump: &[u8]) -> Vec<u8> {
    // A node's listpack begins with its master entry: count, deleted, number of fields, names, 0. Then the entry: flags, ms, seq,
    // number of fields (unless they are those of the master), values, length.
    let lp = dump.windows(4).position(|bytes| bytes == b"\x01\x01\x00\x01").expect("count and deleted") - 6;
    let total = u32::from_le_bytes(dump[lp..lp + 4].try_into().unwrap()) as usize;
    let elements = &dump[lp + 6..lp + total - 1];
    // count 1, deleted 0, fields 1, name `f`, 0; flags 2 (fields as in the master), 0, 0, value `v`, length 4.
    assert_eq!(elements, b"\x01\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01");
    let new = b"\x01\x01\x00\x01\x00\x01\x00\x01\x02\x01\x00\x01\x00\x01\x03\x01";
    let mut listpack = (6 + new.len() as u32 + 1).to_le_bytes().to_vec();
    listpack.extend((new.len() as u16 / 2).to_le_bytes());
    listpack.extend(new);
    listpack.push(0xff);
    // Before it, its length, of one byte.
    assert_eq!(usize::from(dump[lp - 1]), total);
    let mut changed = dump[..lp - 1].to_vec();
    changed.push(listpack.len() as u8);
    changed.extend(&listpack);
    changed.extend(&dump[lp + total..dump.len() - 8]);
    let crc = crc64(&changed);
    changed.extend(crc.to_le_bytes());
    changed
}

#[tokio::test]
async fn an_entry_without_fields_is_an_entry() {
    let mut bench = Bench::start().await;
    let () = bench.redis.xadd("source", "5-0", &[("f", "v")]).await.unwrap();
    let dump: Vec<u8> = redis::cmd("DUMP").arg("source").query_async(&mut bench.redis).await.unwrap();
    let mut restore = redis::cmd("RESTORE");
    let () = restore.arg(STREAM).arg(0).arg(without_fields(&dump)).query_async(&mut bench.redis).await.unwrap();
    let empty = Entry { id: EntryId::new(5, 0), fields: Fields::new() };
    assert_eq!(bench.entries(STREAM).await, std::slice::from_ref(&empty));
    let after = bench.add(STREAM, &all_of(&[(b"sku", b"a"), (b"quantity", b"1")])).await;

    let (sender, taken) = mpsc::channel::<Sale>();
    let consumer = bench.to_dead_letters().handler(Typed(sender)).spawn().await.unwrap();
    bench.until_processed(2).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(taken.try_iter().count(), 1);
    let letters = bench.dead_letters().list(9).await.unwrap();
    assert_eq!((&letters[0].entry, letters[0].error.as_str()), (&empty, "field `sku` is missing"));
    // Redis has no way to add it again.
    let before = bench.picture().await;
    let error = bench.dead_letters().requeue_all().await.unwrap_err();
    assert!(error.to_string().contains("has no field") && error.to_string().contains("`remove`"), "{error}");
    assert!(bench.picture().await == before);

    // Who takes bare fields takes none as well.
    let (sender, taken) = mpsc::channel::<Fields>();
    let consumer = bench.consumer_of(STREAM, "all").handler(Typed(sender)).spawn().await.unwrap();
    support::eventually("both are handled", async || consumer.stats().position == Some(after)).await;
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(taken.try_iter().map(|fields| fields.len()).collect::<Vec<_>>(), [0, 2]);
}
