//! What came of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use serde_json::json;

use crate::world::World;

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Exact,
    /// A promise is broken.
    Wrong(String),
    /// The soak itself could not go on, which says nothing about the library.
    Stuck(String),
}

#[derive(Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub server: String,
    pub seconds: f64,
    pub messages: u64,
    pub by_group: Vec<(&'static str, u64)>,
    pub accepted: u64,
    pub uncertain: u64,
    pub instants: u64,
    pub attaches: u64,
    pub takeovers: u64,
    pub fenced: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub impossible: BTreeMap<&'static str, String>,
    pub seed: u64,
    pub planned_seconds: u64,
    /// Where the server's data and all that was said is kept.
    pub kept: Option<PathBuf>,
}

impl Verdict {
    pub fn exit_code(&self) -> ExitCode {
        match self.outcome {
            Outcome::Exact => ExitCode::SUCCESS,
            Outcome::Wrong(_) => ExitCode::from(1),
            Outcome::Stuck(_) => ExitCode::from(2),
        }
    }

    fn faults_in_all(&self) -> u64 {
        self.faults.values().sum()
    }

    fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Exact => "exact",
            Outcome::Wrong(_) => "wrong",
            Outcome::Stuck(_) => "stuck",
        }
    }

    pub fn as_text(&self) -> String {
        let mut text = String::new();
        let rate = self.messages as f64 / self.seconds;
        let lines = [
            format!("server      {}", self.server),
            format!("seed        {} (--seed {} --seconds {})", self.seed, self.seed, self.planned_seconds),
            format!("messages    {} handled in {:.0} s, {rate:.0} a second", self.messages, self.seconds),
            format!(
                "            {}",
                self.by_group.iter().map(|(group, count)| format!("{group} {count}")).collect::<Vec<_>>().join(", ")
            ),
            format!("produced    {} accepted, {} without a reply or refused", self.accepted, self.uncertain),
            format!("checked     {} instants", self.instants),
            format!("sessions    {} attaches, {} takeovers, {} fencings", self.attaches, self.takeovers, self.fenced),
            format!("faults      {}", self.faults_in_all()),
        ];
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        for (kind, count) in &self.faults {
            let _ = writeln!(text, "  {kind:26} {count}");
        }
        for (kind, why) in &self.impossible {
            let _ = writeln!(text, "  {kind:26} not possible here: {why}");
        }
        let _ = match &self.outcome {
            Outcome::Exact => writeln!(text, "verdict     exact: every input once, state and outputs as its fold"),
            Outcome::Wrong(what) => writeln!(text, "verdict     WRONG: {what}"),
            Outcome::Stuck(what) => writeln!(text, "verdict     none, the soak could not go on: {what}"),
        };
        if let Some(kept) = &self.kept {
            let _ = writeln!(text, "kept        {}", kept.display());
        }
        text
    }

    pub fn as_json(&self) -> String {
        let details = match &self.outcome {
            Outcome::Exact => None,
            Outcome::Wrong(what) | Outcome::Stuck(what) => Some(what),
        };
        let mut faults: BTreeMap<&str, u64> = self.faults.clone();
        faults.insert("total", self.faults_in_all());
        json!({
            "seed": self.seed,
            "seconds": self.seconds,
            "server": self.server,
            "messages": self.messages,
            "messages_by_group": self.by_group.iter().copied().collect::<BTreeMap<_, _>>(),
            "messages_per_second": self.messages as f64 / self.seconds,
            "accepted": self.accepted,
            "uncertain": self.uncertain,
            "instants": self.instants,
            "attaches": self.attaches,
            "takeovers": self.takeovers,
            "fencings": self.fenced,
            "faults": faults,
            "not_possible": self.impossible,
            "verdict": self.word(),
            "details": details,
            "kept": self.kept,
        })
        .to_string()
    }
}

/// Copies the server's data, its log, what the workers said and the schedule up to now to a folder that stays.
pub async fn keep(world: Arc<World>, what: String) -> io::Result<PathBuf> {
    let server = world.primary().await;
    if server.is_alive() {
        // A stopped server would not end.
        server.resume();
        server.stop().await;
    }
    let name = format!("atomic-streams-soak-{}-{}", world.options.seed, std::process::id());
    let kept = std::env::temp_dir().join(name);
    copy(server.data_dir(), &kept.join("data"))?;
    let mut said = format!("{what}\n\n");
    for worker in &world.crew {
        let _ = writeln!(said, "== {}\n{}", worker.name, worker.output().await);
    }
    fs::write(kept.join("workers.log"), said)?;
    let done = world.done.lock().expect("no panic while it is held");
    let schedule = done.iter().map(|(at, planned)| format!("{at:9.3} s  planned {planned}\n")).collect::<String>();
    fs::write(kept.join("schedule"), schedule)?;
    Ok(kept)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
