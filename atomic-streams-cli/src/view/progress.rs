//! How far long work is, where somebody looks.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// How often something moves.
const TICK: Duration = Duration::from_millis(120);

/// A bar on standard error, if that is a terminal; else nothing. It disappears when it is dropped.
pub fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = bar(Some(total), what);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.tick();
    bar
}

/// As [`progress`], for what nobody can tell the end of.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = bar(None, what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.tick();
    bar.enable_steady_tick(TICK);
    bar
}

fn bar(total: Option<u64>, what: &'static str) -> ProgressBar {
    let is_seen = std::io::stderr().is_terminal();
    let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(total, target).with_message(what).with_finish(ProgressFinish::AndClear)
}
