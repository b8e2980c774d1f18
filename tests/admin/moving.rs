//! Seek and reset.

use std::time::Duration;

use atomic_streams::ErrorKind;
use atomic_streams::admin::{Admin, Position};

use crate::shop::{GROUP, STREAM, Shop, id};

#[tokio::test]
async fn entries_behind_the_new_position_are_handled_again_on_the_state_of_now() {
    let mut shop = Shop::after_five().await;
    let moved = shop.admin.seek(STREAM, GROUP, Position::After(id(30))).await.unwrap();
    assert_eq!((moved.from, moved.to), (id(50), id(30)));
    assert_eq!((moved.dropped_fields, moved.dropped_collections), (0, 0));
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.sums().await, [1, 3, 6, 10, 15, 19, 24]);
    assert_eq!(shop.state().await, r#"{"articles":{"a":14,"b":10},"sum":24}"#);
}

#[tokio::test]
async fn a_time_is_a_position_before_its_first_entry() {
    let shop = Shop::after_five().await;
    for (to, after) in [
        (Position::SinceMs(40), 30),
        (Position::SinceMs(31), 30),
        (Position::Beginning, 0),
        (Position::SinceMs(0), 0),
        (Position::End, 50),
    ] {
        let moved = shop.admin.seek(STREAM, GROUP, to).await.unwrap();
        let found = shop.inspect().await;
        let waiting = [10, 20, 30, 40, 50].into_iter().filter(|ms| *ms > after).count() as u64;
        assert_eq!(found.position, moved.to, "{to:?}");
        assert_eq!(found.lag.unwrap_or(waiting), waiting, "{to:?}");
        assert_eq!(found.lag_ms.is_some(), waiting > 0, "{to:?}");
    }
}

#[tokio::test]
async fn a_reset_begins_with_fresh_state() {
    let mut shop = Shop::after_five().await;
    let moved = shop.admin.reset(STREAM, GROUP, Some(Position::After(id(20)))).await.unwrap();
    assert_eq!((moved.dropped_fields, moved.dropped_collections), (1, 1));
    assert_eq!(shop.state().await, "{}");
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.sums().await, [1, 3, 6, 10, 15, 3, 7, 12]);
    assert_eq!(shop.state().await, r#"{"articles":{"a":8,"b":4},"sum":12}"#);
    assert_eq!(shop.inspect().await.processed, 3);
}

#[tokio::test]
async fn a_reset_may_leave_the_position() {
    let mut shop = Shop::after_five().await;
    let moved = shop.admin.reset(STREAM, GROUP, None).await.unwrap();
    assert_eq!((moved.from, moved.to), (id(50), id(50)));
    let consumer = shop.spawn().await;
    shop.sell(60, "c", 6).await;
    shop.until_at(60).await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.state().await, r#"{"articles":{"c":6},"sum":6}"#);
    assert_eq!(shop.inspect().await.lag, Some(0));
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_does_nothing() {
    let shop = Shop::after_five().await;
    let before = (shop.inspect().await, shop.state().await);
    let dry = shop.admin.dry_run();
    let moved = dry.reset(STREAM, GROUP, Some(Position::Beginning)).await.unwrap();
    assert_eq!((moved.to.ms, moved.dropped_fields, moved.dropped_collections), (0, 1, 1));
    dry.seek(STREAM, GROUP, Position::End).await.unwrap();
    dry.delete(STREAM, GROUP).await.unwrap();
    dry.keep(STREAM, GROUP, "copy").await.unwrap();
    assert_eq!((shop.inspect().await, shop.state().await), before);
    assert!(shop.admin.copies(STREAM, GROUP).await.unwrap().is_empty());
    assert_eq!(shop.admin.reset(STREAM, GROUP, Some(Position::Beginning)).await.unwrap(), moved);
}

#[tokio::test]
async fn a_position_behind_the_end_is_refused() {
    let shop = Shop::after_five().await;
    let error = shop.admin.seek(STREAM, GROUP, Position::After(id(51))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("50-1"), "{error}");
}

/// Whatever of the old position is on its way is refused, and the state is the fold from the new one.
#[tokio::test]
async fn a_running_consumer_goes_on_from_where_it_was_put() {
    let mut shop = Shop::open().await;
    let consumer = shop.spawn().await;
    let standby = shop.builder().owner_name("spare").spawn().await.unwrap();
    for round in 0..20_u64 {
        for n in 1..=100 {
            shop.sell(1_000 * (round + 1) + n, "a", 1).await;
        }
        // In the middle of it, wherever that is.
        shop.admin.reset(STREAM, GROUP, Some(Position::SinceMs(1_000 * (round + 1)))).await.unwrap();
        shop.until_at(1_000 * (round + 1) + 100).await;
        assert_eq!(shop.state().await, r#"{"articles":{"a":100},"sum":100}"#, "round {round}");
        let sums = shop.sums().await;
        let expected: Vec<i64> = (1..=100).collect();
        assert_eq!(sums[sums.len() - 100..], expected, "round {round}");
    }
    let (report, other) = tokio::join!(consumer.shutdown(), standby.shutdown());
    assert!(report.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_standby_or_the_owner_takes_over_at_once() {
    let mut shop = Shop::after_five().await;
    let consumer = shop.builder().lease(Duration::from_secs(3_600)).spawn().await.unwrap();
    shop.admin.seek(STREAM, GROUP, Position::Beginning).await.unwrap();
    // The lease of an hour is in nobody's way, and an idle owner is woken by an entry.
    shop.sell(60, "a", 1).await;
    shop.until_at(60).await;
    assert_eq!(shop.sums().await.len(), 11);
    consumer.shutdown().await.unwrap();
}

/// What may fail is asked for before anything is written.
#[tokio::test]
async fn who_lacks_a_right_changes_nothing() {
    let mut shop = Shop::after_five().await;
    shop.admin.keep(STREAM, GROUP, "five").await.unwrap();
    let url = shop.server.url().replace("redis://", "redis://clerk:secret@");
    for right in ["-hdel", "-xgroup|setid", "-unlink", "-hset"] {
        let rule = ["reset", "on", ">secret", "~*", "&*", "+@all", right];
        let () = redis::cmd("ACL").arg("SETUSER").arg("clerk").arg(&rule).query_async(&mut shop.redis).await.unwrap();
        let clerk = Admin::new(&url).unwrap();
        let before = (shop.inspect().await, shop.state().await);
        for error in [
            clerk.reset(STREAM, GROUP, Some(Position::Beginning)).await.unwrap_err(),
            clerk.put_back(STREAM, GROUP, "five").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{right}: {error}");
        }
        assert_eq!((shop.inspect().await, shop.state().await), before, "{right}");
    }
}
