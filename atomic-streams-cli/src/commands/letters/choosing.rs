//! Which letters are meant.

use std::time::UNIX_EPOCH;

use atomic_streams::{DeadLetter, DeadLetters, EntryId};

use crate::args::Filter;
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::progress;

/// Letters that are read at once.
const PAGE: usize = 100;

/// All letters that are there now and pass the filter.
pub struct Choice<'a> {
    pub filter: &'a Filter,
    /// Only those behind this one.
    pub after: Option<EntryId>,
}

impl Choice<'_> {
    /// How many there are.
    pub async fn count(&self, server: &Server, letters: &str) -> Result<u64, Failure> {
        let mut count = 0;
        self.each(server, letters, async |_, _| {
            count += 1;
            Ok(true)
        })
        .await?;
        Ok(count)
    }

    /// Calls for each of them, in their order, until it is told not to go on; returns how many entries the stream has. Those that
    /// come meanwhile are left out, so that entries which fail again go round no more than once.
    pub async fn each(
        &self,
        server: &Server,
        letters: &str,
        mut call: impl AsyncFnMut(&DeadLetters, DeadLetter) -> Result<bool, Failure>,
    ) -> Result<u64, Failure> {
        let last = server.admin()?.stream(letters).await?;
        let found = server.dead_letters(letters)?;
        let bar = progress(last.length, "looking at dead letters");
        let mut after = self.after.unwrap_or(EntryId::MIN);
        while after < last.last_id {
            let page = found.list_after(after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for letter in page {
                after = letter.id;
                if after > last.last_id {
                    break;
                }
                bar.inc(1);
                if passes(self.filter, &letter) && !call(&found, letter).await? {
                    return Ok(last.length);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(last.length)
    }
}

fn passes(filter: &Filter, letter: &DeadLetter) -> bool {
    let ms = letter.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    filter.stream.as_ref().is_none_or(|stream| *stream == letter.stream)
        && filter.group.as_ref().is_none_or(|group| *group == letter.group)
        && filter.since.is_none_or(|since| ms >= u128::from(since))
        && filter.until.is_none_or(|until| ms < u128::from(until))
        && filter.text.as_ref().is_none_or(|text| holds(letter, text))
}

fn holds(letter: &DeadLetter, text: &str) -> bool {
    let text = text.as_bytes();
    let within = |bytes: &[u8]| text.is_empty() || bytes.windows(text.len()).any(|part| part == text);
    within(letter.error.as_bytes()) || letter.entry.fields.iter().any(|(name, value)| within(name) || within(value))
}
