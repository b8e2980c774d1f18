//! `atomic-streams`: looks after subscriptions from the command line.
//!
//! | where | what |
//! |---|---|
//! | `args` | what can be asked for |
//! | `connect` | the server that is asked |
//! | `commands` | one file a command: gets the data, returns a view |
//! | `import` | what other programs have kept |
//! | `top` | the live view |
//! | `view` | a view as a table or as JSON; times, colours |
//! | `exit` | how it went |

mod args;
mod commands;
mod connect;
mod exit;
mod import;
mod top;
mod view;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::view::Screen;

fn main() -> ExitCode {
    let args = Args::parse();
    let screen = Screen::of(&args.output);
    // What the library warns of belongs beside what is shown; where that is the whole screen, there is no beside.
    let filter = if matches!(&args.command, Command::Top(args) if args.is_live()) {
        EnvFilter::new("off")
    } else {
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"))
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(screen.colors_errors())
        .without_time()
        .with_target(false)
        .init();
    let exit = run(args, &screen).unwrap_or_else(|failure| {
        screen.complain(&failure);
        failure.exit
    });
    exit.into()
}

fn run(args: Args, screen: &Screen) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot begin: {error}")))?;
    let view = runtime.block_on(commands::run(args, screen))?;
    screen.show(&*view)?;
    Ok(view.exit())
}
