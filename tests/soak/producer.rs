//! Adds numbered entries to an input stream, and never one again: what became of those without a reply, the stream shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoGroupsReply;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::connect::connect;
use crate::subscriptions::Subscription;

/// So many are added in one pipeline.
const BATCH: u64 = 250;

/// Producers wait while more are left to be handled: memory is bounded however long a fault lasts.
const BACKLOG: u64 = 30_000;

/// How often they ask how much that is.
const ASKS_EVERY: Duration = Duration::from_millis(100);

/// How much of the time that passed in vain is made up for.
const MAKES_UP_FOR: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub struct Produced {
    /// Entries that the server has confirmed.
    pub accepted: AtomicU64,
    /// Entries whose reply did not come, or was an error.
    pub uncertain: AtomicU64,
}

#[derive(Debug)]
pub struct Producer {
    pub stream: &'static str,
    /// Who should not fall behind too far.
    pub behind: &'static [&'static Subscription],
    pub rate: u64,
    pub url: watch::Receiver<String>,
    pub produced: Arc<Produced>,
    pub end: CancellationToken,
}

impl Producer {
    /// Produces until the end.
    pub async fn run(mut self) {
        let (mut number, mut connections) = (0, 0);
        let mut begin = Instant::now();
        let mut sent = 0;
        while !self.end.is_cancelled() {
            let url = self.url.borrow_and_update().clone();
            let Ok(mut redis) = connect(&url).await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            connections += 1;
            let mut asked = Instant::now() - ASKS_EVERY;
            // A name for each connection: what an old one has left on its way may arrive behind what a new one sends.
            let by = format!("{}-{connections:08}", self.stream);
            loop {
                if self.end.is_cancelled() || self.url.has_changed().unwrap_or(true) {
                    break;
                }
                let due = begin.elapsed().as_millis() as u64 * self.rate / 1_000;
                if due < sent + BATCH.min(self.rate / 20 + 1) {
                    sleep(Duration::from_millis(5)).await;
                    continue;
                }
                if due > sent + MAKES_UP_FOR.as_secs() * self.rate {
                    begin = Instant::now() - MAKES_UP_FOR;
                    sent = 0;
                }
                if asked.elapsed() > ASKS_EVERY {
                    match self.backlog(&mut redis).await {
                        Ok(backlog) if backlog > BACKLOG => {
                            sleep(Duration::from_millis(20)).await;
                            continue;
                        }
                        Ok(_) => asked = Instant::now(),
                        Err(_) => break,
                    }
                }
                let batch = BATCH.min(due - sent);
                let outcome = self.add(&mut redis, &by, number, batch).await;
                (number, sent) = (number + batch, sent + batch);
                let counter = if outcome.is_ok() { &self.produced.accepted } else { &self.produced.uncertain };
                counter.fetch_add(batch, Ordering::Relaxed);
                if outcome.is_err() {
                    break;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn add(&self, redis: &mut MultiplexedConnection, by: &str, first: u64, count: u64) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        for n in first..first + count {
            let text = format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let n = n.to_string();
            pipe.xadd(self.stream, "*", &[("by", by), ("n", &n), ("text", &text)]).ignore();
        }
        pipe.query_async(redis).await
    }

    async fn backlog(&self, redis: &mut MultiplexedConnection) -> RedisResult<u64> {
        let mut backlog = 0;
        for subscription in self.behind {
            let groups: RedisResult<StreamInfoGroupsReply> =
                redis::cmd("XINFO").arg("GROUPS").arg(subscription.stream).query_async(redis).await;
            let groups = match groups {
                Ok(groups) => groups.groups,
                // The stream begins with the first entry or the first consumer.
                Err(error) if error.to_string().contains("no such key") => continue,
                Err(error) => return Err(error),
            };
            let group = groups.iter().find(|group| group.name == subscription.group);
            backlog += group.and_then(|group| group.lag).unwrap_or(0) as u64;
        }
        Ok(backlog)
    }
}
