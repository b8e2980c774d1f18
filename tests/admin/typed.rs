//! State read into the struct that it is of.

use std::time::Duration;

use atomic_streams::admin::Position;
use atomic_streams::{ErrorKind, MemoryStore, Persistable, StateMap, StateReader, StateSet, StateSnapshot};
use redis::AsyncCommands;
use support::{Snapshot, eventually};

use crate::shop::{GROUP, STREAM, Shop, Stock, id};

fn reader(shop: &Shop) -> StateReader {
    StateReader::new(shop.server.url(), STREAM, GROUP).unwrap()
}

/// The sum is that of the articles, and belongs to the position; sales are of one piece each, at the times 1, 2, 3 …
fn check(snapshot: &StateSnapshot<Stock>) {
    let StateSnapshot { state, position, processed, .. } = snapshot;
    let pieces: i64 = state.articles.iter().map(|(_, pieces)| *pieces).sum();
    assert_eq!((state.sum, state.sum as u64, state.sum as u64), (pieces, *processed, position.ms));
}

#[tokio::test]
async fn a_state_is_read_as_the_struct_that_it_is_of() {
    let shop = Shop::after_five().await;
    for reader in [reader(&shop), StateReader::with_client(&shop.server.client(), STREAM, GROUP).unwrap()] {
        let found = reader.read::<Stock>().await.unwrap();
        assert_eq!((found.position, found.processed), (id(50), 5));
        assert_eq!(found.state.sum, 15);
        let mut articles: Vec<_> = found.state.articles.iter().map(|(sku, n)| (sku.as_str(), *n)).collect();
        articles.sort_unstable();
        assert_eq!(articles, [("a", 9), ("b", 6)]);
        // The five, and the step that wrote the first values.
        assert_eq!(found.sequence, 6);
        assert_eq!(reader.read_stored().await.unwrap().field::<i64>("sum").unwrap(), Some(15));
        assert!(!format!("{reader:?}").contains("redis://"), "{reader:?}");
    }
}

#[tokio::test]
async fn every_snapshot_under_a_running_consumer_is_one_that_a_commit_left() {
    let mut shop = Shop::open().await;
    let (consumer, reader) = (shop.spawn().await, reader(&shop));
    let mut last = 0;
    for ms in 1..=3_000 {
        shop.sell(ms, &format!("article {}", ms % 50), 1).await;
        if ms % 50 == 0 {
            let snapshot = reader.read::<Stock>().await.unwrap();
            check(&snapshot);
            assert!(snapshot.sequence >= last, "{} after {last}", snapshot.sequence);
            last = snapshot.sequence;
        }
        if ms % 500 == 0 {
            let snapshot = reader.read_at_least::<Stock>(id(ms), Duration::from_secs(20)).await.unwrap();
            assert!(snapshot.position >= id(ms));
            check(&snapshot);
        }
    }
    consumer.shutdown().await.unwrap();
}

#[tokio::test]
async fn snapshots_are_of_one_commit_through_rollbacks_and_takeovers() {
    let mut shop = Shop::open().await;
    let reader = std::sync::Arc::new(reader(&shop));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let looking = tokio::spawn({
        let reader = reader.clone();
        async move {
            let (mut looks, mut stopped) = (0, std::pin::pin!(stopped));
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => return looks,
                    snapshot = reader.read::<Stock>() => match snapshot {
                        Ok(snapshot) => check(&snapshot),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                    },
                }
                looks += 1;
            }
        }
    });
    let mut ms = 0;
    let mut tills = Vec::new();
    for round in 0..6 {
        tills.push(shop.builder().owner_name(format!("till {round}")).spawn().await.unwrap());
        let recoveries = || tills.iter().map(|till| till.stats().recoveries).sum::<u64>();
        if round > 0 {
            shop.until_at(ms).await;
        }
        let snapshot = Snapshot::take(&mut shop.redis).await;
        for later in 1..=200 {
            shop.sell(ms + later, &format!("article {}", later % 20), 1).await;
        }
        shop.until_at(ms + 200).await;
        let before = recoveries();
        snapshot.restore(&mut shop.redis).await;
        for _ in 0..300 {
            ms += 1;
            shop.sell(ms, &format!("article {}", ms % 20), 1).await;
        }
        eventually("a rollback was found", async || recoveries() > before).await;
        shop.until_at(ms).await;
        if round % 2 == 0 {
            // Fenced, whoever it is; the other one may be first.
            shop.admin.seek(STREAM, GROUP, Position::After(id(ms))).await.unwrap();
        } else {
            tills.remove(0).shutdown().await.unwrap();
        }
    }
    stop.send(()).unwrap();
    assert!(looking.await.unwrap() > 100);
}

#[tokio::test]
async fn what_does_not_fit_is_a_mismatch_that_names_the_fields() {
    #[derive(Persistable, Default, Debug)]
    struct Other {
        sum: u64,
        articles: StateMap<String, i64>,
        new: i64,
    }
    #[derive(Persistable, Default)]
    struct Grown {
        #[persist(alias = "sum")]
        total: i64,
        articles: StateMap<String, i64>,
        #[persist(default = 7)]
        new: i64,
        #[persist(skip)]
        note: &'static str,
    }
    #[derive(Persistable, Default, Debug)]
    #[persist(version = 2, migrate = unchanged)]
    struct Later {
        sum: i64,
        articles: StateMap<String, i64>,
    }
    fn unchanged(
        fields: atomic_streams::StateFields,
    ) -> Result<atomic_streams::StateFields, atomic_streams::StateError> {
        Ok(fields)
    }
    let shop = Shop::after_five().await;
    let reader = reader(&shop);
    let error = reader.read::<Other>().await.unwrap_err();
    assert_eq!((error.kind(), error.group()), (ErrorKind::SchemaMismatch, Some(GROUP)));
    let words = error.to_string();
    assert!(words.contains("`sum` is stored as `i64`") && words.contains("`new` is new"), "{words}");

    let found = reader.read_into(Grown { note: "kept", ..Grown::default() }).await.unwrap().state;
    assert_eq!((found.total, found.new, found.note, found.articles.len()), (15, 7, "kept", 2));

    let error = reader.read::<Later>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("version 1"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_or_not_written_is_not_found() {
    let mut shop = Shop::open().await;
    let reader = reader(&shop);
    let kind = async |reader: &StateReader| reader.read::<Stock>().await.unwrap_err().kind();
    assert_eq!(kind(&reader).await, ErrorKind::NotFound);
    assert_eq!(StateReader::new(shop.server.url(), "", GROUP).unwrap_err().kind(), ErrorKind::InvalidConfig);

    shop.sell_five().await;
    let consumer = shop.spawn().await;
    shop.until_at(50).await;
    consumer.shutdown().await.unwrap();
    shop.admin.keep(STREAM, GROUP, "copy").await.unwrap();
    shop.admin.reset(STREAM, GROUP, None).await.unwrap();
    let error = reader.read::<Stock>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("dropped"), "{error}");
    shop.admin.put_back(STREAM, GROUP, "copy").await.unwrap();
    assert_eq!(reader.read::<Stock>().await.unwrap().state.sum, 15);

    let key = "atomic-streams:{sales}:stock";
    // As while the first owner writes a map of many parts.
    let () = shop.redis.hdel(key, "@size:articles").await.unwrap();
    assert!(reader.read::<Stock>().await.unwrap_err().to_string().contains("`articles` is not written"));
    let () = shop.redis.hset(key, "@size:articles", 3).await.unwrap();
    assert_eq!(kind(&reader).await, ErrorKind::StateDamaged);
    let () = shop.redis.hset(key, "@size:articles", 2).await.unwrap();
    let () = shop.redis.hset(key, "sum", b"\xc1").await.unwrap();
    assert_eq!(kind(&reader).await, ErrorKind::StateDamaged);
    let () = shop.redis.hdel(key, "sum").await.unwrap();
    assert_eq!(kind(&reader).await, ErrorKind::NotFound);
    assert_eq!(kind(&reader.max_entries(3)).await, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_position_is_waited_for_as_long_as_was_said() {
    let mut shop = Shop::after_five().await;
    let reader = reader(&shop);
    let brief = Duration::from_millis(200);
    let error = reader.read_at_least::<Stock>(id(60), brief).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("it is at 50-1"), "{error}");
    let nobody = StateReader::new(shop.server.url(), STREAM, "nobody").unwrap();
    let error = nobody.read_at_least::<Stock>(id(1), brief).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no record"), "{error}");

    shop.sell(60, "c", 6).await;
    let waiting = tokio::spawn(async move {
        let found = reader.read_at_least::<Stock>(id(60), Duration::from_secs(30)).await.unwrap();
        (found.state.sum, reader)
    });
    let consumer = shop.spawn().await;
    let (sum, reader) = waiting.await.unwrap();
    assert_eq!(sum, 21);
    consumer.shutdown().await.unwrap();
    shop.server.kill();
    let error = reader.read_at_least::<Stock>(id(60), Duration::from_secs(30)).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_store_in_memory_is_read_the_same() {
    let store = MemoryStore::new();
    let reader = StateReader::in_memory(&store, STREAM, GROUP).unwrap();
    assert_eq!(reader.read::<Stock>().await.map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    for ms in 1..=20 {
        let fields = [("sku", if ms % 2 == 0 { "a" } else { "b" }), ("quantity", "1")];
        store.add_with_id(STREAM, id(ms), fields.into_iter().collect()).unwrap();
    }
    let consumer = atomic_streams::Consumer::builder(STREAM, GROUP).in_memory(&store).handler(Stock::default());
    let consumer = consumer.spawn().await.unwrap();
    let found = reader.read_at_least::<Stock>(id(20), Duration::from_secs(20)).await.unwrap();
    check(&found);
    assert_eq!(reader.read_stored().await.unwrap().processed(), 20);
    #[derive(Persistable, Default)]
    struct Other {
        articles: StateSet<String>,
    }
    assert_eq!(reader.read::<Other>().await.map(drop).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    consumer.shutdown().await.unwrap();
    store.set_unavailable(true);
    assert_eq!(reader.read::<Stock>().await.map(drop).unwrap_err().kind(), ErrorKind::Unavailable);
}
