//! An entry that kills every process that handles it, and deaths that only look like it.

use atomic_streams::{DeadLetter, Entry};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Server, eventually};

use crate::ledger::{ALERT_AT, ALERTS, INITIAL_STOCK, RECORD, SALES};
use crate::shop::Shop;
use crate::worker::{DEAD, Worker};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

async fn entries(connection: &mut MultiplexedConnection, stream: &str) -> Vec<Entry> {
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg("-").arg("+");
    let entries: Vec<(String, Pairs)> = command.query_async(connection).await.unwrap();
    let entry = |(id, fields): (String, Pairs)| Entry { id: id.parse().unwrap(), fields: fields.into_iter().collect() };
    entries.into_iter().map(entry).collect()
}

async fn processed(connection: &mut MultiplexedConnection) -> usize {
    connection.hget::<_, _, Option<usize>>(RECORD, "@processed").await.unwrap().unwrap_or(0)
}

/// Asserts that stock and alerts are those of all sales but `culprit`.
async fn is_right_without(connection: &mut MultiplexedConnection, culprit: &str) {
    let (mut stock, mut expected) = (INITIAL_STOCK, Vec::new());
    for sale in entries(connection, SALES).await {
        let sku = sale.fields.get_str("sku").unwrap().to_owned();
        if sku == culprit {
            continue;
        }
        stock -= sale.fields.get_str("quantity").unwrap().parse::<i64>().unwrap();
        if stock <= ALERT_AT {
            expected.push((sku, stock.to_string()));
        }
    }
    let stored: Vec<u8> = connection.hget(RECORD, "stock").await.unwrap();
    assert_eq!(rmp_serde::from_slice::<i64>(&stored).unwrap(), stock);
    let text = |alert: &Entry, name: &str| alert.fields.get_str(name).unwrap().to_owned();
    let alerts = entries(connection, ALERTS).await;
    let alerts: Vec<_> = alerts.iter().map(|alert| (text(alert, "sku"), text(alert, "stock"))).collect();
    assert_eq!(alerts, expected);
}

#[tokio::test]
async fn an_entry_that_aborts_the_process_each_time_becomes_a_dead_letter_once() {
    for in_groups in [false, true] {
        let server = Server::builder().append_only("everysec").start().await;
        let mut connection = server.connection().await;
        Shop::open(&server, 11).await.sell(120).await;
        let mut deaths = Vec::new();
        let last = loop {
            let worker = Worker::on(server.url(), 150).aborts_in("sku-90").with_dead_letters();
            let worker = if in_groups { worker.in_groups(5) } else { worker };
            let worker = worker.start();
            let is_done = eventually("it dies, or all sales are committed", async || {
                (processed(&mut connection).await == 120 || !worker.is_alive()).then_some(worker.is_alive())
            });
            if is_done.await {
                break worker;
            }
            deaths.push(worker.output());
            assert!(deaths.len() <= 5, "the culprit is not found:\n{}", deaths.join("\n--\n"));
            assert_eq!(entries(&mut connection, DEAD).await.len(), 0);
        };
        // One among many on their way, one when it is found behind the position (unless it was there the first time), and
        // three that are counted.
        assert!(deaths.len() >= 4, "{} deaths", deaths.len());
        let letters: Vec<_> =
            entries(&mut connection, DEAD).await.into_iter().map(|entry| DeadLetter::of(entry).unwrap()).collect();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!(letter.entry.fields.get_str("sku"), Some("sku-90"));
        assert_eq!(letter.attempts, 3);
        assert!(letter.error.contains("the process ended 3 times"), "{}", letter.error);
        let id = letter.entry.id.to_string();
        let named = |output: &str| output.lines().any(|line| line.contains("WARN") && line.contains(&id));
        assert!(named(deaths.last().unwrap()) && named(&last.output()), "{}", last.output());
        assert_eq!(connection.hget::<_, _, Option<String>>(RECORD, "@trying").await.unwrap(), None);
        is_right_without(&mut connection, "sku-90").await;
        last.terminate();
        assert!(last.wait().await.success(), "{}", last.output());
    }
}

#[tokio::test]
async fn killed_while_an_entry_waits_for_its_next_try_it_does_not_blame_it() {
    let server = Server::builder().append_only("everysec").start().await;
    let mut connection = server.connection().await;
    Shop::open(&server, 12).await.sell(3).await;
    for _ in 0..6 {
        let worker = Worker::on(server.url(), 150).fails_in("sku-1").with_dead_letters().start();
        worker.wait_for_line(|line| line.starts_with("status: Retrying")).await;
        eventually("the note is taken back", async || {
            connection.hget::<_, _, Option<String>>(RECORD, "@trying").await.unwrap().is_none()
        })
        .await;
        worker.kill();
    }
    let worker = Worker::on(server.url(), 150).with_dead_letters().start();
    eventually("all is committed", async || processed(&mut connection).await == 3).await;
    assert_eq!(entries(&mut connection, DEAD).await, []);
    is_right_without(&mut connection, "").await;
    worker.terminate();
    assert!(worker.wait().await.success(), "{}", worker.output());
}
