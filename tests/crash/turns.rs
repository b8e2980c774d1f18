//! Two processes that are frozen and thawed at random.

use std::env;
use std::time::{Duration, Instant};

use support::{Rng, Server, seed};
use tokio::sync::oneshot;

use crate::inventory;
use crate::ledger::Ledger;
use crate::shop::Shop;

const LEASE_MS: u64 = 300;

/// `ATOMIC_STREAMS_TURNS_SECONDS`, 10 where it is not set.
fn length() -> Duration {
    let seconds = env::var("ATOMIC_STREAMS_TURNS_SECONDS").map_or(10, |text| text.trim().parse().unwrap());
    Duration::from_secs(seconds)
}

/// Sells a little all the time, until `stop` says so.
async fn sell_steadily(mut shop: Shop, mut rng: Rng, mut stop: oneshot::Receiver<()>) -> usize {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = &mut stop => return shop.sold(),
            _ = pace.tick() => shop.sell(rng.below(20) as usize).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_take_turns_and_every_sale_counts_once() {
    let mut rng = Rng::new(seed());
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, rng.next_u64()).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(1).await;
    let processes = [inventory(&server, LEASE_MS), inventory(&server, LEASE_MS)];
    ledger.reach(1).await;
    let (stop, stopped) = oneshot::channel();
    let producer = tokio::spawn(sell_steadily(shop, Rng::new(rng.next_u64()), stopped));

    let began = Instant::now();
    let mut frozen_as_owner = [0, 0];
    // However slow the machine is, each has its turns.
    while began.elapsed() < length() || frozen_as_owner.iter().any(|turns| *turns < 2) {
        let owner = ledger.check().await.unwrap().pid();
        let owner = processes.iter().position(|process| process.pid() == owner).expect("an owner of these two");
        let other = 1 - owner;
        // When it is frozen, and for how long, is left to chance: less than a lease, or more than one.
        pause_at_random(&mut rng, 50).await;
        processes[owner].pause();
        if rng.percent(60) {
            support::eventually("the other takes over", async || {
                ledger.check().await.unwrap().pid() == processes[other].pid()
            })
            .await;
            frozen_as_owner[owner] += 1;
        } else {
            pause_at_random(&mut rng, 2 * LEASE_MS).await;
        }
        if rng.percent(30) {
            processes[other].pause();
            pause_at_random(&mut rng, LEASE_MS).await;
            let (first, second) = if rng.percent(50) { (owner, other) } else { (other, owner) };
            processes[first].resume();
            pause_at_random(&mut rng, 2 * LEASE_MS).await;
            processes[second].resume();
        } else {
            processes[owner].resume();
        }
    }
    stop.send(()).unwrap();
    let sold = producer.await.unwrap();
    let record = ledger.finish(sold).await;
    println!("{sold} sales, {} changes of owner, frozen as owner: {frozen_as_owner:?}", record.epoch - 1);
    assert!(record.epoch >= 5, "owners changed {} times", record.epoch - 1);
    for process in &processes {
        process.terminate();
        assert!(process.wait().await.success(), "{}", process.output());
    }
}

async fn pause_at_random(rng: &mut Rng, most_ms: u64) {
    tokio::time::sleep(Duration::from_micros(rng.below(most_ms * 1_000))).await;
}
