//! Commands that change nothing.

use std::path::PathBuf;
use std::time::Duration;

use atomic_streams::Durability;
use clap::Args;

use super::common::Subscription;
use super::when::{Place, span};

#[derive(Args, Debug)]
pub struct StateArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    /// The state of this kept copy
    #[arg(long, value_name = "NAME")]
    pub copy: Option<String>,
    /// This field alone
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
}

#[derive(Args, Debug)]
pub struct LagArgs {
    /// The stream; all subscriptions without it
    #[arg(requires = "group")]
    pub stream: Option<String>,
    /// The group
    pub group: Option<String>,
    /// End with exit code 5 if more entries than these wait. Where the server does not tell, all that the stream
    /// holds count
    #[arg(long, value_name = "ENTRIES")]
    pub max: Option<u64>,
    /// End with exit code 5 if an entry waits for longer than this, such as 30s or 5min
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub max_time: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct TailArgs {
    /// The stream
    pub stream: String,
    /// Begin at the `start`, at the `end`, or behind the entry with this ID. Without it: the newest ones
    #[arg(long, value_name = "PLACE")]
    pub from: Option<Place>,
    /// How many entries at most; without it all, or the newest 10 without --from
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// Go on with what is added, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Look also at what the user may do, for a consumer of this stream
    #[arg(requires = "group")]
    pub stream: Option<String>,
    /// The group of that consumer
    pub group: Option<String>,
    /// A stream that the consumer publishes to, or its dead-letter stream; may be given several times
    #[arg(long, value_name = "STREAM", requires = "stream")]
    pub output: Vec<String>,
    /// For a consumer that waits until its commits are on so many replicas
    #[arg(long, value_name = "N")]
    pub replicas: Option<u32>,
    /// For a consumer that waits until its commits are on disk; with --replicas, on theirs too
    #[arg(long)]
    pub disk: bool,
    /// For a consumer with this lease
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span)]
    pub lease: Duration,
}

impl DoctorArgs {
    pub fn durability(&self) -> Durability {
        match (self.disk, self.replicas) {
            (false, None) => Durability::Applied,
            (false, Some(replicas)) => Durability::Replicas(replicas),
            (true, None) => Durability::LocalDisk,
            (true, Some(replicas)) => Durability::LocalAndReplicaDisks(replicas),
        }
    }
}

#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder, in place of one on standard output
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}
