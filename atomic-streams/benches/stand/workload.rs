//! The work that every variant does: sales in, one counter as state, one alert per ten sales out.

use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

use super::Failure;

/// The sales of a benchmark.
pub const SALES: &str = "sales";

/// A sale of this many is worth an alert. Every tenth sale is one.
pub const ALERT_QUANTITY: u64 = 9;

/// An entry of the input.
#[derive(Debug, Deserialize)]
pub struct Sale {
    pub sku: String,
    pub quantity: u64,
}

/// An entry of the output. `sold` is the state at that moment, so that alerts show what was lost, repeated or disordered.
#[derive(Debug, Serialize)]
pub struct Alert<'a> {
    pub sku: &'a str,
    pub sold: u64,
}

/// The quantity of the sale with this number, counted from 0.
pub fn quantity(number: u64) -> u64 {
    number % 10
}

/// The state after this many sales.
pub fn sold_after(sales: u64) -> u64 {
    (0..sales % 10).sum::<u64>() + sales / 10 * 45
}

/// Adds sales to a stream, as many as are asked for; with `padding_bytes`, each has a field of that size for nobody.
pub async fn fill(
    connection: &mut MultiplexedConnection,
    stream: &str,
    entries: u64,
    padding_bytes: usize,
) -> Result<(), Failure> {
    let at_once = ((1 << 20) / (padding_bytes + 1)).clamp(1, 1_000);
    let padding = "x".repeat(padding_bytes);
    for first in (0..entries).step_by(at_once) {
        let mut pipeline = redis::pipe();
        for number in first..entries.min(first + at_once as u64) {
            pipeline.cmd("XADD").arg(stream).arg("*").arg("sku").arg(format!("sku-{number}"));
            pipeline.arg("quantity").arg(quantity(number)).ignore();
            if padding_bytes > 0 {
                pipeline.arg("padding").arg(&padding);
            }
        }
        pipeline.query_async::<()>(connection).await?;
    }
    Ok(())
}
