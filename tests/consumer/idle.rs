//! Idle consumers, which wait together on one connection.

use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{Consumer, ConsumerHandle, Fields, Handler, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use support::eventually;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::site::{Site, within};

/// Short, so that an idle consumer is soon taken for one.
const LEASE: Duration = Duration::from_millis(600);

/// More than may be idle on connections of their own.
const MANY: usize = 12;

/// Copies each entry, with its place in the order of the entries.
#[derive(Persistable)]
struct Copier {
    count: i64,
    #[persist(skip)]
    output: String,
}

#[async_trait]
impl Handler for Copier {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        let n = fields.get_str("n").unwrap_or("?").to_owned();
        tx.publish(&self.output, &[("copy", format!("{}: {n}", self.count))].into_iter().collect::<Fields>())?;
        Ok(())
    }
}

async fn spawn(url: &str, stream: &str, group: &str) -> ConsumerHandle {
    let handler = Copier { count: 0, output: format!("{stream}:{group}") };
    Consumer::builder(stream, group).redis_url(url).lease(LEASE).handler(handler).spawn().await.unwrap()
}

/// Consumers of the streams `PREFIX0`, `PREFIX1` and so on.
async fn spawn_many(url: &str, prefix: &str, count: usize) -> Vec<ConsumerHandle> {
    let mut consumers = Vec::new();
    for n in 0..count {
        consumers.push(spawn(url, &format!("{prefix}{n}"), "copier").await);
    }
    consumers
}

/// The last command of every client of the server.
async fn commands(site: &Site) -> Vec<String> {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut site.redis.clone()).await.unwrap();
    let command = |line: &str| line.split(' ').find_map(|field| field.strip_prefix("cmd=")).map(str::to_owned);
    clients.lines().filter_map(command).collect()
}

/// Waits until so many connections read, whoever waits on them.
async fn reading(site: &Site, connections: usize) {
    eventually(&format!("{connections} connections read"), async || {
        commands(site).await.iter().filter(|command| *command == "xread").count() == connections
    })
    .await;
}

/// Waits until the group has copied these numbers of the stream; each once, and in order.
async fn copied(site: &mut Site, stream: &str, group: &str, numbers: &[i64]) {
    let output = format!("{stream}:{group}");
    let redis = site.redis.clone();
    eventually(&format!("{stream} is copied"), async || {
        redis.clone().xlen::<_, usize>(&output).await.unwrap() >= numbers.len()
    })
    .await;
    let expected: Vec<String> = numbers.iter().enumerate().map(|(at, n)| format!("{}: {n}", at + 1)).collect();
    assert_eq!(site.column(&output, "copy").await, expected);
}

async fn add(site: &mut Site, stream: &str, numbers: impl IntoIterator<Item = i64>) {
    for n in numbers {
        site.add_to(stream, &[("n", &n.to_string())]).await;
    }
}

/// No session has ended.
fn undisturbed(consumers: &[ConsumerHandle]) {
    for consumer in consumers {
        assert_eq!(consumer.stats().recoveries, 0);
    }
}

#[tokio::test]
async fn many_wait_on_one_connection_and_each_gets_its_entries() {
    let mut site = Site::start().await;
    let consumers = spawn_many(site.server.url(), "s", MANY).await;
    reading(&site, 1).await;
    let connections = commands(&site).await.len();
    assert_eq!(connections, MANY + 2, "each commits on its own; one reads, one is the test's");
    // One alone, which the others sleep through.
    add(&mut site, "s3", 0..3).await;
    copied(&mut site, "s3", "copier", &[0, 1, 2]).await;
    // All of them, among them one that has just come back.
    reading(&site, 1).await;
    for n in 3..6 {
        for stream in 0..MANY {
            add(&mut site, &format!("s{stream}"), [n]).await;
        }
    }
    for stream in (0..MANY).filter(|stream| *stream != 3) {
        copied(&mut site, &format!("s{stream}"), "copier", &[3, 4, 5]).await;
    }
    copied(&mut site, "s3", "copier", &[0, 1, 2, 3, 4, 5]).await;
    reading(&site, 1).await;
    undisturbed(&consumers);
}

#[tokio::test]
async fn groups_of_one_stream_wait_on_one_connection_each_behind_its_own_position() {
    let mut site = Site::start().await;
    let url = site.server.url().to_owned();
    let mut consumers = spawn_many(&url, "s", MANY).await;
    consumers.push(spawn(&url, "s0", "late").await);
    reading(&site, 1).await;
    for n in 0..3 {
        add(&mut site, "s0", [n]).await;
        let numbers: Vec<i64> = (0..=n).collect();
        copied(&mut site, "s0", "copier", &numbers).await;
        copied(&mut site, "s0", "late", &numbers).await;
        reading(&site, 1).await;
    }
    undisturbed(&consumers);
}

#[tokio::test]
async fn few_keep_connections_of_their_own() {
    let site = Site::start().await;
    let consumers = spawn_many(site.server.url(), "s", 3).await;
    for _ in 0..8 {
        let redis = site.redis.clone();
        let lease = || async {
            redis.clone().hget::<_, _, Option<String>>("atomic-streams:{s0}:copier", "@lease").await.unwrap()
        };
        let before = lease().await;
        eventually("the lease is renewed", async || lease().await != before).await;
    }
    reading(&site, 3).await;
    undisturbed(&consumers);
}

#[tokio::test]
async fn a_shutdown_of_those_who_wait_together_releases_each_lease_and_closes_the_connection_with_the_last() {
    let mut site = Site::start().await;
    let mut consumers = spawn_many(site.server.url(), "s", MANY).await;
    reading(&site, 1).await;
    let last = consumers.pop().unwrap();
    for consumer in consumers {
        assert!(within(consumer.shutdown()).await.unwrap().released);
    }
    let own = format!("s{}", MANY - 1);
    add(&mut site, &own, [7]).await;
    copied(&mut site, &own, "copier", &[7]).await;
    assert_eq!(last.stats().recoveries, 0);
    assert!(within(last.shutdown()).await.unwrap().released);
    eventually("all connections but the test's are closed", async || commands(&site).await.len() == 1).await;
}

#[tokio::test]
async fn a_stream_that_nobody_waits_for_any_more_is_left_out() {
    let site = Site::start().await;
    let mut consumers = spawn_many(site.server.url(), "s", MANY).await;
    reading(&site, 1).await;
    within(consumers.remove(3).shutdown()).await.unwrap();
    let mut monitor = BufReader::new(TcpStream::connect(site.server.addr()).await.unwrap());
    monitor.write_all(b"MONITOR\r\n").await.unwrap();
    let mut lines = monitor.lines();
    let left_out = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the server goes on telling");
            let names = |stream: &str| line.contains(&format!(r#""{stream}""#));
            if line.contains(r#""XREAD""#) && names("s2") && names("s4") && !names("s3") {
                break;
            }
        }
    };
    within(left_out).await;
    undisturbed(&consumers);
}

#[tokio::test]
async fn the_connection_closes_when_the_last_of_those_who_wait_on_it_shuts_down() {
    let site = Site::start().await;
    let consumers = spawn_many(site.server.url(), "s", MANY).await;
    reading(&site, 1).await;
    for consumer in &consumers {
        assert!(within(consumer.shutdown()).await.unwrap().released);
    }
    eventually("all connections but the test's are closed", async || commands(&site).await.len() == 1).await;
    // The next ones are not led astray by what is left of it.
    let consumers = spawn_many(site.server.url(), "s", MANY).await;
    reading(&site, 1).await;
    undisturbed(&consumers);
}

#[tokio::test]
async fn consumers_of_two_runtimes_share_nothing() {
    let mut site = Site::start().await;
    let url = site.server.url().to_owned();
    let elsewhere = Runtime::new().unwrap();
    let theirs = elsewhere.spawn(async move { spawn_many(&url, "theirs", MANY).await }).await.unwrap();
    let consumers = spawn_many(site.server.url(), "ours", MANY).await;
    reading(&site, 2).await;
    undisturbed(&theirs);
    elsewhere.shutdown_background();
    reading(&site, 1).await;
    for stream in 0..MANY {
        add(&mut site, &format!("ours{stream}"), [1]).await;
    }
    for stream in 0..MANY {
        copied(&mut site, &format!("ours{stream}"), "copier", &[1]).await;
    }
    undisturbed(&consumers);
}
