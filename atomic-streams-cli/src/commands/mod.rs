//! One file a command: it gets the data and returns a view.

mod ls;

use crate::args::{Args, Command};
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::{Screen, View};

/// Does what is asked for.
pub async fn run(args: Args, _screen: &Screen) -> Result<Box<dyn View>, Failure> {
    let server = Server::of(&args.server)?;
    Ok(match args.command {
        Command::Ls => Box::new(ls::run(&server).await?),
    })
}
