//! `keep` and `copies`.

use atomic_streams::EntryId;
use atomic_streams::admin::{Admin, Kept, PutBack};
use serde::Serialize;

use super::consent::confirm;
use super::state;
use crate::args::{Consent, CopiesCommand, KeepArgs, StateArgs, Subscription};
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Cell, Look, Show, Table, View, count, spinner, time};

pub async fn run(server: &Server, command: CopiesCommand) -> Result<Box<dyn View>, Failure> {
    Ok(match command {
        CopiesCommand::Ls(subscription) => Box::new(list(server, &subscription).await?),
        CopiesCommand::Show { subscription, name } => {
            Box::new(state::run(server, &StateArgs { subscription, copy: Some(name), field: None }).await?)
        }
        CopiesCommand::PutBack { subscription, name, keep, consent } => {
            Box::new(put_back(server, &subscription, &name, keep.as_deref(), consent).await?)
        }
        CopiesCommand::Drop { subscription, name, consent } => {
            Box::new(drop_copy(server, &subscription, name, consent).await?)
        }
    })
}

#[derive(Debug, Serialize)]
pub struct Copy {
    name: String,
    kept: String,
    position: String,
    processed: u64,
    #[serde(skip)]
    kept_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Copies(Vec<Copy>);

async fn list(server: &Server, of: &Subscription) -> Result<Copies, Failure> {
    let copy = |kept: Kept| Copy {
        kept: time::rfc3339(kept.kept_ms),
        position: kept.position.to_string(),
        processed: kept.processed,
        kept_ms: kept.kept_ms,
        name: kept.name,
    };
    // Copies outlive their subscription, so that it need not be there.
    Ok(Copies(server.admin()?.copies(&of.stream, &of.group).await?.into_iter().map(copy).collect()))
}

impl Show for Copies {
    fn text(&self, look: &Look) -> String {
        if self.0.is_empty() {
            return "no copies are kept of it\n".to_owned();
        }
        let mut table = Table::new(&["NAME", "KEPT", "POSITION", "PROCESSED"]);
        for each in &self.0 {
            table.row([
                Cell::plain(&each.name),
                Cell::plain(time::with_age(each.kept_ms, look.now_ms)),
                Cell::whole(&each.position),
                Cell::number(each.processed),
            ]);
        }
        table.text(look)
    }
}

#[derive(Debug, Serialize)]
pub struct Keeping {
    stream: String,
    group: String,
    kept: String,
    dry_run: bool,
}

pub async fn keep(server: &Server, args: &KeepArgs) -> Result<Keeping, Failure> {
    keep_before(&server.admin()?, &args.subscription, Some(&args.name), args.dry_run).await?;
    Ok(Keeping {
        stream: args.subscription.stream.clone(),
        group: args.subscription.group.clone(),
        kept: args.name.clone(),
        dry_run: args.dry_run,
    })
}

/// Keeps a copy, if a name is given; on a dry run, sees whether it could be.
pub async fn keep_before(admin: &Admin, of: &Subscription, name: Option<&str>, dry_run: bool) -> Result<(), Failure> {
    let Subscription { stream, group } = of;
    let Some(name) = name else { return Ok(()) };
    if !dry_run {
        let _copying = spinner("keeping a copy");
        return Ok(admin.keep(stream, group, name).await?);
    }
    admin.dry_run().keep(stream, group, name).await?;
    if admin.copies(stream, group).await?.iter().any(|kept| kept.name == name) {
        return Err(Failure::new(
            Exit::InUse,
            format!("{stream} {group} has a copy `{name}` already: drop it first, or choose another name"),
        ));
    }
    Ok(())
}

impl Show for Keeping {
    fn text(&self, _look: &Look) -> String {
        let Self { stream, group, kept: name, dry_run } = self;
        let kept = if *dry_run { "would be kept" } else { "kept" };
        format!("{stream} {group} {kept} as `{name}`\n")
    }
}

#[derive(Debug, Serialize)]
pub struct Restoration {
    stream: String,
    group: String,
    copy: String,
    from: Option<String>,
    to: String,
    processed: u64,
    /// The stream's first entry, where those before it may be missing behind the copy's position.
    trimmed_up_to: Option<String>,
    /// The copy of what there was before.
    kept: Option<String>,
    dry_run: bool,
}

async fn put_back(
    server: &Server,
    of: &Subscription,
    name: &str,
    keep: Option<&str>,
    consent: Consent,
) -> Result<Restoration, Failure> {
    let admin = server.admin()?;
    let restoration = |found: PutBack, dry_run| Restoration {
        stream: of.stream.clone(),
        group: of.group.clone(),
        copy: name.to_owned(),
        from: found.from.map(|id: EntryId| id.to_string()),
        to: found.to.to_string(),
        processed: found.processed,
        trimmed_up_to: found.trimmed_up_to.map(|id| id.to_string()),
        kept: keep.map(str::to_owned),
        dry_run,
    };
    let would = restoration(admin.dry_run().put_back(&of.stream, &of.group, name).await?, true);
    if !consent.dry_run {
        confirm(consent, &would.words())?;
    }
    keep_before(&admin, of, keep, consent.dry_run).await?;
    if consent.dry_run {
        return Ok(would);
    }
    let _copying = spinner("putting the copy back");
    Ok(restoration(admin.put_back(&of.stream, &of.group, name).await?, false))
}

impl Restoration {
    fn words(&self) -> String {
        let Self { stream, group, copy, to, .. } = self;
        let goes = if self.dry_run { "would go" } else { "goes" };
        let from = self.from.as_deref().map_or_else(|| "no record".to_owned(), |id| format!("position {id}"));
        let entries = count(self.processed, "entry", "entries");
        let mut words =
            format!("{stream} {group} {goes} on behind {to}, from {from}, on the state of {entries} in `{copy}`");
        if let Some(first) = &self.trimmed_up_to {
            words.push_str(&format!("; entries between may be trimmed: the stream begins with {first}"));
        }
        if let Some(name) = &self.kept {
            words.push_str(&format!("; what there was is kept as `{name}`"));
        }
        words
    }
}

impl Show for Restoration {
    fn text(&self, _look: &Look) -> String {
        format!("{}\n", self.words())
    }
}

#[derive(Debug, Serialize)]
pub struct Dropped {
    stream: String,
    group: String,
    copy: String,
    dry_run: bool,
}

async fn drop_copy(server: &Server, of: &Subscription, name: String, consent: Consent) -> Result<Dropped, Failure> {
    let Subscription { stream, group } = of;
    let (admin, dry_run) = (server.admin()?, consent.dry_run);
    let none = || {
        let words = format!(
            "{stream} {group} has no copy `{name}`: `atomic-streams copies ls {stream} {group}` shows those there are"
        );
        Failure::not_found(words)
    };
    if !admin.dry_run().drop_copy(stream, group, &name).await? {
        return Err(none());
    }
    if !dry_run {
        confirm(consent, &format!("the copy `{name}` of {stream} {group} would be dropped for good"))?;
        if !admin.drop_copy(stream, group, &name).await? {
            return Err(none());
        }
    }
    Ok(Dropped { stream: stream.clone(), group: group.clone(), copy: name, dry_run })
}

impl Show for Dropped {
    fn text(&self, _look: &Look) -> String {
        let Self { stream, group, copy, dry_run } = self;
        let dropped = if *dry_run { "would be dropped" } else { "dropped" };
        format!("copy `{copy}` of {stream} {group} {dropped}\n")
    }
}
