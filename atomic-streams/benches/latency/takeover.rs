//! How long nobody commits when the owner goes and another stands by.

use std::process::Stdio;
use std::time::{Duration, Instant};

use atomic_streams::{Consumer, Status};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::producer::Producer;
use crate::row::Row;
use crate::stand::Failure;
use crate::stand::child::{self, Job};
use crate::stand::consumer::{Shop, Tracker, record};
use crate::stand::workload::{ALERT_QUANTITY, SALES};

/// The lease of both. After a SIGKILL, nobody can know earlier that the owner is gone.
const LEASE: Duration = Duration::from_secs(2);

/// How the owner goes.
#[derive(Clone, Copy, Debug)]
pub enum Goes {
    /// By shutdown, which releases the lease.
    Releasing,
    /// By SIGKILL.
    Killed,
}

/// Lets one process take over from another, once: from the request or signal to the first commit of the other.
pub async fn run(url: &str, connection: &mut MultiplexedConnection, goes: Goes, round: u32) -> Result<Row, Failure> {
    redis::cmd("FLUSHALL").query_async::<()>(connection).await?;
    let producer = Producer::start(url, 500, u64::MAX)?;
    let mut owner = Worker::start(url)?;
    owner.says("committed").await?;
    let mut standby = Worker::start(url)?;
    standby.says("standby").await?;
    // Each round meets another moment between two renewals.
    tokio::time::sleep(LEASE / 3 + Duration::from_millis(131) * round).await;
    let began = Instant::now();
    match goes {
        Goes::Releasing => owner.stdin("release\n").await?,
        Goes::Killed => owner.child.start_kill()?,
    }
    standby.says("committed").await?;
    let elapsed = began.elapsed();
    let sent = tokio::task::spawn_blocking(|| producer.stop()).await??;
    let fault = outcome(connection, sent).await?;
    let (variant, limit) = match goes {
        Goes::Releasing => ("after_release", 0.0),
        Goes::Killed => ("after_sigkill", LEASE.as_secs_f64() * 1e3),
    };
    Ok(Row {
        section: "takeover",
        variant: variant.to_owned(),
        figures: vec![("to_first_commit_ms", elapsed.as_secs_f64() * 1e3), ("lease_ms", limit)],
        fault,
    })
}

/// Waits until everything is committed, and says what is wrong with it.
async fn outcome(connection: &mut MultiplexedConnection, sent: u64) -> Result<Option<String>, Failure> {
    let record = record(SALES, "bench");
    let deadline = Instant::now() + Duration::from_secs(10);
    while connection.hget::<_, _, Option<u64>>(&record, "@processed").await?.unwrap_or(0) < sent {
        if Instant::now() > deadline {
            return Ok(Some("not everything was committed within 10 s".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let alerts: redis::streams::StreamRangeReply = connection.xrange_all("alerts").await?;
    let sold = alerts.ids.iter().map(|alert| alert.get::<u64>("sold"));
    let expected = (1..=sent).map(|number| Some(number * ALERT_QUANTITY));
    Ok((!sold.eq(expected)).then(|| "the alerts are not those of each sale once, in order".to_owned()))
}

struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn start(url: &str) -> Result<Self, Failure> {
        let job = Job {
            work: "takeover".to_owned(),
            url: url.to_owned(),
            stream: SALES.to_owned(),
            alerts: "alerts".to_owned(),
            group: "bench".to_owned(),
            entries: 0,
            total: 0,
        };
        let mut command = child::worker(&job)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("the worker has no output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    async fn says(&mut self, wanted: &str) -> Result<(), Failure> {
        let heard = async {
            while let Some(line) = self.lines.next_line().await? {
                if line == wanted {
                    return Ok(());
                }
            }
            Err(format!("a worker ended before it was {wanted}").into())
        };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, heard).await.map_err(|_| format!("no worker was {wanted} within 30 s"))?
    }

    async fn stdin(&mut self, text: &str) -> Result<(), Failure> {
        let stdin = self.child.stdin.as_mut().ok_or("the worker has no input")?;
        stdin.write_all(text.as_bytes()).await?;
        Ok(stdin.flush().await?)
    }
}

/// Consumes until a line comes; ends at once when its parent is gone.
pub async fn work(job: &Job) -> Result<(), Failure> {
    let handler = Tracker::new(Shop::new(job));
    let builder = Consumer::builder(&job.stream, &job.group).redis_url(&job.url).lease(LEASE);
    let consumer = builder.handler(handler).spawn().await?;
    if matches!(*consumer.status().borrow(), Status::Standby { .. }) {
        println!("standby");
    }
    let committed = async {
        while consumer.stats().processed == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("committed");
        std::future::pending::<()>().await;
    };
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    tokio::select! {
        () = committed => {}
        line = lines.next_line() => match line? {
            Some(_) => drop(consumer.shutdown().await?),
            None => std::process::exit(1),
        },
    }
    Ok(())
}
