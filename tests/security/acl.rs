//! The rules of docs/security.md: they are enough for everything, and each part of them is needed.

use std::time::Duration;

use atomic_streams::{ConsumerHandle, DeadLetters, Error, ErrorKind, Producer, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use support::{Server, eventually};
use tokio::runtime::{self, Runtime};

use crate::tally::{self, LATEST, LETTERS, RECORD, STREAM, add, assert_are_sums, consumer, processed, sums};

const DOCUMENT: &str = include_str!("../../docs/security.md");

/// The rule under this heading, part by part.
fn rule(heading: &str) -> Vec<&'static str> {
    let (_, section) = DOCUMENT.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) = section.split_once("```text\n").unwrap();
    block.split_once("```").unwrap().0.split_whitespace().collect()
}

fn rules(headings: &[&str]) -> Vec<&'static str> {
    headings.iter().flat_map(|heading| rule(heading)).collect()
}

const CONSUMER: [&str; 2] = ["### Consumer", "#### Collections"];

#[derive(Serialize)]
struct Number {
    n: i64,
}

struct Site {
    server: Server,
    redis: MultiplexedConnection,
}

impl Site {
    async fn start() -> Self {
        let server = Server::start().await;
        let redis = server.connection().await;
        Self { server, redis }
    }

    /// Lets a user do this and nothing else.
    async fn allow(&mut self, user: &str, rules: &[&str]) {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(user).arg(&["reset", "on", ">secret"]).arg(rules);
        let () = command.query_async(&mut self.redis).await.unwrap();
    }

    fn url(&self, user: &str) -> String {
        format!("redis://{user}:secret@127.0.0.1:{}", self.server.port())
    }

    async fn spawn(&self) -> Result<ConsumerHandle, Error> {
        consumer().redis_url(self.url("worker")).lease(Duration::from_millis(600)).spawn().await
    }

    /// A consumer that ends with the runtime, as with a process.
    async fn spawn_apart(&self) -> Runtime {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let builder = consumer().redis_url(self.url("worker")).lease(Duration::from_millis(600));
        runtime.spawn(builder.spawn()).await.unwrap().unwrap();
        runtime
    }

    fn producer(&self) -> Producer {
        Producer::new(&self.url("seller")).unwrap()
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(&self.url("reader"), LETTERS).unwrap()
    }

    /// What was refused to somebody, but for what the client says of itself, which is ignored.
    async fn refused(&mut self) -> Vec<String> {
        let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut self.redis).await.unwrap();
        log.iter().map(|entry| format!("{entry:?}")).filter(|entry| !entry.contains("client|setinfo")).collect()
    }
}

#[tokio::test]
async fn the_documented_rules_are_enough_for_everything() {
    let mut site = Site::start().await;
    site.allow("worker", &rules(&[&CONSUMER[..], &["#### Comfort"]].concat())).await;
    site.allow("seller", &rule("### Producer")).await;
    site.allow("reader", &rule("### Dead letters")).await;
    let first = site.spawn_apart().await;
    let second = site.spawn().await.unwrap();
    assert!(matches!(*second.status().borrow(), Status::Standby { .. }));
    let redis = site.redis.clone();
    eventually("the standby listens", async || {
        let listeners: (String, u64) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(RECORD).query_async(&mut redis.clone()).await.unwrap();
        listeners.1 == 1
    })
    .await;
    let producer = site.producer();
    for n in [1, 2, -3, 2] {
        producer.publish(STREAM, &Number { n }).await.unwrap();
    }
    processed(&site.redis, 4).await;

    // An end without a release, and one with.
    first.shutdown_background();
    let active = async |consumer: &ConsumerHandle| {
        eventually("it takes over", async || *consumer.status().borrow() == Status::Active).await;
    };
    active(&second).await;
    let third = site.spawn().await.unwrap();
    add(&mut site.redis, [5]).await;
    processed(&site.redis, 5).await;
    assert!(second.shutdown().await.unwrap().released);
    active(&third).await;

    let letters = site.letters();
    let listed = letters.list(10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(letters.requeue(listed[0].id).await.unwrap().is_some());
    processed(&site.redis, 6).await;
    let again = letters.list(10).await.unwrap();
    assert!(letters.remove(again[0].id).await.unwrap());
    assert_eq!(letters.requeue_all().await.unwrap(), 0);
    third.shutdown().await.unwrap();

    assert_are_sums(&sums(&mut site.redis, tally::SUMS).await, &[1, 2, 2, 5]);
    assert_eq!(sums(&mut site.redis, LATEST).await, [(5, 10)]);
    assert_eq!(site.refused().await, Vec::<String>::new());
    let statistics: String = redis::cmd("INFO").arg("commandstats").query_async(&mut site.redis).await.unwrap();
    assert!(statistics.contains("cmdstat_publish:calls="), "{statistics}");
}

/// What an error must say when this part is missing.
fn names(error: &Error, missing: &str) -> bool {
    let words = error.to_string().to_lowercase();
    match missing.strip_prefix('+') {
        Some(command) => {
            // A whole script that may not be run, and a command of another name that the server has for it.
            words.contains(&command.replace('|', " ")) || words.contains(command)
        }
        // A key: that of the script, or that of the output.
        None => words.contains("key") || words.contains(&missing[1..]),
    }
}

/// The rule without one of its parts.
fn without<'a>(rule: &[&'a str], missing: &str) -> Vec<&'a str> {
    rule.iter().copied().filter(|part| *part != missing).collect()
}

#[tokio::test]
async fn each_part_of_the_rule_of_a_consumer_is_needed_and_named() {
    let mut site = Site::start().await;
    let all = rules(&CONSUMER);
    for missing in &all {
        let () = redis::cmd("FLUSHALL").query_async(&mut site.redis).await.unwrap();
        // Twice: what is stored is read by the second start.
        let mut outcome = Ok(());
        for round in 0..2 {
            let rule = if round == 0 && READS.contains(missing) { all.clone() } else { without(&all, missing) };
            site.allow("worker", &rule).await;
            outcome = run(&mut site).await;
            if outcome.is_err() {
                break;
            }
        }
        let error = outcome.err().unwrap_or_else(|| panic!("nothing fails without {missing}"));
        assert_eq!(error.kind(), ErrorKind::Denied, "without {missing}: {error}");
        assert!(names(&error, missing), "without {missing}: {error}");
    }
}

/// What only the second start needs.
const READS: [&str; 2] = ["+hlen", "+hscan"];

/// A consumer that does everything, to its end.
async fn run(site: &mut Site) -> Result<(), Error> {
    let consumer = site.spawn().await?;
    add(&mut site.redis, [1, -2, 1]).await;
    let redis = site.redis.clone();
    let done = eventually("everything is handled, or the consumer has ended", async || {
        let now: u64 = redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap().unwrap_or(0);
        now == redis.clone().xlen::<_, u64>(STREAM).await.unwrap() || *consumer.status().borrow() == Status::Stopped
    });
    done.await;
    consumer.shutdown().await.map(drop)
}

#[tokio::test]
async fn each_part_of_the_rule_of_a_producer_is_needed_and_named() {
    let mut site = Site::start().await;
    let all = rule("### Producer");
    for missing in &all {
        site.allow("seller", &without(&all, missing)).await;
        let error = site.producer().publish(STREAM, &Number { n: 1 }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "without {missing}: {error}");
        assert!(names(&error, missing), "without {missing}: {error}");
    }
}

#[tokio::test]
async fn each_part_of_the_rule_for_dead_letters_is_needed_and_named() {
    let mut site = Site::start().await;
    let all = rule("### Dead letters");
    site.allow("worker", &rules(&CONSUMER)).await;
    for missing in &all {
        let () = redis::cmd("FLUSHALL").query_async(&mut site.redis).await.unwrap();
        run(&mut site).await.unwrap();
        site.allow("reader", &without(&all, missing)).await;
        let letters = site.letters();
        let deeds = async {
            let listed = letters.list(10).await?;
            letters.requeue(listed[0].id).await?;
            letters.requeue_all().await?;
            letters.remove(listed[0].id).await
        };
        let error = deeds.await.expect_err("nothing fails");
        assert_eq!(error.kind(), ErrorKind::Denied, "without {missing}: {error}");
        assert!(names(&error, missing), "without {missing}: {error}");
    }
}

#[tokio::test]
async fn packed_letters_need_more() {
    let mut site = Site::start().await;
    site.allow("worker", &rules(&CONSUMER)).await;
    let all = rules(&["### Dead letters", "#### Packed letters"]);
    let packed = rule("#### Packed letters");
    for missing in packed.iter().copied().chain(["nothing"]) {
        let () = redis::cmd("FLUSHALL").query_async(&mut site.redis).await.unwrap();
        let mut entry = redis::cmd("XADD");
        entry.arg(STREAM).arg("*").arg("n").arg(-1);
        for field in 0..3_900 {
            entry.arg(format!("field-{field}")).arg("value");
        }
        let () = entry.query_async(&mut site.redis).await.unwrap();
        run(&mut site).await.unwrap();
        site.allow("reader", &without(&all, missing)).await;
        let letters = site.letters();
        let listed = letters.list(10).await.unwrap();
        let big = listed.iter().find(|letter| letter.entry.fields.len() > 3_000).unwrap();
        let requeued = letters.requeue(big.id).await;
        if missing == "nothing" {
            assert!(requeued.unwrap().is_some());
            continue;
        }
        if missing == "+unwatch" {
            // Only where somebody else was faster.
            continue;
        }
        let error = requeued.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "without {missing}: {error}");
        assert!(names(&error, missing), "without {missing}: {error}");
    }
}
