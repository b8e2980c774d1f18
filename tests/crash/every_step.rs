//! SIGKILL at each step of the loop, held there by a proxy or by the handler itself.

use support::{Hold, Process, Proxy, Server};

use crate::ledger::{Ledger, Record};
use crate::shop::Shop;
use crate::worker::{Marker, Worker};
use crate::{inventory, script};

/// Longer than any of these tests: nothing that is held runs into a time-out before the kill. The successor does not
/// wait for so long: it takes over when it has seen the lease stand still for as long as its own lasts.
const LEASE_MS: u64 = 60_000;
const SUCCESSORS_LEASE_MS: u64 = 300;

/// Sales before the step that is tested, and in it.
const DONE: usize = 4;
const SOLD: usize = 10;

struct Scene {
    server: Server,
    /// Between the server and the process that is to die.
    proxy: Proxy,
    shop: Shop,
    ledger: Ledger,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::builder().append_only("always").start().await;
        let proxy = Proxy::start(server.addr()).await;
        let mut shop = Shop::open(&server, 1).await;
        shop.sell(DONE).await;
        let ledger = Ledger::open(&server).await;
        Self { server, proxy, shop, ledger }
    }

    fn worker(&self) -> Worker {
        Worker::on(&self.proxy.url(), LEASE_MS)
    }

    /// A process that has handled what was there and waits for more.
    async fn at_work(&mut self) -> Process {
        let worker = self.worker().start();
        self.ledger.reach(DONE).await;
        worker
    }

    async fn sell_more(&mut self) {
        self.shop.sell(SOLD - DONE).await;
    }

    /// Kills a process that has stopped at `point`. What is held stays there.
    async fn kill_at(&mut self, point: &Hold, worker: &Process) -> Record {
        point.wait_until_held().await;
        worker.kill();
        self.ledger.check().await.unwrap()
    }

    /// Waits until the server has done all that the dead process had sent.
    async fn last_words_are_heard(&self) {
        support::eventually("the connections of the dead process end", async || self.proxy.open() == 0).await;
    }

    async fn succeed(&mut self) -> Process {
        let successor = inventory(&self.server, SUCCESSORS_LEASE_MS);
        let sold = self.shop.sold();
        let record = self.ledger.reach(sold).await;
        assert_eq!(record.pid(), successor.pid());
        successor
    }

    async fn end(mut self) {
        // The dead process may have left nothing to do.
        self.shop.sell(1).await;
        let _successor = self.succeed().await;
        self.ledger.finish(self.shop.sold()).await;
    }
}

#[tokio::test]
async fn killed_before_its_attach_arrives_it_becomes_an_owner_that_nobody_waits_for() {
    let mut scene = Scene::new().await;
    let point = scene.proxy.hold_requests_containing(&script::attach());
    let worker = scene.worker().start();
    point.wait_until_held().await;
    worker.kill();
    assert_eq!(scene.ledger.check().await, None);
    point.release();
    scene.last_words_are_heard().await;
    assert_eq!(scene.ledger.check().await.unwrap().pid(), worker.pid());
    scene.end().await;
}

#[tokio::test]
async fn killed_with_its_attach_unanswered_it_leaves_everything_to_the_next() {
    let mut scene = Scene::new().await;
    let point = scene.proxy.hold_replies_after_request(&script::attach());
    let worker = scene.worker().start();
    let record = scene.kill_at(&point, &worker).await;
    assert_eq!((record.pid(), record.processed), (worker.pid(), 0));
    scene.end().await;
}

#[tokio::test]
async fn killed_before_its_read_arrives_it_leaves_everything_to_the_next() {
    let mut scene = Scene::new().await;
    let point = scene.proxy.hold_requests_containing(script::XREAD);
    let worker = scene.worker().start();
    assert_eq!(scene.kill_at(&point, &worker).await.processed, 0);
    scene.end().await;
}

#[tokio::test]
async fn killed_with_its_read_unanswered_it_leaves_everything_to_the_next() {
    let mut scene = Scene::new().await;
    let point = scene.proxy.hold_replies_after_request(script::XREAD);
    let worker = scene.worker().start();
    assert_eq!(scene.kill_at(&point, &worker).await.processed, 0);
    scene.end().await;
}

#[tokio::test]
async fn killed_inside_its_handler_it_leaves_that_sale_to_the_next() {
    let mut scene = Scene::new().await;
    let worker = scene.worker().stops_in("sku-3", &Marker::new()).start();
    worker.wait_for_line(|line| line == "inside sku-3").await;
    assert_eq!(scene.ledger.reach(3).await.processed, 3);
    worker.kill();
    scene.end().await;
}

#[tokio::test]
async fn killed_with_its_commit_lost_on_the_way_it_leaves_that_sale_to_the_next() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_requests_containing(&script::commit());
    scene.sell_more().await;
    assert_eq!(scene.kill_at(&point, &worker).await.processed, DONE);
    scene.proxy.cut_all();
    scene.last_words_are_heard().await;
    assert_eq!(scene.ledger.check().await.unwrap().processed, DONE);
    scene.end().await;
}

#[tokio::test]
async fn killed_with_its_commit_on_the_way_it_is_heard_if_nobody_has_taken_over() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_requests_containing(&script::commit());
    scene.sell_more().await;
    assert_eq!(scene.kill_at(&point, &worker).await.processed, DONE);
    point.release();
    scene.last_words_are_heard().await;
    assert!(scene.ledger.check().await.unwrap().processed > DONE);
    scene.end().await;
}

#[tokio::test]
async fn killed_with_its_commit_on_the_way_it_is_not_heard_once_another_has_taken_over() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_requests_containing(&script::commit());
    scene.sell_more().await;
    assert_eq!(scene.kill_at(&point, &worker).await.processed, DONE);
    let _successor = scene.succeed().await;
    let before = scene.ledger.check().await.unwrap();
    point.release();
    scene.last_words_are_heard().await;
    assert_eq!(scene.ledger.check().await.unwrap().head, before.head);
    scene.shop.sell(1).await;
    scene.ledger.finish(SOLD + 1).await;
}

#[tokio::test]
async fn killed_with_its_commit_unanswered_it_has_done_what_the_server_did() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_replies_after_request(&script::commit());
    scene.sell_more().await;
    assert!(scene.kill_at(&point, &worker).await.processed > DONE);
    scene.end().await;
}

#[tokio::test]
async fn killed_after_the_reply_to_its_commit_it_leaves_the_next_sale_to_the_next() {
    let mut scene = Scene::new().await;
    let worker = scene.worker().one_at_a_time().stops_in("sku-3", &Marker::new()).start();
    // It is in this sale only because it has read the reply to the one before.
    worker.wait_for_line(|line| line == "inside sku-3").await;
    worker.kill();
    assert_eq!(scene.ledger.check().await.unwrap().processed, 3);
    scene.end().await;
}

#[tokio::test]
async fn killed_before_its_renewal_arrives_it_does_not_renew_the_lease_of_the_next() {
    let mut scene = Scene::new().await;
    // Renewals come every third of the lease; this one is short, so that the first comes soon.
    let worker = Worker::on(&scene.proxy.url(), 1_500).start();
    scene.ledger.reach(DONE).await;
    let point = scene.proxy.hold_requests_containing(&script::renew());
    scene.kill_at(&point, &worker).await;
    scene.sell_more().await;
    let successor = inventory(&scene.server, LEASE_MS);
    let before = scene.ledger.reach(SOLD).await;
    assert_eq!(before.pid(), successor.pid());
    point.release();
    scene.last_words_are_heard().await;
    assert_eq!(scene.ledger.check().await.unwrap(), before);
}

#[tokio::test]
async fn killed_before_its_release_arrives_it_does_not_release_the_lease_of_the_next() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_requests_containing(&script::release());
    worker.terminate();
    assert_ne!(scene.kill_at(&point, &worker).await.lease, 0);
    scene.sell_more().await;
    let _successor = scene.succeed().await;
    point.release();
    scene.last_words_are_heard().await;
    assert_ne!(scene.ledger.check().await.unwrap().lease, 0);
    scene.ledger.finish(SOLD).await;
}

#[tokio::test]
async fn killed_with_its_release_unanswered_it_keeps_nobody_waiting() {
    let mut scene = Scene::new().await;
    let worker = scene.at_work().await;
    let point = scene.proxy.hold_replies_after_request(&script::release());
    worker.terminate();
    assert_eq!(scene.kill_at(&point, &worker).await.lease, 0);
    scene.sell_more().await;
    // With a lease this long, only the release lets it begin before the test gives up.
    let _successor = inventory(&scene.server, LEASE_MS);
    scene.ledger.finish(SOLD).await;
}
