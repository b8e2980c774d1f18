//! Each measured run is a process of its own, so that its memory and processor time are of that variant alone.

use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::Failure;

/// What a worker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The way to do it.
    pub work: String,
    /// The server.
    pub url: String,
    /// The input.
    pub stream: String,
    /// The output.
    pub alerts: String,
    /// The name of the subscription; other ways than this library use it as the key of their state.
    pub group: String,
    /// How many entries there are.
    pub entries: u64,
    /// The state at which the work is done.
    pub total: u64,
}

/// Longer than any run should take.
const LIMIT: Duration = Duration::from_secs(120);

/// This program anew, for a job.
pub fn worker(job: &Job) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--job").arg(serde_json::to_string(job)?);
    Ok(command)
}

/// Runs a program until it ends, and reads the last line of its output. `Err` within says why it could not.
pub async fn run<T: DeserializeOwned>(mut command: Command) -> Result<Result<T, String>, Failure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("it does not start: {error}"))),
    };
    // Held until the end: a child that sees it closed has lost its parent.
    let _stdin = child.stdin.take();
    let Ok(output) = tokio::time::timeout(LIMIT, child.wait_with_output()).await else {
        return Ok(Err(format!("it was not done after {} s", LIMIT.as_secs())));
    };
    let output = output?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().last().map(serde_json::from_str) {
        Some(Ok(sample)) if output.status.success() => Ok(Ok(sample)),
        _ => Ok(Err(reason(&output.stderr, output.status))),
    }
}

/// Ends this process when its parent is gone, however that ended.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        // Nothing is ever written to it.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(1);
    });
}

fn reason(errors: &[u8], status: std::process::ExitStatus) -> String {
    let errors = String::from_utf8_lossy(errors);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(|| format!("it ended with {status} and without a word"), |line| line.trim().to_owned())
}
