//! Two processes for one subscription.

use std::time::Duration;

use atomic_streams::Status;
use support::{Fault, Proxy, eventually};

use crate::bench::{Bench, LONG_LEASE, active, consumer, standing_by};
use crate::ledger::{Ledger, OUTPUT};

#[tokio::test]
async fn a_release_wakes_the_standby_long_before_the_lease_would_end() {
    let mut bench = Bench::start().await;
    let lease = Duration::from_secs(60);
    let owner = bench.consumer().lease(lease).handler(Ledger::default().by("owner")).spawn().await.unwrap();
    let standby = bench.consumer().lease(lease).handler(Ledger::default().by("standby")).spawn().await.unwrap();
    standing_by(&standby).await;
    bench.add(0..20).await;
    bench.settled_exactly().await;
    let report = owner.shutdown().await.unwrap();
    assert!(report.released);
    assert_eq!(report.processed, 20);
    active(&standby).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    let by = bench.books().await.by;
    assert!(by[..20].iter().all(|by| by == "owner") && by[20..].iter().all(|by| by == "standby"), "{by:?}");
}

#[tokio::test]
async fn an_owner_cut_off_for_longer_than_its_lease_is_fenced_and_stands_by() {
    let mut bench = Bench::start().await;
    let first = bench.consumer().handler(Ledger::default().by("first")).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled_exactly().await;
    let late = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..40).await;
    late.wait_until_held().await;
    bench.proxy.set(Fault::BlackHole);

    let other_proxy = Proxy::start(bench.server.addr()).await;
    let handler = Ledger::default().by("second");
    let second = consumer(&other_proxy.url()).lease(LONG_LEASE).handler(handler).spawn().await.unwrap();
    active(&second).await;
    bench.settled_exactly().await;

    late.release();
    bench.proxy.set(Fault::Pass);
    standing_by(&first).await;
    bench.add(40..60).await;
    bench.settled_exactly().await;
    assert!(bench.books().await.by[20..].iter().all(|by| by == "second"));
}

#[tokio::test]
async fn ownership_that_goes_back_and_forth_costs_nothing() {
    let mut bench = Bench::start().await;
    let mut owner = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    for round in 0..10 {
        let next = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
        let first = 100 * round;
        bench.add(first..first + 100).await;
        bench.processed(first as u64 + 1).await;
        owner.shutdown().await.unwrap();
        owner = next;
    }
    bench.settled_exactly().await;
    assert_eq!(owner.stats().recoveries, 0);
}

#[tokio::test]
async fn a_standby_outlives_the_loss_of_its_connections() {
    let mut bench = Bench::start().await;
    let lease = Duration::from_secs(10);
    let owner = consumer(bench.server.url()).lease(lease).spawn().await.unwrap();
    let standby = bench.consumer().lease(lease).spawn().await.unwrap();
    standing_by(&standby).await;
    for _ in 0..3 {
        let accepted = bench.proxy.accepted();
        bench.proxy.cut_all();
        eventually("it connects again", async || bench.proxy.accepted() > accepted).await;
    }
    standing_by(&standby).await;
    bench.add(0..20).await;
    bench.settled_exactly().await;
    assert_eq!(*owner.status().borrow(), Status::Active);
    owner.shutdown().await.unwrap();
    active(&standby).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
}
