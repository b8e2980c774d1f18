//! Connections over TLS, end to end, and each way in which they do not come about.

use atomic_streams::redis::Client;
use atomic_streams::{DeadLetters, Error, ErrorKind, Producer, Status};
use serde::Serialize;
use support::{Server, eventually};

use crate::certificates::{Authority, Files};
use crate::tally::{self, LETTERS, STREAM, assert_are_sums, consumer, sums};

#[derive(Serialize)]
struct Number {
    n: i64,
}

/// What a consumer, a producer and a reader of dead letters say.
async fn errors(client: &Client) -> [Error; 3] {
    let letters = DeadLetters::with_client(client, LETTERS).unwrap();
    [
        consumer().redis_client(client.clone()).spawn().await.expect_err("a consumer runs"),
        Producer::with_client(client).unwrap().publish(STREAM, &Number { n: 1 }).await.unwrap_err(),
        letters.list(1).await.unwrap_err(),
    ]
}

/// All of them refuse, as something that a person must change, with these words.
async fn refused(client: &Client, words: &str) {
    for error in errors(client).await {
        assert_eq!(error.kind(), ErrorKind::TlsFailed, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn url(server: &Server, host: &str) -> String {
    format!("rediss://{host}:{}", server.tls_port())
}

/// Consumer, producer and dead letters over this client.
async fn works(server: &Server, client: &Client) {
    let mut redis = server.connection().await;
    let producer = Producer::with_client(client).unwrap();
    let running = consumer().redis_client(client.clone()).spawn().await.unwrap();
    for n in [1, 2, -3, 4] {
        producer.publish(STREAM, &Number { n }).await.unwrap();
    }
    tally::processed(&redis, 4).await;
    let letters = DeadLetters::with_client(client, LETTERS).unwrap();
    let listed = letters.list(10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(letters.requeue(listed[0].id).await.unwrap().is_some());
    tally::processed(&redis, 5).await;
    running.shutdown().await.unwrap();
    assert_are_sums(&sums(&mut redis, tally::SUMS).await, &[1, 2, 4]);
}

#[tokio::test]
async fn everything_works_over_tls() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("localhost"));
    let Some(server) = files.serve(false).await else { return };
    works(&server, &authority.client(&url(&server, "localhost"))).await;
}

#[tokio::test]
async fn everything_works_for_a_client_with_a_certificate() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("localhost"));
    let Some(server) = files.serve(true).await else { return };
    let url = url(&server, "localhost");
    works(&server, &authority.client_as(&url, authority.sign("a-client"))).await;
    refused(&authority.client(&url), "client's certificate").await;
    refused(&authority.client_as(&url, Authority::new().sign("a-client")), "client's certificate").await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("localhost"));
    let Some(server) = files.serve(false).await else { return };
    let url = url(&server, "localhost");
    refused(&Authority::new().client(&url), "is of an authority that is not trusted").await;
    // Those that the system trusts.
    let error = consumer().redis_url(url.clone()).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TlsFailed, "{error}");
    assert!(error.to_string().contains("Client::build_with_tls"), "{error}");
    assert_eq!(Producer::new(&url).unwrap().publish(STREAM, &Number { n: 1 }).await.unwrap_err().kind(), error.kind());
    assert_eq!(DeadLetters::new(&url, LETTERS).unwrap().list(1).await.unwrap_err().kind(), error.kind());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("redis.example.com"));
    let Some(server) = files.serve(false).await else { return };
    for host in ["localhost", "127.0.0.1"] {
        refused(&authority.client(&url(&server, host)), "is for another host").await;
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign_expired("localhost"));
    let Some(server) = files.serve(false).await else { return };
    refused(&authority.client(&url(&server, "localhost")), "not valid").await;
}

#[tokio::test]
async fn a_plain_connection_to_a_port_for_tls_is_told_what_may_be_wrong() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("localhost"));
    let Some(server) = files.serve(false).await else { return };
    let client = Client::open(format!("redis://localhost:{}", server.tls_port())).unwrap();
    // What it sees is a connection that is closed, as it is by a server that has no room, or ends: it goes on trying.
    let running = consumer().redis_client(client.clone()).spawn().await.unwrap();
    let said = async || match running.status().borrow().clone() {
        Status::Recovering { reason } => Some(reason),
        _ => None,
    };
    let reason = eventually("the status says why", said).await;
    assert!(reason.contains("`rediss://`"), "{reason}");
    let error = Producer::with_client(&client).unwrap().publish(STREAM, &Number { n: 1 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("`rediss://`"), "{error}");
}

#[tokio::test]
async fn a_check_that_is_switched_off_by_the_address_is_refused() {
    let authority = Authority::new();
    let files = Files::of(&authority, authority.sign("localhost"));
    let Some(server) = files.serve(false).await else { return };
    let error = consumer().redis_url(format!("{}/#insecure", url(&server, "localhost"))).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
}
