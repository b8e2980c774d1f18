//! What can be asked for.

mod common;

use clap::{Parser, Subcommand};

pub use self::common::{ColorChoice, OutputArgs, ServerArgs};
use crate::exit::Exit;

/// Look after subscriptions of atomic-streams: who has them, how far behind they are, what failed; and go back.
#[derive(Debug, Parser)]
#[command(name = "atomic-streams", version, after_help = Exit::HELP, arg_required_else_help = true)]
#[command(max_term_width = 100)]
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
}
