//! What can be asked for.

mod changing;
mod common;
mod importing;
mod letters;
mod looking;
mod when;

use clap::{Parser, Subcommand};

pub use self::changing::{CopiesCommand, DeleteArgs, KeepArgs, MoveArgs, PublishArgs, ResetArgs, TrimArgs};
pub use self::common::{ColorChoice, Consent, OutputArgs, ServerArgs, Subscription};
pub use self::importing::ImportArgs;
pub use self::letters::{Chosen, Filter, LettersCommand};
pub use self::looking::{DoctorArgs, LagArgs, ManArgs, StateArgs, TailArgs};
pub use self::when::{Place, span};
use crate::exit::Exit;
use crate::top::TopArgs;

/// Look after subscriptions of atomic-streams: who has them, how far behind they are, what failed; and go back.
#[derive(Debug, Parser)]
#[command(name = "atomic-streams", version, after_help = Exit::HELP, arg_required_else_help = true)]
#[command(max_term_width = 100, next_line_help = false)]
pub struct Args {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// All subscriptions: owner, lease, position and lag
    #[command(visible_alias = "list")]
    Ls,
    /// All subscriptions live, on the full screen: rates, lag over time, what needs somebody
    ///
    /// `?` shows the keys. Nothing is changed by any of them.
    Top(TopArgs),
    /// All there is to know about one subscription
    Show(Subscription),
    /// The state, with all of one instant, as JSON
    State(StateArgs),
    /// How far behind: in entries, and how long the oldest of them waits
    #[command(after_help = "\
Example, for an alarm:
  atomic-streams lag sales audit --max 1000 --max-time 5min || notify")]
    Lag(LagArgs),
    /// The entries of a stream, one a line; changes nothing
    Tail(TailArgs),
    /// What the server's settings mean, and what a crash or failover can lose
    Doctor(DoctorArgs),
    /// Go on elsewhere, on the state of now: handle entries again, or leave some out
    ///
    /// A running consumer is fenced and goes on from there at once. What it has published stays published.
    #[command(after_help = "\
Examples:
  atomic-streams seek sales audit --since 1d --keep before
  atomic-streams seek sales audit --to 1767225600000-0
  atomic-streams seek sales audit --to end --dry-run")]
    Seek(MoveArgs),
    /// Begin anew: drop the state, and go on elsewhere if --to or --since says so
    ///
    /// A running consumer is fenced and begins with the values that a new subscription has.
    Reset(ResetArgs),
    /// Remove a subscription that nobody runs: its record, state and group
    Delete(DeleteArgs),
    /// Keep a copy of position and state under a name, all of one instant
    Keep(KeepArgs),
    /// Copies that are kept of a subscription
    #[command(subcommand)]
    Copies(CopiesCommand),
    /// Entries that could not be handled
    #[command(subcommand)]
    DeadLetters(LettersCommand),
    /// Remove the entries that every group has committed
    ///
    /// Without --keep-entries and --keep-for, all of them.
    Trim(TrimArgs),
    /// Add an entry to a stream, and say its ID
    #[command(after_help = "\
Examples:
  atomic-streams publish sales sku=A-1 quantity=2
  atomic-streams publish sales --object '{\"sku\": \"A-1\", \"quantity\": 2}'
  jq -c '.[]' sales.json | atomic-streams publish sales --object -")]
    Publish(PublishArgs),
    /// Go on where a consumer of the Python library `atomic-redis-streams` has stopped, with its state
    ///
    /// Its position and the attributes of its handler become a new subscription, in one step. Attributes may be None, bool, int, float,
    /// str, bytes, list, tuple, dict and set; no pickle is run. The Rust handler needs fields of the same names, whose types are
    /// compared when it starts.
    #[command(after_help = "\
Example:
  atomic-streams import-python sales inventory-tracker --state inventory --rename _stock=stock --dry-run")]
    ImportPython(ImportArgs),
    /// A script that completes commands, for your shell to load
    ///
    /// For bash: atomic-streams completions bash > ~/.local/share/bash-completion/completions/atomic-streams
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual page, for `man -l -`
    Man(ManArgs),
}
