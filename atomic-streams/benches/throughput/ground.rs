//! The servers that the variants run on, and one run on them.

use std::path::Path;

use redis::aio::MultiplexedConnection;
use support::Server;

use crate::stand::Failure;
use crate::stand::child::{self, Job};
use crate::stand::meter::{Sample, connect};
use crate::stand::outcome;
use crate::stand::server::server;
use crate::stand::workload::{SALES, fill, sold_after};
use crate::variants::{By, Durability, Variant};
use crate::{peers, python};

/// A server, filled once: a variant leaves the sales as they are, and what it writes is removed after it.
#[derive(Debug)]
pub struct Ground {
    server: Server,
    connection: MultiplexedConnection,
    durability: Durability,
    entries: u64,
}

/// A run that was measured, and what was wrong with its outcome.
#[derive(Clone, Debug)]
pub struct Run {
    pub sample: Sample,
    pub entries: u64,
    pub fault: Option<String>,
}

impl Ground {
    /// Starts and fills a server.
    pub async fn prepare(binary: Option<&Path>, durability: Durability, entries: u64) -> Result<Self, Failure> {
        let server = match durability {
            Durability::None => server(binary),
            // A rewrite of the file in the middle of a run would be measured with whom it happens to meet.
            Durability::Everysec => server(binary).append_only("everysec").arg("--auto-aof-rewrite-percentage", "0"),
            Durability::Always => server(binary).append_only("always").arg("--auto-aof-rewrite-percentage", "0"),
        };
        let server = server.start().await;
        let mut connection = connect(server.url()).await?;
        fill(&mut connection, SALES, entries, 0).await?;
        Ok(Self { server, connection, durability, entries })
    }

    /// Which server it is.
    pub async fn version(&self) -> String {
        self.server.version().await.to_string()
    }

    /// Whether a variant belongs here.
    pub fn suits(&self, variant: &Variant) -> bool {
        variant.durability == self.durability && variant.by != By::Peer
    }

    /// Runs a variant once. `Err` within says why it cannot be run here.
    pub async fn run(&mut self, variant: &Variant, round: usize) -> Result<Result<Run, String>, Failure> {
        let job = job(variant, self.server.url(), round, self.entries);
        let command = match variant.by {
            By::Python => match python::worker(&job).await {
                Ok(command) => command,
                Err(reason) => return Ok(Err(reason)),
            },
            _ => child::worker(&job)?,
        };
        let run = measured(command, variant, &job, &mut self.connection).await?;
        // What other programs call their keys is theirs to know: everything but the sales goes.
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut self.connection).await?;
        for key in keys.into_iter().filter(|key| key != SALES.as_bytes()) {
            redis::cmd("DEL").arg(key).query_async::<()>(&mut self.connection).await?;
        }
        redis::cmd("XGROUP").arg("DESTROY").arg(SALES).arg(&job.group).query_async::<()>(&mut self.connection).await?;
        Ok(run)
    }
}

/// Runs another library once, on a server of its own: it keeps its jobs in its own way, and fills it itself.
pub async fn run_peer(
    binary: Option<&Path>,
    variant: &Variant,
    round: usize,
    entries: u64,
) -> Result<Result<Run, String>, Failure> {
    let program = match peers::program(variant.name).await {
        Ok(program) => program,
        Err(reason) => return Ok(Err(reason)),
    };
    let server = server(binary).start().await;
    let job = job(variant, server.url(), round, entries);
    let mut command = tokio::process::Command::new(program);
    command.arg(serde_json::to_string(&job)?);
    measured(command, variant, &job, &mut connect(server.url()).await?).await
}

async fn measured(
    command: tokio::process::Command,
    variant: &Variant,
    job: &Job,
    connection: &mut MultiplexedConnection,
) -> Result<Result<Run, String>, Failure> {
    let sample: Sample = match child::run(command).await? {
        Ok(sample) => sample,
        Err(reason) => return Ok(Err(reason)),
    };
    let fault = outcome::check(connection, &job.alerts, variant.alerts, sample.state, job.entries).await?.err();
    Ok(Ok(Run { sample, entries: job.entries, fault }))
}

fn job(variant: &Variant, url: &str, round: usize, entries: u64) -> Job {
    let entries = entries.min(variant.most_entries);
    Job {
        work: variant.work.to_owned(),
        url: url.to_owned(),
        stream: SALES.to_owned(),
        alerts: "alerts".to_owned(),
        group: format!("bench-{round}"),
        entries,
        total: sold_after(entries),
    }
}
