//! Whether what a worker left on the server is what the sales say.

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply};

use super::Failure;
use super::workload::{ALERT_QUANTITY, quantity, sold_after};

/// What the alerts of a worker can be held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alerts {
    /// It publishes nothing: its state is the number of entries that it saw.
    None,
    /// One for every tenth sale, in the order of the sales, each with the state at that moment.
    InOrder,
    /// One for every tenth sale.
    AnyOrder,
}

/// Compares state and alerts after `entries` sales. `Err` says what is wrong.
pub async fn check(
    connection: &mut MultiplexedConnection,
    alerts: &str,
    expected: Alerts,
    state: Option<u64>,
    entries: u64,
) -> Result<Result<(), String>, Failure> {
    let wanted = if expected == Alerts::None { entries } else { sold_after(entries) };
    if state != Some(wanted) {
        return Ok(Err(format!("the state is {state:?}, by the sales {wanted}")));
    }
    if expected == Alerts::None {
        return Ok(Ok(()));
    }
    let mut found = all(connection, alerts).await?;
    if expected == Alerts::AnyOrder {
        found.sort_unstable_by_key(|(sku, _)| number(sku));
    }
    let wanted = (0..entries).filter(|number| quantity(*number) == ALERT_QUANTITY);
    let wanted = wanted.map(|number| (format!("sku-{number}"), sold_after(number + 1)));
    let mut found = found.into_iter();
    for (sku, sold) in wanted {
        match found.next() {
            Some(alert) if alert.0 == sku && (expected == Alerts::AnyOrder || alert.1 == Some(sold)) => {}
            Some(alert) => return Ok(Err(format!("where the alert of {sku} at {sold} belongs stands {alert:?}"))),
            None => return Ok(Err(format!("the alert of {sku} is missing"))),
        }
    }
    Ok(found.next().map_or(Ok(()), |alert| Err(format!("an alert too many: {alert:?}"))))
}

async fn all(connection: &mut MultiplexedConnection, stream: &str) -> Result<Vec<(String, Option<u64>)>, Failure> {
    let mut alerts = Vec::new();
    let mut after = "-".to_owned();
    loop {
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg(&after).arg("+").arg("COUNT").arg(5_000);
        let reply: StreamRangeReply = command.query_async(connection).await?;
        let Some(last) = reply.ids.last() else { return Ok(alerts) };
        after = format!("({}", last.id);
        let alert = |entry: &StreamId| (entry.get("sku").unwrap_or_default(), entry.get("sold"));
        alerts.extend(reply.ids.iter().map(alert));
    }
}

fn number(sku: &str) -> u64 {
    sku.strip_prefix("sku-").and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}
