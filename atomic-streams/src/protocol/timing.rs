//! Every time span of a consumer, derived from its lease.

use std::time::Duration;

/// The spans that follow from one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    pub lease: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10) }
    }
}

impl Timing {
    /// The shortest lease: below it, ordinary pauses of a process would cost ownership.
    pub const MIN_LEASE: Duration = Duration::from_millis(100);
    /// The longest lease: a crashed owner keeps its standbys waiting for so long.
    pub const MAX_LEASE: Duration = Duration::from_secs(3600);

    /// How often the owner renews.
    pub fn renew_every(self) -> Duration {
        self.lease / 3
    }

    /// How long one blocking read lasts at most: plain `XREAD` is not woken when its key disappears.
    pub fn block(self) -> Duration {
        self.renew_every().min(Duration::from_secs(5))
    }

    /// How long a reply may take before the session is given up.
    pub fn reply_timeout(self) -> Duration {
        self.lease.max(Duration::from_secs(1))
    }

    /// How long a wait for durability lasts at most. It holds up the connection on which the lease is renewed: a renewal that
    /// is due just then comes after less than two thirds of the lease.
    pub fn durable_wait(self) -> Duration {
        self.lease / 4
    }

    /// How long the reply to an attach is still waited for when shutdown has begun.
    pub fn last_reply(self) -> Duration {
        self.renew_every().min(Duration::from_secs(1))
    }

    /// How long making a connection may take.
    pub fn connect_timeout(self) -> Duration {
        self.lease.clamp(Duration::from_millis(500), Duration::from_secs(5))
    }

    /// How often a standby asks, unless it is woken or knows that the lease ends sooner.
    pub fn standby_poll(self) -> Duration {
        (self.lease / 20).clamp(Duration::from_millis(20), Duration::from_millis(500))
    }

    /// How long the proof of a read waits for a commit to carry it.
    pub fn proof_wait(self) -> Duration {
        Duration::from_millis(2)
    }
}
