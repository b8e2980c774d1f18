//! One subscription: its record, its lag over time, its dead letters, its state.

use std::time::Duration;

use ratatui::text::{Line, Span};

use super::figures::{bytes, grouped, rate};
use super::list::{state, trying};
use super::pen::{Hue, Pen};
use super::plot::{highest, plot};
use crate::top::history::{SLOT, SLOTS};
use crate::top::model::{Entry, Model};
use crate::top::snapshot::{Letters, Name, Record, State};
use crate::view::time::{rfc3339, span, with_age};

const PLOT_ROWS: usize = 5;
const LABEL: usize = 13;

/// All lines about it, of which the screen shows a part.
pub(super) fn one(model: &Model, name: &Name, pen: Pen) -> Vec<Line<'static>> {
    let page = Page { pen, width: model.size.width.into() };
    let Some(entry) = model.entry(name) else { return vec![page.plain("it is not there any more")] };
    let mut lines = Vec::new();
    page.head(&mut lines, name, entry);
    if let Some(record) = entry.record() {
        page.record(&mut lines, record, entry);
        page.lag(&mut lines, entry, model);
    }
    page.letters(&mut lines, entry, model.now.ms);
    let state = model.state.as_ref().filter(|(of, _)| of == name).map(|(_, state)| state);
    page.state(&mut lines, entry.record(), state, model.is_paused);
    lines
}

struct Page {
    pen: Pen,
    width: usize,
}

impl Page {
    fn plain(&self, text: &str) -> Line<'static> {
        Line::from(self.pen.cut(text, self.width))
    }

    fn title(&self, text: &str) -> Line<'static> {
        Line::styled(self.pen.cut(text, self.width), self.pen.style(Hue::Title))
    }

    fn fact(&self, label: &str, text: &str, hue: Hue) -> Line<'static> {
        let label = self.pen.cut(&format!("{label:<LABEL$}"), self.width);
        let left = self.width.saturating_sub(LABEL);
        Line::from(vec![
            Span::styled(label, self.pen.style(Hue::Dim)),
            Span::styled(self.pen.cut(text, left), self.pen.style(hue)),
        ])
    }

    fn head(&self, lines: &mut Vec<Line<'static>>, name: &Name, entry: &Entry) {
        lines.push(self.fact("stream", &name.stream, Hue::Plain));
        lines.push(self.fact("group", &name.group, Hue::Plain));
        let (word, hue) = state(entry);
        let text = match entry.seen.as_ref() {
            Some(crate::top::snapshot::Seen::Refused(why)) => format!("{word}: {why}"),
            _ => word,
        };
        lines.push(self.fact("state", &text, hue));
    }

    fn record(&self, lines: &mut Vec<Line<'static>>, record: &Record, entry: &Entry) {
        use atomic_streams::admin::Lease;
        let plain = |label, text: String| self.fact(label, &text, Hue::Plain);
        lines.push(plain("owner", format!("{}, epoch {}", record.owner, record.epoch)));
        lines.push(plain(
            "lease",
            match record.lease {
                Lease::Held { left_ms } => format!("held, {} left", span(left_ms)),
                Lease::Expired { since_ms } => format!("expired {} ago", span(since_ms)),
                _ => "released".to_owned(),
            },
        ));
        lines
            .push(plain("standbys", record.standbys.map_or_else(|| "not known".to_owned(), |count| count.to_string())));
        lines.push(plain("position", format!("{} ({})", record.position, rfc3339(record.position.ms))));
        lines.push(plain("head", record.head.clone()));
        let rate = entry.history.rate().map_or_else(|| "-".to_owned(), rate);
        lines.push(plain("processed", format!("{} entries, {rate}/s", grouped(record.processed))));
        let first = record.first_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        lines.push(plain("holds", format!("{} entries, {first} to {}", grouped(record.length), record.last_id)));
        let (text, hue) = trying(record, entry.history.still(), self.pen);
        lines.push(self.fact("trying", &text, hue));
        let figure =
            |label, number: u64| self.fact(label, &grouped(number), if number > 0 { Hue::Bad } else { Hue::Plain });
        lines.push(figure("parked keys", record.parked_keys));
        match entry.history.trimmed() {
            Some(trimmed) => lines.push(figure("trimmed", trimmed)),
            None => lines.push(plain("trimmed", "not known".to_owned())),
        }
        let memory = record.memory_bytes.map_or_else(String::new, |memory| format!(", {}", bytes(memory)));
        lines.push(plain("record", format!("{}{memory}, made {}", record.key, rfc3339(record.created_ms))));
        lines.push(plain("schema", record.schema.clone()));
    }

    fn lag(&self, lines: &mut Vec<Line<'static>>, entry: &Entry, model: &Model) {
        let Some(record) = entry.record() else { return };
        let lag = match (record.lag, record.lag_ms) {
            (Some(lag), Some(ms)) => format!("lag: {} entries, the oldest waits for {}", grouped(lag), span(ms)),
            (None, Some(ms)) => format!("lag: the counters do not tell, the oldest waits for {}", span(ms)),
            _ => "lag: nothing waits".to_owned(),
        };
        let time = SLOT * u32::try_from(SLOTS).unwrap_or(u32::MAX);
        let cells = self.width.min(SLOTS);
        let figures = entry.history.plot(cells, time, model.now.at);
        lines.push(Line::default());
        lines.push(self.title(&lag));
        lines.extend(plot(&figures, PLOT_ROWS, self.pen).into_iter().map(Line::from));
        let minutes = Duration::as_secs(&time) / 60;
        let most = format!("{minutes} min ago, at most {}", grouped(highest(&figures)));
        let gap = cells.saturating_sub(most.len() + 3);
        let axis = format!("{most}{:gap$}now", "");
        lines.push(Line::styled(self.pen.cut(&axis, self.width), self.pen.style(Hue::Dim)));
    }

    fn letters(&self, lines: &mut Vec<Line<'static>>, entry: &Entry, now_ms: u64) {
        let Some(Letters { count, may_be_more, streams, newest }) = &entry.letters else { return };
        lines.push(Line::default());
        if *count == 0 {
            lines.push(self.title("dead letters: none"));
            return;
        }
        let more = if *may_be_more { " or more" } else { "" };
        lines.push(self.title(&format!(
            "dead letters: {}{more} in {}, the newest first",
            grouped(*count),
            streams.join(", ")
        )));
        for letter in newest {
            let tried = if letter.is_behind {
                "not tried: its key was parked".to_owned()
            } else {
                format!("tried {}{}", self.pen.times(), letter.attempts)
            };
            let key = letter.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"));
            lines.push(self.plain(&format!("{}  {}  {tried}{key}", letter.entry, with_age(letter.time_ms, now_ms))));
            let error = self.pen.cut(&letter.error, self.width.saturating_sub(2));
            lines.push(Line::from(vec![Span::raw("  "), Span::styled(error, self.pen.style(Hue::Bad))]));
        }
    }

    fn state(&self, lines: &mut Vec<Line<'static>>, record: Option<&Record>, state: Option<&State>, is_paused: bool) {
        let Some(record) = record else { return };
        lines.push(Line::default());
        let fields = record.fields.len() + record.collections.len();
        let entries = match record.collected() {
            0 => String::new(),
            entries => format!(", {} entries of collections", grouped(entries)),
        };
        lines.push(self.title(&format!("state: {fields} field{}{entries}", if fields == 1 { "" } else { "s" })));
        match state {
            Some(State::Fields(fields)) => {
                lines.extend(fields.iter().map(|(name, json)| self.plain(&format!("{name}: {json}"))))
            }
            Some(State::Large) => {
                let sizes = record.collections.iter().map(|(name, size)| format!("{name}: {} entries", grouped(*size)));
                lines.extend(sizes.map(|text| self.plain(&text)));
                lines.push(self.plain("too large to be read again and again: `atomic-streams state` shows it"));
            }
            Some(State::Unreadable(why)) => lines.push(self.fact("unreadable", why, Hue::Bad)),
            None if is_paused => lines.push(self.plain("not read: paused")),
            None => lines.push(self.plain("...")),
        }
    }
}
