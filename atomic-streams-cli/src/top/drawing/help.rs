//! What the keys do and the columns mean.

use ratatui::text::Line;

use super::pen::{Hue, Pen};

const KEYS: [(&str, &str); 10] = [
    ("up down, j k", "one row; PgUp PgDn: a page; Home End, g G: to the end"),
    ("Enter", "open the selected subscription"),
    ("Esc q", "back; in the list: quit (Esc clears the filter first)"),
    ("/", "filter: stream, group, owner, state; Enter keeps, Esc clears"),
    ("s S", "sort by the next column, by the previous one"),
    ("r", "reverse the order"),
    ("p Space", "pause: nothing is asked until it is pressed again"),
    ("+ -", "ask less often, more often"),
    ("Ctrl-L Ctrl-Z", "draw the screen anew, suspend"),
    ("? h", "this help; any key closes it"),
];

const COLUMNS: [(&str, &str); 10] = [
    ("STATE", "active (+ standbys), standby (will take over), released,"),
    ("", "lost (the owner died), gone (no record), refused (no right)"),
    ("RATE/S", "entries committed per second, over 10 s"),
    ("LAG", "entries behind the position; with a sign: at most so many"),
    ("BEHIND", "how long the oldest of them waits"),
    ("TREND", "the lag of the last 3 min, in relation to its highest"),
    ("TRYING", "tries that did not come back; or for how long nothing moves"),
    ("LETTERS", "dead letters; with a +: or more"),
    ("PARKED", "keys that are parked"),
    ("TRIMMED", "entries that went unread since this began to watch"),
];

pub(super) fn help(width: usize, pen: Pen) -> Vec<Line<'static>> {
    let row = |(name, meaning): &(&str, &str)| Line::from(pen.cut(&format!("  {name:<14}{meaning}"), width));
    let title = |text: &str| Line::styled(pen.cut(text, width), pen.style(Hue::Title));
    let mut lines = vec![title("Keys")];
    lines.extend(KEYS.iter().map(row));
    lines.push(title("Columns"));
    lines.extend(COLUMNS.iter().map(row));
    lines
}
