//! Subscriptions made from outside, out of what another program has kept.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::admin::NewRecord;
use atomic_streams::{
    Consumer, EntryId, ErrorKind, Handler, HandlerResult, Persistable, StateError, StateFields, StateReader, StateSet,
    Transaction, async_trait,
};
use redis::AsyncCommands;

use crate::shop::{GROUP, STREAM, Sale, Shop, Stock, id};

const RECORD: &str = "atomic-streams:{sales}:stock";

/// As if another program had handled the first three sales.
fn after_three() -> NewRecord {
    let articles = BTreeMap::from([("a", 4), ("b", 2)]);
    NewRecord::at(id(30)).field("sum", &6).unwrap().field("articles", &articles).unwrap()
}

#[tokio::test]
async fn a_consumer_goes_on_where_the_other_program_stopped() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let dry = shop.admin.dry_run().create(STREAM, GROUP, &after_three()).await.unwrap();
    assert!(!shop.redis.exists::<_, bool>(RECORD).await.unwrap());
    let created = shop.admin.create(STREAM, GROUP, &after_three().processed(3)).await.unwrap();
    assert_eq!(created, dry);
    assert_eq!((created.position, created.last_id, created.length, created.trimmed_up_to), (id(30), id(50), 5, None));
    let found = shop.inspect().await;
    assert_eq!((found.position, found.processed, found.epoch), (id(30), 3, 0));
    assert_eq!(shop.state().await, r#"{"articles":{"a":4,"b":2},"sum":6}"#);
    let reader = StateReader::new(shop.server.url(), STREAM, GROUP).unwrap();
    assert_eq!(reader.read::<Stock>().await.unwrap().state.articles.get("a"), Some(&4));

    let consumer = shop.spawn().await;
    let done = reader.read_at_least::<Stock>(id(50), Duration::from_secs(20)).await.unwrap();
    assert_eq!((done.state.sum, done.processed), (15, 5));
    assert_eq!(shop.sums().await, [10, 15], "only what came after is handled");
    assert_eq!(shop.state().await, r#"{"articles":{"a":9,"b":6},"sum":15}"#);
    assert_eq!((consumer.stats().vanished, shop.inspect().await.lag), (0, Some(0)));
    assert!(shop.inspect().await.schema.contains("i64"), "the handler's own schema is there now");
    consumer.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_there_is_not_touched() {
    let mut shop = Shop::open().await;
    let kind = async |shop: &Shop, record: &NewRecord| {
        let error = shop.admin.create(STREAM, GROUP, record).await.unwrap_err();
        assert_eq!((error.stream(), error.group()), (Some(STREAM), Some(GROUP)));
        (error.kind(), error.to_string())
    };
    let (why, words) = kind(&shop, &after_three()).await;
    assert_eq!(why, ErrorKind::InvalidConfig, "the stream has not got there");
    assert!(words.contains("last ID is 0-0"), "{words}");
    shop.sell_five().await;

    let () = shop.redis.xgroup_create(STREAM, GROUP, "0").await.unwrap();
    assert_eq!(kind(&shop, &after_three()).await.0, ErrorKind::GroupInUse);
    let () = shop.redis.xgroup_destroy(STREAM, GROUP).await.unwrap();

    let () = shop.redis.set("elsewhere", "20-1").await.unwrap();
    let (why, words) = kind(&shop, &after_three().only_while("elsewhere", "30-1")).await;
    assert_eq!(why, ErrorKind::InUse);
    assert!(words.contains("20-1"), "{words}");
    assert_eq!(kind(&shop, &after_three().only_while("nowhere", "30-1")).await.0, ErrorKind::InUse);
    assert_eq!(kind(&shop, &after_three().only_while(STREAM, "30-1")).await.0, ErrorKind::WrongType);
    assert!(!shop.redis.exists::<_, bool>(RECORD).await.unwrap());

    let () = shop.redis.set("elsewhere", "30-1").await.unwrap();
    shop.admin.create(STREAM, GROUP, &after_three().only_while("elsewhere", "30-1")).await.unwrap();
    let (why, words) = kind(&shop, &NewRecord::at(EntryId::MIN)).await;
    assert_eq!(why, ErrorKind::InUse);
    assert!(words.contains("already"), "{words}");
    assert_eq!(shop.inspect().await.position, id(30));

    let () = shop.redis.del(RECORD).await.unwrap();
    assert_eq!(kind(&shop, &after_three()).await.0, ErrorKind::RecordLost);
    for name in ["", "@head", "a\nb"] {
        assert!(NewRecord::at(id(1)).field(name, &1).is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn a_trimmed_stream_is_said_to_be_so() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let () = shop.redis.xdel(STREAM, &["10-1", "20-1", "30-1", "40-1"]).await.unwrap();
    let created = shop.admin.create(STREAM, GROUP, &NewRecord::at(id(30))).await.unwrap();
    assert_eq!(created.trimmed_up_to, Some(id(50)));
}

#[tokio::test]
async fn fields_that_do_not_fit_are_named_and_nothing_is_handled() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let none = NewRecord::at(id(30));
    for (record, named) in [
        (
            none.clone().field("sum", "six").unwrap().field("articles", &BTreeMap::from([("a", 4)])).unwrap(),
            "field `sum`",
        ),
        (
            none.clone().field("sum", &1.5).unwrap().field("articles", &BTreeMap::from([("a", 4)])).unwrap(),
            "field `sum`",
        ),
        (none.clone().field("sum", &6).unwrap().field("articles", &["a"]).unwrap(), "field `articles`"),
        (
            none.clone().field("sum", &6).unwrap().field("articles", &BTreeMap::from([(1, 4)])).unwrap(),
            "field `articles`",
        ),
        (none.clone().field("sum", &6).unwrap(), "field `articles` is new"),
        (after_three().field("more", &1).unwrap(), "field `more` is stored"),
        (after_three().version(2), "version 2"),
    ] {
        shop.admin.create(STREAM, GROUP, &record).await.unwrap();
        let error = shop.builder().spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        let reader = StateReader::new(shop.server.url(), STREAM, GROUP).unwrap();
        let error = reader.read::<Stock>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
        let found = shop.inspect().await;
        assert_eq!((found.position, found.processed), (id(30), 0));
        shop.admin.delete(STREAM, GROUP).await.unwrap();
    }
    assert!(!shop.redis.exists::<_, bool>("sums").await.unwrap());
}

/// What became of a handler whose sum was in another unit, and whose articles are a set now.
#[derive(Persistable, Default)]
#[persist(version = 2, migrate = in_cents)]
struct Later {
    cents: i64,
    articles: StateSet<String>,
}

fn in_cents(mut fields: StateFields) -> Result<StateFields, StateError> {
    let sum: f64 = fields.take("sum")?;
    fields.insert("cents", &((sum * 100.0).round() as i64))?;
    Ok(fields)
}

#[async_trait]
impl Handler for Later {
    type Message = Sale;

    async fn handle(&mut self, _sale: Sale, _tx: &mut Transaction) -> HandlerResult {
        self.cents += 1;
        Ok(())
    }
}

#[tokio::test]
async fn fields_of_an_earlier_version_are_migrated() {
    let mut shop = Shop::open().await;
    shop.sell_five().await;
    let record = NewRecord::at(id(30)).field("sum", &1.25).unwrap().field("articles", &["a", "b"]).unwrap();
    shop.admin.create(STREAM, GROUP, &record).await.unwrap();
    let builder = Consumer::builder(STREAM, GROUP).redis_url(shop.server.url()).handler(Later::default());
    let consumer = builder.spawn().await.unwrap();
    let reader = StateReader::new(shop.server.url(), STREAM, GROUP).unwrap();
    let found = reader.read_at_least::<Later>(id(50), Duration::from_secs(20)).await.unwrap().state;
    assert_eq!((found.cents, found.articles.len()), (127, 2));
    consumer.shutdown().await.unwrap();
}
