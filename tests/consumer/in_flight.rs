//! How far the handler may be ahead of what is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use atomic_streams::{Fields, Handler, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Proxy, eventually};
use tokio::sync::mpsc;

use crate::site::{RECORD, Site, within};

/// Looks into its own record from outside the commit.
#[derive(Persistable)]
struct Auditor {
    count: u64,
    #[persist(skip)]
    redis: MultiplexedConnection,
    #[persist(skip)]
    found: mpsc::UnboundedSender<(u64, u64)>,
}

#[async_trait]
impl Handler for Auditor {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let (processed, count): (u64, Vec<u8>) = self.redis.hmget(RECORD, &["@processed", "count"]).await?;
        self.found.send((processed, rmp_serde::from_slice(&count)?))?;
        self.count += 1;
        tx.publish("out", &fields)?;
        Ok(())
    }
}

#[tokio::test]
async fn with_one_commit_in_flight_a_handler_sees_the_one_before_it_done() {
    let mut site = Site::start().await;
    site.add_numbers(50).await;
    let (found, mut finds) = mpsc::unbounded_channel();
    let handler = Auditor { count: 0, redis: site.server.connection().await, found };
    let consumer = site.consumer().max_in_flight(1).handler(handler).spawn().await.unwrap();
    site.until_processed(50).await;
    within(consumer.shutdown()).await.unwrap();
    for n in 0..50 {
        assert_eq!(finds.try_recv(), Ok((n, n)));
    }
}

/// Says of each entry that it is being handled, and is done at once.
#[derive(Persistable)]
struct Quick {
    count: u64,
    #[persist(skip)]
    handled: Arc<AtomicUsize>,
}

#[async_trait]
impl Handler for Quick {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        tx.publish("out", &fields)?;
        self.handled.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Holds every commit at the server's door: no more than `max_in_flight` entries are handled meanwhile.
async fn holds(max_in_flight: usize) {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let handled = Arc::new(AtomicUsize::new(0));
    let handler = Quick { count: 0, handled: Arc::clone(&handled) };
    let builder = site.consumer().redis_url(proxy.url()).max_in_flight(max_in_flight);
    let consumer = builder.handler(handler).spawn().await.unwrap();
    eventually("the first fields are written", async || site.head().await.1 == 1).await;
    let commits = proxy.hold_requests_containing(b"\r\nout\r\n");
    site.add_numbers(20).await;
    commits.wait_until_held().await;
    eventually("as many as allowed are handled", async || handled.load(Ordering::SeqCst) == max_in_flight).await;
    // That nothing follows cannot be waited for: the server is asked a few things instead.
    for _ in 0..50 {
        assert_eq!(site.processed().await, 0);
    }
    assert_eq!(handled.load(Ordering::SeqCst), max_in_flight);
    commits.release();
    site.until_processed(20).await;
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 20);
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(site.column("out", "n").await, expected);
}

#[tokio::test]
async fn no_more_entries_are_handled_than_commits_may_be_in_flight() {
    for max_in_flight in [1, 2, 7] {
        holds(max_in_flight).await;
    }
}
