//! `dead-letters requeue`.

use std::collections::{BTreeMap, BTreeSet};

use atomic_streams::{DeadLetter, DeadLetters, EntryId, ErrorKind};
use serde::Serialize;

use super::choosing::Choice;
use super::missing;
use crate::args::Chosen;
use crate::commands::consent::confirm;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Show, count};

#[derive(Debug, Default, Serialize)]
pub struct Requeued {
    letters: String,
    requeued: u64,
    /// Left where they are, since their key is parked.
    parked: u64,
    /// Not there (any more).
    missing: u64,
    /// What was done with those that were named.
    entries: Vec<Placed>,
    /// What could not be done.
    problems: Vec<String>,
    dry_run: bool,
    #[serde(skip)]
    exit: Option<Exit>,
}

#[derive(Debug, Serialize)]
struct Placed {
    letter: String,
    stream: String,
    /// The new ID; `null` on a dry run.
    entry: Option<String>,
}

pub async fn run(server: &Server, chosen: &Chosen) -> Result<Requeued, Failure> {
    let mut requeued =
        Requeued { letters: chosen.letters.clone(), dry_run: chosen.consent.dry_run, ..Requeued::default() };
    let mut parked = ParkedKeys::default();
    if !chosen.all {
        super::removing::check(chosen)?;
        let letters = server.dead_letters(&chosen.letters)?;
        for id in &chosen.ids {
            let done = requeued.one(&letters, *id, &mut parked).await;
            if let Err(failure) = done {
                requeued.problem(failure);
            }
        }
        return Ok(requeued);
    }
    let choice = Choice { filter: &chosen.filter, after: None };
    if !chosen.consent.dry_run && !chosen.consent.yes {
        let letters = count(choice.count(server, &chosen.letters).await?, "letter", "letters");
        confirm(chosen.consent, &format!("{letters} of `{}` would be put back where they came from", chosen.letters))?;
    }
    choice
        .each(server, &chosen.letters, async |letters, letter| {
            match requeued.letter(letters, &letter, &mut parked).await {
                Ok(_) => Ok(true),
                Err(Failed::Parked) => {
                    requeued.parked += 1;
                    Ok(true)
                }
                // One that cannot be put back keeps nobody else.
                Err(Failed::One(failure)) => {
                    requeued.problem(failure);
                    Ok(true)
                }
                Err(Failed::All(failure)) => Err(failure),
            }
        })
        .await?;
    Ok(requeued)
}

/// Why a letter was not put back.
enum Failed {
    Parked,
    One(Failure),
    /// The next one would fare no better.
    All(Failure),
}

impl Requeued {
    async fn one(&mut self, letters: &DeadLetters, id: EntryId, parked: &mut ParkedKeys) -> Result<(), Failure> {
        let Some(letter) = letters.get(id).await? else {
            self.missing += 1;
            return Err(missing(&self.letters, id));
        };
        match self.letter(letters, &letter, parked).await {
            Ok(Some(entry)) => {
                let entry = (!self.dry_run).then(|| entry.to_string());
                self.entries.push(Placed { letter: id.to_string(), stream: letter.stream, entry });
                Ok(())
            }
            Ok(None) => Err(missing(&self.letters, id)),
            Err(Failed::Parked) => {
                self.parked += 1;
                let (stream, group) = (&letter.stream, &letter.group);
                let words = format!(
                    "dead letter {id} is where it was: its key is parked, and at the end of `{stream}` its entry would come out of \
                     order; `atomic-streams dead-letters unpark {stream} {group} KEY` has it handled in its place"
                );
                Err(Failure::new(Exit::InUse, words))
            }
            Err(Failed::One(failure) | Failed::All(failure)) => Err(failure),
        }
    }

    /// The new ID, or the old one on a dry run; `None` if the letter is gone.
    async fn letter(
        &mut self,
        letters: &DeadLetters,
        letter: &DeadLetter,
        parked: &mut ParkedKeys,
    ) -> Result<Option<EntryId>, Failed> {
        if self.dry_run {
            if parked.has(letters, letter).await.map_err(Failed::All)? {
                return Err(Failed::Parked);
            }
            self.requeued += 1;
            return Ok(Some(letter.id));
        }
        match letters.requeue(letter.id).await {
            Ok(placed) => {
                self.requeued += u64::from(placed.is_some());
                self.missing += u64::from(placed.is_none());
                Ok(placed)
            }
            Err(error) => Err(match error.kind() {
                ErrorKind::KeyParked => Failed::Parked,
                ErrorKind::LetterDamaged | ErrorKind::WrongType => Failed::One(error.into()),
                _ => Failed::All(error.into()),
            }),
        }
    }

    fn problem(&mut self, failure: Failure) {
        self.exit.get_or_insert(failure.exit);
        self.problems.push(failure.words);
    }
}

/// The parked keys of the subscriptions that were asked for.
#[derive(Default)]
struct ParkedKeys(BTreeMap<(String, String), BTreeSet<Vec<u8>>>);

impl ParkedKeys {
    async fn has(&mut self, letters: &DeadLetters, letter: &DeadLetter) -> Result<bool, Failure> {
        let Some(key) = &letter.key else { return Ok(false) };
        let subscription = (letter.stream.clone(), letter.group.clone());
        if !self.0.contains_key(&subscription) {
            let keys = letters.parked(&letter.stream, &letter.group).await?;
            self.0.insert(subscription.clone(), keys.into_iter().map(|parked| parked.key).collect());
        }
        Ok(self.0.get(&subscription).is_some_and(|keys| keys.contains(key)))
    }
}

impl Show for Requeued {
    fn text(&self, _look: &Look) -> String {
        let mut text = String::new();
        for placed in &self.entries {
            let Placed { letter, stream, entry } = placed;
            text += &match entry {
                Some(entry) => format!("{letter} is {entry} of {stream}\n"),
                None => format!("{letter} would go to the end of {stream}\n"),
            };
        }
        for problem in &self.problems {
            text += &format!("{problem}\n");
        }
        let requeued = if self.dry_run { "would be requeued" } else { "requeued" };
        text += &format!("{} {requeued}", count(self.requeued, "letter", "letters"));
        if self.parked > 0 {
            text += &format!(", {} left: their keys are parked", self.parked);
        }
        text + "\n"
    }

    fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Done)
    }
}
