//! Deaths that no entry is to blame for.

use redis::aio::MultiplexedConnection;
use support::{Server, eventually};

use crate::ledger::Ledger;
use crate::shop::Shop;
use crate::worker::Worker;

/// How many connections wait in a blocking read.
async fn waiting(connection: &mut MultiplexedConnection) -> u64 {
    let info: redis::InfoDict = redis::cmd("INFO").arg("clients").query_async(connection).await.unwrap();
    info.get("blocked_clients").unwrap()
}

#[tokio::test]
async fn killed_while_idle_ten_times_in_a_row_it_blames_no_entry() {
    let server = Server::builder().append_only("everysec").start().await;
    let mut connection = server.connection().await;
    let mut shop = Shop::open(&server, 5).await;
    let mut ledger = Ledger::open(&server).await;
    for _ in 0..10 {
        let worker = Worker::on(server.url(), 300).with_dead_letters().start();
        eventually("the process waits for entries", async || waiting(&mut connection).await == 1).await;
        worker.kill();
        assert_eq!(ledger.check().await.unwrap().pid(), worker.pid());
        eventually("the server sees that it is gone", async || waiting(&mut connection).await == 0).await;
    }
    shop.sell(1).await;
    // A long lease of its own: no time-out is to make it try the entry again.
    let worker = Worker::on(server.url(), 120_000).with_dead_letters().start();
    ledger.finish(1).await;
    worker.terminate();
    assert!(worker.wait().await.success(), "{}", worker.output());
    let handled: Vec<String> = worker.lines().into_iter().filter(|line| line.starts_with("handling")).collect();
    assert_eq!(handled, ["handling sku-0 for the 1. time"]);
    // Of the server it may say what it wants.
    let about_entries = |line: &String| line.contains("WARN") && !line.contains("atomic_streams::server");
    assert!(!worker.lines().iter().any(about_entries), "{}", worker.output());
}
