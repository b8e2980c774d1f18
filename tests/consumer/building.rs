//! What cannot work is refused with a sentence, and a password is never shown.

use std::error::Error as _;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerBuilder, Error, ErrorKind, Fields, NoHandler, OnFailure, RetryPolicy, Transaction, handler_fn,
};
use support::Server;

use crate::site::within;

const URL: &str = "redis://127.0.0.1:6379";
const LONG: Duration = Duration::from_secs(60);

async fn refused(builder: ConsumerBuilder<NoHandler>) -> Error {
    let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
    let error = builder.handler(handler).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    error
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    for (stream, group, words) in [
        ("", "tally", "stream name \"\" is empty"),
        ("orders", "", "group name \"\" is empty"),
        ("or\nders", "tally", "control character"),
        ("orders", "tal@ly", "`@`"),
        (&"x".repeat(1_025), "tally", "1,024 bytes"),
    ] {
        let text = refused(Consumer::builder(stream, group).redis_url(URL)).await.to_string();
        assert!(text.contains(words), "{text}");
        assert!(text.len() < 300, "{text}");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_and_name_the_subscription() {
    let consumer = || Consumer::builder("orders", "tally").redis_url(URL);
    for (builder, words) in [
        (consumer().lease(Duration::ZERO), "a lease of 0ns"),
        (consumer().lease(Duration::from_millis(99)), "between 100ms and 3600s"),
        (consumer().lease(Duration::from_secs(3_601)), "a lease of 3601s"),
        (consumer().max_in_flight(0), "max_in_flight(0)"),
        (consumer().coalesce(0, Duration::ZERO), "coalesce with 0 messages"),
        (consumer().coalesce(9, Duration::from_secs(4)), "coalesce cannot wait for 4s"),
        (consumer().coalesce(9, Duration::from_millis(34)).lease(Duration::from_millis(100)), "a lease of 100ms"),
        (consumer().read_ahead(0, 1), "read_ahead"),
        (consumer().read_ahead(1, 0), "read_ahead"),
        (consumer().retry(RetryPolicy::exponential(Duration::ZERO, LONG)), "begin with 0ns"),
        (consumer().retry(RetryPolicy::exponential(LONG, Duration::from_secs(1))), "begin with 60s cannot grow to 1s"),
        (consumer().retry(RetryPolicy::default().max_attempts(5)), "call `on_failure`"),
        (consumer().retry(RetryPolicy::default().max_attempts(0)).on_failure(OnFailure::Skip), "max_attempts(0)"),
        (consumer().max_crashes(0), "max_crashes(0)"),
        (consumer().on_failure(OnFailure::dead_letter("orders")), "cannot be the input itself"),
        (consumer().on_failure(OnFailure::dead_letter("")), "dead-letter stream's name \"\" is empty"),
        (Consumer::builder("orders", "tally"), "no server was named"),
        (consumer().redis_url("http://127.0.0.1"), "address cannot be used"),
        (consumer().redis_url(""), "address cannot be used"),
    ] {
        let error = refused(builder).await;
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert_eq!((error.stream(), error.group()), (Some("orders"), Some("tally")), "{text}");
    }
}

#[tokio::test]
async fn the_shortest_and_the_longest_lease_work() {
    let server = Server::start().await;
    for lease in [Duration::from_millis(100), Duration::from_secs(3_600)] {
        let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
        let builder = Consumer::builder("orders", "tally").redis_url(server.url()).lease(lease).handler(handler);
        let consumer = builder.spawn().await.unwrap();
        assert!(within(consumer.shutdown()).await.unwrap().released);
    }
}

/// Everything that an error shows: its text, its debug text, and the same of its causes.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_builder_shows_no_password() {
    let builder = Consumer::builder("orders", "tally").redis_url("redis://user:hunter2@127.0.0.1:6379");
    let shown = format!("{builder:?} {builder:#?}");
    assert!(shown.contains("orders") && !shown.contains("hunter2"), "{shown}");
    let client = redis::Client::open("redis://user:hunter2@127.0.0.1:6379").unwrap();
    let shown = format!("{:?}", Consumer::builder("orders", "tally").redis_client(client));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_without_its_password() {
    for url in [
        "redis://user:hunter2@127.0.0.1:99999",
        "redis://user:hunter2@127.0.0.1:6379/database",
        "redis://user:hunter2@",
        "user:hunter2@127.0.0.1",
        "http://user:hunter2@127.0.0.1",
    ] {
        let error = refused(Consumer::builder("orders", "tally").redis_url(url)).await;
        let shown = shown(&error);
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_refused_at_spawn_and_not_shown() {
    let server = Server::builder().password("right-one").start().await;
    for credentials in ["", ":hunter2@", "nobody:hunter2@"] {
        let url = format!("redis://{credentials}127.0.0.1:{}/", server.port());
        let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
        let error = Consumer::builder("orders", "tally").redis_url(url).handler(handler).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("correct the credentials"), "{error}");
        let shown = shown(&error);
        assert!(!shown.contains("hunter2") && !shown.contains("right-one"), "{shown}");
    }
}

#[tokio::test]
async fn the_right_password_and_a_client_work() {
    let server = Server::builder().password("right-one").start().await;
    for by_client in [false, true] {
        let builder = Consumer::builder("orders", "tally");
        let builder = if by_client { builder.redis_client(server.client()) } else { builder.redis_url(server.url()) };
        let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
        let consumer = builder.handler(handler).spawn().await.unwrap();
        assert!(!format!("{consumer:?}").contains("right-one"));
        within(consumer.shutdown()).await.unwrap();
    }
}
