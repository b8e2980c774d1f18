//! The most memory that a consumer ever has, whatever waits for it.

use redis::aio::MultiplexedConnection;

use crate::row::Row;
use crate::stand::Failure;
use crate::stand::child::{self, Job};
use crate::stand::meter::Sample;
use crate::stand::outcome::{self, Alerts};
use crate::stand::workload::{SALES, fill, sold_after};

/// Lets a consumer work off `entries` that wait for it already, each with so many bytes beside what the handler needs.
pub async fn run(
    url: &str,
    connection: &mut MultiplexedConnection,
    name: &'static str,
    entries: u64,
    padding_bytes: usize,
) -> Result<Row, Failure> {
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    fill(connection, SALES, entries, padding_bytes).await?;
    let job = Job {
        work: "per_message".to_owned(),
        url: url.to_owned(),
        stream: SALES.to_owned(),
        alerts: "alerts".to_owned(),
        group: "bench".to_owned(),
        entries,
        total: sold_after(entries),
    };
    let sample: Sample = child::run(child::worker(&job)?).await??;
    let checked = outcome::check(connection, &job.alerts, Alerts::InOrder, sample.state, entries).await?;
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    Ok(Row {
        section: "memory",
        variant: name.to_owned(),
        figures: vec![
            ("entries", entries as f64),
            ("entry_bytes", padding_bytes as f64),
            ("peak_rss_mb", sample.peak_rss_kb as f64 / 1024.0),
            ("msgs_per_s", entries as f64 / sample.elapsed_s),
        ],
        fault: checked.err(),
    })
}
