//! The handler of these tests, and what its results must be.

use std::collections::HashMap;

use async_trait::async_trait;
use atomic_streams::{Handler, HandlerResult, Persistable, Transaction};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::{Deserialize, Serialize};

pub const STREAM: &str = "numbers";
pub const GROUP: &str = "ledger";
pub const OUTPUT: &str = "running-sums";
pub const RECORD: &str = "atomic-streams:{numbers}:ledger";

/// Folds numbers into a count and a hash, and publishes both after each: every entry that is lost, repeated or out of
/// its place changes all that follows it.
#[derive(Clone, Persistable)]
pub struct Ledger {
    count: u64,
    hash: u64,
    #[persist(skip)]
    outputs: Vec<&'static str>,
    #[persist(skip)]
    also: Option<(i64, &'static str)>,
    #[persist(skip)]
    by: &'static str,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { count: 0, hash: 0, outputs: vec![OUTPUT], also: None, by: "one" }
    }
}

impl Ledger {
    /// Publishes each sum to this stream as well, after the first.
    pub fn and_to(mut self, output: &'static str) -> Self {
        self.outputs.push(output);
        self
    }

    /// Publishes each sum to this stream alone.
    pub fn only_to(mut self, output: &'static str) -> Self {
        self.outputs = vec![output];
        self
    }

    /// Publishes the sum of this number to another stream first.
    pub fn also(mut self, n: i64, output: &'static str) -> Self {
        self.also = Some((n, output));
        self
    }

    /// Signs its sums, so that a test can tell whose commit was applied.
    pub fn by(mut self, name: &'static str) -> Self {
        self.by = name;
        self
    }

    fn take(&mut self, n: i64) -> Sum {
        self.count += 1;
        self.hash = self.hash.wrapping_mul(0x0100_0000_01b3) ^ n.unsigned_abs();
        Sum { n, count: self.count, hash: self.hash }
    }
}

#[derive(Deserialize)]
pub struct Number {
    n: i64,
}

/// One output: the number, and the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sum {
    pub n: i64,
    pub count: u64,
    pub hash: u64,
}

#[derive(Serialize)]
struct Signed {
    n: i64,
    count: u64,
    hash: u64,
    by: &'static str,
}

#[async_trait]
impl Handler for Ledger {
    type Message = Number;

    async fn handle(&mut self, number: Number, tx: &mut Transaction) -> HandlerResult {
        let Sum { n, count, hash } = self.take(number.n);
        let also = self.also.filter(|(special, _)| *special == n).map(|(_, output)| output);
        for output in also.iter().chain(&self.outputs) {
            tx.publish(*output, &Signed { n, count, hash, by: self.by })?;
        }
        Ok(())
    }
}

/// The sums of these numbers.
pub fn sums(numbers: &[i64]) -> Vec<Sum> {
    let mut ledger = Ledger::default();
    numbers.iter().map(|n| ledger.take(*n)).collect()
}

/// What is committed at one instant.
#[derive(Debug, Default)]
pub struct Books {
    /// The numbers that the stream holds up to the position.
    pub handled: Vec<i64>,
    pub processed: u64,
    pub count: u64,
    pub hash: u64,
    pub sums: Vec<Sum>,
    /// Who has written each of the sums.
    pub by: Vec<String>,
}

impl Books {
    /// Reads record, stream and output in one transaction: an instant is whole, whatever commits run meanwhile.
    pub async fn read(redis: &mut MultiplexedConnection, stream: &str, record: &str, output: &str) -> Self {
        type Record = (Option<String>, Option<u64>, Option<Vec<u8>>, Option<Vec<u8>>);
        let read = async |atomic: bool, redis: &mut MultiplexedConnection| {
            let mut pipe = redis::pipe();
            if atomic {
                pipe.atomic();
            }
            pipe.hmget(record, &["@position", "@processed", "count", "hash"]).xrange_all(stream).xrange_all(output);
            pipe.query_async::<(Record, StreamRangeReply, StreamRangeReply)>(redis).await
        };
        let (record, entries, sums) = match read(true, redis).await {
            Ok(read) => read,
            // Without memory there are no transactions, nor any commits that could come between.
            Err(error) if error.to_string().contains("OOM") => read(false, redis).await.unwrap(),
            Err(error) => panic!("cannot read what is committed: {error}"),
        };
        let (position, processed, count, hash) = record;
        let position = id(position.as_deref().unwrap_or("0-0"));
        let number = |bytes: Option<Vec<u8>>| bytes.map_or(0, |bytes| rmp_serde::from_slice(&bytes).unwrap());
        let field = |map: &HashMap<String, redis::Value>, name: &str| -> String {
            redis::from_redis_value(map[name].clone()).unwrap()
        };
        let handled = entries.ids.iter().filter(|entry| id(&entry.id) <= position);
        let sum = |map: &HashMap<String, redis::Value>| Sum {
            n: field(map, "n").parse().unwrap(),
            count: field(map, "count").parse().unwrap(),
            hash: field(map, "hash").parse().unwrap(),
        };
        Self {
            handled: handled.map(|entry| field(&entry.map, "n").parse().unwrap()).collect(),
            processed: processed.unwrap_or(0),
            count: number(count),
            hash: number(hash),
            sums: sums.ids.iter().map(|entry| sum(&entry.map)).collect(),
            by: sums.ids.iter().map(|entry| field(&entry.map, "by")).collect(),
        }
    }

    /// State, count and outputs are those of exactly these numbers in this order.
    #[track_caller]
    pub fn assert_are_of(&self, numbers: &[i64]) {
        self.assert_are_of_and_passed_over(numbers, 0);
    }

    /// The same where so many entries counted as processed without being handled.
    #[track_caller]
    pub fn assert_are_of_and_passed_over(&self, numbers: &[i64], passed: u64) {
        let expected = sums(numbers);
        let got: Vec<i64> = self.sums.iter().map(|sum| sum.n).collect();
        assert_eq!(got, numbers, "the outputs are of other numbers");
        assert_eq!(self.sums, expected, "the outputs are of other states");
        let last = expected.last().map_or((0, 0), |sum| (sum.count, sum.hash));
        assert_eq!((self.count, self.hash), last, "the state is another");
        assert_eq!(self.processed, last.0 + passed, "the record counts otherwise");
    }
}

/// An entry ID as numbers, in the order of the stream.
pub fn id(text: &str) -> (u64, u64) {
    let (ms, seq) = text.split_once('-').unwrap();
    (ms.parse().unwrap(), seq.parse().unwrap())
}
