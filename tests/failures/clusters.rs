//! Streams in a cluster: whichever node is named, the one that owns the stream's slot is found.

use atomic_streams::{Consumer, ConsumerBuilder, ConsumerHandle, DeadLetters, OnFailure, Producer, Retention};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use support::{Server, eventually};

use crate::bench::{LEASE, active, run, settled};
use crate::ledger::{Books, GROUP, Ledger};

const STREAM: &str = "{numbers}";
const OUTPUT: &str = "{numbers}:sums";
const LETTERS: &str = "{numbers}:dead";
const RECORD: &str = "atomic-streams:{numbers}:ledger";
const SLOTS: usize = 16_384;

#[derive(Serialize)]
struct Number {
    n: i64,
}

/// Three nodes that share the slots.
struct Cluster {
    nodes: Vec<Server>,
    redis: Vec<MultiplexedConnection>,
    /// Which of them owns the stream's slot.
    owner: usize,
    slot: usize,
}

impl Cluster {
    async fn start() -> Self {
        let (mut nodes, mut redis) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let node = Server::builder().cluster_node().start().await;
            redis.push(node.connection().await);
            nodes.push(node);
        }
        let ends: Vec<usize> = (0..=3).map(|n| n * SLOTS / 3).collect();
        for (at, node) in redis.iter_mut().enumerate() {
            run(node, &format!("CLUSTER ADDSLOTSRANGE {} {}", ends[at], ends[at + 1] - 1)).await;
            for other in &nodes[..at] {
                run(node, &format!("CLUSTER MEET 127.0.0.1 {} {}", other.port(), other.bus_port())).await;
            }
        }
        for node in &redis {
            eventually("the nodes know each other", async || {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut node.clone()).await.unwrap();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        let slot: usize = redis::cmd("CLUSTER").arg("KEYSLOT").arg(STREAM).query_async(&mut redis[0]).await.unwrap();
        let owner = (0..3).find(|at| slot < ends[at + 1]).unwrap();
        Self { nodes, redis, owner, slot }
    }

    fn consumer(&self, at: usize) -> ConsumerBuilder<Ledger> {
        let builder = Consumer::builder(STREAM, GROUP).redis_url(self.nodes[at].url()).lease(LEASE);
        builder.handler(Ledger::default().only_to(OUTPUT)).on_failure(OnFailure::dead_letter(LETTERS))
    }

    async fn check(&self, numbers: &[i64]) {
        let mut redis = self.redis[self.owner].clone();
        settled(&mut redis, STREAM, RECORD).await;
        Books::read(&mut redis, STREAM, RECORD, OUTPUT).await.assert_are_of(numbers);
    }

    async fn id(&self, at: usize) -> String {
        redis::cmd("CLUSTER").arg("MYID").query_async(&mut self.redis[at].clone()).await.unwrap()
    }

    /// Moves the stream's slot, with all that is in it, to another node.
    async fn move_slot(&mut self, to: usize) {
        let (from, slot) = (self.owner, self.slot);
        let (source, target) = (self.id(from).await, self.id(to).await);
        run(&mut self.redis[to], &format!("CLUSTER SETSLOT {slot} IMPORTING {source}")).await;
        run(&mut self.redis[from], &format!("CLUSTER SETSLOT {slot} MIGRATING {target}")).await;
        let keys: Vec<String> = redis::cmd("CLUSTER")
            .arg("GETKEYSINSLOT")
            .arg(slot)
            .arg(100)
            .query_async(&mut self.redis[from])
            .await
            .unwrap();
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(self.nodes[to].port()).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
        let () = migrate.query_async(&mut self.redis[from]).await.unwrap();
        for at in [to, from] {
            run(&mut self.redis[at], &format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
        }
        self.owner = to;
    }
}

async fn shut_down(consumer: &ConsumerHandle) {
    assert!(consumer.shutdown().await.unwrap().released);
}

#[tokio::test]
async fn any_node_leads_to_the_stream() {
    let cluster = Cluster::start().await;
    for at in 0..3 {
        let consumer = cluster.consumer(at).spawn().await.unwrap();
        active(&consumer).await;
        let producer = Producer::new(cluster.nodes[at].url()).unwrap();
        producer.publish(STREAM, &Number { n: at as i64 }).await.unwrap();
        cluster.check(&(0..=at as i64).collect::<Vec<_>>()).await;
        assert_eq!(consumer.stats().recoveries, 0);
        shut_down(&consumer).await;
    }
}

#[tokio::test]
async fn any_node_leads_to_dead_letters() {
    let cluster = Cluster::start().await;
    let mut redis = cluster.redis[cluster.owner].clone();
    for at in 0..3 {
        let consumer = cluster.consumer(at).spawn().await.unwrap();
        let () = redis.xadd(STREAM, "*", &[("another", "field")]).await.unwrap();
        settled(&mut redis, STREAM, RECORD).await;
        shut_down(&consumer).await;
        let letters = DeadLetters::new(cluster.nodes[at].url(), LETTERS).unwrap();
        let listed = letters.list(10).await.unwrap();
        assert!(letters.requeue(listed[0].id).await.unwrap().is_some());
        let () = redis.del(STREAM).await.unwrap();
        let () = redis.del(RECORD).await.unwrap();
    }
}

#[tokio::test]
async fn any_node_leads_to_what_may_be_trimmed() {
    let mut cluster = Cluster::start().await;
    let retentions: Vec<Retention> =
        cluster.nodes.iter().map(|node| Retention::new(node.url(), STREAM).unwrap().exact()).collect();
    let mut numbers = 0;
    for _ in 0..2 {
        for retention in &retentions {
            let consumer = cluster.consumer(0).spawn().await.unwrap();
            let producer = Producer::new(cluster.nodes[0].url()).unwrap();
            producer.publish(STREAM, &Number { n: numbers }).await.unwrap();
            numbers += 1;
            settled(&mut cluster.redis[cluster.owner].clone(), STREAM, RECORD).await;
            shut_down(&consumer).await;
            assert_eq!(retention.trim().await.unwrap().removed, 1);
        }
        // Open connections lead to the node before.
        let next = (cluster.owner + 1) % 3;
        cluster.move_slot(next).await;
    }
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let mut cluster = Cluster::start().await;
    let producer = Producer::new(cluster.nodes[0].url()).unwrap();
    let consumer = cluster.consumer(1).spawn().await.unwrap();
    for round in 0..3 {
        for n in 10 * round..10 * (round + 1) {
            producer.publish(STREAM, &Number { n }).await.unwrap();
        }
        cluster.check(&(0..10 * (round + 1)).collect::<Vec<_>>()).await;
        let next = (cluster.owner + 1) % 3;
        cluster.move_slot(next).await;
    }
    active(&consumer).await;
    producer.publish(STREAM, &Number { n: 30 }).await.unwrap();
    cluster.check(&(0..=30).collect::<Vec<_>>()).await;
    shut_down(&consumer).await;
}
