//! `dead-letters`.

use atomic_streams::EntryId;
use clap::{Args, Subcommand};

use super::common::{Consent, Subscription};
use super::when::time_ms;

#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// The oldest letters: what failed, why, how often it was tried
    #[command(visible_alias = "list")]
    Ls {
        /// The dead-letter stream
        letters: String,
        /// How many at most
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = at_least_one)]
        count: usize,
        /// Those behind this letter
        #[arg(long, value_name = "ID")]
        after: Option<EntryId>,
    },
    /// One letter, with the fields of its entry
    Show {
        /// The dead-letter stream
        letters: String,
        /// Its ID there
        id: EntryId,
    },
    /// Letters that hold a text, or come from somewhere, or of some time
    Search {
        /// The dead-letter stream
        letters: String,
        #[command(flatten)]
        filter: Filter,
        /// How many at most
        #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = at_least_one)]
        count: usize,
    },
    /// Put entries back to the end of the streams that they came from, each exactly once
    ///
    /// Letters of a parked key stay where they are: see `unpark`. All at once only after a confirmation.
    #[command(after_help = "\
Examples:
  atomic-streams dead-letters requeue sales:dead 1767225600000-0
  atomic-streams dead-letters requeue sales:dead --all --text timeout --since 1h")]
    Requeue(Chosen),
    /// Remove letters for good
    Drop(Chosen),
    /// Keys whose entries wait behind a dead letter
    Parked(Subscription),
    /// Have the letters of a parked key handled, in order, before any later entry of it
    Unpark {
        #[command(flatten)]
        subscription: Subscription,
        /// The key, as `parked` shows it
        key: String,
        /// The key is given in hexadecimal digits
        #[arg(long)]
        hex: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "write a number from 1 on".into())
}

/// Which letters.
#[derive(Args, Debug)]
pub struct Chosen {
    /// The dead-letter stream
    pub letters: String,
    /// IDs of letters
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<EntryId>,
    /// All that are there now, or those of them that the options below choose
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub consent: Consent,
}

/// All that is given must be so.
#[derive(Args, Debug, Default)]
pub struct Filter {
    /// Only those with this text in the error, or in a name or value of the entry
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Only those that came from this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Only those that this group could not handle
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Only those given up at this time or later: 2026-11-27T08:30 (UTC), or how long ago, such as 3h or 2d
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub since: Option<u64>,
    /// Only those given up before this time
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    pub until: Option<u64>,
}

impl Filter {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        let Self { text, stream, group, since, until } = self;
        text.is_none() && stream.is_none() && group.is_none() && since.is_none() && until.is_none()
    }
}
