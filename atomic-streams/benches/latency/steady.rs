//! From a producer's XADD to the committed alert downstream, at a constant rate.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Commands, Connection};

use crate::producer::{self, Producer};
use crate::row::Row;
use crate::stand::Failure;
use crate::stand::child::{self, Job};
use crate::stand::meter::Sample;
use crate::stand::workload::{ALERT_QUANTITY, SALES};

/// How long a producer sends.
const SECONDS: u64 = 5;

/// The first second is for warming up.
const WARM_UP_SECONDS: u64 = 1;

/// Runs a way of working at a rate once.
pub async fn run(
    url: &str,
    connection: &mut MultiplexedConnection,
    work: &'static str,
    rate: u32,
) -> Result<Row, Failure> {
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    let entries = SECONDS * u64::from(rate);
    let job = Job {
        work: work.to_owned(),
        url: url.to_owned(),
        stream: SALES.to_owned(),
        alerts: "alerts".to_owned(),
        group: "bench".to_owned(),
        entries,
        total: entries * ALERT_QUANTITY,
    };
    let worker = tokio::spawn(child::run::<Sample>(child::worker(&job)?));
    attached(connection).await?;
    let mut downstream = producer::connect(url)?;
    let producer = Producer::start(url, rate, entries)?;
    let watching = tokio::task::spawn_blocking(move || {
        let watched = watch(&mut downstream, &producer, entries);
        producer.stop()?;
        watched
    });
    let (mut ages, fault) = watching.await??;
    let sample = worker.await???;
    let fault = fault.or_else(|| {
        (sample.state != Some(job.total))
            .then(|| format!("the state is {:?}, by the sales {}", sample.state, job.total))
    });
    let mut ages = ages.split_off((WARM_UP_SECONDS * u64::from(rate)) as usize);
    ages.sort_unstable();
    let at = |share: f64| {
        let position = ((ages.len() as f64 * share).ceil() as usize).saturating_sub(1);
        ages.get(position).map_or(f64::NAN, |age| age.as_secs_f64() * 1e6)
    };
    let cpu_us = |seconds: f64| 1e6 * seconds / entries as f64;
    Ok(Row {
        section: "latency",
        variant: format!("{work}_{rate}_per_s"),
        figures: vec![
            ("p50_us", at(0.5)),
            ("p99_us", at(0.99)),
            ("p99_9_us", at(0.999)),
            ("max_us", at(1.0)),
            ("client_us", cpu_us(sample.client_s)),
            ("server_us", cpu_us(sample.server_s)),
        ],
        fault,
    })
}

/// Waits until the worker has made its group, shortly before it reads.
async fn attached(connection: &mut MultiplexedConnection) -> Result<(), Failure> {
    for _ in 0..2_000 {
        let groups: redis::RedisResult<Vec<redis::Value>> =
            redis::cmd("XINFO").arg("GROUPS").arg(SALES).query_async(connection).await;
        if groups.is_ok_and(|groups| !groups.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the worker did not attach within 10 s".into())
}

/// The age of every alert when it could be read, in the order of the sales, and what was wrong with them.
fn watch(
    downstream: &mut Connection,
    producer: &Producer,
    entries: u64,
) -> Result<(Vec<Duration>, Option<String>), Failure> {
    let options = StreamReadOptions::default().count(1_000).block(20_000);
    let mut ages = Vec::with_capacity(entries as usize);
    let mut after = "0-0".to_owned();
    while (ages.len() as u64) < entries {
        let read: Option<StreamReadReply> = downstream.xread_options(&["alerts"], &[&after], &options)?;
        let Some(read) = read else { return Err("no alert for 20 s".into()) };
        for alert in read.keys.into_iter().flat_map(|key| key.ids) {
            let number = ages.len() as u64;
            ages.push(producer.age(number));
            let (sku, sold): (Option<String>, Option<u64>) = (alert.get("sku"), alert.get("sold"));
            if sku != Some(format!("sku-{number}")) || sold != Some((number + 1) * ALERT_QUANTITY) {
                return Ok((ages, Some(format!("where the alert of sku-{number} belongs stands {sku:?} at {sold:?}"))));
            }
            after = alert.id;
        }
    }
    Ok((ages, None))
}
