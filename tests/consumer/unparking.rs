//! The dead letters of a parked key, handled in order before any later entry of that key.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::admin::{Admin, Position};
use atomic_streams::{ConsumerHandle, DeadLetters, HandlerError, OnFailure};
use redis::AsyncCommands;
use support::{Existing, Hold, Proxy, Rng, Server, Snapshot, eventually, seed};

use crate::desk::{DEAD, Desk, LEASE};
use crate::puppet::puppet;
use crate::site::{GROUP, RECORD, STREAM, Site, within};

#[tokio::test]
async fn unparked_letters_are_handled_in_order_before_later_entries_of_the_key() {
    for groups in [1, 64] {
        let mut desk = Desk { groups, ..Desk::open([2, 3]).await };
        let keys = [&b"a"[..], b"b", b"\xff\r\n\x00", b"d"];
        for n in 0..400 {
            desk.add(keys[n % 4]).await;
        }
        let proxy = Proxy::start(desk.site.server.addr()).await;
        let consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
        desk.settled().await;
        assert_eq!(desk.check().await.len(), 2);
        desk.cure();
        let hold = proxy.hold_requests_containing(b"$3\r\nout\r\n");
        assert!(!desk.unpark(b"a").await, "it is not parked");
        assert!(desk.unpark(keys[2]).await);
        assert!(desk.unpark(keys[2]).await, "asked twice");
        assert!(desk.unpark(b"d").await);
        hold.wait_until_held().await;
        for n in 0..40 {
            desk.add(keys[n % 4]).await;
        }
        hold.release();
        let mut n = 40;
        while !desk.parked().await.is_empty() {
            desk.add(keys[n % 4]).await;
            n += 1;
        }
        desk.settled().await;
        assert_eq!(desk.check().await, BTreeMap::new());
        let stats = consumer.stats();
        assert_eq!(stats.processed, 400 + n as u64);
        assert!(stats.unparked >= 200, "{stats:?}");
        assert_eq!(desk.site.processed().await, 400 + n as u64);
        assert!(!desk.unpark(b"d").await);
        within(consumer.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn the_handler_sees_the_entry_as_it_was() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().lease(LEASE).on_failure(OnFailure::park(DEAD, "customer"));
    let consumer = consumer.handler(handler).spawn().await.unwrap();
    let first = site.add(&[("customer", "a"), ("n", "0")]).await;
    let second = site.add(&[("customer", "a"), ("n", "1")]).await;
    calls.next().await.fail(HandlerError::permanent("no"));
    site.until_processed(2).await;
    assert!(DeadLetters::new(site.server.url(), DEAD).unwrap().unpark(STREAM, GROUP, "a").await.unwrap());
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.count), (first, 1, 1));
    call.fail("not at once");
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.count), (first, 2, 1));
    let (_, sequence) = site.head().await;
    let third = site.add(&[("customer", "a"), ("n", "2")]).await;
    call.done();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.message.attempt(), call.fields.get_str("n")), (second, 1, Some("1")));
    assert!(site.head().await.1 > sequence);
    assert_eq!((site.processed().await, site.record("@position").await), (2, second.to_string()));
    call.done();
    let call = calls.next().await;
    assert_eq!((call.message.id(), call.count), (third, 3));
    call.done();
    site.until_processed(3).await;
    assert_eq!(site.column("out", "n").await, ["0", "1", "2"]);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_letter_that_fails_again_stays_and_those_behind_it() {
    let mut desk = Desk::open([0, 4]).await;
    for n in 0..20 {
        desk.add([b"a", b"b"][n % 2]).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    for _ in 0..2 {
        assert!(desk.unpark(b"a").await);
        desk.settled().await;
        assert_eq!(desk.check().await["a"].len(), 10);
    }
    desk.bad.lock().unwrap().remove(&0);
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    assert_eq!(desk.check().await["a"], (4..20).step_by(2).collect::<Vec<_>>());
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await["a"].len(), 9);
    // One that is removed is left out, and the others keep their order.
    let first = desk.dead().await[0].id;
    assert!(desk.letters().remove(first).await.unwrap());
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!(handled["a"], [0, 2].into_iter().chain((6..21).step_by(2)).collect::<Vec<_>>());
    assert_eq!((desk.parked().await.len(), consumer.stats().unparked), (0, 10));
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_key_without_letters_is_unparked_all_the_same() {
    let mut desk = Desk::open([0]).await;
    desk.add(b"a").await;
    let consumer = desk.spawn().await;
    desk.settled().await;
    let letter = desk.dead().await[0].id;
    assert!(desk.letters().remove(letter).await.unwrap());
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    assert!(desk.parked().await.is_empty());
    desk.add(b"a").await;
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!(handled["a"], [1]);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_of_others_are_left_alone() {
    let mut desk = Desk::open([0]).await;
    for customer in [b"a", b"a"] {
        desk.add(customer).await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    within(consumer.shutdown()).await.unwrap();
    let (handler, mut calls) = puppet();
    let other = atomic_streams::Consumer::builder(STREAM, "other")
        .redis_url(desk.site.server.url())
        .on_failure(OnFailure::park(DEAD, "customer"))
        .handler(handler);
    let other = other.spawn().await.unwrap();
    calls.next().await.fail(HandlerError::permanent("neither"));
    eventually("both groups have their letters", async || desk.raw(DEAD).await.len() == 4).await;
    let consumer = desk.spawn().await;
    desk.cure();
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    let left = desk.dead().await;
    assert_eq!(left.iter().map(|letter| letter.group.as_str()).collect::<Vec<_>>(), ["other", "other"]);
    within(other.shutdown()).await.unwrap();
    within(consumer.shutdown()).await.unwrap();
}

/// Their entries were handled since.
#[tokio::test]
async fn letters_from_before_a_reset_are_left_alone() {
    let mut desk = Desk::open([0]).await;
    for _ in 0..3 {
        desk.add(b"a").await;
    }
    let consumer = desk.spawn().await;
    desk.settled().await;
    assert_eq!(desk.check().await["a"], [0, 1, 2]);
    desk.cure();
    let admin = Admin::new(desk.site.server.url()).unwrap();
    admin.reset(STREAM, GROUP, Some(Position::Beginning)).await.unwrap();
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!(handled["a"], [0, 1, 2]);
    desk.bad.lock().unwrap().insert(3);
    for _ in 0..2 {
        desk.add(b"a").await;
    }
    desk.settled().await;
    assert_eq!(desk.raw(DEAD).await.len(), 5);
    desk.cure();
    assert!(desk.unpark(b"a").await);
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!((&handled["a"], &handled), (&vec![0, 1, 2, 3, 4], &desk.numbers("out").await));
    assert_eq!((desk.raw(DEAD).await.len(), desk.parked().await.len()), (3, 0));
    within(consumer.shutdown()).await.unwrap();
}

/// A letter's commit is held on its way to the server.
async fn letter_held(desk: &mut Desk, proxy: &Proxy) -> (ConsumerHandle, Hold) {
    for _ in 0..5 {
        desk.add(b"a").await;
    }
    let consumer = desk.builder(&proxy.url()).max_in_flight(1).spawn().await.unwrap();
    desk.settled().await;
    assert_eq!(desk.check().await["a"].len(), 5);
    desk.cure();
    let hold = proxy.hold_requests_containing(b"$3\r\nout\r\n");
    assert!(desk.unpark(b"a").await);
    hold.wait_until_held().await;
    (consumer, hold)
}

#[tokio::test]
async fn a_letter_that_is_removed_while_it_is_handled_has_no_effect() {
    let mut desk = Desk::open([0]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let (consumer, hold) = letter_held(&mut desk, &proxy).await;
    let first = desk.dead().await[0].id;
    assert!(desk.letters().remove(first).await.unwrap());
    hold.release();
    desk.settled().await;
    let handled: BTreeMap<String, Vec<u64>> = desk.site.state("numbers").await.unwrap();
    assert_eq!((&handled["a"], &handled), (&vec![1, 2, 3, 4], &desk.numbers("out").await));
    assert!(consumer.stats().recoveries >= 1);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_that_a_rollback_brings_back_are_handled_again_with_the_state_that_was_before() {
    let mut desk = Desk::open([0]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let (consumer, hold) = letter_held(&mut desk, &proxy).await;
    let before = Snapshot::take(&mut desk.site.redis).await;
    hold.release();
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    before.restore(&mut desk.site.redis).await;
    desk.add(b"a").await;
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    assert!(consumer.stats().recoveries >= 1);
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn letters_are_not_looked_for_on_another_server() {
    let mut desk = Desk::open([0]).await;
    let proxy = Proxy::start(desk.site.server.addr()).await;
    let consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
    for _ in 0..3 {
        desk.add(b"a").await;
    }
    desk.settled().await;
    desk.cure();

    // One that was left behind, and has none of the letters.
    let behind = Server::start().await;
    let mut other = behind.connection().await;
    Snapshot::take(&mut desk.site.redis).await.restore(&mut other).await;
    let (token, sequence) = desk.site.head().await;
    let _: u64 = other.hset(RECORD, "@head", format!("{token}:{}", sequence - 1)).await.unwrap();
    assert!(DeadLetters::new(behind.url(), DEAD).unwrap().unpark(STREAM, GROUP, "a").await.unwrap());
    let _: u64 = other.del(DEAD).await.unwrap();

    proxy.retarget(behind.addr(), Existing::Stay);
    assert!(desk.unpark(b"a").await);
    eventually("it has seen that the heads are not the same", async || consumer.stats().recoveries >= 1).await;
    assert_eq!(desk.check().await["a"], [0, 1, 2]);
    proxy.retarget(desk.site.server.addr(), Existing::Stay);
    proxy.cut_all();
    desk.settled().await;
    assert_eq!(desk.check().await, BTreeMap::new());
    within(consumer.shutdown()).await.unwrap();
}

/// Random keys, failures, unparkings, restarts, lost connections and rollbacks against what the input says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_key_is_handled_once_and_in_order() {
    let mut rng = Rng::new(seed());
    for groups in [1, 16] {
        let mut desk = Desk { groups, ..Desk::open([]).await };
        let proxy = Proxy::start(desk.site.server.addr()).await;
        let keys: Vec<Vec<u8>> = (0..6_u8).map(|n| vec![n, b' ', 0xff - n]).collect();
        let mut consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
        let mut snapshot = None;
        let mut parked = 0;
        for round in 0..24 {
            for _ in 0..rng.below(40) {
                if rng.percent(8) {
                    desk.bad.lock().unwrap().insert(desk.added);
                }
                let key = keys[rng.below(6) as usize].clone();
                desk.add(&key).await;
            }
            if rng.percent(60) {
                if rng.percent(70) {
                    let good: Vec<u64> = desk.bad.lock().unwrap().iter().copied().filter(|_| rng.percent(60)).collect();
                    desk.bad.lock().unwrap().retain(|n| !good.contains(n));
                }
                for key in &keys {
                    if rng.percent(60) {
                        desk.unpark(key).await;
                    }
                }
            }
            match rng.below(5) {
                0 => proxy.cut_all(),
                1 => {
                    tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
                    proxy.cut_all();
                }
                2 => {
                    within(consumer.shutdown()).await.unwrap();
                    consumer = desk.builder(&proxy.url()).spawn().await.unwrap();
                }
                3 => {
                    if let Some(snapshot) = snapshot.take() {
                        Snapshot::restore(&snapshot, &mut desk.site.redis).await;
                        desk.add(&keys[0]).await;
                    }
                }
                _ => {}
            }
            if round % 4 == 3 {
                desk.settled().await;
                parked += desk.check().await.len();
                if rng.percent(50) {
                    snapshot = Some(Snapshot::take(&mut desk.site.redis).await);
                }
            }
        }
        desk.cure();
        desk.add(&keys[0]).await;
        desk.settled().await;
        for key in &keys {
            desk.unpark(key).await;
        }
        desk.settled().await;
        assert_eq!(desk.check().await, BTreeMap::new());
        println!("{parked} keys were parked at a look, {:?}", consumer.stats());
        assert!(parked > 0);
        within(consumer.shutdown()).await.unwrap();
    }
}
