//! Asking before something is done that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::args::Consent;
use crate::exit::{Exit, Failure};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 1_024;

/// Asks whether to go on; `what` says in a sentence what would be done. Only called where it would be.
pub fn confirm(consent: Consent, what: &str) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    let not_confirmed = |why: &str| Failure::new(Exit::NotConfirmed, format!("{what}\nnothing was done: {why}"));
    if !io::stdin().is_terminal() {
        return Err(not_confirmed("nobody can confirm it here; say --yes to do it, or --dry-run to see more"));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{what}\nGo on? [y/N] ");
    let read = asked.and_then(|()| io::Read::take(io::stdin().lock(), MAX_ANSWER_BYTES).read_line(&mut answer));
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" if read.is_ok() => Ok(()),
        _ => Err(Failure::new(Exit::NotConfirmed, "nothing was done: it was not confirmed")),
    }
}
