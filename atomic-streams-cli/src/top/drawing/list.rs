//! The list of subscriptions.

use std::time::Duration;

use ratatui::text::{Line, Span};

use super::columns::{Column, Place, places};
use super::figures::{count, rate};
use super::pen::{Hue, Pen, width};
use super::plot::bars;
use crate::top::model::{Entry, Model};
use crate::top::snapshot::{Name, Record, Standing};
use crate::view::time::span;

/// The time that the trend shows.
const TREND: Duration = Duration::from_secs(180);

/// A position that stands still for less is nothing to tell of.
const STILL: Duration = Duration::from_secs(5);

/// The titles and the rows.
pub(super) fn list(model: &Model, pen: Pen) -> (Line<'static>, Vec<Line<'static>>) {
    let (rows, selected) = model.visible();
    let widest = |column: Column| {
        let text = |(name, entry): &(&Name, &Entry)| width(&cell(column, name, entry, model, pen, 0).0);
        rows.iter().map(text).max().and_then(|width| u16::try_from(width).ok()).unwrap_or(0)
    };
    let places = places(model.size.width, widest);
    let titles = line(&places, pen, |place| (place.column.title().to_owned(), Hue::Title));
    let lines = rows.iter().enumerate().map(|(at, (name, entry))| {
        let line = line(&places, pen, |place| cell(place.column, name, entry, model, pen, place.width));
        if Some(at) == selected { line.style(pen.style(Hue::Selected)) } else { line }
    });
    (titles, lines.collect())
}

fn line(places: &[Place], pen: Pen, cell: impl Fn(&Place) -> (String, Hue)) -> Line<'static> {
    let mut spans = Vec::with_capacity(places.len() * 3);
    for (at, place) in places.iter().enumerate() {
        if at > 0 {
            spans.push(Span::raw(" "));
        }
        let (text, hue) = cell(place);
        let text = pen.cut(&text, place.width.into());
        let padding = " ".repeat(usize::from(place.width).saturating_sub(width(&text)));
        let text = Span::styled(text, pen.style(hue));
        if place.column.is_right() {
            spans.extend([Span::raw(padding), text]);
        } else {
            spans.extend([text, Span::raw(padding)]);
        }
    }
    Line::from(spans)
}

fn cell(column: Column, name: &Name, entry: &Entry, model: &Model, pen: Pen, columns: u16) -> (String, Hue) {
    let none = || ("-".to_owned(), Hue::Dim);
    let figure = |number: u64, hue: Hue| (count(number), if number == 0 { Hue::Dim } else { hue });
    let of_record = |cell: &dyn Fn(&Record) -> (String, Hue)| entry.record().map_or_else(none, cell);
    match column {
        Column::Stream => (name.stream.clone(), Hue::Plain),
        Column::Group => (name.group.clone(), Hue::Plain),
        Column::State => state(entry),
        Column::Owner => of_record(&|record| (record.owner.clone(), Hue::Plain)),
        Column::Rate => {
            entry.history.rate().filter(|_| entry.record().is_some()).map_or_else(none, |per_second| {
                (rate(per_second), if per_second > 0.0 { Hue::Plain } else { Hue::Dim })
            })
        }
        Column::Lag => of_record(&|record| match record.lag {
            Some(lag) => figure(lag, Hue::Plain),
            None => (format!("{}{}", pen.at_most(), count(record.length)), Hue::Notable),
        }),
        Column::Behind => of_record(&|record| record.lag_ms.map_or_else(none, |ms| (span(ms), Hue::Plain))),
        Column::Trend => (bars(&entry.history.plot(columns.into(), TREND, model.now.at), pen), Hue::Plain),
        Column::Trying => of_record(&|record| trying(record, entry.history.still(), pen)),
        Column::Letters => match &entry.letters {
            Some(letters) if letters.may_be_more => (format!("{}+", count(letters.count)), Hue::Bad),
            Some(letters) => figure(letters.count, Hue::Bad),
            None => none(),
        },
        Column::Parked => of_record(&|record| figure(record.parked_keys, Hue::Bad)),
        Column::Trimmed => entry.history.trimmed().map_or_else(none, |trimmed| figure(trimmed, Hue::Bad)),
    }
}

/// The state, with those that wait to take over.
pub(super) fn state(entry: &Entry) -> (String, Hue) {
    let Some(standing) = entry.standing() else { return ("...".to_owned(), Hue::Dim) };
    let standbys = entry.record().and_then(|record| record.standbys).filter(|count| *count > 0);
    let text = match (standing, standbys) {
        (Standing::Active, Some(standbys)) => format!("active+{standbys}"),
        _ => standing.word().to_owned(),
    };
    let hue = match standing {
        Standing::Active => Hue::Good,
        Standing::Standby | Standing::Released => Hue::Notable,
        Standing::Lost | Standing::Gone | Standing::Refused => Hue::Bad,
    };
    (text, hue)
}

/// The entry that is noted before each try, or how long nothing has moved.
pub(super) fn trying(record: &Record, still: Option<Duration>, pen: Pen) -> (String, Hue) {
    if let Some((entry, tries)) = record.trying {
        return (format!("{}{tries} {entry}", pen.times()), Hue::Notable);
    }
    match still.filter(|still| *still >= STILL) {
        Some(still) => {
            let ms = u64::try_from(still.as_millis()).unwrap_or(u64::MAX);
            (format!("still {}", span(ms)), Hue::Notable)
        }
        None => ("-".to_owned(), Hue::Dim),
    }
}
