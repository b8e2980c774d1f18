//! Faults of the soak itself, made on purpose: a checker that does not find them would find nothing.

use std::str::FromStr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, RedisResult};

use crate::subscriptions::{Item, LEDGER, STOCK};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The handler leaves an entry out.
    Drop,
    /// The handler publishes twice.
    Twice,
    /// The handler changes its state and publishes nothing.
    Silent,
    /// The handler publishes and forgets its change of state.
    Forget,
    /// Somebody else adds to an output.
    HandOutput,
    /// Somebody else sets a field.
    HandState,
    /// Somebody else sets an entry of a map.
    HandMap,
}

const NAMES: [(&str, Sabotage); 7] = [
    ("drop", Sabotage::Drop),
    ("twice", Sabotage::Twice),
    ("silent", Sabotage::Silent),
    ("forget", Sabotage::Forget),
    ("hand-output", Sabotage::HandOutput),
    ("hand-state", Sabotage::HandState),
    ("hand-map", Sabotage::HandMap),
];

impl Sabotage {
    pub const ALL: [&'static str; 7] = {
        let mut names = [""; 7];
        let mut at = 0;
        while at < names.len() {
            names[at] = NAMES[at].0;
            at += 1;
        }
        names
    };

    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).expect("every kind has a name").0
    }

    /// Whether it comes to the entry with this count, once more if a failover has undone it.
    pub fn strikes(self, count: u64) -> bool {
        count % 500 == 300
    }

    /// Whether it leaves this entry out: known by the entry itself, since what is left out does not count.
    pub fn drops(item: &Item) -> bool {
        item.n % 100 == 50
    }

    /// What is done past the library, when all is handled: the next commit would write the right values.
    pub async fn by_hand(self, redis: &mut MultiplexedConnection) -> RedisResult<()> {
        match self {
            Self::HandOutput => {
                let fields = [("by", LEDGER.group), ("n", "1"), ("text", "by hand")];
                redis.xadd::<_, _, _, _, ()>(LEDGER.output, "*", &fields).await
            }
            Self::HandState => redis.hset(STOCK.record(), "sum", rmp_serde::to_vec(&7_u64).expect("a number")).await,
            Self::HandMap => {
                // An entry that is there, or else the next commit would notice another number of them.
                let key = format!("{}@map:by_key", STOCK.record());
                let field: Vec<Vec<u8>> = redis::cmd("HRANDFIELD").arg(&key).arg(1).query_async(redis).await?;
                match field.first() {
                    Some(field) => redis.hset(key, field, rmp_serde::to_vec(&7_u64).expect("a number")).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Sabotage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind).ok_or_else(|| format!("no sabotage {name:?}; there are {}", Self::ALL.join(", ")))
    }
}
