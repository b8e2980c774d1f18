//! What is refused and said of a server before the first attach.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tracing::{debug, warn};

use super::Worker;
use super::attach::Trouble;
use crate::diagnosis::{Aim, Diagnosis, Facts, Severity};
use crate::error::{Error, ErrorKind};
use crate::handler::Handler;
use crate::targets;

/// The servers whose warnings this process has logged, by the run and what was warned of.
static WARNED: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

/// Beyond so many, warnings are repeated.
const MAX_WARNED: usize = 1_024;

impl<H: Handler> Worker<H> {
    /// Asks once what the server's settings endanger.
    pub(super) async fn examine(&mut self) -> Result<(), Trouble> {
        let facts = self.store.examine().await?;
        self.examined = true;
        let Some(facts) = facts else { return Ok(()) };
        let aim = Aim { durability: self.settings.durability, timing: self.settings.timing };
        let diagnosis = Diagnosis::judge(&facts, aim);
        let accepted = |setting: &str| setting == "maxmemory-policy" && self.settings.allow_eviction;
        if let Some(refused) = diagnosis.findings.iter().find(|each| each.refused && !accepted(&each.setting)) {
            return Err(Error::new(ErrorKind::UnsupportedServer, refused.meaning.clone()).into());
        }
        for finding in diagnosis.at_least(Severity::Warning).filter(|finding| is_news(&facts, &finding.to_string())) {
            let (setting, value) = (&finding.setting, finding.value.as_deref().unwrap_or("unknown"));
            warn!(
                name: "server.warned",
                target: targets::SERVER,
                server = diagnosis.server,
                setting,
                value,
                "{}",
                finding.meaning
            );
        }
        debug!(
            name: "server.examined",
            target: targets::SERVER,
            stream = self.stream(),
            group = self.group(),
            server = diagnosis.server,
            crash = diagnosis.server_crash,
            failover = diagnosis.failover,
            "server examined"
        );
        Ok(())
    }
}

/// Whether nobody in this process has said so of this run of the server.
fn is_news(facts: &Facts, finding: &str) -> bool {
    let Some(run) = facts.run() else { return true };
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.len() >= MAX_WARNED {
        warned.clear();
    }
    warned.insert((run.to_owned(), finding.to_owned()))
}
