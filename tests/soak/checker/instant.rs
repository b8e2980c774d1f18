//! All that a subscription has on the server at one instant.

use std::collections::{BTreeMap, VecDeque};

use atomic_streams::EntryId;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};
use serde::de::DeserializeOwned;

use super::Trouble;
use crate::entries::{Read, entries};
use crate::subscriptions::{Chain, Subscription};

#[derive(Debug)]
pub struct Instant {
    pub position: EntryId,
    pub processed: u64,
    pub chain: Chain,
    pub epoch: u64,
    pub owner: String,
    /// Outputs that were not read before.
    pub outputs: Vec<Read>,
    pub by_key: BTreeMap<u64, u64>,
    pub recent: VecDeque<u64>,
}

type Record = (
    Option<String>,
    Option<u64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<u64>,
    Option<String>,
    Option<String>,
);

impl Instant {
    /// Reads it in one transaction, or a commit between the reads would look like a fault.
    pub async fn read(
        redis: &mut MultiplexedConnection,
        subscription: &Subscription,
        outputs_after: EntryId,
    ) -> Result<Self, Trouble> {
        let record = subscription.record();
        let (map, deque) = (format!("{record}@map:by_key"), format!("{record}@deque:recent"));
        let fields = ["@position", "@processed", "count", "sum", "hash", "@epoch", "@owner", "@stream"];
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("HMGET").arg(&record).arg(&fields[..]);
        pipe.cmd("XRANGE").arg(subscription.output).arg(format!("({outputs_after}")).arg("+");
        pipe.cmd("HGETALL").arg(&map).cmd("HGETALL").arg(&deque);
        let (values, outputs, map, deque): (Value, Value, Value, Value) = pipe.query_async(redis).await?;
        let (position, processed, count, sum, hash, epoch, owner, stream) =
            Record::from_redis_value(values).map_err(wrong(&record))?;
        if stream.is_none() && position.is_some() {
            return Err(Trouble::Wrong(format!("{record} has a position and does not name its stream")));
        }
        let position = position.as_deref().unwrap_or("0-0").parse().map_err(wrong(&record))?;
        let number = |bytes: Option<Vec<u8>>| bytes.map_or(Ok(0), |bytes| decoded(&record, &bytes));
        let recent: BTreeMap<i64, u64> = collection(&record, deque)?;
        Ok(Self {
            position,
            processed: processed.unwrap_or(0),
            chain: Chain { count: number(count)?, sum: number(sum)?, hash: number(hash)? },
            epoch: epoch.unwrap_or(0),
            owner: owner.unwrap_or_default(),
            outputs: entries(outputs).map_err(|odd| Trouble::Wrong(format!("{}: {odd}", subscription.output)))?,
            by_key: collection(&record, map)?,
            recent: recent.into_values().collect(),
        })
    }
}

fn collection<K: DeserializeOwned + Ord, V: DeserializeOwned>(
    record: &str,
    hash: Value,
) -> Result<BTreeMap<K, V>, Trouble> {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::from_redis_value(hash).map_err(wrong(record))?;
    pairs.iter().map(|(key, value)| Ok((decoded(record, key)?, decoded(record, value)?))).collect()
}

fn decoded<T: DeserializeOwned>(record: &str, bytes: &[u8]) -> Result<T, Trouble> {
    rmp_serde::from_slice(bytes).map_err(wrong(record))
}

fn wrong<E: std::fmt::Display>(record: &str) -> impl Fn(E) -> Trouble {
    move |error| Trouble::Wrong(format!("{record} cannot be read: {error}"))
}
