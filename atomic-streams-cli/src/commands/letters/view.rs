//! Letters as they are shown.

use std::time::UNIX_EPOCH;

use atomic_streams::DeadLetter;
use serde::Serialize;

use crate::view::bytes::{self, Bytes, Members};
use crate::view::{Cell, Hue, Look, Show, Table, count, one_line, time};

/// So much of the error stands in a list.
const SHORT_ERROR: usize = 60;

#[derive(Debug, Serialize)]
pub struct Letter {
    /// Its ID in the dead-letter stream.
    id: String,
    /// Where the entry came from.
    stream: String,
    group: String,
    /// The ID that it had there.
    entry_id: String,
    /// When it was given up.
    time: String,
    attempts: u32,
    error: String,
    key: Option<Bytes>,
    parked_behind: Option<String>,
    fields: Members,
    #[serde(skip)]
    time_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Letters {
    pub found: Vec<Letter>,
    /// How many entries there are in the stream, of whatever kind.
    #[serde(skip)]
    pub entries: u64,
    #[serde(skip)]
    pub stream: String,
    /// Not all were asked for.
    #[serde(skip)]
    pub is_chosen: bool,
}

impl Letter {
    pub fn of(letter: DeadLetter) -> Self {
        let time_ms = letter.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let time_ms = u64::try_from(time_ms).unwrap_or(u64::MAX);
        Self {
            id: letter.id.to_string(),
            stream: letter.stream,
            group: letter.group,
            entry_id: letter.entry.id.to_string(),
            time: time::rfc3339(time_ms),
            attempts: letter.attempts,
            error: letter.error,
            key: letter.key.map(Bytes),
            parked_behind: letter.parked_behind.map(|id| id.to_string()),
            fields: Members(letter.entry.fields),
            time_ms,
        }
    }
}

impl Show for Letters {
    fn text(&self, look: &Look) -> String {
        if self.found.is_empty() {
            let among = format!("among the {} of {}", count(self.entries, "entry", "entries"), one_line(&self.stream));
            return match (self.entries, self.is_chosen) {
                (0, _) => "no dead letters\n".to_owned(),
                (_, true) => format!("no dead letter {among} is as asked for\n"),
                (_, false) => format!("no dead letter that can be read {among}\n"),
            };
        }
        let mut table = Table::new(&["ID", "STREAM", "GROUP", "ENTRY", "GIVEN UP", "TRIES", "ERROR"]);
        for each in &self.found {
            table.row([
                Cell::whole(&each.id),
                Cell::plain(&each.stream),
                Cell::plain(&each.group),
                Cell::whole(&each.entry_id),
                Cell::plain(time::age(each.time_ms, look.now_ms)),
                Cell::number(each.attempts),
                Cell::plain(bytes::short(&each.error, SHORT_ERROR)),
            ]);
        }
        table.text(look)
    }
}

impl Show for Letter {
    fn text(&self, look: &Look) -> String {
        let mut table = Table::new(&[]);
        let mut say = |name: &str, cell: Cell| table.row([Cell::in_color(name, Hue::Dim), cell]);
        say("letter", Cell::plain(&self.id));
        say("entry", Cell::plain(format!("{} of stream {}", self.entry_id, self.stream)));
        say("group", Cell::plain(&self.group));
        say("given up", Cell::plain(time::with_age(self.time_ms, look.now_ms)));
        say("tries", Cell::plain(self.attempts));
        say("error", Cell::in_color(&self.error, Hue::Bad));
        if let Some(Bytes(key)) = &self.key {
            say("key", Cell::plain(bytes::text(key)));
        }
        if let Some(behind) = &self.parked_behind {
            say("parked", Cell::plain(format!("behind entry {behind}, whose key it has")));
        }
        let mut text = table.text(look);
        text.push('\n');
        let mut fields = Table::new(&["FIELD", "VALUE"]);
        for (name, value) in self.fields.0.iter() {
            fields.row([Cell::plain(bytes::text(name)), Cell::plain(bytes::text(value))]);
        }
        text + &fields.text(look)
    }
}
