//! SIGKILL again and again, at instants nobody chose.

use std::time::Duration;

use support::{Process, Rng, Server, seed};

use crate::inventory;
use crate::ledger::Ledger;
use crate::shop::Shop;
use crate::worker::Worker;

const KILLS: usize = 50;
const SALES: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_50_random_instants_it_ends_with_exactly_the_right_stock_and_alerts() {
    let server = Server::builder().append_only("everysec").start().await;
    killed_again_and_again(&server, || inventory(&server, 100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_50_random_instants_in_groups_of_sales_it_ends_just_as_exactly() {
    for wait_ms in [0, 20] {
        let server = Server::builder().append_only("everysec").start().await;
        killed_again_and_again(&server, || Worker::on(server.url(), 100).in_groups(wait_ms).start()).await;
        let mut redis = server.connection().await;
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
        let calls = info.split("cmdstat_evalsha:calls=").nth(1).unwrap().split(',').next().unwrap();
        println!("{calls} script calls, with a wait of {wait_ms} ms");
        assert!(calls.parse::<usize>().unwrap() < SALES / 2, "there were no groups");
    }
}

async fn killed_again_and_again(server: &Server, start: impl Fn() -> Process) {
    let mut rng = Rng::new(seed());
    let mut shop = Shop::open(server, rng.next_u64()).await;
    shop.sell(SALES / 2).await;
    let mut ledger = Ledger::open(server).await;
    let mut in_the_middle = 0;
    for _ in 0..KILLS {
        // The rest comes in portions, so that no process sees the end of all sales however late its kill is.
        shop.sell(SALES / 2 / KILLS).await;
        let before = ledger.check().await.map_or(0, |record| record.processed);
        let process = start();
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

    let last = start();
    ledger.reach(SALES).await;
    assert!(ledger.alerts() > SALES / 4, "only {} alerts", ledger.alerts());
    ledger.finish(SALES).await;
    last.terminate();
    assert!(last.wait().await.success(), "{}", last.output());
}
