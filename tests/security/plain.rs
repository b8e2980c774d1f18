//! TLS on a port that does not speak it, which needs no server with TLS.

use std::time::Duration;

use atomic_streams::{ErrorKind, Status};
use support::{Server, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tally::consumer;

#[tokio::test]
async fn a_server_that_waits_for_the_rest_of_a_greeting_is_waited_for_with_a_hint() {
    let server = Server::start().await;
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let consumer = consumer().lease(Duration::from_millis(500)).redis_url(url).spawn().await;
    // What it makes of a greeting depends on the random bytes in it.
    match consumer {
        Ok(consumer) => {
            let said = eventually("the status says why", async || match consumer.status().borrow().clone() {
                Status::Recovering { reason, .. } => Some(reason),
                _ => None,
            });
            let reason = said.await;
            assert!(reason.contains("`redis://`"), "{reason}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TlsFailed, "{error}");
            assert!(error.to_string().contains("`redis://`"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_answers_a_greeting_in_its_own_words_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 64];
            let _ = stream.read(&mut greeting).await;
            let _ = stream.write_all(b"-ERR unknown command\r\n").await;
        }
    });
    let error = consumer().redis_url(url).spawn().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TlsFailed, "{error}");
    assert!(error.to_string().contains("`redis://`"), "{error}");
}
