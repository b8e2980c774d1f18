//! Other libraries, in a package of its own (`benches/peers`) that is built when it is first asked for: nothing else of this
//! repository depends on them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::stand::arguments::root;

/// The program that works a job off by the means of this library, or why it cannot be had here.
pub async fn program(name: &str) -> Result<PathBuf, String> {
    if name == "chasquimq" {
        return Err("not run: it needs Redis 8.6, which the other variants are not measured on".to_owned());
    }
    static BUILT: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let folder = BUILT.get_or_init(build).await.clone()?;
    Ok(folder.join(name))
}

/// Where something for the benchmarks is made: in `target`, never among the sources.
pub fn made_folder(name: &str) -> Result<PathBuf, String> {
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = target.ok_or("this benchmark does not lie in cargo's target folder")?.join("bench").join(name);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

async fn build() -> Result<PathBuf, String> {
    let folder = made_folder("peers")?;
    eprintln!("building the other libraries in {}", folder.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--locked", "--keep-going", "--manifest-path"]);
    command.arg(root().join("atomic-streams/benches/peers/Cargo.toml"));
    command.arg("--target-dir").arg(&folder).stdin(Stdio::null());
    let output = command.output().await.map_err(|error| format!("cargo does not start: {error}"))?;
    let built = folder.join("release");
    if output.status.success() || has_any(&built) {
        return Ok(built);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.starts_with("error")).unwrap_or("no error was shown");
    Err(format!("it does not build here: {first}"))
}

/// One library that does not build takes nothing from the others.
fn has_any(folder: &Path) -> bool {
    ["bullmq-official", "apalis-redis", "sea-streamer-redis"].iter().any(|name| folder.join(name).is_file())
}
