//! Copies of position and state.

use atomic_streams::ErrorKind;
use atomic_streams::admin::Position;
use redis::AsyncCommands;

use crate::shop::{GROUP, STREAM, Shop, id};

const FIVE: &str = r#"{"articles":{"a":9,"b":6},"sum":15}"#;

#[tokio::test]
async fn a_copy_is_put_back_with_position_state_and_collections() {
    let mut shop = Shop::after_five().await;
    shop.admin.keep(STREAM, GROUP, "five").await.unwrap();
    shop.sell(60, "c", 6).await;
    let consumer = shop.spawn().await;
    shop.until_at(60).await;
    consumer.shutdown().await.unwrap();

    let copies = shop.admin.copies(STREAM, GROUP).await.unwrap();
    assert_eq!(copies.len(), 1);
    assert_eq!((copies[0].name.as_str(), copies[0].position, copies[0].processed), ("five", id(50), 5));
    assert!(copies[0].kept_ms > 1_700_000_000_000, "{copies:?}");
    assert_eq!(shop.admin.copied_state(STREAM, GROUP, "five").await.unwrap().to_json().unwrap().to_string(), FIVE);

    let back = shop.admin.put_back(STREAM, GROUP, "five").await.unwrap();
    assert_eq!((back.from, back.to, back.processed, back.trimmed_up_to), (Some(id(60)), id(50), 5, None));
    assert_eq!(shop.state().await, FIVE);
    let consumer = shop.spawn().await;
    shop.until_at(60).await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.sums().await, [1, 3, 6, 10, 15, 21, 21]);
    assert_eq!(shop.state().await, r#"{"articles":{"a":9,"b":6,"c":6},"sum":21}"#);
    assert_eq!(shop.admin.copied_state(STREAM, GROUP, "five").await.unwrap().to_json().unwrap().to_string(), FIVE);
}

#[tokio::test]
async fn a_copy_outlives_its_subscription() {
    let shop = Shop::after_five().await;
    shop.admin.keep(STREAM, GROUP, "five").await.unwrap();
    shop.admin.delete(STREAM, GROUP).await.unwrap();
    assert_eq!(shop.admin.copies(STREAM, GROUP).await.unwrap().len(), 1);
    let back = shop.admin.put_back(STREAM, GROUP, "five").await.unwrap();
    assert_eq!((back.from, back.to), (None, id(50)));
    let consumer = shop.spawn().await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.state().await, FIVE);
}

#[tokio::test]
async fn names_are_kept_once_and_dropped_wholly() {
    let mut shop = Shop::after_five().await;
    shop.admin.keep(STREAM, GROUP, "a*[b]").await.unwrap();
    shop.admin.keep(STREAM, GROUP, "ab").await.unwrap();
    assert_eq!(shop.admin.keep(STREAM, GROUP, "ab").await.unwrap_err().kind(), ErrorKind::InUse);
    assert_eq!(shop.admin.keep(STREAM, GROUP, "a@b").await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert_eq!(shop.admin.keep(STREAM, GROUP, "").await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let names: Vec<String> =
        shop.admin.copies(STREAM, GROUP).await.unwrap().into_iter().map(|copy| copy.name).collect();
    assert_eq!(names, ["a*[b]", "ab"]);
    assert!(shop.admin.drop_copy(STREAM, GROUP, "a*[b]").await.unwrap());
    assert!(!shop.admin.drop_copy(STREAM, GROUP, "a*[b]").await.unwrap());
    assert!(shop.admin.drop_copy(STREAM, GROUP, "ab").await.unwrap());
    let keys: Vec<String> = shop.redis.keys("*@copy*").await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");
    assert_eq!(shop.state().await, FIVE);
}

#[tokio::test]
async fn what_was_trimmed_since_is_said() {
    let mut shop = Shop::after_five().await;
    shop.admin.seek(STREAM, GROUP, Position::After(id(10))).await.unwrap();
    shop.admin.keep(STREAM, GROUP, "early").await.unwrap();
    let () = redis::cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg(2).query_async(&mut shop.redis).await.unwrap();
    let back = shop.admin.dry_run().put_back(STREAM, GROUP, "early").await.unwrap();
    assert_eq!((back.to, back.trimmed_up_to), (id(10), Some(id(40))));
}

/// The state after it is the copy's, and the fold of what is behind it.
#[tokio::test]
async fn a_running_consumer_goes_on_from_the_copy() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    shop.admin.keep(STREAM, GROUP, "five").await.unwrap();
    for round in 0..10_u64 {
        for n in 1..=50 {
            shop.sell(1_000 * (round + 1) + n, "c", 1).await;
        }
        shop.admin.put_back(STREAM, GROUP, "five").await.unwrap();
        shop.until_at(1_000 * (round + 1) + 50).await;
        let sold = 50 * (round + 1);
        let expected = format!(r#"{{"articles":{{"a":9,"b":6,"c":{sold}}},"sum":{}}}"#, 15 + sold);
        assert_eq!(shop.state().await, expected, "round {round}");
    }
    consumer.shutdown().await.unwrap();
}
