//! A process that is frozen, replaced, and wakes up.

use support::{Process, Proxy, Server};

use crate::ledger::Ledger;
use crate::shop::Shop;
use crate::worker::{Marker, Worker};
use crate::{inventory, script};

/// So long that the zombie, when it wakes, believes it owns the subscription: no renewal is due and no reply overdue,
/// and only the refusal of its commit can tell it. Others take over when they have seen the lease stand still for as
/// long as their own lasts.
const ZOMBIES_LEASE_MS: u64 = 60_000;
/// Long enough for a successor on a busy machine not to lose what it took over.
const LEASE_MS: u64 = 3_000;

async fn is_refused_for(zombie: &Process, owner: &Process) {
    let owner = format!("/{}", owner.pid());
    zombie.wait_for_line(|line| line.contains("ownership was taken over by") && line.contains(&owner)).await;
}

async fn stands_by_for(zombie: &Process, owner: &Process) {
    let owner = format!("/{}", owner.pid());
    zombie.wait_for_line(|line| line.contains("status: Standby") && line.contains(&owner)).await;
}

#[tokio::test]
async fn a_zombie_commits_nothing_of_the_sale_it_was_in_and_stands_by() {
    let server = Server::builder().append_only("everysec").start().await;
    let mut shop = Shop::open(&server, 2).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(10).await;
    let marker = Marker::new();
    let zombie = Worker::on(server.url(), ZOMBIES_LEASE_MS).stops_in("sku-5", &marker).start();
    zombie.wait_for_line(|line| line == "inside sku-5").await;
    ledger.reach(5).await;
    zombie.pause();

    let successor = inventory(&server, LEASE_MS);
    assert_eq!(ledger.reach(10).await.pid(), successor.pid());
    marker.put();
    zombie.resume();
    is_refused_for(&zombie, &successor).await;
    stands_by_for(&zombie, &successor).await;
    assert_eq!(ledger.check().await.unwrap().processed, 10);

    shop.sell(10).await;
    assert_eq!(ledger.reach(20).await.pid(), successor.pid());
    // What it had in memory is nothing to go on from: it must read the state anew.
    successor.terminate();
    assert!(successor.wait().await.success(), "{}", successor.output());
    shop.sell(10).await;
    assert_eq!(ledger.finish(30).await.pid(), zombie.pid());
}

#[tokio::test]
async fn a_zombie_commits_nothing_that_it_had_sent_before_it_was_frozen() {
    let server = Server::builder().append_only("everysec").start().await;
    let (proxy, next_owners_proxy) = (Proxy::start(server.addr()).await, Proxy::start(server.addr()).await);
    let mut shop = Shop::open(&server, 3).await;
    let mut ledger = Ledger::open(&server).await;
    shop.sell(4).await;
    let zombie = Worker::on(&proxy.url(), ZOMBIES_LEASE_MS).start();
    ledger.reach(4).await;
    let late = proxy.hold_requests_containing(&script::commit());
    shop.sell(6).await;
    late.wait_until_held().await;
    zombie.pause();

    // The next owner dies before its first step. So the late commit, from an owner of the past, is next in sequence.
    let unread = next_owners_proxy.hold_requests_containing(script::XREAD);
    let next_owner = Worker::on(&next_owners_proxy.url(), 300).start();
    unread.wait_until_held().await;
    next_owner.kill();
    let before = ledger.check().await.unwrap();
    assert_eq!((before.pid(), before.processed), (next_owner.pid(), 4));

    let refused = proxy.hold_replies_after_request(&script::commit());
    late.release();
    refused.wait_until_held().await;
    assert_eq!(ledger.check().await.unwrap(), before);
    refused.release();

    let successor = inventory(&server, LEASE_MS);
    assert_eq!(ledger.reach(10).await.pid(), successor.pid());
    zombie.resume();
    is_refused_for(&zombie, &next_owner).await;
    stands_by_for(&zombie, &successor).await;
    shop.sell(1).await;
    assert_eq!(ledger.finish(11).await.pid(), successor.pid());
}
