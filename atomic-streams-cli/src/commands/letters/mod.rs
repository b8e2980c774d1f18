//! `dead-letters`: looking at what could not be handled, and putting it back.

mod choosing;
mod parking;
mod removing;
mod requeueing;
mod view;

use atomic_streams::EntryId;

use self::choosing::Choice;
use self::view::{Letter, Letters};
use crate::args::{Filter, LettersCommand};
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::View;

pub async fn run(server: &Server, command: LettersCommand) -> Result<Box<dyn View>, Failure> {
    Ok(match command {
        LettersCommand::Ls { letters, count, after } => {
            Box::new(list(server, &letters, &Filter::default(), after, count).await?)
        }
        LettersCommand::Show { letters, id } => Box::new(show(server, &letters, id).await?),
        LettersCommand::Search { letters, filter, count } => {
            Box::new(list(server, &letters, &filter, None, count).await?)
        }
        LettersCommand::Requeue(chosen) => Box::new(requeueing::run(server, &chosen).await?),
        LettersCommand::Drop(chosen) => Box::new(removing::run(server, &chosen).await?),
        LettersCommand::Parked(subscription) => Box::new(parking::parked(server, subscription).await?),
        LettersCommand::Unpark { subscription, key, hex, dry_run } => {
            Box::new(parking::unpark(server, subscription, &key, hex, dry_run).await?)
        }
    })
}

async fn list(
    server: &Server,
    letters: &str,
    filter: &Filter,
    after: Option<EntryId>,
    count: usize,
) -> Result<Letters, Failure> {
    let mut found = Vec::new();
    let choice = Choice { filter, after };
    let entries = choice
        .each(server, letters, async |_, letter| {
            if found.len() < count {
                found.push(Letter::of(letter));
            }
            Ok(found.len() < count)
        })
        .await?;
    let is_chosen = !filter.is_empty() || after.is_some();
    Ok(Letters { found, entries, stream: letters.to_owned(), is_chosen })
}

async fn show(server: &Server, letters: &str, id: EntryId) -> Result<Letter, Failure> {
    let found = server.dead_letters(letters)?.get(id).await?;
    found.map(Letter::of).ok_or_else(|| missing(letters, id))
}

fn missing(letters: &str, id: EntryId) -> Failure {
    Failure::not_found(format!(
        "there is no dead letter {id} in `{letters}` (any more): `atomic-streams dead-letters ls {letters}` shows those there are"
    ))
}
