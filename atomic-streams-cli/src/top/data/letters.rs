//! Dead letters, counted by subscription.

use std::collections::BTreeMap;

use atomic_streams::dead_letters::{ATTEMPTS, ERROR, GROUP, ID, KEY, PARKED_BEHIND, STREAM, TIME_MS};
use atomic_streams::redis::Value;

use super::ask::{Asking, Trouble, list, text};
use crate::top::snapshot::{Letter, Letters, Name};

const SCRIPT: &str = include_str!("letters.lua");

/// Entries of one stream that are looked at.
pub(crate) const MAX_LETTERS: usize = 200;

/// Letters of one subscription that are kept.
const MAX_NEWEST: usize = 20;

const MAX_ERROR_BYTES: usize = 300;

/// What the streams of dead letters held when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_stream: BTreeMap<String, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    length: u64,
    last_id: String,
    looked: u64,
    /// How many, and the newest of them.
    by_name: BTreeMap<Name, (u64, Vec<Letter>)>,
}

impl Tallies {
    /// Looks at these streams, at those alone that have changed in full.
    pub async fn look(&mut self, asking: &mut Asking, streams: &[String]) -> Result<Vec<String>, Trouble> {
        self.by_stream.retain(|stream, _| streams.contains(stream));
        let mut notes = Vec::new();
        let calls: Vec<Vec<String>> = streams.iter().map(|stream| self.call(stream)).collect();
        if calls.is_empty() {
            return Ok(notes);
        }
        for (stream, answer) in streams.iter().zip(asking.scripts(SCRIPT, &calls).await?) {
            match answer {
                Ok(value) => match read(&value) {
                    Answer::Same => {}
                    Answer::Letters(tally) => {
                        self.by_stream.insert(stream.clone(), tally);
                    }
                    Answer::Other(what) => notes.push(format!("dead letters in {stream}: it holds a {what}")),
                },
                Err(Trouble::Refused(why)) => notes.push(format!("dead letters in {stream}: {why}")),
                Err(absent) => return Err(absent),
            }
        }
        Ok(notes)
    }

    fn call(&self, stream: &str) -> Vec<String> {
        let (length, last_id) = match self.by_stream.get(stream) {
            Some(tally) => (tally.length.to_string(), tally.last_id.clone()),
            None => Default::default(),
        };
        vec![stream.to_owned(), MAX_LETTERS.to_string(), MAX_ERROR_BYTES.to_string(), length, last_id]
    }

    pub fn by_name(&self) -> BTreeMap<Name, Letters> {
        let mut all: BTreeMap<Name, Letters> = BTreeMap::new();
        for (stream, tally) in &self.by_stream {
            for (name, (count, newest)) in &tally.by_name {
                let letters = all.entry(name.clone()).or_default();
                letters.count += count;
                letters.may_be_more |= tally.looked < tally.length;
                letters.streams.push(stream.clone());
                letters.newest.extend(newest.iter().cloned());
            }
        }
        for letters in all.values_mut() {
            letters.newest.sort_by(|a, b| b.time_ms.cmp(&a.time_ms).then(b.id.cmp(&a.id)));
            letters.newest.truncate(MAX_NEWEST);
        }
        all
    }
}

/// Which of these streams have a dead letter as their newest entry.
///
/// # Errors
/// [`Refused`](Trouble::Refused): the user may look at none of them.
pub(super) async fn letter_streams(asking: &mut Asking, streams: &[String]) -> Result<Vec<String>, Trouble> {
    let (mut found, mut answers, mut refused) = (Vec::new(), 0, None);
    for part in streams.chunks(100) {
        let call = |stream: &String| vec![stream.clone(), "1".into(), "0".into(), String::new(), String::new()];
        let calls: Vec<Vec<String>> = part.iter().map(call).collect();
        for (stream, answer) in part.iter().zip(asking.scripts(SCRIPT, &calls).await?) {
            match answer {
                Ok(value) => {
                    answers += 1;
                    if let Answer::Letters(tally) = read(&value)
                        && !tally.by_name.is_empty()
                    {
                        found.push(stream.clone());
                    }
                }
                // One that is not this user's to read does not hold this user's dead letters; but if none is, none is known.
                Err(Trouble::Refused(why)) => refused = Some(why),
                Err(absent) => return Err(absent),
            }
        }
    }
    match refused {
        Some(why) if answers == 0 => Err(Trouble::Refused(why)),
        _ => Ok(found),
    }
}

enum Answer {
    Same,
    Letters(Tally),
    /// It is another kind of key.
    Other(String),
}

fn read(value: &Value) -> Answer {
    match list(value) {
        [word, length, last_id, looked, letters] if text(word) == "LETTERS" => {
            let number = |value| text(value).parse().unwrap_or_default();
            let mut tally = Tally {
                length: number(length),
                last_id: text(last_id),
                looked: number(looked),
                by_name: BTreeMap::new(),
            };
            for (name, letter) in list(letters).iter().filter_map(letter) {
                let (count, newest) = tally.by_name.entry(name).or_default();
                *count += 1;
                if newest.len() < MAX_NEWEST {
                    newest.push(letter);
                }
            }
            Answer::Letters(tally)
        }
        [word, what] if text(word) == "WRONGTYPE" => Answer::Other(text(what)),
        _ => Answer::Same,
    }
}

/// `None`: it says too little to be one.
fn letter(value: &Value) -> Option<(Name, Letter)> {
    let (id, fields) = list(value).split_first()?;
    let field = |name: &str| fields.chunks_exact(2).find(|field| text(&field[0]) == name).map(|field| text(&field[1]));
    let letter = Letter {
        id: text(id).parse().ok()?,
        entry: field(ID)?.parse().ok()?,
        time_ms: field(TIME_MS)?.parse().ok()?,
        attempts: field(ATTEMPTS)?.parse().ok()?,
        error: field(ERROR)?,
        key: field(KEY),
        is_behind: field(PARKED_BEHIND).is_some(),
    };
    Some((Name::new(field(STREAM)?, field(GROUP)?), letter))
}
