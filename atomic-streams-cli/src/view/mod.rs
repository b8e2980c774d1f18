//! What is shown, as a table for people or as JSON for programs.

mod screen;
mod subscription;
mod table;
pub mod time;

use serde::Serialize;
use serde_json::Value;

pub use self::screen::{Look, Screen};
pub use self::subscription::Subscription;
pub use self::table::{Cell, Table};
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
    fn json(&self) -> serde_json::Result<Value>;
    fn text(&self, look: &Look) -> String;
    fn exit(&self) -> Exit;
}

impl<T: Show> View for T {
    fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, look: &Look) -> String {
        Show::text(self, look)
    }

    fn exit(&self) -> Exit {
        Show::exit(self)
    }
}
