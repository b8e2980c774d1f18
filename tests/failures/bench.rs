//! What every test begins with: a server, a proxy in front of it, and a consumer behind the proxy.

use std::any::Any;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atomic_streams::{Consumer, ConsumerBuilder, ConsumerHandle, Error, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Proxy, Server, ServerBuilder, eventually};
use tracing_subscriber::util::SubscriberInitExt;

use crate::ledger::{Books, GROUP, Ledger, OUTPUT, RECORD, STREAM};

/// Short, so that what waits for a renewal or a time-out does not wait long.
pub const LEASE: Duration = Duration::from_millis(600);

/// For tests in which nothing may time out while a point is held.
pub const LONG_LEASE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub server: Server,
    pub proxy: Proxy,
    /// Past the proxy.
    pub redis: MultiplexedConnection,
}

impl Bench {
    pub async fn start() -> Self {
        Self::with(Server::builder()).await
    }

    pub async fn with(server: ServerBuilder) -> Self {
        let server = server.start().await;
        let proxy = Proxy::start(server.addr()).await;
        let redis = server.connection().await;
        Self { server, proxy, redis }
    }

    /// A consumer behind the proxy.
    pub fn consumer(&self) -> ConsumerBuilder<Ledger> {
        consumer(&self.proxy.url())
    }

    pub async fn spawn(&self) -> ConsumerHandle {
        self.consumer().spawn().await.unwrap()
    }

    /// Adds these numbers, as one pipeline.
    pub async fn add(&mut self, numbers: impl IntoIterator<Item = i64>) {
        add(&mut self.redis, numbers).await;
    }

    /// Adds a number under an ID of the test's choice.
    pub async fn add_as(&mut self, id: &str, n: i64) {
        let () = self.redis.xadd(STREAM, id, &[("n", n)]).await.unwrap();
    }

    pub async fn books(&mut self) -> Books {
        Books::read(&mut self.redis, STREAM, RECORD, OUTPUT).await
    }

    /// Waits until everything in the stream is handled.
    pub async fn settled(&mut self) {
        settled(&mut self.redis, STREAM, RECORD).await;
    }

    /// Waits until everything in the stream is handled, and holds the results against what the stream holds.
    pub async fn settled_exactly(&mut self) {
        self.settled().await;
        self.check().await;
    }

    /// What is committed is of exactly the entries up to the position. True at any instant, if nothing was trimmed.
    pub async fn check(&mut self) {
        let books = self.books().await;
        books.assert_are_of(&books.handled);
    }

    /// Waits until the consumer has committed so many entries.
    pub async fn processed(&mut self, entries: u64) {
        let redis = self.redis.clone();
        eventually("entries are committed", async || {
            redis.clone().hget::<_, _, Option<u64>>(RECORD, "@processed").await.unwrap() >= Some(entries)
        })
        .await;
    }

    /// Waits until the owner has renewed its lease so many times.
    pub async fn renewals(&mut self, times: usize) {
        for _ in 0..times {
            let redis = self.redis.clone();
            let lease = || async { redis.clone().hget::<_, _, Option<String>>(RECORD, "@lease").await.unwrap() };
            let before = lease().await;
            eventually("the lease is renewed", async || lease().await != before).await;
        }
    }

    /// Runs one command, such as `CONFIG SET maxmemory 0`.
    pub async fn run(&mut self, command: &str) {
        run(&mut self.redis, command).await;
    }

    /// Waits until a client of this server is in the middle of this command, and returns its ID.
    pub async fn client_in(&mut self, command: &str) -> u64 {
        let redis = self.redis.clone();
        eventually("a client runs the command", async || {
            let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis.clone()).await.unwrap();
            let line = clients.lines().find(|line| line.contains(&format!(" cmd={command} ")))?;
            line.split(' ').find_map(|field| field.strip_prefix("id=")?.parse().ok())
        })
        .await
    }

    /// Ends this client's connection from the server's side.
    pub async fn kill_client(&mut self, id: u64) {
        self.run(&format!("CLIENT KILL ID {id}")).await;
    }
}

pub fn consumer(url: &str) -> ConsumerBuilder<Ledger> {
    Consumer::builder(STREAM, GROUP).redis_url(url).lease(LEASE).handler(Ledger::default())
}

pub async fn add(redis: &mut MultiplexedConnection, numbers: impl IntoIterator<Item = i64>) {
    let mut pipe = redis::pipe();
    for n in numbers {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    let () = pipe.query_async(redis).await.unwrap();
}

pub async fn run(redis: &mut MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    cmd.arg(words.collect::<Vec<_>>());
    let _: redis::Value = cmd.query_async(redis).await.unwrap_or_else(|e| panic!("{command}: {e}"));
}

pub async fn settled(redis: &mut MultiplexedConnection, stream: &str, record: &str) {
    let redis = redis.clone();
    eventually("everything is handled", async || {
        let mut pipe = redis::pipe();
        pipe.atomic().hget(record, "@position").cmd("XINFO").arg("STREAM").arg(stream);
        let state: redis::RedisResult<(Option<String>, redis::streams::StreamInfoStreamReply)> =
            pipe.query_async(&mut redis.clone()).await;
        // The server may be loading, or hold no such stream yet.
        state.is_ok_and(|(position, stream)| position == Some(stream.last_generated_id))
    })
    .await;
}

/// Waits until the consumer says that it is recovering, for a reason with these words in it.
pub async fn recovering(consumer: &ConsumerHandle, words: &str) {
    let status = consumer.status();
    let mut seen = Vec::new();
    let waiting = eventually(words, async || {
        let now = status.borrow().clone();
        let found = matches!(&now, Status::Recovering { reason } if reason.contains(words));
        if seen.last() != Some(&now) {
            println!("{now:?}");
            seen.push(now);
        }
        found
    });
    waiting.await;
}

pub async fn active(consumer: &ConsumerHandle) {
    let status = consumer.status();
    eventually("the consumer is active", async || *status.borrow() == Status::Active).await;
}

pub async fn standing_by(consumer: &ConsumerHandle) {
    let status = consumer.status();
    eventually("the consumer stands by", async || matches!(*status.borrow(), Status::Standby { .. })).await;
}

/// Waits until the consumer has ended by itself, and returns why.
pub async fn ended(consumer: &ConsumerHandle) -> Error {
    let ended = tokio::time::timeout(Duration::from_secs(20), consumer.wait()).await;
    ended.expect("the consumer goes on as if nothing had happened").unwrap_err()
}

/// Waits until the consumer has had so many sessions end.
pub async fn recoveries(consumer: &ConsumerHandle, times: u64) {
    eventually("a session ends", async || consumer.stats().recoveries >= times).await;
}

/// What the library logs on this thread, which is all that it logs for the test.
pub struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    _guard: Box<dyn Any>,
}

impl Log {
    pub fn start() -> Self {
        let bytes = Arc::new(Mutex::default());
        let written = Lines(Arc::clone(&bytes));
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
        Self { bytes, _guard: Box::new(subscriber.set_default()) }
    }

    /// Waits until a line holds all of these words: what the server shows may come before the consumer hears of it.
    pub async fn shows(&self, words: &[&str]) {
        eventually("it is logged", async || self.has(words)).await;
    }

    fn has(&self, words: &[&str]) -> bool {
        self.count(words) > 0
    }

    /// How many lines hold all of these words.
    pub fn count(&self, words: &[&str]) -> usize {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
