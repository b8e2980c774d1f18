//! Two processes on one subscription.

use support::{Server, eventually};

use crate::inventory;
use crate::ledger::{Ledger, RECORD};
use crate::shop::Shop;

#[tokio::test]
async fn started_twice_one_is_active_and_the_other_takes_over_when_it_is_released() {
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, 4).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(500).await;
    // No wait of these tests lasts as long as this lease: nothing but its release explains a takeover.
    const LEASE_MS: u64 = 120_000;
    let processes = [inventory(&server, LEASE_MS), inventory(&server, LEASE_MS)];
    let owner = ledger.reach(500).await.pid();
    let (active, standby) = match processes.iter().position(|process| process.pid() == owner) {
        Some(0) => (&processes[0], &processes[1]),
        Some(_) => (&processes[1], &processes[0]),
        None => panic!("{owner} is neither process"),
    };
    // A standby listens for the release, on a channel of the record's name.
    let mut connection = server.connection().await;
    eventually("the other stands by", async || {
        let listeners: (String, u64) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(RECORD).query_async(&mut connection).await.unwrap();
        listeners.1 == 1
    })
    .await;
    shop.sell(500).await;
    assert_eq!(ledger.reach(1_000).await.pid(), active.pid());

    shop.sell(2_000).await;
    active.terminate();
    assert!(active.wait().await.success(), "{}", active.output());
    shop.sell(500).await;
    let record = ledger.finish(3_500).await;
    assert_eq!((record.pid(), record.epoch), (standby.pid(), 2));
}
