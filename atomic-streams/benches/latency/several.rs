//! Several consumers in one process, each on a stream of its own: busy ones, and idle ones.

use std::time::{Duration, Instant};

use atomic_streams::{Consumer, Fields, Transaction, handler_fn};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

use crate::row::Row;
use crate::stand::Failure;
use crate::stand::child::{self, Job};
use crate::stand::consumer::{Shop, Tracker, record};
use crate::stand::meter::{Meter, Sample, connect, memory_kb, process_cpu, server_cpu_s};
use crate::stand::outcome::{self, Alerts};
use crate::stand::workload::{fill, sold_after};

/// The job of one of them.
fn part(job: &Job, number: u64) -> Job {
    Job { stream: format!("{}-{number}", job.stream), alerts: format!("{}-{number}", job.alerts), ..job.clone() }
}

/// Lets so many consumers share `entries`, once.
pub async fn run(
    url: &str,
    connection: &mut MultiplexedConnection,
    consumers: u64,
    entries: u64,
) -> Result<Row, Failure> {
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    let each = (entries / consumers / 10).max(1) * 10;
    let job = job("several", url, each, consumers);
    for number in 0..consumers {
        fill(connection, &part(&job, number).stream, each, 0).await?;
    }
    let sample: Sample = child::run(child::worker(&job)?).await??;
    let mut fault = None;
    for number in 0..consumers {
        let part = part(&job, number);
        let state: Option<Vec<u8>> = connection.hget(record(&part.stream, &part.group), Tracker::FIELD).await?;
        let state = state.map(|state| rmp_serde::from_slice(&state)).transpose()?;
        let checked = outcome::check(connection, &part.alerts, Alerts::InOrder, state, each).await?;
        fault = fault.or(checked.err());
    }
    let all = (each * consumers) as f64;
    Ok(Row {
        section: "scaling",
        variant: format!("consumers_{consumers}"),
        figures: vec![
            ("msgs_per_s", all / sample.elapsed_s),
            ("client_us", 1e6 * sample.client_s / all),
            ("server_us", 1e6 * sample.server_s / all),
            ("peak_rss_mb", sample.peak_rss_kb as f64 / 1024.0),
        ],
        fault,
    })
}

/// Does the work of [`run`] in this process. The job's `total` says how many consumers there are.
pub async fn work(job: &Job) -> Result<Sample, Failure> {
    let meter = Meter::start(&job.url).await?;
    let mut running = Vec::new();
    for number in 0..job.total {
        let part = Job { total: sold_after(job.entries), ..part(job, number) };
        let shop = Shop::new(&part);
        let builder = Consumer::builder(&part.stream, &part.group).redis_url(&part.url);
        running.push((builder.handler(Tracker::new(shop.clone())).spawn().await?, shop));
    }
    for (consumer, shop) in &running {
        shop.closing().await;
        while consumer.stats().processed < job.entries {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let sample = meter.stop().await?;
    for (consumer, _) in running {
        consumer.shutdown().await?;
    }
    Ok(sample)
}

/// What so many idle consumers cost.
#[derive(Debug, Serialize, Deserialize)]
struct Idle {
    spawn_s: f64,
    client_percent: f64,
    server_percent: f64,
    rss_mb: f64,
    connections: u64,
    active: u64,
}

/// How long idle consumers are watched: three renewals of the default lease.
const WATCHED: Duration = Duration::from_secs(10);

/// Watches so many idle consumers once.
pub async fn run_idle(url: &str, connection: &mut MultiplexedConnection, consumers: u64) -> Result<Row, Failure> {
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    let idle: Idle = child::run(child::worker(&job("idle", url, 0, consumers))?).await??;
    Ok(Row {
        section: "idle",
        variant: format!("consumers_{consumers}"),
        figures: vec![
            ("client_percent_of_a_core", idle.client_percent),
            ("server_percent_of_a_core", idle.server_percent),
            ("rss_mb", idle.rss_mb),
            ("connections", idle.connections as f64),
            ("spawn_s", idle.spawn_s),
        ],
        fault: (idle.active != consumers).then(|| format!("only {} were active", idle.active)),
    })
}

/// Does the work of [`run_idle`] in this process, and shows it.
pub async fn work_idle(job: &Job) -> Result<String, Failure> {
    let mut connection = connect(&job.url).await?;
    let began = Instant::now();
    let mut running = Vec::new();
    for number in 0..job.total {
        let part = part(job, number);
        let handler = handler_fn(async |_sale: Fields, _tx: &mut Transaction| Ok(()));
        running.push(Consumer::builder(&part.stream, &part.group).redis_url(&part.url).handler(handler).spawn().await?);
    }
    let spawn_s = began.elapsed().as_secs_f64();
    let (client, server) = (process_cpu(), server_cpu_s(&mut connection).await?);
    let watched = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let client_s = (process_cpu() - client).as_secs_f64();
    let server_s = server_cpu_s(&mut connection).await? - server;
    let percent = 100.0 / watched.elapsed().as_secs_f64();
    let clients: String = redis::cmd("INFO").arg("clients").query_async(&mut connection).await?;
    let connected =
        clients.lines().find_map(|line| line.strip_prefix("connected_clients:")?.trim().parse::<u64>().ok());
    let active =
        running.iter().filter(|consumer| *consumer.status().borrow() == atomic_streams::Status::Active).count();
    let idle = Idle {
        spawn_s,
        client_percent: client_s * percent,
        server_percent: server_s * percent,
        rss_mb: memory_kb("VmRSS") as f64 / 1024.0,
        // This one and the benchmark's are not theirs.
        connections: connected.unwrap_or(0).saturating_sub(2),
        active: active as u64,
    };
    Ok(serde_json::to_string(&idle)?)
}

fn job(work: &str, url: &str, entries: u64, consumers: u64) -> Job {
    Job {
        work: work.to_owned(),
        url: url.to_owned(),
        stream: "sales".to_owned(),
        alerts: "alerts".to_owned(),
        group: "bench".to_owned(),
        entries,
        total: consumers,
    }
}
