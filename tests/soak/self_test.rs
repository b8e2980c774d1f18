//! The soak's own tests: what it should find, it finds. Each runs this binary once more.

use std::time::Duration;

use support::{Process, eventually};

use crate::arguments::{Filter, Options};
use crate::sabotage::Sabotage;
use crate::schedule::{Kind, schedule};

/// The run without arguments, which is among the tests.
pub const SOAK: &str = "soak";

const SCHEDULE: &str = "schedule_is_of_the_seed";
const ARGUMENTS: &str = "arguments_are_checked";

fn finds(sabotage: &str) -> String {
    format!("finds_{}", sabotage.replace('-', "_"))
}

/// The names of all tests.
pub fn names() -> Vec<String> {
    let fixed = [SOAK, SCHEDULE, ARGUMENTS].map(str::to_owned);
    fixed.into_iter().chain(Sabotage::ALL.map(finds)).collect()
}

/// Runs a test other than the soak; it panics if it fails.
pub async fn run(test: &str) {
    match test {
        SCHEDULE => schedule_is_of_the_seed(),
        ARGUMENTS => arguments_are_checked().await,
        _ => {
            let sabotage = Sabotage::ALL.into_iter().find(|name| finds(name) == test).expect("a test of this name");
            finds_what_is_spoiled(sabotage).await;
        }
    }
}

/// The tests that this filter wants.
pub fn wanted(filter: &Filter) -> Vec<String> {
    names().into_iter().filter(|name| filter.wants(name)).collect()
}

async fn finds_what_is_spoiled(sabotage: &str) {
    let soak = this().args(["--seconds", "4", "--sabotage", sabotage, "--json"]).start();
    eventually_ended(&soak).await;
    let status = soak.wait().await;
    assert_eq!(status.code(), Some(1), "{sabotage} was not found:\n{}", soak.output());
    let line = soak.lines().into_iter().find(|line| line.starts_with('{')).expect("a verdict");
    let verdict: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    println!("{sabotage}: {}", verdict["details"]);
    assert_eq!(verdict["verdict"], "wrong");
    let kept = verdict["kept"].as_str().expect("a folder that is kept").to_owned();
    assert!(std::path::Path::new(&kept).join("data").is_dir(), "{kept} holds no data");
    std::fs::remove_dir_all(kept).expect("to remove what was kept");
}

async fn arguments_are_checked() {
    for (argument, says) in [("--secnods", "unknown argument --secnods"), ("--seconds", "needs a value")] {
        let soak = this().arg(argument).start();
        assert_eq!(soak.wait().await.code(), Some(2), "{argument}:\n{}", soak.output());
        assert!(soak.output().contains(says), "{}", soak.output());
    }
}

fn schedule_is_of_the_seed() {
    for seed in 0..20 {
        let an_hour = schedule(seed, 3_600);
        assert_eq!(an_hour, schedule(seed, 3_600));
        assert_ne!(an_hour, schedule(seed + 1, 3_600));
        assert!(an_hour.len() >= 600, "{} faults in an hour", an_hour.len());
        let a_minute = schedule(seed, 60);
        let missing = Kind::ALL.into_iter().find(|kind| a_minute.iter().all(|planned| planned.kind != *kind));
        assert_eq!(missing, None, "seed {seed}");
    }
    assert_ne!(Options::default().seed, 0);
}

fn this() -> support::ProcessBuilder {
    Process::binary(std::env::current_exe().expect("the path of this binary"))
}

/// A process is waited for half a minute, and a run with its end may take longer.
async fn eventually_ended(soak: &Process) {
    for _ in 0..5 {
        let ended = eventually("the run ends", async || !soak.is_alive());
        if tokio::time::timeout(Duration::from_secs(19), ended).await.is_ok() {
            return;
        }
    }
}
