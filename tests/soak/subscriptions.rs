//! The subscriptions of the soak, and what each does with an entry: the worker in its handler, the checker by itself.

use atomic_streams::EntryId;
use serde::{Deserialize, Serialize};

/// An input stream, who folds it, and where each state goes.
#[derive(Debug)]
pub struct Subscription {
    pub stream: &'static str,
    pub group: &'static str,
    pub output: &'static str,
    /// Whether it keeps a map and a deque beside its plain fields.
    pub keeps_collections: bool,
}

/// Commits each entry by itself.
pub const LEDGER: Subscription =
    Subscription { stream: "orders", group: "ledger", output: "sums", keeps_collections: false };

/// Consumes what the ledger publishes, in groups.
pub const AUDIT: Subscription =
    Subscription { stream: "sums", group: "audit", output: "audits", keeps_collections: false };

/// Keeps collections, in groups.
pub const STOCK: Subscription =
    Subscription { stream: "events", group: "stock", output: "levels", keeps_collections: true };

pub const ALL: [&Subscription; 3] = [&LEDGER, &AUDIT, &STOCK];

/// The streams that producers write to.
pub const INPUTS: [&str; 2] = [LEDGER.stream, STOCK.stream];

impl Subscription {
    pub fn record(&self) -> String {
        format!("atomic-streams:{{{}}}:{}", self.stream, self.group)
    }
}

/// What every stream here holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The connection of a producer, or the group that published it.
    pub by: String,
    pub n: u64,
    pub text: String,
}

/// The fold: an entry that is lost, repeated or out of its place changes all that follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub count: u64,
    pub sum: u64,
    pub hash: u64,
}

impl Chain {
    pub fn take(&mut self, id: EntryId, item: &Item) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(item.n);
        for byte in id.to_string().bytes().chain(item.by.bytes()).chain(item.n.to_le_bytes()).chain(item.text.bytes()) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.hash = self.hash.rotate_left(7).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    /// What is published after the entry with this ID: which it was, and the state that it left.
    pub fn output(&self, group: &str, of: EntryId) -> Item {
        let text = format!("{of} {} {:016x}", self.sum, self.hash);
        Item { by: group.into(), n: self.count, text }
    }
}

/// What an entry does to the map: the key, and its new value or that it goes.
pub fn change(chain: &Chain, old: impl Fn(u64) -> Option<u64>) -> (u64, Option<u64>) {
    let key = chain.hash % 211;
    match chain.hash >> 32 {
        dice if dice % 9 == 0 => (key, None),
        _ => (key, Some(old(key).unwrap_or(0).wrapping_mul(31).wrapping_add(chain.count))),
    }
}

/// How many counts the deque holds.
pub const RECENT: usize = 20;
