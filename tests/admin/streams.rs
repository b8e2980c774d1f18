//! Streams from outside: what they say of themselves, and their entries.

use atomic_streams::admin::Admin;
use atomic_streams::{EntryId, ErrorKind};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::shop::{STREAM, Shop, id};

#[tokio::test]
async fn a_stream_says_what_it_holds() {
    let mut shop = Shop::after_five().await;
    let found = shop.admin.stream(STREAM).await.unwrap();
    assert_eq!((found.length, found.first_id, found.last_id, found.groups), (5, Some(id(10)), id(50), 1));
    let () = shop.redis.xtrim(STREAM, redis::streams::StreamMaxlen::Equals(0)).await.unwrap();
    let found = shop.admin.stream(STREAM).await.unwrap();
    assert_eq!((found.length, found.first_id, found.last_id), (0, None, id(50)));

    assert_eq!(shop.admin.stream("no").await.unwrap_err().kind(), ErrorKind::NoStream);
    assert_eq!(shop.admin.stream("").await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let () = shop.redis.set("text", "no stream").await.unwrap();
    for error in [shop.admin.stream("text").await.unwrap_err(), shop.admin.newest("text", 1).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::WrongType);
    }
}

#[tokio::test]
async fn its_newest_entries_come_in_their_order() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let ids = |entries: Vec<atomic_streams::Entry>| entries.iter().map(|entry| entry.id.ms).collect::<Vec<_>>();
    assert_eq!(ids(shop.admin.newest(STREAM, 2).await.unwrap()), [40, 50]);
    assert_eq!(ids(shop.admin.newest(STREAM, 9).await.unwrap()), [10, 20, 30, 40, 50]);
    assert!(shop.admin.newest("no", 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tail_gives_each_entry_once_and_waits_for_more() {
    let mut shop = Shop::open().await;
    let mut tail = shop.admin.tail(STREAM, EntryId::MIN).unwrap();
    assert!(tail.read(10).await.unwrap().is_empty(), "there is no such stream");
    for n in 1..=500 {
        shop.sell(n, "a", 1).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 499 {
        let entries = tail.read(499 - seen.len()).await.unwrap();
        assert!(!entries.is_empty());
        seen.extend(entries.into_iter().map(|entry| entry.id.ms));
    }
    assert_eq!(seen, (1..=499).collect::<Vec<_>>());
    assert_eq!(tail.position(), id(499));
    assert_eq!(tail.next(10).await.unwrap().len(), 1);
    assert!(tail.read(10).await.unwrap().is_empty());

    // For longer than one command blocks.
    let reads = async |redis: &mut MultiplexedConnection| -> u64 {
        let stats: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xread:calls="));
        calls.and_then(|calls| calls.split(',').next()).unwrap().parse().unwrap()
    };
    let blocked = async |redis: &mut MultiplexedConnection| -> bool {
        let clients: String = redis::cmd("INFO").arg("clients").query_async(redis).await.unwrap();
        clients.contains("blocked_clients:1")
    };
    let before = reads(&mut shop.redis).await;
    let waiting = tokio::spawn(async move {
        let entries = tail.next(10).await;
        (tail, entries)
    });
    // Some servers count a command when it begins to wait, and some when it ends.
    support::eventually("it has waited in vain, and waits again", async || {
        reads(&mut shop.redis.clone()).await >= before + 2 && blocked(&mut shop.redis.clone()).await
    })
    .await;
    shop.sell(501, "b", 2).await;
    let (mut tail, entries) = waiting.await.unwrap();
    assert_eq!(entries.unwrap()[0].fields.get_str("sku"), Some("b"));

    shop.server.restart().await;
    assert_eq!(tail.read(1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(tail.read(1).await.is_ok(), "over a new connection");
}

#[tokio::test]
async fn a_connection_is_one_to_the_same_database() {
    let mut shop = Shop::open().await;
    let mut connection = Admin::new(&format!("{}3", shop.server.url())).unwrap().connection().await.unwrap();
    let () = connection.set("here", 1).await.unwrap();
    assert!(!shop.redis.exists::<_, bool>("here").await.unwrap());
    let () = redis::cmd("SELECT").arg(3).query_async(&mut shop.redis).await.unwrap();
    assert!(shop.redis.exists::<_, bool>("here").await.unwrap());
}
