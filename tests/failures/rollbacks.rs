//! A server that comes back without its newest writes, with connections kept or cut.

use atomic_streams::ConsumerHandle;
use redis::AsyncCommands;
use support::{Hold, Snapshot};

use crate::bench::{Bench, LONG_LEASE, recoveries};
use crate::ledger::{OUTPUT, STREAM};

#[tokio::test]
async fn an_idle_consumer_finds_a_rollback_at_its_next_renewal() {
    for cut in [false, true] {
        let mut bench = Bench::start().await;
        let consumer = bench.spawn().await;
        bench.add(0..20).await;
        bench.settled().await;
        let snapshot = Snapshot::take(&mut bench.redis).await;
        bench.add(20..40).await;
        bench.settled_exactly().await;
        snapshot.restore(&mut bench.redis).await;
        if cut {
            bench.proxy.cut_all();
        }
        recoveries(&consumer, 1).await;
        bench.add(40..60).await;
        bench.settled().await;
        bench.books().await.assert_are_of(&(0..20).chain(40..60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_lost_commit_whose_entry_survives_is_made_again_without_another_entry() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..30).await;
    hold.wait_until_held().await;
    let snapshot = Snapshot::take(&mut bench.redis).await;
    hold.release();
    bench.settled_exactly().await;
    // Behind the last entry the reader waits for ever: only a renewal can tell.
    snapshot.restore(&mut bench.redis).await;
    recoveries(&consumer, 1).await;
    bench.settled_exactly().await;
    assert_eq!(bench.books().await.processed, 30);
}

#[tokio::test]
async fn rollbacks_under_load_leave_state_and_outputs_together() {
    for cut in [false, true] {
        let mut bench = Bench::start().await;
        let consumer = bench.spawn().await;
        for round in 0..4 {
            let (first, before) = (1_000 * round, consumer.stats().recoveries);
            bench.settled().await;
            let snapshot = Snapshot::take(&mut bench.redis).await;
            let handled = bench.books().await.processed;
            bench.add(first..first + 700).await;
            bench.processed(handled + 1).await;
            // In one breath with more entries: the reader gets them before anything tells it of the rollback.
            snapshot.restore(&mut bench.redis).await;
            bench.add(first + 700..first + 1_000).await;
            if cut {
                bench.proxy.cut_all();
            }
            recoveries(&consumer, before + 1).await;
            bench.settled_exactly().await;
        }
    }
}

/// A consumer that has read an entry and not committed it: its commit is held on its way.
async fn commit_held(bench: &mut Bench, id: &str, n: i64) -> (ConsumerHandle, Hold, Snapshot) {
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    bench.add_as("1-1", 1).await;
    bench.settled().await;
    let snapshot = Snapshot::take(&mut bench.redis).await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add_as(id, n).await;
    hold.wait_until_held().await;
    (consumer, hold, snapshot)
}

#[tokio::test]
async fn an_entry_read_before_a_rollback_is_not_committed_after_it() {
    let mut bench = Bench::start().await;
    let (consumer, hold, snapshot) = commit_held(&mut bench, "5-5", 2).await;
    snapshot.restore(&mut bench.redis).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.check().await;
    bench.add_as("5-4", 3).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&[1, 3]);
}

#[tokio::test]
async fn an_entry_whose_id_was_given_to_another_is_not_committed() {
    let mut bench = Bench::start().await;
    let (consumer, hold, snapshot) = commit_held(&mut bench, "5-5", 2).await;
    snapshot.restore(&mut bench.redis).await;
    bench.add_as("5-5", 3).await;
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&[1, 3]);
}

#[tokio::test]
async fn entries_that_came_back_behind_another_are_not_committed_before_it() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    bench.add_as("1-1", 1).await;
    bench.settled().await;
    let snapshot = Snapshot::take(&mut bench.redis).await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    let mut both = redis::pipe();
    both.atomic().xadd(STREAM, "5-5", &[("n", 2)]).ignore().xadd(STREAM, "5-6", &[("n", 3)]).ignore();
    let () = both.query_async(&mut bench.redis).await.unwrap();
    hold.wait_until_held().await;
    snapshot.restore(&mut bench.redis).await;
    bench.add_as("5-4", 4).await;
    let () = both.query_async(&mut bench.redis).await.unwrap();
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&[1, 4, 2, 3]);
}

#[tokio::test]
async fn a_rollback_of_a_trim_brings_unread_entries_back_and_they_are_handled() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap();
    bench.add(0..10).await;
    bench.settled().await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    // What the server has again later: all of them.
    let mut whole = redis::pipe();
    whole.atomic();
    for n in 1..=20 {
        whole.xadd(STREAM, format!("99999999999999-{n}"), &[("n", 9 + n)]).ignore();
    }
    let before = Snapshot::take(&mut bench.redis).await;
    let mut trimmed = whole.clone();
    trimmed.cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg("=").arg(5).ignore();
    let () = trimmed.query_async(&mut bench.redis).await.unwrap();
    hold.wait_until_held().await;
    before.restore(&mut bench.redis).await;
    let () = whole.query_async(&mut bench.redis).await.unwrap();
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_late_commit_is_refused_though_another_owner_has_reached_the_same_epoch_and_sequence() {
    let mut bench = Bench::start().await;
    bench.add_as("1-1", 1).await;
    let beginning = Snapshot::take(&mut bench.redis).await;
    let handler = crate::ledger::Ledger::default;
    let first = bench.consumer().lease(LONG_LEASE).handler(handler().by("first"));
    let late = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    let first = first.spawn().await.unwrap();
    late.wait_until_held().await;
    let mut head = head(&mut bench).await;

    // The attach is lost, and another makes the same one.
    beginning.restore(&mut bench.redis).await;
    let other_proxy = support::Proxy::start(bench.server.addr()).await;
    let second = crate::bench::consumer(&other_proxy.url()).lease(LONG_LEASE).handler(handler().by("second"));
    let held = other_proxy.hold_requests_containing(OUTPUT.as_bytes());
    let second = second.spawn().await.unwrap();
    held.wait_until_held().await;
    let other = self::head(&mut bench).await;
    assert_ne!(head.remove(0), other[0], "the tokens are the same");
    assert_eq!(head, other[1..], "the other owner is at another epoch or sequence");

    late.release();
    recoveries(&first, 1).await;
    crate::bench::standing_by(&first).await;
    bench.books().await.assert_are_of(&[]);
    held.release();
    bench.settled_exactly().await;
    assert_eq!(bench.books().await.by, ["second"]);
    assert_eq!((first.stats().processed, second.stats().recoveries), (0, 0));
}

/// The parts of the head: token, epoch, sequence.
async fn head(bench: &mut Bench) -> Vec<String> {
    let (head, epoch): (String, String) = bench.redis.hmget(crate::ledger::RECORD, &["@head", "@epoch"]).await.unwrap();
    let (token, sequence) = head.rsplit_once(':').unwrap();
    vec![token.to_owned(), epoch, sequence.to_owned()]
}
