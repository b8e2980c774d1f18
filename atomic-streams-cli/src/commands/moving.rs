//! `seek` and `reset`: going on elsewhere, with or without the state.

use std::fmt::Write;

use atomic_streams::EntryId;
use atomic_streams::admin::{Admin, Moved, Position};
use serde::Serialize;

use super::consent::confirm;
use super::copies::keep_before;
use crate::args::{Consent, MoveArgs, ResetArgs, Subscription};
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Look, Show, count, time};

#[derive(Debug, Serialize)]
pub struct Movement {
    stream: String,
    group: String,
    from: String,
    to: String,
    dropped_fields: u64,
    dropped_collections: u64,
    /// The copy that was kept before.
    kept: Option<String>,
    dry_run: bool,
    #[serde(skip)]
    moved: Moved,
    #[serde(skip)]
    resets: bool,
}

pub async fn seek(server: &Server, args: &MoveArgs, look: Look) -> Result<Movement, Failure> {
    let plan = Plan { subscription: &args.subscription, to: Some(args.target.position()), resets: false, look };
    plan.carry_out(server, args.keep.as_deref(), args.consent).await
}

pub async fn reset(server: &Server, args: &ResetArgs, look: Look) -> Result<Movement, Failure> {
    let plan = Plan { subscription: &args.subscription, to: args.position(), resets: true, look };
    plan.carry_out(server, args.keep.as_deref(), args.consent).await
}

struct Plan<'a> {
    subscription: &'a Subscription,
    to: Option<Position>,
    resets: bool,
    look: Look,
}

impl Plan<'_> {
    async fn carry_out(self, server: &Server, keep: Option<&str>, consent: Consent) -> Result<Movement, Failure> {
        let admin = server.admin()?;
        let would = self.movement(self.run(&admin.dry_run()).await?, keep, true);
        if !consent.dry_run {
            confirm(consent, would.text(&self.look).trim_end())?;
        }
        keep_before(&admin, self.subscription, keep, consent.dry_run).await?;
        if consent.dry_run {
            return Ok(would);
        }
        Ok(self.movement(self.run(&admin).await?, keep, false))
    }

    async fn run(&self, admin: &Admin) -> Result<Moved, Failure> {
        let Subscription { stream, group } = self.subscription;
        Ok(match self.to {
            to if self.resets => admin.reset(stream, group, to).await?,
            Some(to) => admin.seek(stream, group, to).await?,
            None => admin.seek(stream, group, Position::End).await?,
        })
    }

    fn movement(&self, moved: Moved, keep: Option<&str>, dry_run: bool) -> Movement {
        Movement {
            stream: self.subscription.stream.clone(),
            group: self.subscription.group.clone(),
            from: moved.from.to_string(),
            to: moved.to.to_string(),
            dropped_fields: moved.dropped_fields,
            dropped_collections: moved.dropped_collections,
            kept: keep.map(str::to_owned),
            dry_run,
            moved,
            resets: self.resets,
        }
    }
}

/// A position that is to be: where a time was asked for, it is behind all IDs of the ms before.
fn target(id: EntryId, now_ms: u64) -> String {
    match id {
        EntryId::MIN => "at the start".to_owned(),
        EntryId { ms, seq: u64::MAX } => {
            format!("with what is of {} or later", time::with_age(ms.saturating_add(1), now_ms))
        }
        id => format!("behind {}", place(id, now_ms)),
    }
}

fn place(id: EntryId, now_ms: u64) -> String {
    if id == EntryId::MIN { format!("{id} (the start)") } else { format!("{id} ({})", time::age(id.ms, now_ms)) }
}

impl Show for Movement {
    fn text(&self, look: &Look) -> String {
        let Moved { from, to, .. } = self.moved;
        let before = place(from, look.now_ms);
        let goes = if self.dry_run { "would go" } else { "goes" };
        let mut text = format!("{} {} {goes} on {}", self.stream, self.group, target(to, look.now_ms));
        let on = if self.resets { "" } else { ", on the state of now" };
        match to.cmp(&from) {
            std::cmp::Ordering::Less => {
                let _ = write!(text, ", from {before}: entries from there on are handled again{on}");
            }
            std::cmp::Ordering::Greater => {
                let _ = write!(text, ", from {before}: entries behind it, up to there, are left out{on}");
            }
            std::cmp::Ordering::Equal => text.push_str(", where it was"),
        }
        text.push('\n');
        if self.resets {
            let fields = count(self.dropped_fields, "field", "fields");
            let collections = count(self.dropped_collections, "collection", "collections");
            let dropped = if self.dry_run { "would be dropped" } else { "dropped" };
            let _ = writeln!(text, "{dropped}: {fields} and {collections} of its state");
        }
        if let Some(name) = &self.kept {
            let kept = if self.dry_run { "would be kept" } else { "kept" };
            let (stream, group) = (&self.stream, &self.group);
            let _ = writeln!(
                text,
                "{kept} as `{name}`; to take it back: atomic-streams copies put-back {stream} {group} {name}"
            );
        }
        text
    }
}
