//! SIGKILL while the letters of a parked key are handled.

use std::collections::{BTreeMap, BTreeSet};

use atomic_streams::DeadLetters;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use support::{Rng, Server, eventually, seed};

use crate::ledger::{ALERTS, GROUP, INITIAL_STOCK, RECORD, SALES};
use crate::worker::{DEAD, Worker};

const SOLD: usize = 900;
const KILLS: usize = 8;

/// Sells to three customers in turn; after the first sale, every one is seen as an alert.
async fn sell(connection: &mut MultiplexedConnection, sales: std::ops::Range<usize>) {
    let mut pipe = redis::pipe();
    for n in sales {
        let quantity = if n == 0 { INITIAL_STOCK } else { 1 };
        let fields =
            [("sku", format!("sku-{n}")), ("quantity", quantity.to_string()), ("customer", (n % 3).to_string())];
        pipe.xadd(SALES, "*", &fields).ignore();
    }
    let () = pipe.query_async(connection).await.unwrap();
}

async fn skus(connection: &mut MultiplexedConnection, stream: &str) -> Vec<usize> {
    let reply: StreamRangeReply = connection.xrange_all(stream).await.unwrap();
    let sku = |entry: redis::streams::StreamId| entry.get::<String>("sku").unwrap()[4..].parse().unwrap();
    reply.ids.into_iter().map(sku).collect()
}

#[tokio::test]
async fn killed_while_letters_are_handled_each_is_handled_once_and_in_order() {
    let mut rng = Rng::new(seed());
    let server = Server::builder().append_only("everysec").start().await;
    let mut connection = server.connection().await;
    sell(&mut connection, 0..SOLD).await;
    let worker = Worker::on(server.url(), 150).parks_by("customer").refuses("sku-4").start();
    let processed = async |connection: &mut MultiplexedConnection| {
        connection.hget::<_, _, Option<usize>>(RECORD, "@processed").await.unwrap().unwrap_or(0)
    };
    eventually("all is committed", async || processed(&mut connection).await == SOLD).await;
    worker.kill();
    let waiting = SOLD / 3 - 1;
    assert_eq!(skus(&mut connection, DEAD).await, (4..SOLD).step_by(3).collect::<Vec<_>>());

    let letters = DeadLetters::new(server.url(), DEAD).unwrap();
    assert!(letters.unpark(SALES, GROUP, "1").await.unwrap());
    let (mut sold, mut in_the_middle) = (SOLD, 0);
    for kill in 0..KILLS {
        sell(&mut connection, sold..sold + 9).await;
        sold += 9;
        let worker = Worker::on(server.url(), 150).parks_by("customer").start();
        let at = waiting - kill * waiting / KILLS - rng.below(20) as usize;
        eventually("letters are handled", async || {
            connection.xlen::<_, usize>(DEAD).await.unwrap() <= at.max(1) || !worker.is_alive()
        })
        .await;
        worker.kill();
        let left: usize = connection.xlen(DEAD).await.unwrap();
        in_the_middle += usize::from(left > 0 && left < waiting);
    }
    println!("{in_the_middle} of {KILLS} died between two letters");
    assert!(in_the_middle > 0);
    let worker = Worker::on(server.url(), 150).parks_by("customer").start();
    eventually("all is committed", async || {
        processed(&mut connection).await == sold && connection.xlen::<_, usize>(DEAD).await.unwrap() == 0
    })
    .await;
    worker.terminate();
    assert!(worker.wait().await.success(), "{}", worker.output());

    assert!(letters.parked(SALES, GROUP).await.unwrap().is_empty());
    let handled = skus(&mut connection, ALERTS).await;
    assert_eq!(handled.iter().copied().collect::<BTreeSet<_>>(), (0..sold).collect(), "each of them");
    assert_eq!(handled.len(), sold, "and once");
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    handled.iter().for_each(|n| of.entry(n % 3).or_default().push(*n));
    assert!(of.values().all(|numbers| numbers.is_sorted()), "{of:?}");
    let stored: Vec<u8> = connection.hget(RECORD, "stock").await.unwrap();
    assert_eq!(rmp_serde::from_slice::<i64>(&stored).unwrap(), 1 - sold as i64);
}
