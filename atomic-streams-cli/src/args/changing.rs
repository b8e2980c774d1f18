//! Commands that change the server's data.

use std::time::Duration;

use atomic_streams::admin::Position;
use clap::{Args, Subcommand};

use super::common::{Consent, Subscription};
use super::when::{Place, span, time_ms};

#[derive(Args, Debug)]
pub struct MoveArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    #[command(flatten)]
    pub target: Target,
    /// Keep a copy of position and state under this name before
    #[arg(long, value_name = "NAME")]
    pub keep: Option<String>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// To the `start`, the `end`, or behind the entry with this ID
    #[arg(long, value_name = "PLACE")]
    pub to: Option<Place>,
    /// Before the first entry of this time or later: 2026-11-27T08:30 (UTC), or how long ago, such as 3h or 2d
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub since: Option<u64>,
}

impl Target {
    /// The last case does not come from the command line: one of them is required.
    pub fn position(&self) -> Position {
        position(self.to, self.since).unwrap_or(Position::End)
    }
}

#[derive(Args, Debug)]
pub struct ResetArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    /// Go on at the `start`, the `end`, or behind the entry with this ID; without it, where it was
    #[arg(long, value_name = "PLACE", conflicts_with = "since")]
    pub to: Option<Place>,
    /// Go on before the first entry of this time or later: 2026-11-27T08:30 (UTC), or how long ago, such as 3h or 2d
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub since: Option<u64>,
    /// Keep a copy of position and state under this name before
    #[arg(long, value_name = "NAME")]
    pub keep: Option<String>,
    #[command(flatten)]
    pub consent: Consent,
}

impl ResetArgs {
    pub fn position(&self) -> Option<Position> {
        position(self.to, self.since)
    }
}

fn position(to: Option<Place>, since_ms: Option<u64>) -> Option<Position> {
    to.map(Position::from).or(since_ms.map(Position::SinceMs))
}

#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Args, Debug)]
pub struct KeepArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    /// The name of the copy
    pub name: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum CopiesCommand {
    /// The copies of a subscription
    #[command(visible_alias = "list")]
    Ls(Subscription),
    /// The state of a copy, as JSON
    Show {
        #[command(flatten)]
        subscription: Subscription,
        /// The name of the copy
        name: String,
    },
    /// Make a copy the subscription's position and state again; the copy stays
    ///
    /// A running consumer is fenced and goes on from there at once. What it has published stays published.
    PutBack {
        #[command(flatten)]
        subscription: Subscription,
        /// The name of the copy
        name: String,
        /// Keep a copy of position and state of now under this name before
        #[arg(long, value_name = "NAME")]
        keep: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Remove a copy
    Drop {
        #[command(flatten)]
        subscription: Subscription,
        /// The name of the copy
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Args, Debug)]
pub struct TrimArgs {
    /// The stream
    pub stream: String,
    /// Keep at least so many of the newest entries
    #[arg(long, value_name = "N")]
    pub keep_entries: Option<u64>,
    /// Keep everything that is younger than this, such as 12h or 7d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub keep_for: Option<Duration>,
    /// Remove every entry that may go; without it up to 100 are left besides, which costs the server less
    #[arg(long)]
    pub exact: bool,
    /// Remove nothing while this group is not there; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub expect_group: Vec<String>,
    /// Trim also a stream that has no group, by --keep-entries and --keep-for alone
    #[arg(long)]
    pub without_groups: bool,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Args, Debug)]
pub struct PublishArgs {
    /// The stream; it is made if it is not there
    pub stream: String,
    /// Fields of the entry, in their order
    #[arg(value_name = "FIELD=VALUE", value_parser = field, required_unless_present = "object")]
    pub fields: Vec<(String, String)>,
    /// The entry as a JSON object, one field for each member; `-` reads objects from standard input, one a line
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    pub object: Option<String>,
    /// Say what would be added, and add nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a name and a value, such as sku=A-1")?;
    Ok((name.to_owned(), value.to_owned()))
}
