//! What goes for many commands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which server is asked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// redis://[user:password@]host[:port][/database], rediss://… for TLS, redis+sentinel://host[,host]/NAME, or
    /// unix:///path. Others see a password on the command line: put it into the variable
    #[arg(long, global = true, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "redis://127.0.0.1:6379")]
    pub url: String,

    /// The authority that has signed the server's certificate, as PEM, in place of those that the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// The certificate to show to the server, as PEM
    #[arg(long, global = true, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,

    /// The key of that certificate, as PEM
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
}

/// How it is shown.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// JSON for programs: one object or array, with names that stay
    #[arg(long, global = true)]
    pub json: bool,

    /// Colours; `auto` is: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Which subscription.
#[derive(Args, Debug)]
pub struct Subscription {
    /// The stream that it reads
    pub stream: String,
    /// Its group
    pub group: String,
}

/// Whether something that changes the server's data may be done.
#[derive(Args, Clone, Copy, Debug)]
pub struct Consent {
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
