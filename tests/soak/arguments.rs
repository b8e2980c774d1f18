//! What the command line asks for.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use crate::sabotage::Sabotage;

pub const USAGE: &str = "\
usage: cargo test --release --test soak -- [--seconds N] [--seed S] [--server PATH] [--json]

  --seconds N       how long faults go on, 20 without it; what is left is then drained and checked
  --seed S          the schedule of faults to repeat; a new one without it, or that of ATOMIC_STREAMS_SEED
  --server PATH     the server binary; without it ATOMIC_STREAMS_TEST_SERVER, or a server on the PATH
  --rate N          entries a second for each of the two input streams; 3000 without it, 300 in a debug build
  --json            one JSON object on standard output rather than text
  --plan            print the schedule of faults and end
  --sabotage KIND   spoil something on purpose, which the soak must find: see tests/soak/sabotage.rs
  --list, --exact, --nocapture, --ignored and a name work as in other tests";

/// What this process is to be.
#[derive(Debug)]
pub enum Command {
    Soak(Options),
    Plan(Options),
    Worker(WorkerOptions),
    List { ignored: bool },
    Tests(Filter),
    Help,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub seconds: u64,
    pub seed: u64,
    pub server: Option<PathBuf>,
    pub rate: u64,
    pub json: bool,
    pub sabotage: Option<Sabotage>,
}

#[derive(Debug)]
pub struct WorkerOptions {
    pub group: String,
    pub name: String,
    pub url: String,
    pub sabotage: Option<Sabotage>,
}

/// Which of the target's tests to run.
#[derive(Debug, Default)]
pub struct Filter {
    pub names: Vec<String>,
    pub skipped: Vec<String>,
    pub exact: bool,
    pub ignored: bool,
}

impl Filter {
    pub fn wants(&self, test: &str) -> bool {
        let is = |name: &String| if self.exact { test == name } else { test.contains(name.as_str()) };
        !self.ignored && (self.names.is_empty() || self.names.iter().any(is)) && !self.skipped.iter().any(is)
    }
}

impl Default for Options {
    fn default() -> Self {
        let seed = std::env::var("ATOMIC_STREAMS_SEED").ok().and_then(|seed| seed.trim().parse().ok());
        Self {
            seconds: 20,
            seed: seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()) >> 32),
            server: None,
            rate: if cfg!(debug_assertions) { 300 } else { 3_000 },
            json: false,
            sabotage: None,
        }
    }
}

impl Command {
    /// Reads the arguments behind the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        let mut filter = Filter::default();
        let (mut soaks, mut plans, mut lists) = (None, false, false);
        let (mut group, mut name, mut url) = (None, String::new(), String::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => options.seconds = number(&argument, &value()?)?.max(1),
                "--seed" => options.seed = number(&argument, &value()?)?,
                "--rate" => options.rate = number(&argument, &value()?)?.max(1),
                "--server" => options.server = Some(server(&value()?)?),
                "--sabotage" => options.sabotage = Some(value()?.parse()?),
                "--json" => options.json = true,
                "--plan" => plans = true,
                "--worker" => group = Some(value()?),
                "--name" => name = value()?,
                "--url" => url = value()?,
                "--list" => lists = true,
                "--exact" => filter.exact = true,
                "--ignored" => filter.ignored = true,
                "--skip" => filter.skipped.push(value()?),
                "--format" | "--test-threads" | "--color" => drop(value()?),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--include-ignored" | "--show-output" => {}
                "--help" | "-h" => return Ok(Self::Help),
                other if other.starts_with('-') => return Err(format!("unknown argument {other}\n{USAGE}")),
                _ => filter.names.push(argument.clone()),
            }
            if ["--seconds", "--seed", "--rate", "--server", "--sabotage", "--json", "--plan"].contains(&&*argument) {
                soaks = Some(argument);
            }
        }
        if let Some(group) = group {
            return Ok(Self::Worker(WorkerOptions { group, name, url, sabotage: options.sabotage }));
        }
        match (soaks, filter.names.first()) {
            (Some(soaks), Some(name)) => Err(format!("{soaks} does not go with the name of a test, {name:?}\n{USAGE}")),
            (Some(_), None) if plans => Ok(Self::Plan(options)),
            (Some(_), None) => Ok(Self::Soak(options)),
            (None, _) if lists => Ok(Self::List { ignored: filter.ignored }),
            (None, _) => Ok(Self::Tests(filter)),
        }
    }
}

fn number(argument: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{argument} needs a whole number, and not {value:?}"))
}

fn server(path: &str) -> Result<PathBuf, String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    if absolute.is_file() { Ok(absolute) } else { Err(format!("--server names {path}, and there is no such file")) }
}
