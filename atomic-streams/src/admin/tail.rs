//! A stream's entries, one after the other.

use std::fmt;
use std::sync::Arc;

use super::failed;
use crate::entry::Entry;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::id::EntryId;
use crate::read_size::ReadSize;
use crate::store::redis::{Administration, Connector};

/// How many entries are read at once, and about how many bytes of them.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 16 << 20;

/// Reads a stream from outside, as part of no group: nothing is written, and whoever consumes it does not notice. Made by
/// [`Admin::tail`](super::Admin::tail).
///
/// ```no_run
/// use atomic_streams::EntryId;
/// use atomic_streams::admin::Admin;
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let mut tail = Admin::new("redis://127.0.0.1:6379")?.tail("sales", EntryId::MIN)?;
/// loop {
///     for entry in tail.next(100).await? {
///         println!("{} {:?}", entry.id, entry.fields);
///     }
/// }
/// # }
/// ```
pub struct Tail {
    connector: Arc<Connector>,
    /// Taken out during a call: one that is given up midway ends with it.
    connection: Option<Administration>,
    stream: String,
    after: EntryId,
    size: ReadSize,
}

impl Tail {
    pub(super) fn new(connector: Arc<Connector>, stream: String, after: EntryId) -> Self {
        Self { connector, connection: None, stream, after, size: ReadSize::new(BATCH, BATCH_BYTES) }
    }

    /// The last entry that was returned, or the one that it began behind.
    #[must_use]
    pub fn position(&self) -> EntryId {
        self.after
    }

    /// The next entries that are there now: at most `most`, and no more than some megabytes. Empty at the end, and where there is
    /// no such stream.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied), [`WrongType`](ErrorKind::WrongType). Calling again
    /// goes on, over a new connection.
    ///
    /// # Cancel safety
    /// Dropping the future loses no entry.
    pub async fn read(&mut self, most: usize) -> Result<Vec<Entry>, Error> {
        self.ask(most, false).await
    }

    /// As [`read`](Self::read), but waits until there is one, for ever if need be.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Dropping the future loses no entry.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Entry>, Error> {
        loop {
            let entries = self.ask(most, true).await?;
            if !entries.is_empty() || most == 0 {
                return Ok(entries);
            }
        }
    }

    async fn ask(&mut self, most: usize, waits: bool) -> Result<Vec<Entry>, Error> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let failed = |error| failed(&format!("stream `{}`", self.stream), error);
        let mut open = match self.connection.take() {
            Some(open) => open,
            None => Administration::connect(&self.connector).await.map_err(failed)?,
        };
        let block = waits.then(|| self.connector.timing().block());
        let entries = open.read(&self.stream, self.after, self.size.count().min(most), block).await.map_err(failed)?;
        self.connection = Some(open);
        self.size.learn(&entries);
        self.after = entries.last().map_or(self.after, |entry| entry.id);
        Ok(entries)
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("stream", &self.stream).field("after", &self.after).finish_non_exhaustive()
    }
}
