//! Finding and inspecting subscriptions, and reading their state.

use std::collections::HashMap;

use atomic_streams::ErrorKind;
use atomic_streams::admin::{Admin, Lease};
use redis::AsyncCommands;

use crate::shop::{GROUP, STREAM, Shop, id};

#[tokio::test]
async fn subscriptions_are_found_by_their_records_and_nothing_else() {
    let mut shop = Shop::after_five().await;
    shop.admin.keep(STREAM, GROUP, "copy").await.unwrap();
    let () = shop.redis.hset("atomic-streams:{x}:alike", "@stream", "x").await.unwrap();
    let () = shop.redis.hset_multiple("atomic-streams:{y}:other", &[("@stream", "z"), ("@group", "g")]).await.unwrap();
    let () = shop.redis.set("atomic-streams:{s}:text", "no hash").await.unwrap();
    assert_eq!(shop.admin.subscriptions().await.unwrap(), [(STREAM.to_owned(), GROUP.to_owned())]);
}

#[tokio::test]
async fn an_inspection_says_who_has_it_and_how_far_it_is() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    let found = shop.inspect().await;
    assert_eq!((found.owner.as_str(), found.epoch, found.processed), ("till", 1, 5));
    assert_eq!((found.position, found.last_id, found.length, found.first_id), (id(50), id(50), 5, Some(id(10))));
    assert_eq!((found.lag, found.lag_ms), (Some(0), None));
    assert!(matches!(found.lease, Lease::Held { left_ms: 1..=10_000 }), "{:?}", found.lease);
    assert_eq!(found.fields, ["sum"]);
    assert_eq!(found.collections.into_iter().collect::<Vec<_>>(), [("articles".to_owned(), 2)]);
    assert!(found.schema.contains("StateMap"), "{}", found.schema);

    consumer.shutdown().await.unwrap();
    shop.sell(60, "c", 6).await;
    let found = shop.inspect().await;
    assert_eq!((found.lease, found.lag), (Lease::Released, Some(1)));
    assert!(found.lag_ms.is_some_and(|ms| ms > 1_000_000_000), "it waits since 1970: {:?}", found.lag_ms);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let mut shop = Shop::open().await;
    for error in [
        shop.admin.inspect(STREAM, GROUP).await.unwrap_err(),
        shop.admin.state(STREAM, GROUP).await.unwrap_err(),
        shop.admin.delete(STREAM, GROUP).await.unwrap_err(),
        shop.admin.keep(STREAM, GROUP, "copy").await.unwrap_err(),
        shop.admin.put_back(STREAM, GROUP, "copy").await.unwrap_err(),
        shop.admin.reset(STREAM, GROUP, None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!((error.stream(), error.group()), (Some(STREAM), Some(GROUP)));
    }
    let () = shop.redis.set("atomic-streams:{sales}:stock", "no hash").await.unwrap();
    assert_eq!(shop.admin.inspect(STREAM, GROUP).await.unwrap_err().kind(), ErrorKind::WrongType);
    assert_eq!(shop.admin.inspect("", GROUP).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
}

#[tokio::test]
async fn state_is_read_as_json_and_as_types() {
    let shop = Shop::after_five().await;
    assert_eq!(shop.state().await, r#"{"articles":{"a":9,"b":6},"sum":15}"#);
    let state = shop.admin.state(STREAM, GROUP).await.unwrap();
    assert_eq!((state.position(), state.processed()), (id(50), 5));
    assert_eq!(state.names().collect::<Vec<_>>(), ["articles", "sum"]);
    assert_eq!(state.field::<i64>("sum").unwrap(), Some(15));
    let articles: HashMap<String, i64> = state.field("articles").unwrap().unwrap();
    assert_eq!(articles, HashMap::from([("a".to_owned(), 9), ("b".to_owned(), 6)]));
    assert!(state.field::<String>("sum").unwrap_err().to_string().contains("sum"));
    assert_eq!(state.field::<i64>("none").unwrap(), None);
}

/// The sum is that of the articles at every instant, and belongs to the position.
#[tokio::test]
async fn a_snapshot_under_a_running_consumer_is_of_one_head() {
    let mut shop = Shop::open().await;
    let consumer = shop.spawn().await;
    for ms in 1..=3_000 {
        shop.sell(ms, &format!("article {}", ms % 50), 1).await;
        if ms % 100 != 0 {
            continue;
        }
        let state = shop.admin.state(STREAM, GROUP).await.unwrap();
        let sum = state.field::<i64>("sum").unwrap().unwrap_or_default();
        let articles = state.field::<HashMap<String, i64>>("articles").unwrap().unwrap_or_default();
        assert_eq!(articles.values().sum::<i64>(), sum);
        assert_eq!((state.processed(), state.position().ms), (sum as u64, sum as u64));
    }
    consumer.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_asked_anew_when_it_is() {
    let shop = Shop::after_five().await;
    shop.server.kill();
    assert_eq!(shop.admin.inspect(STREAM, GROUP).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(Admin::new("http://example.com").unwrap_err().kind(), ErrorKind::InvalidConfig);
}
