//! Tables: columns side by side, without lines.

use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Width, presets};

use super::{Look, bytes};

/// A column is not made narrower than this, or than what it holds. Where the terminal is too narrow for that, it breaks the lines as
/// it likes, which is better to read than a few characters a line.
const MIN_COLUMN: u16 = 8;

/// Blanks behind a column.
const PADDING: u16 = 2;

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    Good,
    Notable,
    Bad,
    Dim,
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    hue: Option<Hue>,
    is_number: bool,
    /// It stays on one line, whatever the others need.
    is_whole: bool,
}

impl Cell {
    pub fn plain(text: impl ToString) -> Self {
        Self { text: one_line(&text.to_string()), hue: None, is_number: false, is_whole: false }
    }

    /// Stays on one line, as what is copied from it must.
    pub fn whole(text: impl ToString) -> Self {
        Self { is_whole: true, ..Self::plain(text) }
    }

    /// Stands at the right.
    pub fn number(text: impl ToString) -> Self {
        Self { is_number: true, ..Self::plain(text) }
    }

    pub fn in_color(text: impl ToString, hue: Hue) -> Self {
        Self::plain(text).hue(hue)
    }

    pub fn hue(self, hue: Hue) -> Self {
        Self { hue: Some(hue), ..self }
    }

    fn cell(self, colors: bool) -> comfy_table::Cell {
        let mut cell = comfy_table::Cell::new(self.text);
        if self.is_number {
            cell = cell.set_alignment(comfy_table::CellAlignment::Right);
        }
        match self.hue.filter(|_| colors) {
            Some(Hue::Good) => cell.fg(Color::Green),
            Some(Hue::Notable) => cell.fg(Color::Yellow),
            Some(Hue::Bad) => cell.fg(Color::Red),
            Some(Hue::Dim) => cell.add_attribute(Attribute::Dim),
            None => cell,
        }
    }
}

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Cells of one column are all of one kind: the first row tells which.
    pub fn text(self, look: &Look) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        if !self.headings.is_empty() {
            table.set_header(self.headings.iter().map(|heading| {
                let cell = comfy_table::Cell::new(heading);
                if look.colors { cell.add_attribute(Attribute::Bold) } else { cell }
            }));
        }
        let whole: Vec<usize> = match self.rows.first() {
            Some(row) => {
                row.iter().enumerate().filter(|(_, cell)| cell.is_whole || cell.is_number).map(|(at, _)| at).collect()
            }
            None => Vec::new(),
        };
        for row in self.rows {
            table.add_row(row.into_iter().map(|cell| cell.cell(look.colors)).collect::<Vec<_>>());
        }
        let mut least_width = 0_usize;
        let widths = table.column_max_content_widths();
        for ((at, column), width) in table.column_iter_mut().enumerate().zip(widths) {
            let is_whole = whole.contains(&at);
            let least = PADDING + if is_whole { width } else { width.min(MIN_COLUMN) };
            least_width += usize::from(least);
            column.set_padding((0, PADDING));
            column.set_constraint(match is_whole {
                true => ColumnConstraint::ContentWidth,
                false => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
            });
        }
        match look.width.filter(|width| least_width <= usize::from(*width)) {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled).force_no_tty(),
        };
        if look.colors {
            table.enforce_styling();
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A value of the server may hold anything, also what a terminal obeys.
pub fn one_line(text: &str) -> String {
    bytes::text(text.as_bytes())
}
