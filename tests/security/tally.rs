//! A consumer that uses everything a user of the server must be allowed to do: state, a collection, outputs, trimming, dead
//! letters.

use atomic_streams::{
    Consumer, ConsumerBuilder, Handler, HandlerError, HandlerResult, OnFailure, Persistable, StateMap, Transaction,
    Trim, async_trait,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::{Deserialize, Serialize};
use support::eventually;

pub const STREAM: &str = "sales";
pub const GROUP: &str = "tally";
pub const RECORD: &str = "atomic-streams:{sales}:tally";
pub const SUMS: &str = "totals";
pub const LATEST: &str = "latest-total";
pub const LETTERS: &str = "sales:dead";

/// Adds numbers up; a negative one becomes a dead letter.
#[derive(Persistable, Clone, Default)]
pub struct Tally {
    #[persist(default)]
    sum: i64,
    /// How often each number was seen.
    #[persist(default)]
    seen: StateMap<i64, u32>,
}

#[derive(Deserialize)]
pub struct Number {
    n: i64,
}

#[derive(Serialize)]
struct Sum {
    n: i64,
    sum: i64,
    times: u32,
}

#[async_trait]
impl Handler for Tally {
    type Message = Number;

    async fn handle(&mut self, Number { n }: Number, tx: &mut Transaction) -> HandlerResult {
        if n < 0 {
            return Err(HandlerError::permanent("a negative number"));
        }
        self.sum += n;
        let times = self.seen.get(&n).copied().unwrap_or(0) + 1;
        self.seen.insert(n, times);
        let sum = Sum { n, sum: self.sum, times };
        tx.publish(SUMS, &sum)?;
        tx.publish(LATEST, &sum)?;
        tx.trim(LATEST, Trim::max_len(1).exact())?;
        Ok(())
    }
}

pub fn consumer() -> ConsumerBuilder<Tally> {
    Consumer::builder(STREAM, GROUP).handler(Tally::default()).on_failure(OnFailure::dead_letter(LETTERS))
}

pub async fn add(redis: &mut MultiplexedConnection, numbers: impl IntoIterator<Item = i64>) {
    let mut pipe = redis::pipe();
    for n in numbers {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    let () = pipe.query_async(redis).await.unwrap();
}

/// Waits until so many entries are committed.
pub async fn processed(redis: &MultiplexedConnection, entries: u64) {
    eventually("entries are committed", async || {
        redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap() == Some(entries)
    })
    .await;
}

/// The outputs are those of exactly these numbers in this order.
#[track_caller]
pub fn assert_are_sums(outputs: &[(i64, i64)], numbers: &[i64]) {
    let mut sum = 0;
    let expected: Vec<(i64, i64)> = numbers
        .iter()
        .map(|n| {
            sum += n;
            (*n, sum)
        })
        .collect();
    assert_eq!(outputs, expected);
}

/// What was published: numbers and sums.
pub async fn sums(redis: &mut MultiplexedConnection, stream: &str) -> Vec<(i64, i64)> {
    let entries: StreamRangeReply = redis.xrange_all(stream).await.unwrap();
    entries.ids.iter().map(|entry| (entry.get("n").unwrap(), entry.get("sum").unwrap())).collect()
}
