//! What all rounds together say.

use serde::Serialize;

use crate::ground::Run;
use crate::stand::table::{Table, median, thousands};
use crate::variants::Variant;

/// A row of the results: medians over the rounds. A variant that could not be run has a note that says why.
#[derive(Debug, Serialize)]
pub struct Row {
    pub variant: &'static str,
    pub msgs_per_s: Option<f64>,
    pub client_us: Option<f64>,
    pub server_us: Option<f64>,
    pub peak_rss_mb: Option<f64>,
    pub ratio_to_xread: Option<f64>,
    pub correct: Option<bool>,
    pub msgs_per_s_min: Option<f64>,
    pub msgs_per_s_max: Option<f64>,
    pub entries: Option<u64>,
    pub runs: usize,
    pub lacks: &'static str,
    pub note: Option<String>,
}

impl Row {
    /// From what the runs of a variant gave.
    pub fn new(variant: &Variant, runs: &[Run], failed: Option<String>) -> Self {
        let of = |figure: &dyn Fn(&Run) -> f64| (!runs.is_empty()).then(|| median(runs.iter().map(figure)));
        let per_message = |seconds: f64, run: &Run| 1e6 * seconds / run.entries as f64;
        let rates = || runs.iter().map(rate);
        Self {
            variant: variant.name,
            msgs_per_s: of(&rate).map(|value| rounded(value, 0)),
            client_us: of(&|run| per_message(run.sample.client_s, run)).map(|value| rounded(value, 2)),
            server_us: of(&|run| per_message(run.sample.server_s, run)).map(|value| rounded(value, 2)),
            peak_rss_mb: of(&|run| run.sample.peak_rss_kb as f64 / 1024.0).map(|value| rounded(value, 1)),
            ratio_to_xread: None,
            correct: (!runs.is_empty()).then(|| runs.iter().all(|run| run.fault.is_none())),
            msgs_per_s_min: rates().reduce(f64::min).map(|value| rounded(value, 0)),
            msgs_per_s_max: rates().reduce(f64::max).map(|value| rounded(value, 0)),
            entries: runs.first().map(|run| run.entries),
            runs: runs.len(),
            lacks: variant.lacks,
            note: failed.or_else(|| runs.iter().find_map(|run| run.fault.clone())),
        }
    }

    /// Client and server together.
    fn cpu_us(&self) -> Option<f64> {
        Some(self.client_us? + self.server_us?)
    }
}

fn rate(run: &Run) -> f64 {
    run.entries as f64 / run.sample.elapsed_s
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Sets every row against the bare reading of the same rounds.
pub fn compare(rows: &mut [Row]) {
    let limit = rows.iter().find(|row| row.variant == "xread").and_then(|row| row.msgs_per_s);
    for row in rows {
        row.ratio_to_xread = row.msgs_per_s.zip(limit).map(|(rate, limit)| rounded(rate / limit, 3));
    }
}

/// The rows for people.
pub fn table(rows: &[Row], markdown: bool) -> String {
    let mut table = Table::new(&[
        "variant",
        "msg/s",
        "min..max",
        "x xread",
        "client us",
        "server us",
        "RSS MB",
        "correct",
        "does not guarantee",
    ]);
    for row in rows {
        let shown = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let range = row.msgs_per_s_min.zip(row.msgs_per_s_max);
        let note = row.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        table.row(vec![
            row.variant.to_owned(),
            row.msgs_per_s.map_or_else(|| "-".to_owned(), thousands),
            range.map_or_else(|| "-".to_owned(), |(min, max)| format!("{}..{}", thousands(min), thousands(max))),
            shown(row.ratio_to_xread, 2),
            shown(row.client_us, 2),
            shown(row.server_us, 2),
            shown(row.peak_rss_mb, 0),
            match row.correct {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => "not run".to_owned(),
            },
            format!("{}{note}", row.lacks),
        ]);
    }
    table.text(markdown)
}

/// The comparisons that say whether this library costs what it should.
pub fn ratios(rows: &[Row], markdown: bool) -> String {
    type Figure = fn(&Row) -> Option<f64>;
    let (rate, client, server): (Figure, Figure, Figure) =
        (|row| row.msgs_per_s, |row| row.client_us, |row| row.server_us);
    let comparisons: [(&str, &str, &str, Figure); 15] = [
        ("msg/s", "per_message", "xread", rate),
        ("msg/s", "per_message", "xread_raw", rate),
        ("msg/s", "per_message", "handwritten_xreadgroup", rate),
        ("msg/s", "per_message", "python", rate),
        ("server us", "per_message", "evalsha_empty", server),
        ("client us", "per_message", "handwritten_xreadgroup", client),
        ("client + server us", "per_message", "multi_same_writes", Row::cpu_us),
        ("client + server us", "per_message", "multi_pipelined", Row::cpu_us),
        ("msg/s", "fields_1000", "fields_1", rate),
        ("msg/s", "map_1000000", "map_1000", rate),
        ("msg/s", "coalesced", "xread", rate),
        ("msg/s", "coalesced", "xread_raw", rate),
        ("msg/s", "coalesced_aof_everysec", "xread", rate),
        ("msg/s", "coalesced", "handwritten_xreadgroup", rate),
        ("client + server us", "coalesced", "multi_batch", Row::cpu_us),
    ];
    let mut table = Table::new(&["of", "against", "in", "ratio"]);
    for (name, of, against, figure) in comparisons {
        let value = |variant: &str| rows.iter().find(|row| row.variant == variant).and_then(figure);
        if let (Some(this), Some(that)) = (value(of), value(against)) {
            table.row(vec![of.to_owned(), against.to_owned(), name.to_owned(), format!("{:.2}", this / that)]);
        }
    }
    table.text(markdown)
}
