//! SIGKILL again and again, at instants nobody chose.

use std::time::Duration;

use support::{Rng, Server, seed};

use crate::inventory;
use crate::ledger::Ledger;
use crate::shop::Shop;

const KILLS: usize = 50;
const SALES: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_50_random_instants_it_ends_with_exactly_the_right_stock_and_alerts() {
    let mut rng = Rng::new(seed());
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, rng.next_u64()).await;
    shop.sell(SALES / 2).await;
    let mut ledger = Ledger::open(&server).await;
    let mut in_the_middle = 0;
    for _ in 0..KILLS {
        // The rest comes in portions, so that no process sees the end of all sales however late its kill is.
        shop.sell(SALES / 2 / KILLS).await;
        let before = ledger.check().await.map_or(0, |record| record.processed);
        let process = inventory(&server, 100);
        // The random delays are what is tested. Some begin with the process, so that it may die while it starts, waits for
        // the lease of the one before, or attaches. The others begin at a random entry, since every look at the server
        // takes as long as many commits and all kills would come right after one.
        let since_start = if rng.percent(40) { rng.below(200_000) } else { u64::MAX };
        let since_entry = rng.below(3_000);
        let entry = (before + 1 + rng.below(250) as usize).min(shop.sold());
        tokio::select! {
            () = tokio::time::sleep(Duration::from_micros(since_start)) => {}
            () = async {
                ledger.reach(entry).await;
                tokio::time::sleep(Duration::from_micros(since_entry)).await;
            } => {}
        }
        process.kill();
        let after = ledger.check().await.map_or(0, |record| record.processed);
        in_the_middle += usize::from(after > before && after < shop.sold());
    }
    println!("{in_the_middle} of {KILLS} died between two sales of a backlog");

    let last = inventory(&server, 100);
    ledger.reach(SALES).await;
    assert!(ledger.alerts() > SALES / 4, "only {} alerts", ledger.alerts());
    ledger.finish(SALES).await;
    last.terminate();
    assert!(last.wait().await.success(), "{}", last.output());
}
