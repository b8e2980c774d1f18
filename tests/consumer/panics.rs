//! Panics of the user's code are errors like others: caught, shown, rolled back.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{ErrorKind, Fields, Handler, HandlerError, HandlerResult, Persistable, Transaction};
use redis::AsyncCommands;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::puppet::puppet;
use crate::site::{RECORD, Site, until_retrying, within};

#[tokio::test]
async fn a_panic_after_an_await_is_an_error_with_its_text() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.panic("the printer is on fire");
    assert_eq!(until_retrying(&consumer).await, (1, "the handler panicked: the printer is on fire".into()));
    let call = calls.next().await;
    assert_eq!((call.count, call.message.attempt()), (1, 2), "the state is rolled back and the attempt counted");
    call.done();
    site.until_processed(1).await;
    assert_eq!(site.state("count").await, Some(1));
    assert_eq!(site.column("out", "n").await, ["1"]);
}

/// Panics at the first attempt before anything is awaited.
#[derive(Persistable)]
struct Hasty {
    count: i64,
}

#[async_trait]
impl Handler for Hasty {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        tx.publish("out", &fields)?;
        assert!(tx.message().attempt() > 1, "number {} was unlucky", self.count);
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_before_any_await_is_an_error_with_its_text() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let consumer = site.consumer().handler(Hasty { count: 0 }).spawn().await.unwrap();
    let (_, error) = until_retrying(&consumer).await;
    assert_eq!(error, "the handler panicked: number 1 was unlucky");
    site.until_processed(1).await;
    assert_eq!(site.state("count").await, Some(1));
    assert_eq!(site.column("out", "n").await, ["1"]);
}

/// Written without the attribute of `async_trait`: panics where it should make the future.
#[derive(Persistable)]
struct ByHand {
    count: i64,
}

impl Handler for ByHand {
    type Message = Fields;

    fn handle<'a, 'b, 'c>(
        &'a mut self,
        _fields: Fields,
        tx: &'b mut Transaction,
    ) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.count += 1;
        assert!(tx.message().attempt() > 1, "no future today");
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn a_panic_instead_of_a_future_is_an_error_with_its_text() {
    let mut site = Site::start().await;
    site.add(&[("n", "1")]).await;
    let consumer = site.consumer().handler(ByHand { count: 0 }).spawn().await.unwrap();
    let (_, error) = until_retrying(&consumer).await;
    assert_eq!(error, "the handler panicked: no future today");
    site.until_processed(1).await;
    assert_eq!(site.state("count").await, Some(1));
}

/// A number that panics: 13 when it is written, 17 when it is read, while 19 is a mere error both ways.
#[derive(Clone, Copy, PartialEq)]
struct Superstitious(i64);

impl Serialize for Superstitious {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, 13, "nobody writes 13");
        if self.0 == 19 {
            return Err(serde::ser::Error::custom("19 is not written"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Superstitious {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        assert_ne!(number, 17, "nobody reads 17");
        if number == 19 { Err(D::Error::custom("19 is not read")) } else { Ok(Self(number)) }
    }
}

#[derive(Deserialize)]
struct Bet {
    on: Superstitious,
}

#[tokio::test]
async fn a_message_that_panics_when_it_is_decoded_blocks_with_its_text() {
    let mut site = Site::start().await;
    site.add(&[("on", "17")]).await;
    let handler = atomic_streams::handler_fn(async |bet: Bet, _: &mut Transaction| {
        assert_ne!(bet.on.0, 17);
        Ok(())
    });
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let (_, error) = until_retrying(&consumer).await;
    assert!(error.contains("decoding the entry panicked") && error.contains("nobody reads 17"), "{error}");
    assert_eq!(site.processed().await, 0);
    assert!(within(consumer.shutdown()).await.unwrap().released);
}

/// Puts the entry's number into its state, where some cannot be stored; a second attempt stores 1 instead.
#[derive(Persistable)]
struct Gambler {
    number: Superstitious,
    count: i64,
}

#[async_trait]
impl Handler for Gambler {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        let number = fields.get_str("n").ok_or("no number")?.parse()?;
        self.number = Superstitious(if tx.message().attempt() == 1 { number } else { 1 });
        if tx.message().attempt() == 2 {
            return Err(HandlerError::retry_after("a second time", Duration::from_secs(3600)));
        }
        Ok(())
    }
}

fn gambler() -> Gambler {
    Gambler { number: Superstitious(0), count: 0 }
}

/// What the status says after the first attempt at an entry whose number cannot be stored.
async fn unstorable(number: &str) -> String {
    let mut site = Site::start().await;
    site.add(&[("n", "5")]).await;
    site.add(&[("n", number)]).await;
    let consumer = site.consumer().handler(gambler()).spawn().await.unwrap();
    let (attempt, error) = until_retrying(&consumer).await;
    assert_eq!(attempt, 1, "{error}");
    let mut status = consumer.status();
    let second = |now: &atomic_streams::Status| matches!(now, atomic_streams::Status::Retrying { attempt: 2, .. });
    within(status.wait_for(second)).await.unwrap();
    assert_eq!(site.state::<i64>("number").await, Some(5));
    assert_eq!(site.state::<i64>("count").await, Some(1));
    let stats = consumer.stats();
    assert_eq!((stats.recoveries, stats.failed), (0, 2), "one entry's trouble costs no session");
    error
}

#[tokio::test]
async fn state_that_panics_when_it_is_encoded_is_an_error_of_the_entry() {
    let error = unstorable("13").await;
    assert!(error.contains("encoding the state panicked") && error.contains("nobody writes 13"), "{error}");
}

#[tokio::test]
async fn state_that_cannot_be_encoded_is_an_error_of_the_entry_and_names_the_field() {
    let error = unstorable("19").await;
    assert!(error.contains("`number`") && error.contains("19 is not written"), "{error}");
}

#[tokio::test]
async fn a_handler_whose_own_values_cannot_be_stored_is_refused_at_spawn() {
    let site = Site::start().await;
    for (number, words) in [(13, "nobody writes 13"), (19, "19 is not written")] {
        let handler = Gambler { number: Superstitious(number), count: 0 };
        let error = site.consumer().handler(handler).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn stored_state_that_panics_when_it_is_decoded_ends_the_consumer_with_an_error() {
    let mut site = Site::start().await;
    let consumer = site.consumer().handler(gambler()).spawn().await.unwrap();
    within(consumer.shutdown()).await.unwrap();
    let () = site.redis.hset(RECORD, "number", rmp_serde::to_vec(&17).unwrap()).await.unwrap();
    let error = site.consumer().handler(gambler()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateDamaged);
    assert!(error.to_string().contains("nobody reads 17"), "{error}");
    assert_eq!(site.record("@lease").await, "0", "others need not wait for it");
}
