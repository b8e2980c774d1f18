//! Which fault comes when: drawn from the seed before anything begins, so that the seed repeats it.

use std::fmt;
use std::time::Duration;

use support::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL of a worker, and a new start.
    WorkerKill,
    /// SIGSTOP for less than a lease.
    WorkerStop,
    /// SIGSTOP for longer than a lease.
    WorkerStopLong,
    /// SIGTERM, and a new start.
    WorkerShutdown,
    /// Open connections are closed.
    Cut,
    /// Connections are closed in the middle of a reply.
    CutMidReply,
    Latency,
    BlackHole,
    DropReplies,
    Reset,
    ServerKill,
    /// A clean end, and a new start.
    ServerRestart,
    /// SIGSTOP of the server.
    ServerStop,
    ScriptFlush,
    Oom,
    /// Rights are withdrawn, and given back.
    Acl,
    ClientKill,
    ClientPause,
    /// To a replica that has everything.
    Failover,
    /// To a replica that lacks the newest writes; connections are cut.
    FailoverLossy,
    /// The same; connections go on with the new server as if nothing had happened.
    FailoverUnnoticed,
    /// The same, while connections stay with the old server for a time.
    FailoverZombie,
    /// The server's clock is set forward or back.
    ClockJump,
}

impl Kind {
    pub const ALL: [Self; 23] = [
        Self::WorkerKill,
        Self::WorkerStop,
        Self::WorkerStopLong,
        Self::WorkerShutdown,
        Self::Cut,
        Self::CutMidReply,
        Self::Latency,
        Self::BlackHole,
        Self::DropReplies,
        Self::Reset,
        Self::ServerKill,
        Self::ServerRestart,
        Self::ServerStop,
        Self::ScriptFlush,
        Self::Oom,
        Self::Acl,
        Self::ClientKill,
        Self::ClientPause,
        Self::Failover,
        Self::FailoverLossy,
        Self::FailoverUnnoticed,
        Self::FailoverZombie,
        Self::ClockJump,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerKill => "worker-kill",
            Self::WorkerStop => "worker-stop",
            Self::WorkerStopLong => "worker-stop-long",
            Self::WorkerShutdown => "worker-shutdown",
            Self::Cut => "connections-cut",
            Self::CutMidReply => "connections-cut-mid-reply",
            Self::Latency => "latency",
            Self::BlackHole => "black-hole",
            Self::DropReplies => "replies-dropped",
            Self::Reset => "connections-reset",
            Self::ServerKill => "server-kill",
            Self::ServerRestart => "server-restart",
            Self::ServerStop => "server-stop",
            Self::ScriptFlush => "script-flush",
            Self::Oom => "out-of-memory",
            Self::Acl => "rights-withdrawn",
            Self::ClientKill => "clients-killed",
            Self::ClientPause => "clients-paused",
            Self::Failover => "failover",
            Self::FailoverLossy => "failover-lossy",
            Self::FailoverUnnoticed => "failover-unnoticed",
            Self::FailoverZombie => "failover-zombie",
            Self::ClockJump => "clock-jump",
        }
    }

    /// From and to how many milliseconds it lasts.
    fn lasts(self) -> (u64, u64) {
        match self {
            Self::WorkerKill | Self::WorkerShutdown | Self::ServerKill | Self::ServerRestart => (0, 800),
            Self::WorkerStop => (100, 1_500),
            Self::WorkerStopLong => (2_500, 6_000),
            Self::Cut | Self::ScriptFlush | Self::ClientKill | Self::ClockJump | Self::Failover => (0, 1),
            Self::CutMidReply => (200, 1_500),
            Self::Latency => (1_000, 4_000),
            Self::BlackHole => (300, 6_000),
            Self::DropReplies | Self::Oom => (300, 2_500),
            Self::Reset | Self::Acl => (200, 1_500),
            Self::ServerStop => (100, 3_500),
            Self::ClientPause => (100, 2_500),
            Self::FailoverLossy | Self::FailoverUnnoticed => (50, 1_500),
            Self::FailoverZombie => (200, 3_000),
        }
    }
}

/// One fault to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub kind: Kind,
    pub lasts: Duration,
    /// Decides what it is done to, and how.
    pub dice: u64,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, kind, lasts, dice } = self;
        write!(f, "{:9.3} s  {:26} {:5} ms  {dice:016x}", at.as_secs_f64(), kind.name(), lasts.as_millis())
    }
}

/// Every kind comes once before any comes again; and in a run of a minute, every kind comes.
pub fn schedule(seed: u64, seconds: u64) -> Vec<Planned> {
    let mut rng = Rng::new(seed);
    let end = Duration::from_secs(seconds);
    let mut at = Duration::from_millis(1_500).min(end / 4);
    let mut planned = Vec::new();
    let mut bag: Vec<Kind> = Vec::new();
    // Two to five and a half seconds apart, or closer where the run is short.
    let pace = (seconds * 1_000 / 29).clamp(1_000, 3_750);
    while at < end {
        if bag.is_empty() {
            bag = Kind::ALL.to_vec();
            rng.shuffle(&mut bag);
        }
        let Some(kind) = bag.pop() else { break };
        let (least, most) = kind.lasts();
        let lasts = Duration::from_millis(least + rng.below(most - least + 1));
        planned.push(Planned { at, kind, lasts, dice: rng.next_u64() });
        at += Duration::from_millis(pace * 55 / 100 + rng.below(pace * 90 / 100));
    }
    planned
}
