//! Many entries: written and read back in parts, and one message changes one of them.

use std::collections::BTreeMap;

use atomic_streams::{
    Consumer, ConsumerHandle, Fields, Handler, HandlerResult, Persistable, StateMap, Transaction, async_trait,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Server, eventually};

const ENTRIES: u64 = 200_000;
const RECORD: &str = "atomic-streams:{input}:large";
const KEY: &str = "atomic-streams:{input}:large@map:stock";

#[derive(Persistable, Default)]
struct Stock {
    stock: StateMap<u64, u64>,
}

#[async_trait]
impl Handler for Stock {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let key: u64 = fields.get_str("key").ok_or("no key")?.parse()?;
        *self.stock.get_mut(&key).ok_or("no such entry")? += 1;
        let state = (self.stock.len(), self.stock.iter().map(|(key, value)| key ^ value).sum::<u64>());
        tx.publish("seen", &BTreeMap::from([("state", format!("{state:?}"))]))?;
        Ok(())
    }
}

async fn run(server: &Server, redis: &mut MultiplexedConnection, stock: Stock, processed: u64) -> ConsumerHandle {
    let consumer = Consumer::builder("input", "large").redis_url(server.url()).handler(stock).spawn().await.unwrap();
    let () = redis.xadd("input", "*", &[("key", processed)]).await.unwrap();
    let redis = redis.clone();
    eventually("it is committed", async || {
        redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap() == Some(processed)
    })
    .await;
    consumer
}

/// How often the server has run this command.
async fn calls(redis: &mut MultiplexedConnection, command: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
    let name = format!("cmdstat_{command}:calls=");
    info.lines().find_map(|line| line.strip_prefix(&name)?.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn no_script_writes_or_reads_more_than_a_part() {
    let server = Server::start().await;
    let mut redis = server.connection().await;
    let stock = Stock { stock: (0..ENTRIES).map(|key| (key, key * 7)).collect() };
    let sum =
        |changed: u64| (0..ENTRIES).map(|key| key ^ (key * 7 + u64::from(key != 0 && key <= changed))).sum::<u64>();
    let consumer = run(&server, &mut redis, stock, 1).await;
    assert_eq!(redis.hlen::<_, u64>(KEY).await.unwrap(), ENTRIES);
    consumer.shutdown().await.unwrap();

    let scans = calls(&mut redis, "hscan").await;
    let writes = calls(&mut redis, "hset").await;
    let consumer = run(&server, &mut redis, Stock::default(), 2).await;
    let scans = calls(&mut redis, "hscan").await - scans;
    assert!((ENTRIES / 4_000..ENTRIES / 500).contains(&scans), "{scans} parts");
    let writes = calls(&mut redis, "hset").await - writes;
    assert!(writes < 20, "{writes} writes to restore, and to change one entry");
    consumer.shutdown().await.unwrap();

    let seen: redis::streams::StreamRangeReply = redis.xrange_all("seen").await.unwrap();
    let seen: Vec<String> = seen.ids.iter().map(|entry| entry.get("state").unwrap()).collect();
    assert_eq!(seen, [format!("{:?}", (ENTRIES, sum(1))), format!("{:?}", (ENTRIES, sum(2)))]);
}
