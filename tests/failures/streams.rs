//! Streams that are deleted and made anew, and keys that hold something else.

use atomic_streams::{ErrorKind, StreamReplaced};
use redis::AsyncCommands;
use support::eventually;

use crate::bench::{Bench, LONG_LEASE, active, consumer, ended, recoveries};
use crate::ledger::{Books, Ledger, OUTPUT, RECORD, STREAM};

#[tokio::test]
async fn a_stream_deleted_and_made_anew_is_gone_on_with() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled_exactly().await;
    let () = bench.redis.del(STREAM).await.unwrap();
    bench.renewals(2).await;
    bench.add(20..40).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..40).collect::<Vec<_>>());

    // This time without a renewal between.
    let () =
        redis::pipe().atomic().del(STREAM).xadd(STREAM, "*", &[("n", 40)]).query_async(&mut bench.redis).await.unwrap();
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..41).collect::<Vec<_>>());
    active(&consumer).await;
}

/// Replaces the stream by one with lower IDs, in one instant.
async fn replace(bench: &mut Bench, numbers: std::ops::Range<i64>) {
    let mut pipe = redis::pipe();
    pipe.atomic().del(STREAM).ignore();
    for n in numbers {
        pipe.xadd(STREAM, format!("1-{n}"), &[("n", n)]).ignore();
    }
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
}

#[tokio::test]
async fn a_stream_replaced_by_one_with_lower_ids_ends_the_consumer_and_refuses_the_next() {
    let mut bench = Bench::start().await;
    let consumer = bench.spawn().await;
    bench.add(0..20).await;
    bench.settled().await;
    replace(&mut bench, 20..30).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::StreamReplaced);
    assert!(error.to_string().contains("on_stream_replaced"), "{error}");
    // The next one need not wait for the lease of the first.
    let next = bench.consumer().lease(LONG_LEASE).spawn().await.unwrap_err();
    assert_eq!(next.kind(), ErrorKind::StreamReplaced);
    bench.books().await.assert_are_of(&(0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replaced_stream_is_read_from_its_beginning_where_that_is_chosen() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().on_stream_replaced(StreamReplaced::ReadAgain).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    replace(&mut bench, 20..30).await;
    recoveries(&consumer, 1).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..30).collect::<Vec<_>>());
    bench.add(30..40).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..40).collect::<Vec<_>>());
    assert_eq!(lag(&mut bench).await, Some(0));
    assert_eq!(consumer.stats().vanished, 0);
}

#[tokio::test]
async fn a_replaced_stream_is_skipped_where_that_is_chosen() {
    let mut bench = Bench::start().await;
    let consumer = bench.consumer().on_stream_replaced(StreamReplaced::Skip).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    replace(&mut bench, 20..30).await;
    recoveries(&consumer, 1).await;
    active(&consumer).await;
    bench.add(30..40).await;
    bench.settled().await;
    bench.books().await.assert_are_of(&(0..20).chain(30..40).collect::<Vec<_>>());
    bench.renewals(1).await;
    assert_eq!(lag(&mut bench).await, Some(0));
    assert_eq!(consumer.stats().vanished, 0);
}

async fn lag(bench: &mut Bench) -> Option<i64> {
    let groups: redis::streams::StreamInfoGroupsReply = bench.redis.xinfo_groups(STREAM).await.unwrap();
    groups.groups[0].lag.map(|lag| lag as i64)
}

#[tokio::test]
async fn a_stream_or_a_record_of_another_type_refuses_the_start_and_names_the_key() {
    for key in [STREAM, RECORD] {
        let mut bench = Bench::start().await;
        let () = bench.redis.set(key, "a string").await.unwrap();
        let error = bench.consumer().spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        let keys: Vec<String> = bench.redis.keys("*").await.unwrap();
        assert_eq!(keys, [key], "something was written");
    }
}

#[tokio::test]
async fn a_stream_or_a_record_that_becomes_another_type_ends_the_consumer() {
    for key in [STREAM, RECORD] {
        let mut bench = Bench::start().await;
        let consumer = bench.spawn().await;
        bench.add(0..20).await;
        bench.settled().await;
        let () = bench.redis.set(key, "a string").await.unwrap();
        let error = ended(&consumer).await;
        assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
    }
}

#[tokio::test]
async fn an_output_of_another_type_ends_the_consumer_with_nothing_of_the_message_visible() {
    let mut bench = Bench::start().await;
    let () = bench.redis.set("copies", "a string").await.unwrap();
    let consumer = bench.consumer().handler(Ledger::default().and_to("copies")).spawn().await.unwrap();
    bench.add(0..20).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("`copies`"), "{error}");
    bench.books().await.assert_are_of(&[]);
    assert!(!bench.redis.exists::<_, bool>(OUTPUT).await.unwrap());
    // Who starts next need not wait for the lease of one that has given up.
    assert_eq!(bench.redis.hget::<_, _, String>(RECORD, "@lease").await.unwrap(), "0");
}

#[tokio::test]
async fn an_output_that_becomes_another_type_ends_the_consumer_and_what_came_before_it_is_undone() {
    let mut bench = Bench::start().await;
    let handler = Ledger::default().and_to("copies");
    let consumer = bench.consumer().handler(handler.clone()).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled().await;
    let () = bench.redis.set("copies", "a string").await.unwrap();
    bench.add(20..40).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("`copies`"), "{error}");
    bench.books().await.assert_are_of(&(0..20).collect::<Vec<_>>());

    let () = bench.redis.del("copies").await.unwrap();
    let _consumer = bench.consumer().handler(handler).spawn().await.unwrap();
    bench.settled_exactly().await;
}

#[tokio::test]
async fn subscriptions_on_streams_of_one_tag_with_one_group_are_independent() {
    let mut bench = Bench::start().await;
    let streams = ["{app}:a", "{app}:b"];
    let outputs = ["sums-of-a", "sums-of-b"];
    let mut consumers = Vec::new();
    for (stream, output) in std::iter::zip(streams, outputs) {
        let handler = Ledger::default().only_to(output);
        let consumer = atomic_streams::Consumer::builder(stream, "both").redis_url(bench.proxy.url());
        consumers.push(consumer.lease(LONG_LEASE).handler(handler).spawn().await.unwrap());
    }
    let mut pipe = redis::pipe();
    for n in 0..100 {
        pipe.xadd(streams[n % 2], "*", &[("n", n)]).ignore();
    }
    let () = pipe.query_async(&mut bench.redis).await.unwrap();
    for (consumer, (stream, output)) in consumers.iter().zip(std::iter::zip(streams, outputs)) {
        let record = format!("atomic-streams:{stream}:both");
        crate::bench::settled(&mut bench.redis, stream, &record).await;
        let books = Books::read(&mut bench.redis, stream, &record, output).await;
        assert_eq!(books.processed, 50);
        books.assert_are_of(&books.handled);
        eventually("it has seen its replies", async || consumer.stats().processed == 50).await;
        assert_eq!(consumer.stats().recoveries, 0);
    }
    // One consumer's record does not stand in the other's way either.
    assert!(consumer(bench.server.url()).spawn().await.is_ok());
}
