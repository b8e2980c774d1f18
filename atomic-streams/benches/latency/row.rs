//! Results of this benchmark: each section has figures of its own.

use serde_json::{Map, Value, json};

use crate::stand::table::{Table, median};

/// The figures of one variant.
#[derive(Debug)]
pub struct Row {
    pub section: &'static str,
    pub variant: String,
    /// Name, with its unit last, and value.
    pub figures: Vec<(&'static str, f64)>,
    /// What is wrong with its outcome.
    pub fault: Option<String>,
}

impl Row {
    /// The medians of what the rounds gave.
    pub fn median(rounds: &[Self]) -> Option<Self> {
        let first = rounds.first()?;
        let names = first.figures.iter().enumerate();
        let middle = |position: usize| median(rounds.iter().filter_map(|row| Some(row.figures.get(position)?.1)));
        Some(Self {
            section: first.section,
            variant: first.variant.clone(),
            figures: names.map(|(position, (name, _))| (*name, middle(position))).collect(),
            fault: rounds.iter().find_map(|row| row.fault.clone()),
        })
    }

    /// As an object of the JSON array.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("section".to_owned(), json!(self.section));
        object.insert("variant".to_owned(), json!(self.variant));
        for (name, value) in &self.figures {
            object.insert((*name).to_owned(), json!((value * 100.0).round() / 100.0));
        }
        object.insert("correct".to_owned(), json!(self.fault.is_none()));
        if let Some(fault) = &self.fault {
            object.insert("note".to_owned(), json!(fault));
        }
        Value::Object(object)
    }
}

/// A table for each section.
pub fn tables(rows: &[Row], markdown: bool) -> String {
    let mut text = String::new();
    for section in rows.chunk_by(|one, other| one.section == other.section) {
        let Some(first) = section.first() else { continue };
        let mut headings = vec![first.section];
        headings.extend(first.figures.iter().map(|(name, _)| *name));
        headings.push("correct");
        let mut table = Table::new(&headings);
        for row in section {
            let mut cells = vec![row.variant.clone()];
            cells.extend(row.figures.iter().map(|(_, value)| shown(*value)));
            cells.push(row.fault.as_ref().map_or_else(|| "yes".to_owned(), |fault| format!("NO ({fault})")));
            table.row(cells);
        }
        text.push_str(&table.text(markdown));
        text.push('\n');
    }
    text
}

fn shown(value: f64) -> String {
    if value >= 100.0 { crate::stand::table::thousands(value) } else { format!("{value:.2}") }
}
