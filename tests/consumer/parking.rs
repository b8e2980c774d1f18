//! Keys whose entries follow a dead letter.

use std::collections::BTreeMap;

use atomic_streams::{DeadLetters, ErrorKind, OnFailure, RetryPolicy};
use redis::AsyncCommands;
use support::{Proxy, Snapshot};

use crate::desk::{DEAD, Desk};
use crate::site::{GROUP, RECORD, STREAM, within};

#[tokio::test]
async fn later_entries_of_a_dead_key_follow_it_and_others_go_on() {
    for groups in [1, 64] {
        let mut desk = Desk { groups, ..Desk::open([3]).await };
        for n in 0..60 {
            desk.add([&b"a"[..], b"b", b"\xff\x00 c"][n % 3]).await;
        }
        let consumer = desk.spawn().await;
        desk.settled().await;
        let waiting = desk.check().await;
        assert_eq!(waiting, BTreeMap::from([("a".to_owned(), (3..60).step_by(3).collect())]));
        let dead = desk.dead().await;
        let first = dead[0].entry.id;
        assert_eq!((dead[0].attempts, dead[0].error.as_str(), dead[0].parked_behind), (1, "not this one", None));
        for letter in &dead[1..] {
            assert_eq!((letter.attempts, letter.parked_behind), (0, Some(first)));
            assert!(letter.error.contains(&first.to_string()), "{}", letter.error);
        }
        assert!(dead.iter().all(|letter| letter.key.as_deref() == Some(b"a")));
        let stats = consumer.stats();
        assert_eq!((stats.processed, stats.dead_lettered, stats.unparked), (60, 19, 0));
        within(consumer.shutdown()).await.unwrap();

        // Another process knows it.
        let consumer = desk.spawn().await;
        for _ in 0..6 {
            desk.add(b"a").await;
            desk.add(b"b").await;
        }
        desk.settled().await;
        assert_eq!(desk.check().await["a"].len(), 19 + 6);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_letter_and_the_note_of_its_key_are_one_commit() {
    let mut desk = Desk::open([1]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
    desk.add(b"a").await;
    desk.settled().await;
    let hold = proxy.hold_requests_containing(b"@map:@parked");
    desk.add(b"a").await;
    hold.wait_until_held().await;
    assert_eq!((desk.raw(DEAD).await, desk.site.processed().await), (Vec::new(), 1));
    hold.release();
    desk.settled().await;
    assert_eq!(desk.check().await["a"], [1]);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_entry_without_the_field_is_an_ordinary_dead_letter() {
    let mut desk = Desk::open([0, 1]).await;
    let consumer = desk.spawn().await;
    for n in ["0", "1", "2"] {
        desk.site.add(&[("n", n)]).await;
    }
    desk.settled().await;
    let dead = desk.dead().await;
    assert_eq!(dead.iter().map(|letter| letter.key.clone()).collect::<Vec<_>>(), [None, None]);
    assert_eq!((desk.parked().await.len(), desk.site.record("@parked_by").await.as_str()), (0, ""));
    assert_eq!(desk.letters().requeue_all().await.unwrap(), 2);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_of_a_parked_key_are_not_requeued() {
    let mut desk = Desk::open([0]).await;
    for customer in [b"a", b"a", b"b"] {
        desk.add(customer).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    let before = desk.dead().await;
    let error = desk.letters().requeue(before[1].id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyParked, "{error}");
    assert!(error.to_string().contains("unpark"), "{error}");
    assert_eq!(desk.letters().requeue_all().await.unwrap(), 0);
    assert_eq!(desk.dead().await, before);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_would_not_keep_the_order_does_not_start() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    for policy in
        [OnFailure::Block, OnFailure::dead_letter(DEAD), OnFailure::park(DEAD, "n"), OnFailure::park("x", "customer")]
    {
        let builder = desk.builder(desk.site.server.url()).retry(RetryPolicy::default()).on_failure(policy);
        let error = builder.spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("orders:dead by customer"), "{error}");
        assert_eq!(desk.site.record("@lease").await, "0");
    }
    desk.cure();
    let consumer = desk.spawn().await;
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let plain = desk.builder(desk.site.server.url()).on_failure(OnFailure::Skip);
    within(plain.spawn().await.unwrap().shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_parking_is_rolled_back_is_not_parked() {
    let mut desk = Desk::open([]).await;
    let consumer = desk.spawn().await;
    desk.add(b"a").await;
    desk.settled().await;
    let before = Snapshot::take(&mut desk.site.redis).await;
    desk.bad.lock().unwrap().insert(1);
    desk.add(b"a").await;
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await["a"], [1, 2]);
    desk.cure();
    before.restore(&mut desk.site.redis).await;
    for _ in 0..3 {
        desk.add(b"a").await;
    }
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_parked_ends_the_consumer_at_its_entry() {
    let mut desk = Desk::open([1]).await;
    desk.add(b"a").await;
    desk.add(&[b'x'; 1_025]).await;
    let consumer = desk.spawn().await;
    let error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EntryFailed, "{error}");
    assert!(error.to_string().contains("1025 bytes"), "{error}");
    assert_eq!((desk.site.processed().await, desk.site.record("@lease").await.as_str()), (1, "0"));
    assert_eq!(desk.raw(DEAD).await, []);
}

#[tokio::test]
async fn parked_keys_that_are_gone_from_beside_the_record_are_missed() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let _: u64 = desk.site.redis.del(format!("{RECORD}@map:@parked")).await.unwrap();
    let error = desk.builder(desk.site.server.url()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateDamaged, "{error}");
}

#[tokio::test]
async fn the_rights_that_the_documentation_names_are_enough() {
    let mut desk = Desk::open([0]).await;
    let consumer = "~orders ~out ~orders:dead ~atomic-streams:* +evalsha +script|load +xread +time +type +exists +hget \
                    +hmget +hset +hdel +persist +xinfo|stream +xinfo|groups +xinfo|consumers +xrange +xadd +xdel +xtrim \
                    +xsetid +xgroup|create +xgroup|createconsumer +xgroup|setid +hlen +hscan";
    let person = "~orders ~orders:dead ~atomic-streams:* +evalsha +script|load +type +xrange +xrevrange +xadd +xdel \
                  +hexists +hincrby +hsetnx +hget +hlen +hscan";
    for (user, rights) in [("consumer", consumer), ("person", person)] {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(user).arg("on").arg(">secret").arg(rights.split_whitespace().collect::<Vec<_>>());
        let () = command.query_async(&mut desk.site.redis).await.unwrap();
    }
    for customer in [b"a", b"a", b"b"] {
        desk.add(customer).await;
    }
    let addr = desk.site.server.addr();
    let spawn = async |desk: &Desk| desk.builder(&format!("redis://consumer:secret@{addr}/")).spawn().await.unwrap();
    let consumer = spawn(&desk).await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let consumer = spawn(&desk).await;
    desk.cure();
    let letters = DeadLetters::new(&format!("redis://person:secret@{addr}/"), DEAD).unwrap();
    let parked = letters.parked(STREAM, GROUP).await.unwrap();
    assert_eq!((parked.len(), parked[0].key.as_slice()), (1, &b"a"[..]));
    let waiting = letters.list(9).await.unwrap();
    assert_eq!(parked[0].entry, waiting[0].entry.id);
    assert_eq!(letters.requeue(waiting[0].id).await.unwrap_err().kind(), ErrorKind::KeyParked);
    assert!(letters.unpark(STREAM, GROUP, "a").await.unwrap());
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    within(consumer.shutdown()).await.unwrap();

    let () =
        redis::cmd("ACL").arg("SETUSER").arg("person").arg("-hincrby").query_async(&mut desk.site.redis).await.unwrap();
    desk.bad.lock().unwrap().insert(3);
    desk.add(b"a").await;
    let consumer = spawn(&desk).await;
    desk.settled().await;
    let error = letters.unpark(STREAM, GROUP, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("HINCRBY") && error.to_string().contains(RECORD), "{error}");
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let desk = Desk::open([]).await;
    for (stream, group) in [("", "g"), ("s", "a@b")] {
        assert_eq!(desk.letters().unpark(stream, group, "k").await.unwrap_err().kind(), ErrorKind::InvalidConfig);
        assert_eq!(desk.letters().parked(stream, group).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    }
    assert!(!desk.letters().unpark("none", "g", "k").await.unwrap());
    assert_eq!(desk.letters().parked("none", "g").await.unwrap(), []);
    let builder = desk.builder(desk.site.server.url()).on_failure(OnFailure::park(DEAD, ""));
    assert_eq!(builder.spawn().await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let builder = desk.builder(desk.site.server.url()).on_failure(OnFailure::park(STREAM, "customer"));
    assert_eq!(builder.spawn().await.unwrap_err().kind(), ErrorKind::InvalidConfig);
}
