//! One frame, as text.

use std::sync::Arc;

use ratatui::backend::TestBackend;

use super::data::{Clock, Search, Watch};
use super::drawing::{Pen, draw};
use super::model::Model;
use super::plan::Rounds;
use crate::connect::Server;
use crate::exit::{Exit, Failure};

/// Lines around the rows: header, titles, footer.
const AROUND: usize = 3;

/// Looks twice, an interval apart, so that there are rates; and draws the list as high as it is.
pub(super) async fn once(
    server: &Arc<Server>,
    mut model: Model,
    letter_streams: Vec<String>,
    clock: Clock,
    calendar: impl Fn() -> u64,
    pen: Pen,
) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let found = Search::new(server, letter_streams)?.run().await.map_err(failed)?;
    let letter_streams = found.letter_streams.clone();
    model.found(found);
    model.size.height = u16::try_from(model.count().max(1) + AROUND).unwrap_or(u16::MAX);
    let (mut watch, mut rounds) = (Watch::new(server, Arc::clone(&clock))?, Rounds::default());
    let ask = rounds.next(&model);
    for round in 0..2 {
        if round > 0 {
            tokio::time::sleep(model.every).await;
        }
        model.see(watch.round(&ask, letter_streams.as_deref()).await.map_err(failed)?);
        model.now.at = clock();
        model.now.ms = calendar();
    }
    // The filter may let fewer through, and whoever was deleted has no row.
    model.size.height = u16::try_from(model.rows().len().max(1) + AROUND).unwrap_or(u16::MAX);
    model.settle();
    text(&model, pen).map_err(|error| failed(format!("the frame cannot be drawn: {error}")))
}

/// A frame as text, without blanks at the ends of its lines.
pub(super) fn text(model: &Model, pen: Pen) -> std::io::Result<String> {
    let Ok(mut terminal) = ratatui::Terminal::new(TestBackend::new(model.size.width, model.size.height));
    let Ok(_) = terminal.draw(|frame| draw(model, pen, frame));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(model.size.width).max(1)) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}
