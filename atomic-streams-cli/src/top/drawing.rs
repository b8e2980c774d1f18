//! Draws the model: nothing here asks for the time, the terminal or the server.

mod columns;
mod figures;
mod help;
mod list;
mod one;
mod pen;
mod plot;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(crate) use self::pen::Pen;
use self::pen::{Hue, width};
use super::model::{Model, Outage, Place};
use super::snapshot::Standing;
use crate::view::time::{rfc3339, span};

/// How long an answer may be missing before that is said.
const SLOW_MS: u64 = 2_000;

/// Draws a frame.
pub(crate) fn draw(model: &Model, pen: Pen, frame: &mut Frame<'_>) {
    let lines = model.lines();
    let columns = usize::from(model.size.width);
    let mut screen = Screen { frame, y: 0 };
    if let Some(outage) = &model.outage {
        screen.put(lines.banner, [banner(model, outage, pen, columns)]);
    }
    screen.put(lines.header, [header(model, pen, columns)]);
    if model.shows_help {
        screen.put(lines.titles + lines.body, help::help(columns, pen));
    } else {
        match &model.place {
            Place::List => {
                let (titles, rows) = list::list(model, pen);
                screen.put(lines.titles, [titles]);
                let empty = empty(model).map(|text| Line::from(pen.cut(text, columns)));
                screen.put(lines.body, if rows.is_empty() { empty.into_iter().collect() } else { rows });
            }
            Place::One(name, from) => {
                let all = one::one(model, name, pen);
                screen.put(lines.body, all.into_iter().skip(*from));
            }
        }
    }
    screen.put(lines.footer, [footer(model, pen, columns)]);
}

/// The line that the screen begins with at most, so that its last line is the last one there is.
pub(crate) fn last_line(model: &Model, pen: Pen) -> usize {
    match &model.place {
        Place::One(name, _) => one::one(model, name, pen).len().saturating_sub(model.lines().body.into()),
        Place::List => 0,
    }
}

struct Screen<'a, 'b> {
    frame: &'a mut Frame<'b>,
    y: u16,
}

impl Screen<'_, '_> {
    /// Puts lines on the next `height` of the screen.
    fn put(&mut self, height: u16, lines: impl IntoIterator<Item = Line<'static>>) {
        let area = self.frame.area();
        for (y, line) in (self.y..self.y.saturating_add(height)).zip(lines) {
            let place = Rect { x: 0, y, width: area.width, height: 1 }.intersection(area);
            self.frame.render_widget(line, place);
        }
        self.y = self.y.saturating_add(height);
    }
}

fn header(model: &Model, pen: Pen, columns: usize) -> Line<'static> {
    let mut parts = vec![match &model.place {
        Place::List => {
            let count = model.count();
            format!("{count} subscription{}", if count == 1 { "" } else { "s" })
        }
        Place::One(name, _) => name.to_string(),
    }];
    for standing in [Standing::Lost, Standing::Standby, Standing::Gone, Standing::Refused] {
        match model.count_of(standing) {
            0 => {}
            count => parts.push(format!("{count} {}", standing.word())),
        }
    }
    if model.left_out > 0 {
        parts.push(format!("{} more not shown", model.left_out));
    }
    if !model.filter.is_empty() && model.place == Place::List {
        parts.push(format!("{} match", model.rows().len()));
    }
    let waits_ms = model.asked_at.map_or(0, |asked| ms(model.now.at.saturating_sub(asked)));
    if waits_ms >= SLOW_MS && model.outage.is_none() {
        parts.push(format!("waiting for an answer for {}", span(waits_ms)));
    }
    let pace = if model.is_paused { "PAUSED".to_owned() } else { format!("every {}", span(ms(model.every))) };
    let by = if model.is_reversed { " reversed" } else { "" };
    let by = format!("by {}{by}", model.sort.word());
    let time = clock(model.now.ms);
    let left = pen.cut(&format!("{}  {}", model.server, parts.join(", ")), columns);
    let style = pen.style(Hue::Title);
    for right in [format!("{by}  {pace}  {time}"), format!("{pace}  {time}"), pace] {
        let taken = width(&left) + width(&right);
        if taken + 2 <= columns {
            return Line::styled(format!("{left}{:gap$}{right}", "", gap = columns - taken), style);
        }
    }
    // What may not be overlooked comes first.
    let text = if model.is_paused { format!("PAUSED  {left}") } else { left };
    Line::styled(pen.cut(&text, columns), style)
}

fn banner(model: &Model, outage: &Outage, pen: Pen, columns: usize) -> Line<'static> {
    let ago = span(ms(model.now.at.saturating_sub(outage.since.at)));
    let old = if model.has_looked { "the figures are of then" } else { "there are no figures yet" };
    let text = format!("NO ANSWER since {} ({ago}), {old}: {}", clock(outage.since.ms), outage.why);
    let text = pen.cut(&text, columns);
    let gap = columns.saturating_sub(width(&text));
    Line::styled(format!("{text}{:gap$}", ""), pen.style(Hue::Banner))
}

fn footer(model: &Model, pen: Pen, columns: usize) -> Line<'static> {
    if model.is_typing {
        // The end of what is written is what one wants to see.
        let text = format!("/{}_", model.filter);
        let cut = text.chars().rev().scan(0, |taken, character| {
            *taken += width(character.encode_utf8(&mut [0; 4]));
            (*taken <= columns).then_some(character)
        });
        let text: String = cut.collect::<Vec<_>>().into_iter().rev().collect();
        return Line::styled(text, pen.style(Hue::Title));
    }
    if let Some(note) = model.notes.first() {
        let help = "  ? help";
        let note = pen.cut(&format!("! {note}"), columns.saturating_sub(help.len()));
        let help = Span::styled(help, pen.style(Hue::Dim));
        return Line::from(vec![Span::styled(note, pen.style(Hue::Notable)), help]);
    }
    let keys = match (model.shows_help, &model.place) {
        (true, _) => "any key closes this",
        (false, Place::List) => "Enter open  / filter  s sort  r reverse  p pause  + - pace  ? help  q quit",
        (false, Place::One(..)) => "Esc back  up/down scroll  p pause  + - pace  ? help",
    };
    let filter = if model.filter.is_empty() { String::new() } else { format!("filter: {}  ", model.filter) };
    let filter = Span::styled(pen.cut(&filter, columns), pen.style(Hue::Notable));
    let left = columns.saturating_sub(filter.width());
    Line::from(vec![filter, Span::styled(pen.cut(keys, left), pen.style(Hue::Dim))])
}

fn empty(model: &Model) -> Option<&'static str> {
    if !model.has_looked {
        Some("looking for subscriptions ...")
    } else if model.count() == 0 {
        Some("no subscriptions in this database")
    } else {
        Some("no subscription matches the filter")
    }
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day in UTC.
fn clock(ms: u64) -> String {
    let text = rfc3339(ms);
    text.get(11..19).map_or_else(|| text.clone(), |time| format!("{time}Z"))
}
