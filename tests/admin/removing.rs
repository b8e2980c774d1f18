//! Delete.

use atomic_streams::ErrorKind;
use redis::AsyncCommands;

use crate::shop::{GROUP, STREAM, Shop, id};

#[tokio::test]
async fn nothing_of_a_deleted_subscription_is_left() {
    let mut shop = Shop::after_five().await;
    let deleted = shop.admin.delete(STREAM, GROUP).await.unwrap();
    assert_eq!((deleted.position, deleted.processed, deleted.collections), (Some(id(50)), 5, 1));
    let mut keys: Vec<String> = shop.redis.keys("*").await.unwrap();
    keys.sort();
    assert_eq!(keys, ["sales", "sums"]);
    let groups: Vec<redis::Value> =
        redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query_async(&mut shop.redis).await.unwrap();
    assert!(groups.is_empty());
    assert_eq!(shop.admin.delete(STREAM, GROUP).await.unwrap_err().kind(), ErrorKind::NotFound);

    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    consumer.shutdown().await.unwrap();
    assert_eq!(shop.sums().await, [1, 3, 6, 10, 15, 1, 3, 6, 10, 15]);
}

#[tokio::test]
async fn a_living_owner_is_not_robbed() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    let error = shop.admin.delete(STREAM, GROUP).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse);
    assert!(error.to_string().contains("till"), "{error}");
    assert_eq!(shop.inspect().await.processed, 5);
    consumer.shutdown().await.unwrap();
    shop.admin.delete(STREAM, GROUP).await.unwrap();
}

/// After the record was lost, its group alone would stop every consumer.
#[tokio::test]
async fn a_lost_record_can_be_cleared_away() {
    let mut shop = Shop::after_five().await;
    let () = shop.redis.del("atomic-streams:{sales}:stock").await.unwrap();
    let deleted = shop.admin.delete(STREAM, GROUP).await.unwrap();
    assert_eq!((deleted.position, deleted.processed), (None, 0));
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    consumer.shutdown().await.unwrap();
}

#[tokio::test]
async fn another_programs_group_is_not_ours_to_remove() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let () = shop.redis.xgroup_create(STREAM, GROUP, "0").await.unwrap();
    assert_eq!(shop.admin.delete(STREAM, GROUP).await.unwrap_err().kind(), ErrorKind::NotFound);
    let groups: Vec<redis::Value> =
        redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query_async(&mut shop.redis).await.unwrap();
    assert_eq!(groups.len(), 1);
}
