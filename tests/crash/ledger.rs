//! Holds what the server has against what the sales say.

use atomic_streams::EntryId;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamInfoGroup, StreamInfoGroupsReply, StreamRangeReply};
use support::{Server, eventually};

pub const SALES: &str = "sales";
pub const ALERTS: &str = "restock-alerts";
pub const GROUP: &str = "inventory-tracker";
pub const RECORD: &str = "atomic-streams:{sales}:inventory-tracker";
pub const INITIAL_STOCK: i64 = 100;
pub const ALERT_AT: i64 = 10;

/// A sku, and its quantity sold or the stock it left.
type Line = (String, i64);

/// The sales and alerts read so far, and what the sales up to the position lead to.
pub struct Ledger {
    connection: MultiplexedConnection,
    sales: Vec<(EntryId, Line)>,
    alerts: Vec<Line>,
    last_alert: EntryId,
    applied: usize,
    stock: i64,
    expected: Vec<Line>,
}

/// What the record said when it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub head: String,
    pub position: EntryId,
    pub processed: usize,
    /// Sales that wait.
    pub left: usize,
    pub lease: u64,
    pub epoch: u64,
    pub owner: String,
}

impl Record {
    /// The process that the owner's name ends in.
    pub fn pid(&self) -> u32 {
        self.owner.rsplit('/').next().unwrap().parse().unwrap()
    }
}

impl Ledger {
    pub async fn open(server: &Server) -> Self {
        Self::new(server.connection().await)
    }

    fn new(connection: MultiplexedConnection) -> Self {
        Self {
            connection,
            sales: Vec::new(),
            alerts: Vec::new(),
            last_alert: EntryId::MIN,
            applied: 0,
            stock: INITIAL_STOCK,
            expected: Vec::new(),
        }
    }

    /// Asserts that state, position, alerts and group agree with the sales, at whatever moment this is; `None` while
    /// there is no record.
    pub async fn check(&mut self) -> Option<Record> {
        type Values = (Option<Vec<u8>>, Option<String>, Option<usize>, Option<String>, u64, u64, String);
        let after_sale = self.sales.last().map_or(EntryId::MIN, |(id, _)| *id);
        let mut pipe = redis::pipe();
        // One transaction, or a commit between the reads would look like a fault.
        pipe.atomic().exists(RECORD).xrange(SALES, format!("({after_sale}"), "+");
        pipe.xrange(ALERTS, format!("({}", self.last_alert), "+");
        let fields = ["stock", "@position", "@processed", "@head", "@lease", "@epoch", "@owner"];
        pipe.cmd("HMGET").arg(RECORD).arg(&fields[..]).xinfo_groups(SALES);
        let (exists, sales, alerts, values, groups): (bool, StreamRangeReply, StreamRangeReply, redis::Value, _) =
            pipe.query_async(&mut self.connection).await.unwrap();

        self.sales.extend(sales.ids.iter().map(|entry| (id(entry), line(entry, "quantity"))));
        self.alerts.extend(alerts.ids.iter().map(|entry| line(entry, "stock")));
        self.last_alert = alerts.ids.last().map_or(self.last_alert, id);
        if !exists {
            assert!(self.alerts.is_empty(), "alerts without a record: {:?}", self.alerts);
            return None;
        }
        let (stock, position, processed, head, lease, epoch, owner): Values = redis::from_redis_value(values).unwrap();
        let position = position.expect("a position").parse().unwrap();
        let processed = processed.expect("a count of entries");
        self.apply_until(position);
        assert_eq!(processed, self.applied, "entries counted by the record, and entries up to its position {position}");
        // The first commit of a subscription writes the state that it begins with.
        let stock = stock.map_or(INITIAL_STOCK, |bytes| rmp_serde::from_slice(&bytes).unwrap());
        assert_eq!(stock, self.stock, "the stock after {processed} sales");
        self.compare_alerts();
        let left = self.sales.len() - self.applied;
        let group = group(groups);
        assert_eq!(group.last_delivered_id.parse(), Ok(position), "the group's cursor");
        assert_eq!((group.lag, group.pending), (Some(left), 0), "the group's lag and pending entries");
        Some(Record { head: head.unwrap(), position, processed, left, lease, epoch, owner })
    }

    /// Waits until this many sales are committed, for as long as the number grows, checking all the while.
    pub async fn reach(&mut self, processed: usize) -> Record {
        let mut before = None;
        loop {
            let record = eventually("one more sale is committed", async || {
                self.check().await.filter(|now| now.processed >= processed || Some(now.processed) > before)
            });
            let record = record.await;
            if record.processed >= processed {
                return record;
            }
            before = Some(record.processed);
        }
    }

    /// Waits until all of `sold` are committed, and reads everything once more from its beginning.
    pub async fn finish(mut self, sold: usize) -> Record {
        self.reach(sold).await;
        let mut anew = Self::new(self.connection);
        let record = anew.check().await.unwrap();
        assert_eq!(anew.sales.len(), sold, "sales in the stream");
        assert_eq!((record.processed, record.left), (sold, 0));
        record
    }

    pub fn alerts(&self) -> usize {
        self.alerts.len()
    }

    fn apply_until(&mut self, position: EntryId) {
        let applied = self.sales.partition_point(|(id, _)| *id <= position);
        assert!(applied >= self.applied, "the position went back to {position}");
        for (_, (sku, quantity)) in &self.sales[self.applied..applied] {
            self.stock -= quantity;
            if self.stock <= ALERT_AT {
                self.expected.push((sku.clone(), self.stock));
            }
        }
        self.applied = applied;
    }

    /// Like `assert_eq!`, showing the place of the difference rather than thousands of alerts.
    fn compare_alerts(&self) {
        let (found, expected) = (&self.alerts, &self.expected);
        let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
        assert!(
            same == found.len() && same == expected.len(),
            "alert {same} is {:?} and should be {:?}; there are {} and should be {}",
            found.get(same),
            expected.get(same),
            found.len(),
            expected.len()
        );
    }
}

fn id(entry: &StreamId) -> EntryId {
    entry.id.parse().unwrap()
}

fn line(entry: &StreamId, number: &str) -> Line {
    (entry.get("sku").unwrap(), entry.get(number).unwrap())
}

fn group(groups: StreamInfoGroupsReply) -> StreamInfoGroup {
    groups.groups.into_iter().find(|group| group.name == GROUP).expect("the group of a record")
}
