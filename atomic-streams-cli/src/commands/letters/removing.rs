//! `dead-letters drop`.

use atomic_streams::{DeadLetters, EntryId, ErrorKind};
use serde::Serialize;

use super::choosing::Choice;
use super::missing;
use crate::args::Chosen;
use crate::commands::consent::confirm;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Show, count};

#[derive(Debug, Serialize)]
pub struct Dropped {
    letters: String,
    dropped: u64,
    /// Not there (any more).
    missing: u64,
    problems: Vec<String>,
    dry_run: bool,
}

pub async fn run(server: &Server, chosen: &Chosen) -> Result<Dropped, Failure> {
    check(chosen)?;
    let dry_run = chosen.consent.dry_run;
    let mut dropped =
        Dropped { letters: chosen.letters.clone(), dropped: 0, missing: 0, problems: Vec::new(), dry_run };
    let choice = Choice { filter: &chosen.filter, after: None };
    if !dry_run && !chosen.consent.yes {
        let number = if chosen.all { choice.count(server, &chosen.letters).await? } else { chosen.ids.len() as u64 };
        let letters = count(number, "letter", "letters");
        confirm(chosen.consent, &format!("{letters} of `{}` would be removed for good", chosen.letters))?;
    }
    if !chosen.all {
        let letters = server.dead_letters(&chosen.letters)?;
        for id in &chosen.ids {
            dropped.one(&letters, *id).await?;
        }
        return Ok(dropped);
    }
    choice
        .each(server, &chosen.letters, async |letters, letter| dropped.one(letters, letter.id).await.map(|()| true))
        .await?;
    Ok(dropped)
}

/// What the command line cannot say of its own.
pub fn check(chosen: &Chosen) -> Result<(), Failure> {
    if chosen.ids.is_empty() || chosen.filter.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(
        "--text, --stream, --group, --since and --until choose among --all: leave them out, or leave out the IDs",
    ))
}

impl Dropped {
    async fn one(&mut self, letters: &DeadLetters, id: EntryId) -> Result<(), Failure> {
        let is_there = if self.dry_run {
            match letters.get(id).await {
                Ok(letter) => letter.is_some(),
                // A damaged one can be removed.
                Err(error) if error.kind() == ErrorKind::LetterDamaged => true,
                Err(error) => return Err(error.into()),
            }
        } else {
            letters.remove(id).await?
        };
        if is_there {
            self.dropped += 1;
        } else {
            self.missing += 1;
            self.problems.push(missing(&self.letters, id).words);
        }
        Ok(())
    }
}

impl Show for Dropped {
    fn text(&self, _look: &Look) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text += &format!("{problem}\n");
        }
        let dropped = if self.dry_run { "would be removed" } else { "removed" };
        text + &format!("{} {dropped}\n", count(self.dropped, "letter", "letters"))
    }

    fn exit(&self) -> Exit {
        if self.missing > 0 { Exit::NotFound } else { Exit::Done }
    }
}
