//! Goes along with the run: reads inputs and outputs, folds the inputs by itself, and holds what the server has at one
//! instant against that. What was checked long enough ago is trimmed.
//!
//! A fault that may take newest writes from the server holds the checker back from before it begins until the server that
//! goes on is known. What was checked then is there still, except after a SIGKILL: see [`Checker::forget_newest`].

mod instant;
mod watch;

use std::time::{Duration, Instant};

use atomic_streams::EntryId;
use redis::RedisError;
use redis::aio::MultiplexedConnection;

use crate::entries::entries;
use crate::subscriptions::{ALL, INPUTS, Subscription};
use watch::Watch;

/// A server that syncs its file every second can lose as much, and a second more when its disk is slow. What was checked
/// within this time is never trimmed.
pub const CAN_BE_LOST: Duration = Duration::from_secs(4);

/// Why a check gave no result, or a bad one.
#[derive(Debug)]
pub enum Trouble {
    /// The server did not answer; asked again later.
    Unavailable(RedisError),
    /// What is on the server is wrong.
    Wrong(String),
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::Unavailable(error)
    }
}

#[derive(Debug)]
pub struct Checker {
    watches: Vec<Watch>,
    /// Instants that were found exact, all subscriptions together.
    pub instants: u64,
}

impl Checker {
    pub fn new() -> Self {
        Self { watches: ALL.into_iter().map(Watch::new).collect(), instants: 0 }
    }

    /// Checks every subscription, each at an instant of its own.
    pub async fn check(&mut self, redis: &mut MultiplexedConnection) -> Result<(), Trouble> {
        for watch in &mut self.watches {
            if watch.check(redis).await? {
                self.instants += 1;
            }
        }
        Ok(())
    }

    /// Trims every stream behind what all who look at it have checked.
    pub async fn trim(&self, redis: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut pipe = redis::pipe();
        let streams = INPUTS.into_iter().chain(ALL.map(|subscription| subscription.output));
        for stream in streams {
            let behind = self.watches.iter().filter_map(|watch| watch.needs_from(stream)).min();
            if let Some(behind) = behind {
                pipe.cmd("XTRIM").arg(stream).arg("MINID").arg(behind.to_string()).ignore();
            }
        }
        pipe.query_async(redis).await
    }

    /// After a SIGKILL of the server: takes back what was checked so short a time before that the server may have lost it.
    pub fn forget_newest(&mut self, killed: Instant) {
        for watch in &mut self.watches {
            watch.forget_newest(killed);
        }
    }

    /// Messages that were handled exactly once, all subscriptions together.
    pub fn messages(&self) -> u64 {
        self.watches.iter().map(Watch::messages).sum()
    }

    /// Messages by subscription.
    pub fn by_group(&self) -> Vec<(&'static str, u64)> {
        self.watches.iter().map(|watch| (watch.subscription.group, watch.messages())).collect()
    }

    /// How many attaches there were, and how many of them changed the owner, as far as the checker saw.
    pub fn attaches(&self) -> (u64, u64) {
        let sum = |of: fn(&Watch) -> u64| self.watches.iter().map(of).sum();
        (sum(|watch| watch.attaches), sum(|watch| watch.takeovers))
    }

    /// What is left to be handled, in words; `None` when nothing is.
    pub async fn left(&self, redis: &mut MultiplexedConnection) -> Result<Option<String>, RedisError> {
        let mut left = Vec::new();
        for Watch { subscription, tip, .. } in &self.watches {
            if let Some(last) = last_id(redis, subscription).await?
                && last != tip.position
            {
                left.push(format!("{} is at {} of {last}", subscription.group, tip.position));
            }
        }
        Ok((!left.is_empty()).then(|| left.join(", ")))
    }
}

async fn last_id(
    redis: &mut MultiplexedConnection,
    subscription: &Subscription,
) -> Result<Option<EntryId>, RedisError> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(subscription.stream).arg("+").arg("-").arg("COUNT").arg(1);
    let last = entries(command.query_async(redis).await?).unwrap_or_default();
    Ok(last.first().map(|last| last.id))
}
