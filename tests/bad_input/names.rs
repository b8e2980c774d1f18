//! Names of streams and groups: they work from end to end, or are refused at the start.

use std::collections::BTreeMap;

use atomic_streams::{
    DeadLetters, ErrorKind, Fields, Handler, HandlerError, HandlerResult, OnFailure, Persistable, Producer,
    Transaction, async_trait,
};

use crate::bench::{Bench, within};

const STRANGE: [&str; 16] = [
    "a",
    "two words",
    " ",
    "\"quoted\" 'twice' `thrice` \\",
    "{tag}:rest",
    "rest{tag}",
    "{}",
    "{",
    "}",
    "a}b{c",
    "{{a}}",
    "größe-日本-🦀",
    "*",
    "$",
    "a:b:c",
    "0-0",
];

/// Hands entries on, but for bad ones.
#[derive(Persistable, Default)]
struct Relay {
    #[persist(skip)]
    out: String,
}

#[async_trait]
impl Handler for Relay {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        if fields.get_str("bad").is_some() {
            return Err(HandlerError::permanent("bad"));
        }
        tx.publish(&self.out, &fields)?;
        Ok(())
    }
}

#[tokio::test]
async fn strange_names_work_from_end_to_end() {
    let mut bench = Bench::start().await;
    let producer = Producer::new(bench.server.url()).unwrap();
    let long = "x".repeat(1_024);
    for (number, name) in STRANGE.into_iter().chain([long.as_str()]).enumerate() {
        let (stream, group, out, dead) = (
            name.to_owned(),
            name.to_owned(),
            format!("o{}", &name[..name.len().min(900)]),
            format!("d{number}{{{number}}}"),
        );
        let handler = Relay { out: out.clone() };
        let consumer = bench.consumer_of(&stream, &group).on_failure(OnFailure::dead_letter(&dead));
        let consumer = consumer.handler(handler).spawn().await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        producer.publish(&stream, &BTreeMap::from([("n", number)])).await.unwrap();
        producer.publish(&stream, &BTreeMap::from([("bad", number)])).await.unwrap();
        let letters = DeadLetters::new(bench.server.url(), &dead).unwrap();
        let letter = support::eventually("there is a dead letter", async || letters.list(9).await.unwrap().pop()).await;
        assert_eq!((letter.stream.as_str(), letter.group.as_str()), (name, name));
        assert_eq!(bench.entries(&out).await.len(), 1, "{name:?}");
        within(consumer.shutdown()).await.unwrap();
        assert_eq!(letters.requeue_all().await.unwrap(), 1);
        assert_eq!(bench.entries(&stream).await.len(), 3, "{name:?}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_before_anything_is_sent() {
    let mut bench = Bench::start().await;
    let long = "x".repeat(10_000);
    for (name, words) in [
        ("", "is empty"),
        ("a\nb", "control character"),
        ("a\0b", "control character"),
        ("\u{7f}", "control character"),
        (&long, "1,024 bytes"),
        ("a@b", "`@`"),
        ("atomic-streams:{orders}:tally", "kept for records"),
    ] {
        let (of_stream, of_group) = (name != "a@b", !name.starts_with("atomic-streams:"));
        let stream = if of_stream { name } else { "s" };
        let mut texts = Vec::new();
        if of_stream {
            let producer = Producer::new(bench.server.url()).unwrap();
            let error = producer.publish(name, &BTreeMap::from([("a", "b")])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            texts.push(error.to_string());
            texts.push(DeadLetters::new(bench.server.url(), name).unwrap_err().to_string());
            let letters = bench.consumer_of("s", "g").on_failure(OnFailure::dead_letter(name));
            texts.push(letters.handler(Relay::default()).spawn().await.unwrap_err().to_string());
            texts.push(bench.consumer_of(stream, "g").handler(Relay::default()).spawn().await.unwrap_err().to_string());
        }
        if of_group {
            texts.push(bench.consumer_of("s", name).handler(Relay::default()).spawn().await.unwrap_err().to_string());
        }
        for text in texts {
            assert!(text.contains(words) && text.len() < 1_000, "{name:.50?}: {text}");
        }
    }
    assert!(bench.picture().await.is_empty());
}

#[tokio::test]
async fn two_subscriptions_with_one_record_are_told_apart() {
    let bench = Bench::start().await;
    // `atomic-streams:{app}:orders:billing` both.
    let first = bench.consumer_of("{app}:orders", "billing").handler(Relay::default()).spawn().await.unwrap();
    let error = bench.consumer_of("{app}", "orders:billing").handler(Relay::default()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    let text = error.to_string();
    assert!(text.contains("group `billing` on stream `{app}:orders`") && text.contains("another group name"), "{text}");
    within(first.shutdown()).await.unwrap();
}
