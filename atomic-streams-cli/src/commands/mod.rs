//! One file a command: it gets the data and returns a view.

mod consent;
mod copies;
mod delete;
mod doctor;
mod import_python;
mod lag;
mod letters;
mod ls;
mod manual;
mod moving;
mod publish;
mod show;
mod state;
mod tail;
mod trim;

use crate::args::{Args, Command};
use crate::connect::Server;
use crate::exit::Failure;
use crate::top;
use crate::view::{Screen, View};

/// Does what is asked for.
pub async fn run(args: Args, screen: &Screen) -> Result<Box<dyn View>, Failure> {
    let server = || Server::of(&args.server);
    Ok(match args.command {
        Command::Ls => Box::new(ls::run(&server()?).await?),
        Command::Top(args) => Box::new(top::run(server()?, &args, screen).await?),
        Command::Show(args) => Box::new(show::run(&server()?, &args).await?),
        Command::State(args) => Box::new(state::run(&server()?, &args).await?),
        Command::Lag(args) => Box::new(lag::run(&server()?, &args).await?),
        Command::Tail(args) => Box::new(tail::run(&server()?, &args, screen).await?),
        Command::Doctor(args) => Box::new(doctor::run(&server()?, &args).await?),
        Command::Seek(args) => Box::new(moving::seek(&server()?, &args, screen.look()).await?),
        Command::Reset(args) => Box::new(moving::reset(&server()?, &args, screen.look()).await?),
        Command::Delete(args) => Box::new(delete::run(&server()?, &args).await?),
        Command::Keep(args) => Box::new(copies::keep(&server()?, &args).await?),
        Command::Copies(command) => copies::run(&server()?, command).await?,
        Command::DeadLetters(command) => letters::run(&server()?, command).await?,
        Command::Trim(args) => Box::new(trim::run(&server()?, &args).await?),
        Command::Publish(args) => Box::new(publish::run(&server()?, args).await?),
        Command::ImportPython(args) => Box::new(import_python::run(&server()?, &args).await?),
        Command::Completions { shell } => Box::new(manual::completions(shell)),
        Command::Man(args) => Box::new(manual::manual(&args)?),
    })
}
