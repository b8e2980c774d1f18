//! What is shown, as a table for people or as JSON for programs.

pub mod bytes;
mod progress;
mod screen;
mod subscription;
mod table;
pub mod time;

use serde::Serialize;

pub use self::progress::{progress, spinner};
pub use self::screen::{Look, Screen};
pub use self::subscription::Standing;
pub use self::table::{Cell, Hue, Table, one_line};
use crate::exit::Exit;

/// What a command returns: its JSON is what serde makes of it.
pub trait Show: Serialize {
    /// For people; ends with a newline.
    fn text(&self, look: &Look) -> String;

    /// How it went, where that depends on what was found.
    fn exit(&self) -> Exit {
        Exit::Done
    }
}

/// Anything that can be shown.
pub trait View {
    fn json(&self) -> serde_json::Result<String>;
    fn text(&self, look: &Look) -> String;
    fn exit(&self) -> Exit;
}

impl<T: Show> View for T {
    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    fn text(&self, look: &Look) -> String {
        Show::text(self, look)
    }

    fn exit(&self) -> Exit {
        Show::exit(self)
    }
}

/// What is text already, whoever asks: scripts, manuals, and nothing.
#[derive(Debug, Default)]
pub struct Raw(pub String);

impl View for Raw {
    fn json(&self) -> serde_json::Result<String> {
        Ok(self.0.clone())
    }

    fn text(&self, _look: &Look) -> String {
        self.0.clone()
    }

    fn exit(&self) -> Exit {
        Exit::Done
    }
}

/// `1 entry`, `2 entries`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
