//! The Redis group that mirrors the position, in the hands of others.

use atomic_streams::admin::{Admin, Position};
use atomic_streams::{ErrorKind, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoGroup, StreamInfoGroupsReply};
use support::eventually;

use crate::bench::{Bench, Log, active, recoveries};
use crate::ledger::{GROUP, OUTPUT, RECORD, STREAM};

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
    let oldest: redis::streams::StreamRangeReply = bench.redis.xrange_count(STREAM, "-", "+", 1).await.unwrap();
    let words = format!("3 of its entries are pending, the oldest of them {}", oldest.ids[0].id);
    assert!(error.to_string().contains(&words), "{error}");

    let pending: redis::streams::StreamPendingCountReply =
        bench.redis.xpending_count(STREAM, GROUP, "-", "+", 10).await.unwrap();
    let ids: Vec<_> = pending.ids.into_iter().map(|entry| entry.id).collect();
    let () = bench.redis.xack(STREAM, GROUP, &ids).await.unwrap();
    let _consumer = bench.consumer().adopt_group().spawn().await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of(&(3..10).collect::<Vec<_>>());
    mirrored(&mut bench).await;
}

/// A stranger takes the first `taken` of the entries that are there and acknowledges all but these.
async fn left_pending(bench: &mut Bench, taken: usize, pending: &[usize]) -> Vec<String> {
    bench.run(&format!("XGROUP CREATE {STREAM} {GROUP} 0")).await;
    bench.run(&format!("XREADGROUP GROUP {GROUP} stranger COUNT {taken} STREAMS {STREAM} >")).await;
    let entries: redis::streams::StreamRangeReply = bench.redis.xrange_count(STREAM, "-", "+", taken).await.unwrap();
    let ids: Vec<String> = entries.ids.into_iter().map(|entry| entry.id).collect();
    let done: Vec<_> = ids.iter().enumerate().filter(|(n, _)| !pending.contains(n)).map(|(_, id)| id).collect();
    let () = bench.redis.xack(STREAM, GROUP, &done).await.unwrap();
    ids
}

#[tokio::test]
async fn pending_entries_are_handled_first_and_what_was_acknowledged_is_not() {
    let mut bench = Bench::start().await;
    bench.add(0..1_500).await;
    let ids = left_pending(&mut bench, 1_200, &[3, 7, 8, 1_150]).await;
    // It makes no difference that one of them is gone, or what lies between them.
    let () = bench.redis.xdel(STREAM, &[&ids[7], &ids[900]]).await.unwrap();
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    let consumer = bench.consumer().adopt_group_with_pending().spawn().await.unwrap();
    hold.wait_until_held().await;
    let left = group(&mut bench.redis).await.unwrap();
    assert_eq!(left.pending, 0, "the record has them");
    // Another attach in the middle of it.
    bench.proxy.cut_all();
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    let handled: Vec<_> = [3, 8, 1_150].into_iter().chain(1_200..1_500).collect();
    bench.books().await.assert_are_of_and_passed_over(&handled, 1_192);
    mirrored(&mut bench).await;
    assert_eq!(consumer.stats().vanished, 0);
    consumer.shutdown().await.unwrap();

    // From here on it is as any other.
    bench.add(1_500..1_510).await;
    let _consumer = bench.consumer().spawn().await.unwrap();
    bench.settled().await;
    let handled: Vec<_> = [3, 8, 1_150].into_iter().chain(1_200..1_510).collect();
    bench.books().await.assert_are_of_and_passed_over(&handled, 1_192);
    let fields: Vec<String> = bench.redis.hkeys(RECORD).await.unwrap();
    assert!(!fields.iter().any(|field| field == "@adopted" || field == "@pending"), "{fields:?}");
}

#[tokio::test]
async fn what_was_adopted_survives_an_owner_and_not_a_seek() {
    let mut bench = Bench::start().await;
    bench.add(0..3).await;
    let () = bench.redis.xadd(STREAM, "*", &[("n", "none")]).await.unwrap();
    bench.add(4..10).await;
    let ids = left_pending(&mut bench, 8, &[1, 3, 6]).await;
    let consumer = bench.consumer().adopt_group_with_pending().spawn().await.unwrap();
    let status = consumer.status();
    let stuck = |status: &Status| matches!(status, Status::Retrying { entry, .. } if entry.to_string() == ids[3]);
    eventually("it blocks at the third pending one", async || stuck(&status.borrow())).await;
    bench.books().await.assert_are_of_and_passed_over(&[1], 1);
    consumer.shutdown().await.unwrap();

    // The next owner needs no permission, and knows what was done.
    let consumer = bench.consumer().spawn().await.unwrap();
    let status = consumer.status();
    eventually("it blocks there too", async || stuck(&status.borrow())).await;
    let () = bench.redis.xdel(STREAM, &[&ids[3]]).await.unwrap();
    consumer.shutdown().await.unwrap();
    let admin = Admin::new(bench.server.url()).unwrap();
    admin.keep(STREAM, GROUP, "adopted").await.unwrap();
    let consumer = bench.consumer().spawn().await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of_and_passed_over(&[1, 6, 8, 9], 4);
    consumer.shutdown().await.unwrap();

    // A copy has what was left then; a seek means everything.
    admin.put_back(STREAM, GROUP, "adopted").await.unwrap();
    admin.reset(STREAM, GROUP, Some(Position::Beginning)).await.unwrap();
    let () = bench.redis.del(OUTPUT).await.unwrap();
    let _consumer = bench.consumer().spawn().await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of(&[0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn pending_entries_are_taken_over_only_by_a_user_who_may_acknowledge() {
    let mut bench = Bench::start().await;
    bench.add(0..4).await;
    left_pending(&mut bench, 3, &[1]).await;
    for right in ["xpending", "xack", "xrevrange"] {
        bench.run(&format!("ACL SETUSER mover reset on >secret ~* &* +@all -{right}")).await;
        let url = format!("redis://mover:secret@{}/", bench.server.addr());
        let error = crate::bench::consumer(&url).adopt_group_with_pending().spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(&right.to_uppercase()), "{error}");
    }
    let left = group(&mut bench.redis).await.unwrap();
    assert_eq!((left.pending, left.consumers), (1, 1), "the group was touched");
}
