//! On a real server: cut connections, rollbacks, restarts and takeovers between the messages.

use std::time::Duration;

use atomic_streams::{Consumer, ConsumerHandle, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use support::{Proxy, Rng, Server, Snapshot, eventually, seed};

use crate::model::{Model, View, Work};
use crate::shelf::{self, Shelf, VIEWS};

const STREAM: &str = "input";
const RECORD: &str = "atomic-streams:{input}:shelf";

/// Short, so that what waits for a renewal does not wait long.
const LEASE: Duration = Duration::from_millis(300);

struct Bench {
    proxy: Proxy,
    redis: MultiplexedConnection,
    owner: ConsumerHandle,
    /// Messages that the server has, by their times.
    sent: Vec<(u64, Work)>,
    now: u64,
    _server: Server,
}

impl Bench {
    async fn start() -> Self {
        let server = Server::start().await;
        let proxy = Proxy::start(server.addr()).await;
        let redis = server.connection().await;
        let owner = spawn(&proxy).await;
        Self { proxy, redis, owner, sent: Vec::new(), now: 1_000, _server: server }
    }

    async fn send(&mut self, rng: &mut Rng) {
        let work = Work::random(rng);
        self.now += 1 + rng.below(12);
        let text = serde_json::to_string(&work).unwrap();
        let () = self.redis.xadd(STREAM, shelf::id(self.now).to_string(), &[("work", text)]).await.unwrap();
        self.sent.push((self.now, work));
    }

    async fn settle(&mut self) {
        let Some(last) = self.sent.last().map(|(ms, _)| shelf::id(*ms).to_string()) else { return };
        let Self { redis, owner, .. } = self;
        eventually("all messages are committed", async || {
            let position: Option<String> = redis.hget(RECORD, "@position").await.unwrap();
            let is_done = position.as_ref() == Some(&last);
            is_done && *owner.status().borrow() == Status::Active
        })
        .await;
    }

    async fn check(&mut self, step: usize) {
        let mut model = Model::default();
        self.sent.iter().for_each(|(ms, work)| model.handle(*ms, &work.changes));
        let expected = model.view();
        let views: StreamRangeReply = self.redis.xrange_all(VIEWS).await.unwrap();
        let last = views
            .ids
            .last()
            .map_or_else(View::default, |entry| serde_json::from_str(&entry.get::<String>("view").unwrap()).unwrap());
        assert_eq!(last, expected, "step {step}: the handler's memory");
        assert_eq!(views.ids.len() as u64, expected.count, "step {step}: each message shows once what it left");

        let stored = View {
            map: self.entries("map", "map").await.into_iter().collect(),
            other: self.entries("map", "other").await.into_iter().collect(),
            set: self.entries::<u8, ()>("set", "set").await.into_iter().map(|(key, ())| key).collect(),
            queue: {
                let mut queue = self.entries::<i64, i64>("deque", "queue").await;
                queue.sort_unstable();
                queue.into_iter().map(|(_, value)| value).collect()
            },
            count: expected.count,
        };
        assert_eq!(stored, expected, "step {step}: what is stored");
    }

    /// The entries of a collection, as any tool could read them, and that the record knows how many they are.
    async fn entries<K, V>(&mut self, kind: &str, field: &str) -> Vec<(K, V)>
    where
        K: serde::de::DeserializeOwned,
        V: serde::de::DeserializeOwned,
    {
        let hash: Vec<(Vec<u8>, Vec<u8>)> = self.redis.hgetall(format!("{RECORD}@{kind}:{field}")).await.unwrap();
        let size: Option<usize> = self.redis.hget(RECORD, format!("@size:{field}")).await.unwrap();
        assert_eq!(size.unwrap_or(0), hash.len());
        // Behind the value there may be a time.
        let value = |bytes: &[u8]| rmp_serde::from_read(bytes).unwrap();
        hash.iter().map(|(key, bytes)| (rmp_serde::from_slice(key).unwrap(), value(bytes))).collect()
    }
}

async fn spawn(proxy: &Proxy) -> ConsumerHandle {
    let builder = Consumer::builder(STREAM, "shelf").redis_url(proxy.url()).lease(LEASE);
    let owner = builder.handler(Shelf::default()).spawn().await.unwrap();
    let status = owner.status();
    eventually("it is the owner", async || *status.borrow() == Status::Active).await;
    owner
}

#[tokio::test]
async fn whatever_goes_wrong_they_equal_plain_ones_after_every_step() {
    let mut rng = Rng::new(seed());
    let mut bench = Bench::start().await;
    let mut snapshot = None;
    for step in 0..150 {
        let mut hold = None;
        match rng.below(100) {
            0..10 => bench.proxy.cut_all(),
            10..18 => {
                // The commits are applied, and nobody hears of it.
                hold = Some(bench.proxy.hold_replies_after_request(VIEWS.as_bytes()));
            }
            18..40 => snapshot = Some((Snapshot::take(&mut bench.redis).await, bench.sent.len())),
            40..55 => {
                if let Some((snapshot, sent)) = snapshot.take() {
                    // In one breath with more messages, or alone.
                    snapshot.restore(&mut bench.redis).await;
                    bench.sent.truncate(sent);
                }
            }
            55..60 => {
                bench.owner.shutdown().await.unwrap();
                bench.owner = spawn(&bench.proxy).await;
                // A snapshot of another owner's lease would make everybody wait for it.
                snapshot = None;
            }
            _ => {}
        }
        for _ in 0..=rng.below(4) {
            bench.send(&mut rng).await;
        }
        if let Some(hold) = hold {
            hold.wait_until_held().await;
            bench.proxy.cut_all();
            drop(hold);
        }
        bench.settle().await;
        bench.check(step).await;
    }
}
