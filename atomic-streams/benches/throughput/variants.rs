//! The variants, side by side.

use std::time::Duration;

use crate::large;
use crate::positions::{self, Writes};
use crate::stand::Failure;
use crate::stand::by_hand;
use crate::stand::child::Job;
use crate::stand::consumer::{self, Tracker};
use crate::stand::meter::Sample;
use crate::stand::outcome::Alerts;
use crate::wide::Wide;

/// What the server writes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    None,
    /// The append-only file, flushed once a second.
    Everysec,
    /// The append-only file, flushed before each reply.
    Always,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This program.
    Itself,
    /// The Python library.
    Python,
    /// Another library, in a program of its own, on a server of its own.
    Peer,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// The way that the work is done; several variants may share one.
    pub work: &'static str,
    /// Who does it.
    pub by: By,
    /// What the server writes to disk.
    pub durability: Durability,
    /// What its alerts can be held to.
    pub alerts: Alerts,
    /// The slow ones get fewer entries.
    pub most_entries: u64,
    /// What it does not guarantee.
    pub lacks: &'static str,
}

const NOTHING: &str = "-";
/// What `coalesced` waits for a group of 256.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

const BY_GROUP: &str = "that each entry's effects show by themselves: up to 256 appear at once";
const BY_HAND: &str =
    "a fence against a second process or a late resend; notice of a rollback; entries left pending are not claimed";
const UNCHECKED: &str = "a fence against a second process or a late resend; notice of a rollback";
const BY_POSITION: &str = "a fence against a second process or a late resend; notice of a rollback; the group's cursor";

/// All of them, in the order of the table.
pub const ALL: &[Variant] = &[
    Variant { alerts: Alerts::None, ..itself("xread", "everything: entries are read and dropped") },
    Variant { alerts: Alerts::None, ..itself("xread_raw", "everything: replies are dropped unread") },
    Variant { alerts: Alerts::None, ..itself("evalsha_empty", "everything: the script writes nothing") },
    itself("per_message", NOTHING),
    on(Durability::Everysec, "per_message_aof_everysec", itself("per_message", NOTHING)),
    on(Durability::Always, "per_message_aof_always", itself("per_message", NOTHING)),
    itself("coalesced", BY_GROUP),
    on(Durability::Everysec, "coalesced_aof_everysec", itself("coalesced", BY_GROUP)),
    on(Durability::Always, "coalesced_aof_always", itself("coalesced", BY_GROUP)),
    itself("fields_1", NOTHING),
    itself("fields_1000", NOTHING),
    itself("map_1000", NOTHING),
    itself("map_1000000", NOTHING),
    itself("handwritten_xreadgroup", BY_HAND),
    itself("multi_same_writes", UNCHECKED),
    itself("multi_pipelined", BY_POSITION),
    itself("multi_batch", BY_POSITION),
    Variant {
        by: By::Python,
        most_entries: 20_000,
        ..itself(
            "python",
            "a fence: two processes both apply; notice of a rollback; a first message that fails is applied in part",
        )
    },
    peer(
        "bullmq-official",
        20_000,
        "exactly once: a stalled job runs again; order, with 64 at a time; state and alerts apart from the job's end",
    ),
    peer("chasquimq", 20_000, "not examined"),
    // Its script fails when 8,000 tasks are due.
    peer(
        "apalis-redis",
        5_000,
        "exactly once: an orphaned task runs again; order; state and alerts apart from the acknowledgement",
    ),
    peer(
        "sea-streamer-redis",
        100_000,
        "exactly once: acknowledged after every 1,000; order, with 64 at a time; state and alerts apart from the \
         acknowledgement",
    ),
];

const fn itself(name: &'static str, lacks: &'static str) -> Variant {
    Variant {
        name,
        work: name,
        by: By::Itself,
        durability: Durability::None,
        alerts: Alerts::InOrder,
        most_entries: u64::MAX,
        lacks,
    }
}

const fn on(durability: Durability, name: &'static str, variant: Variant) -> Variant {
    Variant { name, durability, ..variant }
}

const fn peer(name: &'static str, most_entries: u64, lacks: &'static str) -> Variant {
    Variant { by: By::Peer, most_entries, alerts: Alerts::AnyOrder, ..itself(name, lacks) }
}

/// Does the work in this process.
pub async fn work(job: &Job) -> Result<Sample, Failure> {
    match job.work.as_str() {
        "xread" => positions::xread(job).await,
        "xread_raw" => positions::xread_raw(job).await,
        "evalsha_empty" => positions::write(job, Writes::EmptyScripts).await,
        "multi_same_writes" => positions::write(job, Writes::SameEach).await,
        "multi_pipelined" => positions::write(job, Writes::TransactionEach).await,
        "multi_batch" => positions::write(job, Writes::TransactionForAll).await,
        "handwritten_xreadgroup" => by_hand::xreadgroup(job).await,
        "per_message" | "fields_1" => consumer::run(job, |builder| builder, Tracker::new, Tracker::FIELD).await,
        "coalesced" => {
            consumer::run(job, |builder| builder.coalesce(256, LONGEST_WAIT), Tracker::new, Tracker::FIELD).await
        }
        "map_1000" => large::run(job, 1_000).await,
        "map_1000000" => large::run(job, 1_000_000).await,
        "fields_1000" => consumer::run(job, |builder| builder, Wide::new, Tracker::FIELD).await,
        other => Err(format!("no such work: {other}").into()),
    }
}
