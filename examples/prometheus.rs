//! Figures for Prometheus, and probes for whatever restarts processes, over HTTP.
//!
//! ```sh
//! cargo run --example prometheus                      # serves on 127.0.0.1:9400, until Ctrl-C
//! curl http://127.0.0.1:9400/metrics
//! curl -i http://127.0.0.1:9400/ready
//! ```
//!
//! `-- --listen ADDRESS` serves elsewhere. An application that has a web server already adds three routes to it, and needs
//! nothing of what is written by hand here.

mod setup;

use std::error::Error;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerHandle, Handler, HandlerError, HandlerResult, OnFailure, Persistable, Transaction, async_trait,
    metrics,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use setup::Setup;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, timeout};

#[derive(Serialize, Deserialize)]
struct Payment {
    account: String,
    cents: i64,
}

/// Adds up payments. Some fail at first, and some for good.
#[derive(Persistable)]
struct Till {
    #[persist(default = 0)]
    cents: i64,
}

#[async_trait]
impl Handler for Till {
    type Message = Payment;

    async fn handle(&mut self, payment: Payment, tx: &mut Transaction) -> HandlerResult {
        if payment.cents < 0 {
            return Err(HandlerError::permanent("a payment cannot be negative"));
        }
        if payment.cents % 7 == 0 && tx.message().attempt() == 1 {
            return Err(HandlerError::retry_after("the bank is busy", Duration::from_millis(50)));
        }
        self.cents += payment.cents;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Before the first consumer: its figures are registered when it is spawned.
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(metrics::COMMIT_LATENCY.to_owned()), &metrics::COMMIT_LATENCY_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(metrics::COMMIT_BATCH.to_owned()), &metrics::COMMIT_BATCH_BUCKETS)?
        .install_recorder()?;

    let setup = Setup::find().await;
    let builder = Consumer::builder("payments", "till")
        .lease(Duration::from_secs(3))
        .on_failure(OnFailure::dead_letter("payments:dead"))
        .handler(Till { cents: 0 });
    let consumer = setup.connect(builder).spawn().await?;
    let producer = setup.producer()?;

    let listener = TcpListener::bind(address()?).await?;
    let at = listener.local_addr()?;
    println!("serving http://{at}/metrics, /ready and /live; Ctrl-C ends it");
    let mut sales = interval(Duration::from_millis(100));
    let mut upkeep = interval(Duration::from_secs(5));
    let mut number = 0;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            // What nobody fetches does not pile up.
            _ = upkeep.tick() => prometheus.run_upkeep(),
            _ = sales.tick() => {
                number += 1;
                let cents = if number % 10 == 0 { -1 } else { number };
                producer.publish("payments", &Payment { account: "ada".to_owned(), cents }).await?;
            }
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                // One at a time, and nobody may keep the others waiting.
                if let Ok(Err(error)) = timeout(Duration::from_secs(1), answer(socket, &prometheus, &consumer)).await {
                    eprintln!("a request was not answered: {error}");
                }
            }
        }
    }
    let report = consumer.shutdown().await?;
    println!("committed {} payments", report.processed);
    Ok(())
}

/// Answers one request.
async fn answer(
    mut socket: TcpStream,
    prometheus: &PrometheusHandle,
    consumer: &ConsumerHandle,
) -> Result<(), std::io::Error> {
    let mut request = String::new();
    BufReader::new((&mut socket).take(8_192)).read_line(&mut request).await?;
    let health = consumer.health();
    let said = |good: bool| (if good { "200 OK" } else { "503 Service Unavailable" }, format!("{health}\n"));
    let (status, body) = match request.split(' ').nth(1) {
        Some("/metrics") => ("200 OK", prometheus.render()),
        Some("/ready") => said(health.is_ready()),
        Some("/live") => said(health.is_live()),
        _ => ("404 Not Found", "there are /metrics, /ready and /live\n".to_owned()),
    };
    let length = body.len();
    let head = "Content-Type: text/plain; version=0.0.4\r\nConnection: close";
    let reply = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(reply.as_bytes()).await?;
    socket.shutdown().await
}

/// Where to serve.
fn address() -> Result<String, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok("127.0.0.1:9400".to_owned()),
        ["--listen", address] => Ok(address.to_owned()),
        _ => Err("usage: prometheus [--listen ADDRESS]".to_owned()),
    }
}
