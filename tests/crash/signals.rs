//! Being asked to end.

use support::{Process, Server};

use crate::inventory;
use crate::ledger::Ledger;
use crate::shop::Shop;
use crate::worker::{Marker, Worker};

const SALES: usize = 10_000;

async fn ends_cleanly_in_a_backlog(ask: impl Fn(&Process)) {
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, 6).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(SALES).await;
    // Longer than any test waits: the second process begins because the first has released it.
    let first = inventory(&server, 120_000);
    ledger.reach(100).await;
    ask(&first);
    assert_eq!(first.wait().await.code(), Some(0), "{}", first.output());
    assert_eq!(said(&first), [""; 0], "an end that was asked for is nothing to warn of");
    assert_eq!(ledger.check().await.unwrap().lease, 0);
    shop.sell(100).await;
    let second = inventory(&server, 120_000);
    let record = ledger.finish(SALES + 100).await;
    assert_eq!((record.pid(), record.epoch), (second.pid(), 2));
}

/// What a process has printed, without what it has found about the server.
fn said(process: &Process) -> Vec<String> {
    process.lines().into_iter().filter(|line| !line.contains("atomic_streams::server")).collect()
}

#[tokio::test]
async fn asked_to_end_by_sigterm_it_releases_the_lease_and_loses_nothing() {
    ends_cleanly_in_a_backlog(Process::terminate).await;
}

#[tokio::test]
async fn asked_to_end_by_sigint_it_releases_the_lease_and_loses_nothing() {
    ends_cleanly_in_a_backlog(Process::interrupt).await;
}

#[tokio::test]
async fn asked_to_end_inside_a_handler_it_finishes_that_sale_and_leaves_the_next() {
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, 7).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(10).await;
    let marker = Marker::new();
    let worker = Worker::on(server.url(), 120_000).stops_in("sku-5", &marker).start();
    worker.wait_for_line(|line| line == "inside sku-5").await;
    worker.terminate();
    worker.wait_for_line(|line| line == "asked to end").await;
    assert!(worker.is_alive());
    marker.put();
    assert_eq!(worker.wait().await.code(), Some(0), "{}", worker.output());
    let record = ledger.check().await.unwrap();
    assert_eq!((record.processed, record.lease), (6, 0));
    let _second = inventory(&server, 120_000);
    ledger.finish(10).await;
}
