//! The Redis group that mirrors the position, in the hands of others.

use atomic_streams::ErrorKind;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoGroup, StreamInfoGroupsReply};
use support::eventually;

use crate::bench::{Bench, Log, active};
use crate::ledger::{GROUP, RECORD, STREAM};

async fn group(redis: &mut MultiplexedConnection) -> Option<StreamInfoGroup> {
    let groups: StreamInfoGroupsReply = redis.xinfo_groups(STREAM).await.unwrap();
    groups.groups.into_iter().find(|group| group.name == GROUP)
}

/// Waits until the group shows the record's position and no lag.
async fn mirrored(bench: &mut Bench) {
    let redis = bench.redis.clone();
    eventually("the group shows the position", async || {
        let mut redis = redis.clone();
        let position: String = redis.hget(RECORD, "@position").await.unwrap();
        let group = group(&mut redis).await;
        group.is_some_and(|group| group.last_delivered_id == position && group.lag == Some(0))
    })
    .await;
}

#[tokio::test]
async fn a_group_destroyed_while_idle_is_made_anew_at_the_position() {
    let log = Log::start();
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    mirrored(&mut bench).await;
    bench.run(&format!("XGROUP DESTROY {STREAM} {GROUP}")).await;
    mirrored(&mut bench).await;
    log.shows(&["its cursor was put back"]).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    mirrored(&mut bench).await;
    assert_eq!(consumer.stats().recoveries, 0);
}

#[tokio::test]
async fn a_group_destroyed_under_load_is_made_anew_and_still_bears_the_mark() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    for round in 0..5 {
        let first = 200 * round;
        bench.add(first..first + 200).await;
        bench.processed(first as u64 + 1).await;
        bench.run(&format!("XGROUP DESTROY {STREAM} {GROUP}")).await;
        bench.settled_exactly().await;
    }
    mirrored(&mut bench).await;
    consumer.shutdown().await.unwrap();
    // Without the mark, this would look like a group of another program.
    let () = bench.redis.del(RECORD).await.unwrap();
    assert_eq!(bench.consumer().spawn().await.unwrap_err().kind(), ErrorKind::RecordLost);
}

#[tokio::test]
async fn a_group_that_somebody_moves_is_put_back() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    for id in ["0", "1-1", "$"] {
        bench.run(&format!("XGROUP SETID {STREAM} {GROUP} {id}")).await;
        mirrored(&mut bench).await;
    }
    bench.run(&format!("XGROUP SETID {STREAM} {GROUP} 0")).await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    mirrored(&mut bench).await;
    active(&consumer).await;
}

#[tokio::test]
async fn a_stranger_who_reads_by_the_group_takes_nothing_away() {
    let mut bench = Bench::start().await;
    let _consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    let mut pipe = redis::pipe();
    for n in 20..40 {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    pipe.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg("stranger").arg("COUNT").arg(5);
    pipe.arg("STREAMS").arg(STREAM).arg(">").ignore();
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
    bench.settled_exactly().await;
    mirrored(&mut bench).await;
}

#[tokio::test]
async fn a_group_of_another_program_is_refused_and_can_be_adopted_at_its_cursor() {
    let mut bench = Bench::start().await;
    bench.add(0..10).await;
    bench.run(&format!("XGROUP CREATE {STREAM} {GROUP} $")).await;
    bench.add(10..30).await;
    let before = group(&mut bench.redis).await.unwrap();
    let error = bench.consumer().spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupInUse);
    assert!(error.to_string().contains("adopt_group"), "{error}");
    let after = group(&mut bench.redis).await.unwrap();
    assert_eq!((after.last_delivered_id, after.consumers), (before.last_delivered_id, 0), "the group was touched");

    let consumer = bench.consumer().adopt_group().spawn().await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of(&(10..30).collect::<Vec<_>>());
    mirrored(&mut bench).await;
    assert_eq!(consumer.stats().vanished, 0);
}

#[tokio::test]
async fn a_group_with_pending_entries_is_not_adopted_until_they_are_acknowledged() {
    let mut bench = Bench::start().await;
    bench.add(0..10).await;
    bench.run(&format!("XGROUP CREATE {STREAM} {GROUP} 0")).await;
    bench.run(&format!("XREADGROUP GROUP {GROUP} stranger COUNT 3 STREAMS {STREAM} >")).await;
    let error = bench.consumer().adopt_group().spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupInUse);
    assert!(error.to_string().contains("3 of its entries are pending"), "{error}");

    let pending: redis::streams::StreamPendingCountReply =
        bench.redis.xpending_count(STREAM, GROUP, "-", "+", 10).await.unwrap();
    let ids: Vec<_> = pending.ids.into_iter().map(|entry| entry.id).collect();
    let () = bench.redis.xack(STREAM, GROUP, &ids).await.unwrap();
    let _consumer = bench.consumer().adopt_group().spawn().await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of(&(3..10).collect::<Vec<_>>());
    mirrored(&mut bench).await;
}
