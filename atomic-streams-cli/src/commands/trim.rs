//! `trim`: removing what every group has committed.

use atomic_streams::retention::{Holding, Retained};
use serde::Serialize;

use super::consent::confirm;
use crate::args::TrimArgs;
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Look, Show, count, spinner};

#[derive(Debug, Serialize)]
pub struct Trimmed {
    stream: String,
    removed: u64,
    left: u64,
    held_back_by: Option<Holder>,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Holder {
    group: String,
    position: Option<String>,
    behind: u64,
    why: &'static str,
}

pub async fn run(server: &Server, args: &TrimArgs) -> Result<Trimmed, Failure> {
    let mut retention = server.retention(&args.stream)?;
    if let Some(entries) = args.keep_entries {
        retention = retention.keep_entries(entries);
    }
    if let Some(age) = args.keep_for {
        retention = retention.keep_for(age);
    }
    if args.exact {
        retention = retention.exact();
    }
    if args.without_groups {
        retention = retention.without_groups();
    }
    for group in &args.expect_group {
        retention = retention.expect_group(group);
    }
    // It reads all that would go: not for those who have said yes.
    if args.consent.dry_run || !args.consent.yes {
        let counting = spinner("counting what every group has committed");
        let would = trimmed(args, retention.dry_run().await?, true);
        drop(counting);
        if args.consent.dry_run {
            return Ok(would);
        }
        confirm(args.consent, &would.words())?;
    }
    let _trimming = spinner("trimming");
    Ok(trimmed(args, retention.trim().await?, false))
}

fn trimmed(args: &TrimArgs, retained: Retained, dry_run: bool) -> Trimmed {
    let holder = retained.held_back_by.map(|held| Holder {
        group: held.group,
        position: held.position.map(|id| id.to_string()),
        behind: held.behind,
        why: match held.why {
            Holding::Behind => "behind",
            Holding::Pending => "pending",
            Holding::RecordLost => "record_lost",
            Holding::StreamReplaced => "stream_replaced",
            Holding::Missing => "missing",
            _ => "other",
        },
    });
    Trimmed {
        stream: args.stream.clone(),
        removed: retained.removed,
        left: retained.left,
        held_back_by: holder,
        dry_run,
    }
}

impl Trimmed {
    fn words(&self) -> String {
        let (removed, remain) =
            if self.dry_run { ("would be removed at most", "would be left") } else { ("removed", "left") };
        let mut words =
            format!("{}: {} {removed}, {} {remain}", self.stream, count(self.removed, "entry", "entries"), self.left);
        if let Some(held) = &self.held_back_by {
            let why = match held.why {
                "behind" => "has yet to commit them",
                "pending" => "has taken them and not acknowledged them",
                "record_lost" => {
                    "has lost its record, so that nobody knows where it is: restore it, or destroy the group"
                }
                "stream_replaced" => "is ahead of the stream, which was replaced",
                "missing" => "is expected and not there",
                _ => "needs them",
            };
            let entries = count(held.behind, "entry", "entries");
            words.push_str(&format!("\n{entries} held back by the group {}, which {why}", held.group));
        }
        words
    }
}

impl Show for Trimmed {
    fn text(&self, _look: &Look) -> String {
        format!("{}\n", self.words())
    }
}
