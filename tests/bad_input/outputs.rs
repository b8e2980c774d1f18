//! What a handler may publish, and what it may not.

use std::collections::BTreeMap;
use std::time::Duration;

use atomic_streams::entry::MAX_PUBLISH_FIELDS;
use atomic_streams::{
    Error, ErrorKind, Fields, Handler, HandlerResult, Persistable, Producer, PublishError, StateMap, Status,
    Transaction, async_trait, handler_fn,
};
use support::Server;

use crate::bench::{Bench, DEAD, RECORD, STREAM, until_retrying, within};

fn wide(fields: usize) -> Fields {
    (0..fields).map(|n| (n.to_string(), "x")).collect()
}

#[tokio::test]
async fn what_is_refused_when_it_is_staged_leaves_the_rest_as_it_was() {
    let mut bench = Bench::start().await;
    bench.add(STREAM, &wide(1)).await;
    let handler = handler_fn(async |_: Fields, tx: &mut Transaction| {
        tx.publish("out", &wide(MAX_PUBLISH_FIELDS))?;
        assert!(matches!(tx.publish("out", &Fields::new()), Err(PublishError::Encode { .. })));
        for fields in [MAX_PUBLISH_FIELDS + 1, 4_000, 100_000] {
            let error = tx.publish("out", &wide(fields)).unwrap_err();
            assert!(
                matches!(error, PublishError::TooManyFields { .. }) && error.to_string().contains("3900"),
                "{error}"
            );
        }
        for name in ["", "a\nb", "a\0", RECORD, &format!("{RECORD}@map:stock"), "atomic-streams:other"] {
            let error = tx.publish(name, &wide(1)).unwrap_err();
            assert!(matches!(error, PublishError::InvalidName { .. }), "{error}");
        }
        tx.publish("out", &wide(2))?;
        Ok(())
    });
    let consumer = bench.consumer().handler(handler).spawn().await.unwrap();
    bench.until_processed(1).await;
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 1);
    let lengths: Vec<usize> = bench.entries("out").await.iter().map(|entry| entry.fields.len()).collect();
    assert_eq!(lengths, [MAX_PUBLISH_FIELDS, 2]);
    assert_eq!(consumer.stats().failed, 0);
}

/// More than a server would take as one value; nothing of it is sent.
#[tokio::test]
async fn six_hundred_megabytes_are_refused_when_they_are_staged() {
    let mut bench = Bench::start().await;
    bench.add(STREAM, &wide(1)).await;
    let handler = handler_fn(async |_: Fields, tx: &mut Transaction| {
        let huge: Fields = [("v", vec![0_u8; 600_000_000])].into_iter().collect();
        let error = tx.publish("out", &huge).unwrap_err();
        assert!(matches!(error, PublishError::TooLarge { bytes, .. } if bytes > 600_000_000), "{error}");
        Ok(())
    });
    let consumer = bench.consumer().lease(Duration::from_secs(60)).handler(handler).spawn().await.unwrap();
    bench.until_processed(1).await;
    within(consumer.shutdown()).await.unwrap();
    assert!(bench.entries("out").await.is_empty());
}

/// Publishes where it is told to.
#[derive(Persistable, Default)]
struct Switch {
    stock: StateMap<u64, u64>,
}

#[async_trait]
impl Handler for Switch {
    type Message = BTreeMap<String, String>;

    async fn handle(&mut self, message: BTreeMap<String, String>, tx: &mut Transaction) -> HandlerResult {
        self.stock.insert(1, self.stock.get(&1).unwrap_or(&0) + 1);
        tx.publish(&message["to"], &BTreeMap::from([("to", "out")]))?;
        Ok(())
    }
}

#[tokio::test]
async fn the_librarys_own_keys_are_no_outputs_and_the_input_and_the_dead_letters_are() {
    let mut bench = Bench::start().await;
    for to in [STREAM, DEAD, "out"] {
        bench.add(STREAM, &[("to", to)].into_iter().collect()).await;
    }
    // Before the collection is there: a stream in its place would make the commit fail in its midst.
    let bad = bench.add(STREAM, &[("to", format!("{RECORD}@map:stock"))].into_iter().collect()).await;
    let consumer = bench.to_dead_letters().handler(Switch::default()).spawn().await.unwrap();
    let (entry, error) = until_retrying(&consumer).await;
    assert_eq!(entry, bad);
    assert!(error.contains("kept for records"), "{error}");
    bench.until_processed(3).await;
    within(consumer.shutdown()).await.unwrap();
    // What a handler puts beside the dead letters is none.
    assert_eq!((bench.entries(DEAD).await.len(), bench.entries("out").await.len()), (1, 1));
    assert_eq!(bench.dead_letters().list(9).await.unwrap(), []);
    assert_eq!(bench.dead_letters().requeue_all().await.unwrap(), 0);
    assert_eq!(bench.entries(STREAM).await.len(), 5, "one was sent back to where it came from");
}

#[tokio::test]
async fn an_output_that_is_no_stream_ends_the_consumer_with_its_name() {
    let mut bench = Bench::start().await;
    let () = redis::cmd("SET").arg("out").arg("text").query_async(&mut bench.redis).await.unwrap();
    bench.add(STREAM, &[("to", "out")].into_iter().collect()).await;
    let consumer = bench.consumer().handler(Switch::default()).spawn().await.unwrap();
    let error: Error = within(consumer.wait()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("`out`") && error.to_string().contains("rename or remove"), "{error}");
    assert_eq!(bench.record("@processed").await, "0");
    assert!(!bench.picture().await.contains_key(&format!("{RECORD}@map:stock")));
}

/// A server may be told to take less than the library allows: that is shown, and nothing is lost.
#[tokio::test]
async fn a_value_that_the_server_does_not_take_is_told_by_the_status() {
    let server = Server::builder().arg("--proto-max-bulk-len", "1mb").start().await;
    let mut bench = Bench::on(server).await;
    bench.add(STREAM, &wide(1)).await;
    let handler = handler_fn(async |_: Fields, tx: &mut Transaction| {
        let large: Fields = [("v", vec![0_u8; 2 << 20])].into_iter().collect();
        tx.publish("out", &large)?;
        Ok(())
    });
    let consumer = bench.consumer().handler(handler).spawn().await.unwrap();
    let mut status = consumer.status();
    let shown = within(status.wait_for(|status| format!("{status:?}").contains("bulk length"))).await.unwrap().clone();
    assert!(matches!(shown, Status::Recovering { .. }), "{shown:?}");
    within(consumer.shutdown()).await.unwrap();
    assert_eq!((bench.record("@processed").await.as_str(), bench.entries("out").await.len()), ("0", 0));

    let producer = Producer::new(bench.server.url()).unwrap();
    let large: Fields = [("v", vec![0_u8; 2 << 20])].into_iter().collect();
    let error = producer.publish("out", &large).await.unwrap_err();
    assert!(error.to_string().contains("bulk length"), "{error}");
    producer.publish("out", &wide(1)).await.unwrap();
}

#[tokio::test]
async fn a_producer_refuses_what_no_server_takes() {
    let bench = Bench::start().await;
    let producer = Producer::new(bench.server.url()).unwrap();
    let huge: Fields = [("v", vec![0_u8; (512 << 20) + 1])].into_iter().collect();
    let error = producer.publish("out", &huge).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{error}");
    assert!(error.to_string().contains("proto-max-bulk-len"), "{error}");
    let error = producer.publish("out", &Fields::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{error}");
    producer.publish("out", &wide(10_000)).await.unwrap();
}
