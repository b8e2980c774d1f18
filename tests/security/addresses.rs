//! Passwords appear nowhere: in no log line, status, error or debug output.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atomic_streams::redis::Client;
use atomic_streams::{Consumer, DeadLetters, Error, ErrorKind, Producer, Sentinel};
use redis::AsyncCommands;
use serde::Serialize;
use support::{Server, eventually};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::tally::{self, GROUP, LETTERS, STREAM, consumer};

/// Part of every password here, so that it is found however the rest of it is written.
const SECRET: &str = "hunter2";
const PASSWORD: &str = "p@/#?%:ss hunter2";
const ENCODED: &str = "p%40%2F%23%3F%25%3Ass%20hunter2";

#[derive(Serialize)]
struct Number {
    n: i64,
}

/// Everything that was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// Everything that is logged from here on, by whatever crate, as long as the guard lives.
    fn log(&self) -> impl Drop + use<> {
        let written = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::TRACE);
        subscriber.with_writer(move || written.clone()).finish().set_default()
    }

    fn debug(&self, value: &impl Debug) {
        self.0.lock().unwrap().extend(format!("{value:?} {value:#?}\n").bytes());
    }

    fn error(&self, error: &Error) {
        let mut cause: Option<&dyn StdError> = Some(error);
        while let Some(error) = cause {
            self.debug(&error);
            self.0.lock().unwrap().extend(format!("{error} {error:#}\n").bytes());
            cause = error.source();
        }
    }

    #[track_caller]
    fn has(&self, words: &str) {
        let text = self.text();
        assert!(text.contains(words), "{words:?} is not in this:\n{text}");
    }

    #[track_caller]
    fn has_no_secret(&self) {
        let text = self.text();
        assert!(!text.contains(SECRET), "a password is shown:\n{text}");
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a consumer, a producer and a reader of dead letters say when none of them comes to anything.
async fn errors(shown: &Shown, url: &str) -> Vec<Error> {
    let mut errors = Vec::new();
    let builder = consumer().redis_url(url).lease(Duration::from_millis(500));
    shown.debug(&builder);
    match builder.spawn().await {
        Ok(consumer) => {
            shown.debug(&consumer);
            shown.debug(&consumer.status().borrow());
            shown.debug(&consumer.shutdown().await);
        }
        Err(error) => errors.push(error),
    }
    match Producer::new(url) {
        Ok(producer) => {
            shown.debug(&producer);
            errors.push(producer.publish(STREAM, &Number { n: 1 }).await.unwrap_err());
        }
        Err(error) => errors.push(error),
    }
    match DeadLetters::new(url, LETTERS) {
        Ok(letters) => {
            shown.debug(&letters);
            errors.push(letters.list(1).await.unwrap_err());
        }
        Err(error) => errors.push(error),
    }
    for error in &errors {
        shown.error(error);
    }
    errors
}

#[tokio::test]
async fn a_user_with_a_password_of_any_characters_works_and_shows_it_nowhere() {
    let shown = Shown::default();
    let _log = shown.log();
    let server = Server::start().await;
    let mut redis = server.connection().await;
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "us@er", "on", &format!(">{PASSWORD}"), "~*", "&*", "+@all"])
        .query_async(&mut redis)
        .await
        .unwrap();
    let url = format!("redis://us%40er:{ENCODED}@127.0.0.1:{}", server.port());
    let running = consumer().redis_url(&url).lease(Duration::from_millis(500)).spawn().await.unwrap();
    let producer = Producer::new(&url).unwrap();
    for n in [1, -2, 3] {
        producer.publish(STREAM, &Number { n }).await.unwrap();
    }
    tally::processed(&redis, 3).await;
    let letters = DeadLetters::with_client(&Client::open(url.as_str()).unwrap(), LETTERS).unwrap();
    shown.debug(&letters.list(1).await.unwrap());
    shown.debug(&running);
    shown.debug(&(&producer, &letters));

    // Connections that break, and a record that vanishes: what can be said about a server is said.
    let () =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query_async(&mut redis).await.unwrap();
    eventually("the consumer recovers", async || running.stats().recoveries > 0).await;
    let () = redis.del(tally::RECORD).await.unwrap();
    let ended = running.wait().await.unwrap_err();
    shown.error(&ended);
    shown.has("ownership taken");
    shown.has("recover");
    shown.has_no_secret();
}

#[tokio::test]
async fn a_password_that_is_not_accepted_is_not_shown() {
    let shown = Shown::default();
    let _log = shown.log();
    let server = Server::builder().password("the-right-one").start().await;
    for credentials in [format!(":{ENCODED}@"), format!("nobody:{ENCODED}@"), String::new()] {
        for error in errors(&shown, &format!("redis://{credentials}127.0.0.1:{}", server.port())).await {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        }
    }
    shown.has("authentication failed");
    shown.has("NOAUTH");
    assert!(!shown.text().contains("the-right-one"));
    shown.has_no_secret();
}

#[tokio::test]
async fn a_server_that_is_not_there_does_not_bring_the_password_to_light() {
    let shown = Shown::default();
    let _log = shown.log();
    let server = Server::start().await;
    let port = server.port();
    drop(server);
    for url in [
        format!("redis://user:{ENCODED}@127.0.0.1:{port}"),
        format!("redis://:{ENCODED}@no-such-host.invalid"),
        format!("unix:///no/such/socket?pass={ENCODED}"),
        format!("redis+sentinel://user:{ENCODED}@127.0.0.1:{port},no-such-host.invalid/mymaster"),
    ] {
        for error in errors(&shown, &url).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    }
    shown.has("refused");
    shown.has_no_secret();
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_not_repeated() {
    let shown = Shown::default();
    let _log = shown.log();
    for url in [
        // Characters of the password as they are.
        "redis://user:p/hunter2@host",
        "redis://user:p#hunter2@host",
        "redis://user:p?hunter2@host",
        "redis://user:1/hunter2@host",
        "redis://user:p%ffhunter2@host",
        "redis://host/hunter2",
        "redis://host?protocol=hunter2",
        "rediss://host#hunter2",
        "hunter2://host",
        "user:hunter2@host",
        "hunter2",
        "redis+sentinel://user:hunter2@host",
        "redis+sentinel://user:p/hunter2@host/mymaster",
        "redis+sentinel://host:hunter2/mymaster",
        "redis+sentinel://host/mymaster/hunter2",
    ] {
        for error in errors(&shown, url).await {
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
            assert!(error.to_string().contains("address"), "{error}");
        }
    }
    shown.has_no_secret();
}

#[tokio::test]
async fn every_way_to_name_a_server_is_shown_without_it() {
    let shown = Shown::default();
    let url = format!("redis://user:{ENCODED}@host");
    let client = Client::open(url.as_str()).unwrap();
    let sentinel = Sentinel::new("mymaster", [&url]).unwrap().primary_like(&client);
    let builder = || Consumer::builder(STREAM, GROUP);
    shown.debug(&(builder().redis_url(&url), builder().redis_client(client.clone()), builder().sentinel(&sentinel)));
    shown.debug(&(Producer::new(&url).unwrap(), Producer::with_client(&client).unwrap()));
    shown.debug(&(Producer::with_sentinel(&sentinel), DeadLetters::with_sentinel(&sentinel, LETTERS).unwrap()));
    shown.debug(&(DeadLetters::new(&url, LETTERS).unwrap(), DeadLetters::with_client(&client, LETTERS).unwrap()));
    shown.debug(&sentinel);
    shown.has("mymaster");
    shown.has_no_secret();
}
