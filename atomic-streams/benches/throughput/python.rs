//! The Python library, called by `library.py` beside this file, in an environment that is made when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::peers::made_folder;
use crate::stand::child::Job;

const PACKAGE: &str = "atomic-redis-streams==0.1.0";

/// The program for a job, or why it cannot be had here.
pub async fn worker(job: &Job) -> Result<Command, String> {
    let python = python().await?;
    let mut command = Command::new(python);
    command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/throughput/library.py")));
    command.arg(serde_json::to_string(job).map_err(|error| error.to_string())?);
    Ok(command)
}

/// A Python that has the library.
async fn python() -> Result<PathBuf, String> {
    let folder = made_folder("python")?;
    let python = folder.join("bin/python");
    let mut probe = Command::new(&python);
    if succeeds(probe.args(["-c", "import atomic_redis_streams"])).await {
        return Ok(python);
    }
    eprintln!("installing {PACKAGE} in {}", folder.display());
    if !succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await {
        return Err("python3 -m venv does not work here".to_owned());
    }
    if !succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE])).await {
        return Err(format!("pip install {PACKAGE} does not work here (it needs Python 3.11)"));
    }
    Ok(python)
}

async fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}
