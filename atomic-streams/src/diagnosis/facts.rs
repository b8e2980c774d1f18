//! What a server says of itself.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Rights;

/// What was asked of a server, and what it answered or why not.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The lines of `INFO`, by their names.
    pub info: Result<BTreeMap<String, String>, String>,
    /// The modules that it has loaded.
    pub modules: Vec<String>,
    /// What `CONFIG GET` gave of [`SETTINGS`](Self::SETTINGS).
    pub config: Result<BTreeMap<String, String>, String>,
    /// Its clock, where it tells the time.
    pub clock: Option<Clock>,
    /// What the user may do, where that was asked.
    pub rights: Option<Rights>,
}

/// The server's clock beside this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// By how much the server's is ahead.
    pub ahead_ms: i64,
    /// By how much that may be wrong: half of the time that the question took.
    pub uncertainty_ms: i64,
}

/// A server that another one was made from counts by its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub is_valkey: bool,
    pub number: (u32, u32, u32),
}

impl Facts {
    /// The settings that are asked for.
    pub const SETTINGS: [&str; 14] = [
        "appendonly",
        "appendfsync",
        "no-appendfsync-on-rewrite",
        "aof-load-truncated",
        "save",
        "stop-writes-on-bgsave-error",
        "maxmemory",
        "maxmemory-policy",
        "min-replicas-to-write",
        "min-replicas-max-lag",
        "timeout",
        "busy-reply-threshold",
        "maxclients",
        "databases",
    ];

    /// The lines of an `INFO`, and the modules that it lists.
    pub fn of_info(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut lines, mut modules) = (BTreeMap::new(), Vec::new());
        for (name, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
            if name == "module" {
                let module = value.split(',').find_map(|part| part.strip_prefix("name="));
                modules.extend(module.map(str::to_owned));
            } else {
                lines.insert(name.to_owned(), value.to_owned());
            }
        }
        (lines, modules)
    }

    /// Which run of which server it is.
    pub fn run(&self) -> Option<&str> {
        self.line("run_id")
    }

    pub(super) fn line(&self, name: &str) -> Option<&str> {
        self.info.as_ref().ok()?.get(name).map(String::as_str)
    }

    pub(super) fn count<T: FromStr>(&self, name: &str) -> Option<T> {
        self.line(name)?.parse().ok()
    }

    /// A setting, from `INFO` where `CONFIG` is refused and it is there too.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let configured = self.config.as_ref().ok().and_then(|config| config.get(name)).map(String::as_str);
        configured.or_else(|| match name {
            "maxmemory" | "maxclients" => self.line(name),
            "maxmemory-policy" => self.line("maxmemory_policy"),
            "appendonly" => match self.line("aof_enabled")? {
                "0" => Some("no"),
                _ => Some("yes"),
            },
            _ => None,
        })
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.setting(name)?.parse().ok()
    }

    pub(super) fn why_unknown(&self, name: &str) -> String {
        match (&self.info, &self.config) {
            (Err(words), _) if !Self::SETTINGS.contains(&name) => format!("`INFO` is refused ({words})"),
            (_, Err(words)) if Self::SETTINGS.contains(&name) => format!("`CONFIG GET` is refused ({words})"),
            _ => "the server does not tell it".to_owned(),
        }
    }

    /// Whether there is an append-only file.
    pub(super) fn appends(&self) -> Option<bool> {
        self.setting("appendonly").map(|value| value == "yes")
    }

    pub(super) fn version(&self) -> Option<Version> {
        let (is_valkey, text) = match self.line("valkey_version") {
            Some(text) => (true, text),
            None => (false, self.line("redis_version")?),
        };
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let number = (parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0));
        Some(Version { is_valkey, number })
    }

    /// The server's name and version, for people.
    pub(super) fn server(&self) -> String {
        let named = [("valkey_version", "Valkey"), ("dragonfly_version", "Dragonfly"), ("redis_version", "Redis")];
        let found = named.iter().find_map(|(line, name)| Some(format!("{name} {}", self.line(line)?)));
        found.unwrap_or_else(|| "a server of unknown version".to_owned())
    }

    pub(super) fn is_replica(&self) -> bool {
        self.line("role") == Some("slave")
    }
}

impl Version {
    pub fn has_waitaof(self) -> bool {
        self.is_valkey || self.number >= (7, 2, 0)
    }

    /// Whether a file that was torn inside a transaction is cut inside it too; `None` where that was not tried.
    pub fn cuts_inside_transactions(self) -> Option<bool> {
        match (self.is_valkey, self.number) {
            (true, (9, 1, 2..)) => Some(false),
            (false, (7, ..) | (8, 0..=2, _)) => Some(true),
            _ => None,
        }
    }
}
