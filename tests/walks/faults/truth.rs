//! What the producer has added in the history that counts, and whether the results are of exactly that.

use std::collections::BTreeMap;

use atomic_streams::internals::Entry;

use crate::place::Record;

/// An entry's contents are a number that no other entry of the walk has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Added {
    pub id: u64,
    pub contents: u64,
    /// It is trimmed: it may have been handled before, or not.
    is_gone: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    entries: Vec<Added>,
}

/// What the server shows of results.
#[derive(Debug)]
pub struct Results {
    pub position: u64,
    processed: usize,
    /// `contents.session` of each entry that was handled, as the state says.
    handled: Vec<String>,
    /// Those with even contents, kept in a field of their own.
    even: Vec<String>,
    outputs: Vec<String>,
    has_record: bool,
}

impl Truth {
    pub fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.id)
    }

    /// The last entry that the stream still has.
    pub fn last_there(&self) -> u64 {
        self.entries.iter().rev().find(|entry| !entry.is_gone).map_or(0, |entry| entry.id)
    }

    /// ID and contents of everything that was added.
    pub fn added(&self) -> impl Iterator<Item = (u64, u64)> + Clone {
        self.entries.iter().map(|entry| (entry.id, entry.contents))
    }

    pub fn add(&mut self, id: u64, contents: u64) {
        self.entries.push(Added { id, contents, is_gone: false });
    }

    pub fn trim(&mut self, keep: u64) {
        let there: Vec<usize> = (0..self.entries.len()).filter(|n| !self.entries[*n].is_gone).collect();
        for n in &there[..there.len().saturating_sub(keep as usize)] {
            self.entries[*n].is_gone = true;
        }
    }

    /// Entries that are not in `other`.
    pub fn without(&self, other: &Self) -> Vec<Added> {
        let is_there = |entry: &&Added| other.entries.iter().any(|each| each.contents == entry.contents);
        self.entries.iter().filter(|entry| !is_there(entry)).copied().collect()
    }

    /// Whether everything is handled.
    pub fn is_done(&self, results: &Results) -> bool {
        self.last_there() <= results.position
    }

    /// The state is the fold of the entries up to the position, each once, and the outputs are exactly theirs.
    pub fn check(&self, results: &Results) -> Result<(), String> {
        let Results { position, processed, handled, even, outputs, has_record } = results;
        let wrong = |what: String| Err(format!("{what}\n  {results:?}\n  {:?}", self.entries));
        if !has_record {
            return if outputs.is_empty() { Ok(()) } else { wrong("there are outputs and no record".into()) };
        }
        if outputs != handled {
            return wrong("the outputs are not those of the state".into());
        }
        if *processed != handled.len() {
            return wrong("the number of entries is not that of the state".into());
        }
        let contents = |item: &String| item.split('.').next().unwrap().parse::<u64>().unwrap();
        if !even.iter().eq(handled.iter().filter(|item| contents(item).is_multiple_of(2))) {
            return wrong("one field of the state is of another history than the other".into());
        }
        let mut rest = handled.iter().map(contents).peekable();
        for entry in &self.entries {
            if rest.next_if_eq(&entry.contents).is_some() {
                if entry.id > *position {
                    return wrong(format!("{} is handled and behind the position", entry.id));
                }
            } else if entry.id <= *position && !entry.is_gone {
                return wrong(format!("{} is skipped", entry.id));
            }
        }
        match rest.next() {
            Some(contents) => wrong(format!("contents {contents}: handled twice, out of order, or never there")),
            None => Ok(()),
        }
    }
}

impl Results {
    pub fn of(record: Option<&Record>, outputs: &[Entry]) -> Self {
        let nothing = BTreeMap::new();
        let record_or_nothing = record.unwrap_or(&nothing);
        let text = |name: &str| record_or_nothing.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let items = |name: &str| text(name).map(|text| items(&text)).unwrap_or_default();
        Self {
            position: text("@position").map_or(0, |id| id.split('-').next().unwrap().parse().unwrap()),
            processed: text("@processed").map_or(0, |number| number.parse().unwrap()),
            handled: items("handled"),
            even: items("even"),
            outputs: outputs.iter().map(|entry| entry.fields.get_str("item").unwrap().to_owned()).collect(),
            has_record: record.is_some(),
        }
    }
}

/// The items of a list that a field of the state holds.
pub fn items(text: &str) -> Vec<String> {
    text.split_terminator(' ').map(str::to_owned).collect()
}
