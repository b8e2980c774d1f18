//! What `top` can be told.

use std::time::Duration;

use clap::Args;

use super::order::Sort;
use crate::args::span;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(3_600);

/// Options of `top`.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// How often the server is asked, from 200ms to 1h; `+` and `-` change it
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = interval)]
    pub(super) every: Duration,

    /// What the list is sorted by; `s` and `S` change it
    #[arg(long, value_name = "COLUMN", default_value = "name")]
    pub(super) sort: Sort,

    /// Only subscriptions with these words in stream, group, owner or state; `/` changes it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) filter: String,

    /// Count the dead letters in this stream, in place of looking for such streams; may be given up to 50 times
    #[arg(long = "dead-letters", value_name = "STREAM")]
    pub(super) letter_streams: Vec<String>,

    /// Print one frame as text and end: for scripts, and where there is no terminal. Takes one interval
    #[arg(long)]
    pub(super) once: bool,
}

impl TopArgs {
    /// Whether the whole screen is drawn on.
    pub fn is_live(&self) -> bool {
        !self.once
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = span(text)?;
    if (SHORTEST..=LONGEST).contains(&every) { Ok(every) } else { Err("from 200ms to 1h is possible".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_time_within_limits() {
        let ms = |text| interval(text).map(|time| time.as_millis());
        assert_eq!((ms("1s"), ms("500ms"), ms("2min"), ms("1h")), (Ok(1_000), Ok(500), Ok(120_000), Ok(3_600_000)));
        for wrong in ["", "0s", "199ms", "3601s", "-1s", "soon"] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }
}
