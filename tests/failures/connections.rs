//! Connections that break, one or both, at every point of a commit; and one that is quiet for long.

use atomic_streams::Status;
use support::{Fault, eventually};

use crate::bench::{Bench, LONG_LEASE, active, recoveries};
use crate::ledger::OUTPUT;

#[tokio::test]
async fn both_connections_cut_inside_a_blocking_read_cost_nothing() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    bench.client_in("xread").await;
    bench.proxy.cut_all();
    recoveries(&consumer, 1).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn the_reading_connection_alone_is_killed() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let reader = bench.client_in("xread").await;
    bench.kill_client(reader).await;
    recoveries(&consumer, 1).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn the_committing_connection_alone_is_killed_while_idle() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let committer = bench.client_in("evalsha").await;
    bench.kill_client(committer).await;
    recoveries(&consumer, 1).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn the_committing_connection_alone_is_killed_while_busy() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    let hold = bench.proxy.hold_replies_after_request(OUTPUT.as_bytes());
    bench.add(0..600).await;
    hold.wait_until_held().await;
    let committer = bench.client_in("evalsha").await;
    bench.kill_client(committer).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_not_made_twice() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    let hold = bench.proxy.hold_replies_after_request(OUTPUT.as_bytes());
    bench.add([1]).await;
    hold.wait_until_held().await;
    bench.processed(1).await;
    assert_eq!(consumer.stats().processed, 0, "the reply is held: the consumer cannot know");
    bench.add(2..30).await;
    bench.proxy.cut_all();
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
}

#[tokio::test]
async fn replies_cut_after_any_number_of_bytes_cost_nothing() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    for (round, bytes) in [1, 3, 4, 6, 41, 200].into_iter().enumerate() {
        active(&consumer).await;
        let before = consumer.stats().recoveries;
        let hold = bench.proxy.hold_replies_after_request(OUTPUT.as_bytes());
        let first = 300 * round as i64;
        bench.add(first..first + 300).await;
        hold.wait_until_held().await;
        bench.proxy.set(Fault::CutReplyAfter(bytes));
        hold.release();
        recoveries(&consumer, before + 1).await;
        bench.check().await;
        bench.proxy.set(Fault::Pass);
        bench.settled_exactly().await;
    }
}

#[tokio::test]
async fn replies_that_are_dropped_for_a_while_cost_nothing() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.proxy.set(Fault::DropReplies);
    bench.add(0..100).await;
    recoveries(&consumer, 1).await;
    bench.check().await;
    bench.add(100..200).await;
    bench.proxy.set(Fault::Pass);
    bench.settled_exactly().await;
}

#[tokio::test]
async fn commits_that_arrive_after_a_black_hole_are_fenced_or_counted_once() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(0..100).await;
    hold.wait_until_held().await;
    bench.proxy.set(Fault::BlackHole);
    hold.release();
    // The session gives up, and so does every attempt to attach.
    let accepted = bench.proxy.accepted();
    recoveries(&consumer, 1).await;
    eventually("attaches are tried in vain", async || bench.proxy.accepted() >= accepted + 2).await;
    bench.add(100..200).await;
    bench.proxy.set(Fault::Pass);
    bench.settled_exactly().await;
}

#[tokio::test]
async fn new_connections_that_are_reset_for_a_while_are_tried_again() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..50).await;
    bench.proxy.set(Fault::Reset);
    let accepted = bench.proxy.accepted();
    eventually("attaches are tried in vain", async || bench.proxy.accepted() >= accepted + 3).await;
    assert!(matches!(*consumer.status().borrow(), Status::Recovering { .. }));
    bench.add(50..100).await;
    bench.proxy.set(Fault::Pass);
    bench.settled_exactly().await;
}

#[tokio::test]
async fn an_idle_consumer_outlives_the_clients_own_time_out() {
    let mut bench = Bench::start().await;
    let lease = std::time::Duration::from_secs(3);
    let consumer = bench.consumer().lease(lease).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    // The client gives a reply up after 500 ms unless told otherwise, and two renewals are two seconds apart.
    bench.renewals(3).await;
    assert_eq!(*consumer.status().borrow(), Status::Active);
    assert_eq!(consumer.stats().recoveries, 0);
    bench.add(10..20).await;
    bench.settled_exactly().await;
    assert_eq!(consumer.stats().recoveries, 0);
}
