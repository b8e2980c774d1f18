//! Messages that are committed in groups, under the faults that commits of one message outlast.

use std::time::Duration;

use atomic_streams::{ConsumerBuilder, ErrorKind, Status};
use redis::AsyncCommands;
use support::{Fault, Proxy, Snapshot, eventually};

use crate::bench::{Bench, LONG_LEASE, active, consumer, ended, recoveries, standing_by};
use crate::ledger::{Ledger, OUTPUT, RECORD, STREAM};

fn in_groups(builder: ConsumerBuilder<Ledger>) -> ConsumerBuilder<Ledger> {
    builder.coalesce(256, Duration::from_millis(20))
}

/// How many script calls the server has had.
async fn calls(bench: &mut Bench) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut bench.redis).await.unwrap();
    let calls = info.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn a_publish_that_is_refused_for_now_blocks_its_own_message_and_none_before_it() {
    let mut bench = Bench::start().await;
    // No ID is left in it.
    let full = "18446744073709551615-18446744073709551615";
    let () = bench.redis.xadd("full", full, &[("f", "v")]).await.unwrap();
    bench.add(0..600).await;
    let handler = Ledger::default().also(177, "full");
    let consumer = in_groups(bench.consumer().lease(LONG_LEASE)).handler(handler).spawn().await.unwrap();
    let culprit: redis::streams::StreamRangeReply = bench.redis.xrange_count(STREAM, "-", "+", 178).await.unwrap();
    let culprit = culprit.ids[177].id.parse().unwrap();
    let status = consumer.status();
    eventually("the culprit blocks", async || {
        matches!(&*status.borrow(), Status::Retrying { entry, error, .. } if *entry == culprit && error.contains("full"))
    })
    .await;
    bench.processed(177).await;
    bench.check().await;
    assert_eq!(bench.books().await.processed, 177);
    // Its group was given up once, and from then on the message alone is refused.
    eventually("the group is past", async || {
        let stats = consumer.stats();
        stats.failed >= 3 && stats.recoveries <= stats.failed + 1
    })
    .await;

    let () = bench.redis.del("full").await.unwrap();
    bench.settled_exactly().await;
    assert_eq!(bench.redis.xlen::<_, u64>("full").await.unwrap(), 1);
    active(&consumer).await;

    // Behind the group that was refused, messages are folded again.
    let before = calls(&mut bench).await;
    bench.add(600..1_600).await;
    bench.settled_exactly().await;
    let calls = calls(&mut bench).await - before;
    assert!(calls < 200, "{calls} calls for 1,000 messages");
}

#[tokio::test]
async fn a_publish_that_is_refused_for_good_ends_the_consumer_when_all_before_it_are_committed() {
    for denied in [false, true] {
        let mut bench = Bench::start().await;
        let mut url = bench.proxy.url();
        if denied {
            bench.run("ACL SETUSER worker on >secret ~numbers ~running-sums ~atomic-streams:* +@all").await;
            url = format!("redis://worker:secret@{}/", bench.proxy.addr());
        } else {
            let () = bench.redis.set("elsewhere", "no stream").await.unwrap();
        }
        bench.add(0..600).await;
        let handler = Ledger::default().also(300, "elsewhere");
        let consumer = in_groups(consumer(&url).lease(LONG_LEASE)).handler(handler).spawn().await.unwrap();
        let error = ended(&consumer).await;
        assert_eq!(error.kind(), if denied { ErrorKind::Denied } else { ErrorKind::WrongType });
        assert!(error.to_string().contains("`elsewhere`"), "{error}");
        bench.check().await;
        assert_eq!(bench.books().await.processed, 300);
        assert!(consumer.stats().recoveries <= 1, "the group was given up more than once");
        // Its lease is given back.
        assert_eq!(bench.redis.hget::<_, _, String>(RECORD, "@lease").await.unwrap(), "0");
    }
}

#[tokio::test]
async fn groups_whose_replies_are_lost_are_not_made_twice() {
    let mut bench = Bench::start().await;
    let consumer = in_groups(bench.consumer()).spawn().await.unwrap();
    for round in 0..5 {
        active(&consumer).await;
        let before = consumer.stats().recoveries;
        let hold = bench.proxy.hold_replies_after_request(OUTPUT.as_bytes());
        let first = 300 * round;
        bench.add(first..first + 300).await;
        hold.wait_until_held().await;
        bench.processed(first as u64 + 1).await;
        bench.proxy.cut_all();
        hold.release();
        recoveries(&consumer, before + 1).await;
        bench.check().await;
        bench.settled_exactly().await;
    }
}

#[tokio::test]
async fn replies_that_are_dropped_for_a_while_cost_nothing() {
    let mut bench = Bench::start().await;
    let consumer = in_groups(bench.consumer()).spawn().await.unwrap();
    bench.proxy.set(Fault::DropReplies);
    bench.add(0..600).await;
    recoveries(&consumer, 1).await;
    bench.check().await;
    bench.proxy.set(Fault::Pass);
    bench.settled_exactly().await;
}

#[tokio::test]
async fn rollbacks_under_load_leave_state_and_outputs_together() {
    for cut in [false, true] {
        let mut bench = Bench::start().await;
        let consumer = in_groups(bench.consumer()).spawn().await.unwrap();
        for round in 0..4 {
            let (first, before) = (1_000 * round, consumer.stats().recoveries);
            bench.settled().await;
            let snapshot = Snapshot::take(&mut bench.redis).await;
            let handled = bench.books().await.processed;
            bench.add(first..first + 700).await;
            bench.processed(handled + 1).await;
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

#[tokio::test]
async fn a_group_that_was_read_before_a_rollback_is_not_committed_after_it() {
    let mut bench = Bench::start().await;
    let consumer = in_groups(bench.consumer().lease(LONG_LEASE)).spawn().await.unwrap();
    bench.add_as("1-1", 1).await;
    bench.settled().await;
    let snapshot = Snapshot::take(&mut bench.redis).await;
    let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    let mut read = redis::pipe();
    read.atomic();
    for n in 2..30 {
        read.xadd(STREAM, format!("5-{n}"), &[("n", n)]).ignore();
    }
    let () = read.query_async(&mut bench.redis).await.unwrap();
    hold.wait_until_held().await;
    snapshot.restore(&mut bench.redis).await;
    bench.add_as("5-1", 30).await;
    let () = read.query_async(&mut bench.redis).await.unwrap();
    hold.release();
    recoveries(&consumer, 1).await;
    bench.settled().await;
    let numbers: Vec<i64> = [1, 30].into_iter().chain(2..30).collect();
    bench.books().await.assert_are_of(&numbers);
}

#[tokio::test]
async fn a_group_that_is_held_while_another_takes_over_is_fenced() {
    let mut bench = Bench::start().await;
    let first = in_groups(bench.consumer()).handler(Ledger::default().by("first")).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled_exactly().await;
    let late = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
    bench.add(20..300).await;
    late.wait_until_held().await;
    bench.proxy.set(Fault::BlackHole);

    let other_proxy = Proxy::start(bench.server.addr()).await;
    let handler = Ledger::default().by("second");
    let second = in_groups(consumer(&other_proxy.url()).lease(LONG_LEASE)).handler(handler).spawn().await.unwrap();
    active(&second).await;
    bench.settled_exactly().await;

    late.release();
    bench.proxy.set(Fault::Pass);
    standing_by(&first).await;
    bench.add(300..400).await;
    bench.settled_exactly().await;
    assert!(bench.books().await.by[20..].iter().all(|by| by == "second"));
}

#[tokio::test]
async fn a_server_that_refuses_writes_for_a_while_is_outlasted() {
    let mut bench = Bench::start().await;
    let consumer = in_groups(bench.consumer().lease(LONG_LEASE)).spawn().await.unwrap();
    for round in 0..3 {
        let before = consumer.stats().recoveries;
        let hold = bench.proxy.hold_requests_containing(OUTPUT.as_bytes());
        bench.add(1_000 * round..1_000 * (round + 1)).await;
        hold.wait_until_held().await;
        bench.run("CONFIG SET min-replicas-to-write 1").await;
        hold.release();
        recoveries(&consumer, before + 1).await;
        bench.check().await;
        bench.run("CONFIG SET min-replicas-to-write 0").await;
        bench.settled_exactly().await;
    }
}
