//! `delete`: removing a subscription.

use atomic_streams::admin::Deleted;
use serde::Serialize;

use super::consent::confirm;
use crate::args::DeleteArgs;
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Look, Show, count};

#[derive(Debug, Serialize)]
pub struct Deletion {
    stream: String,
    group: String,
    position: Option<String>,
    processed: u64,
    collections: u64,
    dry_run: bool,
}

pub async fn run(server: &Server, args: &DeleteArgs) -> Result<Deletion, Failure> {
    let (stream, group) = (&args.subscription.stream, &args.subscription.group);
    let admin = server.admin()?;
    let deletion = |found: Deleted, dry_run| Deletion {
        stream: stream.clone(),
        group: group.clone(),
        position: found.position.map(|id| id.to_string()),
        processed: found.processed,
        collections: found.collections,
        dry_run,
    };
    let would = deletion(admin.dry_run().delete(stream, group).await?, true);
    if args.consent.dry_run {
        return Ok(would);
    }
    confirm(args.consent, &would.words())?;
    Ok(deletion(admin.delete(stream, group).await?, false))
}

impl Deletion {
    fn words(&self) -> String {
        let Self { stream, group, .. } = self;
        let done = if self.dry_run { "would be deleted" } else { "deleted" };
        let state = match &self.position {
            Some(position) => format!(
                "its position {position}, its state of {} with {}, and its group",
                count(self.processed, "entry", "entries"),
                count(self.collections, "collection", "collections")
            ),
            None => "its group; the record was lost before".to_owned(),
        };
        format!("{stream} {group} {done}: {state}. Kept copies stay, and so do the entries")
    }
}

impl Show for Deletion {
    fn text(&self, _look: &Look) -> String {
        format!("{}\n", self.words())
    }
}
