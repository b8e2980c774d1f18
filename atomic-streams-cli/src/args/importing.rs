//! Moving over from other programs.

use clap::Args;

use super::common::Subscription;

#[derive(Args, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    pub subscription: Subscription,
    /// The consumer_id of the Python consumer; without it, the group's name
    #[arg(long, value_name = "ID")]
    pub consumer_id: Option<String>,
    /// The unique_id of its handler, under which its state lies; without it, the consumer's ID
    #[arg(long, value_name = "ID", conflicts_with = "stateless")]
    pub state: Option<String>,
    /// Its handler has no state
    #[arg(long, conflicts_with_all = ["rename", "skip"])]
    pub stateless: bool,
    /// Name the field otherwise than the attribute; may be given for several
    #[arg(long, value_name = "OLD=NEW", value_parser = rename)]
    pub rename: Vec<(String, String)>,
    /// Leave this attribute out; may be given for several
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,
    /// The version of the handler's struct whose fields these are; a later one migrates them
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub schema_version: u32,
    /// Do not look for the connection of a Python consumer that still runs: it is known to be stopped
    #[arg(long)]
    pub stopped: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("write the attribute's name, `=`, and the field's: --rename _count=count".to_owned()),
    }
}
