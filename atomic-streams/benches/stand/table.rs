//! Tables for people: aligned text, or Markdown.

/// Rows of cells under a heading.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, as Markdown or aligned for a terminal.
    pub fn text(&self, markdown: bool) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let line = if markdown { format!("| {} |", row.join(" | ")) } else { self.aligned(row) };
            text.push_str(line.trim_end());
            text.push('\n');
            if number == 0 {
                let columns = 0..row.len();
                let rule = if markdown {
                    let rules = columns.map(|column| if self.is_numeric(column) { "---:" } else { "---" });
                    format!("| {} |", rules.collect::<Vec<_>>().join(" | "))
                } else {
                    columns.map(|column| "-".repeat(self.width(column))).collect::<Vec<_>>().join("  ")
                };
                text.push_str(&rule);
                text.push('\n');
            }
        }
        text
    }

    fn aligned(&self, row: &[String]) -> String {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = self.width(column);
            if self.is_numeric(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ")
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0)
    }

    /// Numbers stand at the right.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
        cells.all(|cell| cell.is_empty() || cell == "-" || cell.starts_with(|first: char| first.is_ascii_digit()))
    }
}

/// A whole number with separators: 123,456.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle one; of an even number, the lower of the two.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
