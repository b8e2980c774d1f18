//! What a server's settings mean for what is promised: facts in, findings out. Pure: nothing is asked here.

mod disk;
mod facts;
mod kind;
mod limits;
mod losses;
mod memory;
mod replication;
mod rights;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

pub use self::facts::{Clock, Facts};
pub use self::rights::{Answer, Question, Refused, Rights, questions};
use crate::durability::Durability;
use crate::protocol::Timing;

/// How much a [`Finding`] matters. Later ones matter more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// As it should be, or good to know.
    Note,
    /// The server does not tell it: its ACL or its provider hides it, or nobody knows it of this version.
    Unknown,
    /// Something can be lost, or will stand still, where another setting would prevent it.
    Warning,
    /// A consumer cannot work so, or loses its state.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The setting as the server names it (`appendfsync`), or what else was looked at: `version`, `mode`, `role`, `clock`,
    /// `modules`, `connected_slaves`, `WAITAOF`, or `ACL` and the command.
    pub setting: String,
    /// What it is now, as the server says it; `None` where it is unknown.
    pub value: Option<String>,
    /// One sentence: what it means, and what changes it.
    pub meaning: String,
    /// [`spawn`](crate::ConsumerBuilder::spawn) refuses to start a consumer because of it.
    pub refused: bool,
}

/// What a [`Doctor`](crate::Doctor) found; shown as text for people by [`Display`](fmt::Display).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Which server it is, such as `Valkey 9.1.2`.
    pub server: String,
    /// What was looked at.
    pub findings: Vec<Finding>,
    /// One sentence: what a crash of the server can lose as things stand, and what changes that.
    pub server_crash: String,
    /// One sentence: what the promotion of a replica can lose as things stand, and what changes that.
    pub failover: String,
}

impl Diagnosis {
    /// The most severe of the findings.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Note)
    }

    /// The findings that matter so much or more.
    pub fn at_least(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity >= severity)
    }

    /// What was found of this [`setting`](Finding::setting), if it was looked at.
    #[must_use]
    pub fn of(&self, setting: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.setting == setting)
    }

    /// Judges the facts, for a consumer of that durability and those times.
    pub(crate) fn judge(facts: &Facts, aim: Aim) -> Self {
        let mut findings = Findings(Vec::new());
        kind::judge(facts, aim, &mut findings);
        disk::judge(facts, aim, &mut findings);
        memory::judge(facts, &mut findings);
        replication::judge(facts, aim, &mut findings);
        limits::judge(facts, aim, &mut findings);
        rights::judge(facts, &mut findings);
        let mut findings = findings.0;
        // Of the same weight, in the order above.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            server: facts.server(),
            findings,
            server_crash: losses::of_crash(facts),
            failover: losses::of_failover(facts, aim.durability),
        }
    }
}

/// What the server is to serve for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aim {
    pub durability: Durability,
    pub timing: Timing,
}

/// What has been found so far.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, setting: &str, value: impl fmt::Display, meaning: impl Into<String>) {
        let (value, meaning) = (Some(value.to_string()), meaning.into());
        self.0.push(Finding { severity, setting: setting.to_owned(), value, meaning, refused: false });
    }

    /// What no consumer should be started on.
    fn refuse(&mut self, setting: &str, value: impl fmt::Display, meaning: impl Into<String>) {
        self.add(Severity::Error, setting, value, meaning);
        if let Some(last) = self.0.last_mut() {
            last.refused = true;
        }
    }

    fn unknown(&mut self, facts: &Facts, setting: &str, what: &str) {
        let meaning = format!("{what}: {}", facts.why_unknown(setting));
        let (severity, setting) = (Severity::Unknown, setting.to_owned());
        self.0.push(Finding { severity, setting, value: None, meaning, refused: false });
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// In one line: `warning: appendfsync = no: …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.setting)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.meaning)
    }
}

/// The server, one line a finding, the worst ones first, and the two sentences.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.server)?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "{}\n{}", self.server_crash, self.failover)
    }
}
