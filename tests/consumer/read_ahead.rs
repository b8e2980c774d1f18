//! How much is read while the handler is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use atomic_streams::{Consumer, Fields, Handler, HandlerResult, Persistable, Transaction};
use support::{Proxy, eventually};
use tokio::sync::Semaphore;

use crate::site::{STREAM, Site, within};

const MIB: u64 = 1 << 20;

/// Handles as many entries as it has permits for.
#[derive(Persistable)]
struct Gated {
    #[persist(skip)]
    permits: Arc<Semaphore>,
    #[persist(skip)]
    begun: Arc<AtomicUsize>,
}

#[async_trait]
impl Handler for Gated {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, _: &mut Transaction) -> HandlerResult {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await?.forget();
        Ok(())
    }
}

fn gated(permits: usize) -> (Gated, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (permits, begun) = (Arc::new(Semaphore::new(permits)), Arc::default());
    (Gated { permits: Arc::clone(&permits), begun: Arc::clone(&begun) }, permits, begun)
}

/// Lets a consumer with these bounds stand at its first entry, then go on to the end; returns how much it had read at most
/// while it stood there.
async fn read_while_busy(entries: usize, size: u64, ahead: Option<(usize, usize)>) -> u64 {
    let mut site = Site::start().await;
    let value = "x".repeat(size as usize);
    for _ in 0..entries {
        site.add(&[("v", &value)]).await;
    }
    let proxy = Proxy::start(site.server.addr()).await;
    let (handler, permits, begun) = gated(0);
    let builder = site.consumer().redis_url(proxy.url());
    let builder = match ahead {
        Some((entries, bytes)) => builder.read_ahead(entries, bytes),
        None => builder,
    };
    let consumer = builder.handler(handler).spawn().await.unwrap();
    eventually("the first entry is being handled", async || begun.load(Ordering::SeqCst) == 1).await;

    // That it does not read on cannot be waited for: in the time in which others read the whole stream twice, it could.
    for group in ["other", "another"] {
        let (handler, _, begun) = gated(entries);
        let other = Consumer::builder(STREAM, group).redis_url(site.server.url()).handler(handler);
        let other = other.spawn().await.unwrap();
        eventually("another consumer has read all", async || begun.load(Ordering::SeqCst) == entries).await;
        within(other.shutdown()).await.unwrap();
    }
    let read = proxy.bytes_to_clients();
    assert_eq!(begun.load(Ordering::SeqCst), 1);

    permits.add_permits(entries);
    site.until_processed(entries as u64).await;
    within(consumer.shutdown()).await.unwrap();
    assert!(proxy.bytes_to_clients() >= entries as u64 * size, "the proxy did not see the entries");
    read
}

#[tokio::test]
async fn by_default_16_mib_and_one_read_are_held_at_most() {
    let read = read_while_busy(40, MIB, None).await;
    assert!((2 * MIB..22 * MIB).contains(&read), "{read}");
}

#[tokio::test]
async fn a_bound_in_bytes_holds_but_for_one_read() {
    let read = read_while_busy(24, MIB, Some((12, 2 * MIB as usize))).await;
    assert!(read < 6 * MIB, "{read}");
}

#[tokio::test]
async fn a_bound_in_entries_holds() {
    const SIZE: u64 = 20_000;
    let read = read_while_busy(100, SIZE, Some((6, 64 << 20))).await;
    assert!((2 * SIZE..8 * SIZE).contains(&read), "{read}");
}

#[tokio::test]
async fn the_smallest_bounds_still_read_everything() {
    let read = read_while_busy(30, 1_000, Some((1, 1))).await;
    assert!(read < 15_000, "{read}");
}
