//! Where it is shown.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{View, one_line};
use crate::args::{ColorChoice, OutputArgs};
use crate::exit::{Exit, Failure};

/// Fewer columns than these hold no table.
const MIN_WIDTH: u16 = 40;

/// What a text depends on besides its data.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub colors: bool,
    /// Columns of the terminal; `None` where there is none: lines are as long as they are.
    pub width: Option<u16>,
    /// The time now, in ms.
    pub now_ms: u64,
}

/// Standard output and standard error.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    look: Look,
    colors_errors: bool,
}

impl Screen {
    pub fn of(args: &OutputArgs) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colors = |is_terminal: bool| match args.color {
            ColorChoice::Auto => is_terminal && !no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let is_terminal = io::stdout().is_terminal();
        // Some terminals say that they have no columns.
        let width =
            is_terminal.then(|| comfy_table::Table::new().width()).flatten().filter(|width| *width >= MIN_WIDTH);
        let look = Look { colors: colors(is_terminal), width, now_ms: now_ms() };
        Self { json: args.json, look, colors_errors: colors(io::stderr().is_terminal()) }
    }

    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn look(&self) -> Look {
        Look { now_ms: now_ms(), ..self.look }
    }

    pub fn colors_errors(&self) -> bool {
        self.colors_errors
    }

    /// Shows all of it, once.
    pub fn show(&self, view: &dyn View) -> Result<(), Failure> {
        if !self.json {
            return self.write(&view.text(&self.look()));
        }
        let json = view.json();
        self.write(&json.map_err(|error| Failure::new(Exit::Failed, format!("it cannot be said in JSON: {error}")))?)
    }

    /// Writes to standard output.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::unheard(),
            _ => Failure::new(Exit::Failed, format!("standard output cannot be written: {error}")),
        })
    }

    /// Says on standard error why it could not be done.
    pub fn complain(&self, failure: &Failure) {
        if !failure.words.is_empty() {
            let label = if self.colors_errors { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
            // Names and what the server says may hold anything.
            let lines: Vec<String> = failure.words.lines().map(one_line).collect();
            // Where nobody hears it, the exit code remains.
            let _ = writeln!(io::stderr(), "{label} {}", lines.join("\n"));
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
