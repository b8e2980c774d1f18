//! What an autoscaler reads of a group: `docs/keda.md` says how it is to be set.

use redis::AsyncCommands;
use redis::streams::{StreamInfoGroup, StreamInfoGroupsReply};
use support::eventually;

use crate::shop::{GROUP, STREAM, Shop, until_processed, within};

/// The group as `XINFO GROUPS` shows it, which is what KEDA asks for.
async fn group(shop: &mut Shop) -> StreamInfoGroup {
    let reply: StreamInfoGroupsReply = shop.redis.xinfo_groups(STREAM).await.unwrap();
    let group = reply.groups.into_iter().find(|group| group.name == GROUP).expect("the group");
    assert_eq!(group.pending, 0, "nothing is ever pending: this figure is of no use");
    group
}

async fn lag(shop: &mut Shop) -> Option<usize> {
    group(shop).await.lag
}

/// Handles everything and ends.
async fn catch_up(shop: &mut Shop, entries: u64) {
    shop.open_gate();
    let consumer = shop.spawn().await;
    until_processed(&consumer, entries).await;
    eventually("a renewal has put the group right", async || lag(shop).await == Some(0)).await;
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn the_groups_lag_is_what_waits() {
    let mut shop = Shop::start().await;
    shop.add(&["", "wait", "", ""]).await;
    let consumer = shop.spawn().await;
    until_processed(&consumer, 1).await;
    assert_eq!(lag(&mut shop).await, Some(3), "it is behind, and works");
    shop.open_gate();
    until_processed(&consumer, 4).await;
    assert_eq!(lag(&mut shop).await, Some(0), "it has caught up");
    within(consumer.shutdown()).await.unwrap();
    assert_eq!(lag(&mut shop).await, Some(0), "nobody is there, and nobody is needed");
    shop.add(&[""; 5]).await;
    assert_eq!(lag(&mut shop).await, Some(5), "nobody is there, and somebody is needed");
    catch_up(&mut shop, 5).await;
}

#[tokio::test]
async fn trimming_what_was_handled_leaves_the_lag_right() {
    let mut shop = Shop::start().await;
    shop.add(&[""; 6]).await;
    catch_up(&mut shop, 6).await;
    shop.add(&["", "", ""]).await;
    for left in [5, 3] {
        shop.trim_to(left).await;
        assert_eq!(lag(&mut shop).await, Some(3));
    }
    catch_up(&mut shop, 3).await;
    shop.trim_to(0).await;
    assert_eq!(lag(&mut shop).await, Some(0));
    shop.add(&[""]).await;
    assert_eq!(lag(&mut shop).await, Some(1));
}

#[tokio::test]
async fn trimming_what_was_not_handled_shows_too_much_until_a_consumer_has_come() {
    let mut shop = Shop::start().await;
    shop.add(&[""; 2]).await;
    catch_up(&mut shop, 2).await;
    shop.add(&[""; 5]).await;
    shop.trim_to(2).await;
    let shown = lag(&mut shop).await.unwrap();
    assert!((2..=5).contains(&shown), "{shown}: it wakes a consumer, which is right");
    catch_up(&mut shop, 2).await;
}

#[tokio::test]
async fn deleting_what_was_handled_leaves_the_lag_right() {
    let mut shop = Shop::start().await;
    let ids = shop.add(&[""; 4]).await;
    catch_up(&mut shop, 4).await;
    shop.delete(ids[1]).await;
    shop.add(&["", ""]).await;
    assert_eq!(lag(&mut shop).await, Some(2));
    catch_up(&mut shop, 2).await;
}

#[tokio::test]
async fn deleting_what_was_not_handled_hides_the_lag_until_a_consumer_has_come() {
    let mut shop = Shop::start().await;
    shop.add(&[""; 2]).await;
    catch_up(&mut shop, 2).await;
    let ids = shop.add(&[""; 4]).await;
    shop.delete(ids[1]).await;
    assert_eq!(lag(&mut shop).await, None, "KEDA takes this for nothing to do: see docs/keda.md");
    catch_up(&mut shop, 3).await;
    shop.add(&[""]).await;
    assert_eq!(lag(&mut shop).await, Some(1));
}
