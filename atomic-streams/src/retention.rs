//! Trimming a stream as far as all of its groups have committed it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use tokio::sync::Mutex;
use tracing::info;

use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::name;
pub use crate::protocol::Holding;
use crate::protocol::{Floors, Removal, Subscription, Timing, TrimReply, TrimRequest, Trimmed};
use crate::store::memory::MemoryStore;
use crate::store::redis::{Origin, RedisStore, Sentinel};
use crate::store::{Store, StoreError, Trimmer};
use crate::targets;

/// Entries that one call of the script removes at most: it takes the server about a millisecond.
const PART: u64 = 10_000;

/// Entries that one call of the script reads to count them.
const COUNTED_PART: u64 = 100;

/// How often the groups are listed because they changed in between.
const MAX_TRIES: usize = 10;

/// Groups that are asked for their positions at most.
const MAX_READERS: usize = 1_000;

/// Trims a stream up to what **every group on it** has committed, and no further.
///
/// `MAXLEN` at the producers does not know who reads: when a consumer is down for long enough, entries go unread. This does
/// know. Call [`trim`](Self::trim) now and then, from one place or from several.
///
/// ```no_run
/// use atomic_streams::Retention;
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let retention = Retention::new("redis://127.0.0.1:6379", "sales")?
///     .keep_entries(10_000)
///     .keep_for(Duration::from_secs(7 * 86_400))
///     .expect_group("billing");
/// let retained = retention.trim().await?;
/// println!("{} entries removed, {} left", retained.removed, retained.left);
/// if let Some(held) = retained.held_back_by {
///     println!("{} waits for {} entries: {:?}", held.group, held.behind, held.why);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What a group has committed
///
/// - A group of this library: what its record says, in the script that trims. Position and entries are on one server: an entry that
///   is not committed there is not removed, whatever a consumer has in memory, and when the server loses its newest
///   writes it loses the commits together with the trim that followed them.
/// - A group whose record is lost holds everything back, and is named.
/// - A group of another program: what lies before its lowest pending entry and before what it has yet to take.
///
/// A group that is not there holds nothing back: one that has yet to be made, or that somebody has destroyed (its consumer makes
/// it anew within a third of its lease). [Expect](Self::expect_group) those that must not miss anything.
///
/// # Rights
///
/// `+evalsha +script|load +type +time +hmget +xinfo|groups +xinfo|stream +xinfo|consumers +xpending +xrange +xtrim` on the stream
/// and `atomic-streams:*`.
///
/// # Cancel safety
///
/// After a future is dropped, a part of what it asked for may still be done.
pub struct Retention {
    store: Arc<dyn Store>,
    stream: String,
    floors: Floors,
    exact: bool,
    without_groups: bool,
    expected: Vec<String>,
    /// Made at the first call, and anew after a failure.
    connection: Mutex<Option<Box<dyn Trimmer>>>,
}

/// What a trim has removed, and what it has left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// Entries removed; after a [dry run](Retention::dry_run), those that would be, at most.
    pub removed: u64,
    /// Entries that are left; after a dry run, those that would be.
    pub left: u64,
    /// The group without which more would have gone: the one that needs the oldest entry.
    pub held_back_by: Option<HeldBack>,
}

/// A group that keeps entries from being trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// Its name.
    pub group: String,
    /// The last entry that it has committed or, another program's group, taken; `None` if nobody knows.
    pub position: Option<EntryId>,
    /// Entries of the stream from the first one on that it needs.
    pub behind: u64,
    /// Why it needs them.
    pub why: Holding,
}

impl Retention {
    /// Retention of `stream` on the server at this address, which is one that
    /// [`ConsumerBuilder::redis_url`](crate::ConsumerBuilder::redis_url) takes. Nothing is sent yet.
    ///
    /// Without a floor, all goes that every group has committed.
    ///
    /// # Errors
    /// The address cannot be read, or the name is none.
    pub fn new(url: &str, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::of_url(url)?, stream.into())
    }

    /// Retention of `stream` on the server that this client knows, over a connection of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// The name is none.
    pub fn with_client(client: &Client, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::of_client(client), stream.into())
    }

    /// Retention of `stream` on the primary that these sentinels know. Nothing is sent yet.
    ///
    /// # Errors
    /// The name is none.
    pub fn with_sentinel(sentinel: &Sentinel, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::Sentinels(Box::new(sentinel.clone())), stream.into())
    }

    /// Retention of `stream` in a store in this process's memory.
    ///
    /// # Errors
    /// The name is none.
    pub fn in_memory(store: &MemoryStore, stream: impl Into<String>) -> Result<Self, Error> {
        Self::on(Arc::new(store.clone()), stream.into())
    }

    fn at(origin: Origin, stream: String) -> Result<Self, Error> {
        Self::on(Arc::new(RedisStore::at(origin, Timing::default())), stream)
    }

    fn on(store: Arc<dyn Store>, stream: String) -> Result<Self, Error> {
        if let Some(problem) = name::problem(&stream) {
            let shown: String = stream.chars().take(64).collect();
            return Err(Error::new(ErrorKind::InvalidConfig, format!("the stream name {shown:?} {problem}")));
        }
        Ok(Self {
            store,
            stream,
            floors: Floors::default(),
            exact: false,
            without_groups: false,
            expected: Vec::new(),
            connection: Mutex::new(None),
        })
    }

    /// Keeps at least the newest `entries`, whoever has committed them.
    #[must_use]
    pub fn keep_entries(mut self, entries: u64) -> Self {
        self.floors.entries = Some(entries);
        self
    }

    /// Keeps everything that is younger than this, whoever has committed it: by the server's clock and the time in the entries' IDs.
    #[must_use]
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.floors.age_ms = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Removes every entry that may go. Without this, up to a node of the stream (100 entries by default) is left besides, which
    /// costs the server less.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Removes nothing while this group has neither begun nor a record: for a group that must not miss anything. May be called
    /// for several groups; what they need counts also while the group itself is destroyed.
    #[must_use]
    pub fn expect_group(mut self, group: impl Into<String>) -> Self {
        self.expected.push(group.into());
        self
    }

    /// Lets the floors alone decide where the stream has no group. Without this, such a stream is left as it is, with an error.
    #[must_use]
    pub fn without_groups(mut self) -> Self {
        self.without_groups = true;
        self
    }

    /// Removes what every group has committed and no floor keeps.
    ///
    /// It is done in parts of at most 10,000 entries, so that the server serves others in between. What is added while it runs
    /// is not removed by it.
    ///
    /// # Errors
    /// [`NoStream`](ErrorKind::NoStream) and [`NoGroup`](ErrorKind::NoGroup): nothing was removed.
    /// [`Unavailable`](ErrorKind::Unavailable): a part may have been done; calling again goes on.
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): [`without_groups`](Self::without_groups) and no floor would empty the stream, or an
    /// expected group's name is none. [`Denied`](ErrorKind::Denied) and [`WrongType`](ErrorKind::WrongType) as they say.
    pub async fn trim(&self) -> Result<Retained, Error> {
        let removal = if self.exact { Removal::Exact } else { Removal::Rough };
        let (removed, Trimmed { left, early, holder, .. }) = self.repeat(removal, PART).await?;
        let retained = self.retained(removed, left, early, holder);
        info!(
            name: "stream.trimmed",
            target: targets::STREAM,
            stream = self.stream,
            entries = removed,
            left = retained.left,
            held_back_by = retained.held_back_by.as_ref().map(|held| held.group.as_str()),
            "what every group has committed was removed"
        );
        Ok(retained)
    }

    /// Says what [`trim`](Self::trim) would do, at most, and removes nothing.
    ///
    /// It reads the entries that would go, in parts of 100: for a stream of a million, this takes seconds.
    ///
    /// # Errors
    /// As [`trim`](Self::trim).
    pub async fn dry_run(&self) -> Result<Retained, Error> {
        let (counted, Trimmed { left: length, holder, .. }) =
            self.repeat(Removal::Count { after: None }, COUNTED_PART).await?;
        let removed = counted.min(length.saturating_sub(self.floors.entries.unwrap_or(0)));
        let mut retained = self.retained(removed, length, counted, holder);
        retained.left = length.saturating_sub(removed);
        Ok(retained)
    }

    /// `early` entries of `left` are before the first one that the holder needs.
    fn retained(&self, removed: u64, left: u64, early: u64, holder: Option<crate::protocol::Holder>) -> Retained {
        let behind = left.saturating_sub(early);
        let held = holder.filter(|_| behind > self.floors.entries.unwrap_or(0));
        let held_back_by =
            held.map(|holder| HeldBack { group: holder.group, position: holder.position, behind, why: holder.why });
        Retained { removed, left, held_back_by }
    }

    /// Calls the script until there is no more to do. Returns how many entries it was, and the last reply.
    async fn repeat(&self, removal: Removal, most: u64) -> Result<(u64, Trimmed), Error> {
        self.check()?;
        let mut connection = self.connection.lock().await;
        let mut open = match connection.take() {
            Some(open) => open,
            None => self.store.trimmer().await.map_err(|error| self.failed(error))?,
        };
        let mut request = TrimRequest {
            stream: self.stream.clone(),
            floors: self.floors,
            removal,
            up_to: None,
            most,
            without_groups: self.without_groups,
            readers: self.readers(&mut *open).await?,
        };
        let (mut removed, mut changes) = (0, 0);
        let last = loop {
            match open.trim(&request).await.map_err(|error| self.failed(error))? {
                TrimReply::Trimmed(trimmed) => {
                    removed += trimmed.removed;
                    request.up_to = Some(trimmed.up_to);
                    if let Removal::Count { after } = &mut request.removal {
                        *after = trimmed.counted_to;
                    }
                    if !trimmed.more {
                        break trimmed;
                    }
                }
                TrimReply::Changed if changes < MAX_TRIES => {
                    changes += 1;
                    request.readers = self.readers(&mut *open).await?;
                }
                reply => return Err(self.refused(reply)),
            }
        };
        *connection = Some(open);
        Ok((removed, last))
    }

    fn check(&self) -> Result<(), Error> {
        for group in &self.expected {
            Subscription::new(&self.stream, group).map_err(|error| {
                Error::new(ErrorKind::InvalidConfig, format!("expected group: {error}")).with_source(error)
            })?;
        }
        let no_floor = self.floors.entries.unwrap_or(0) == 0 && self.floors.age_ms.unwrap_or(0) == 0;
        if self.without_groups && no_floor {
            return Err(self.error(
                ErrorKind::InvalidConfig,
                "without groups and without a floor, all of it would go: say with `keep_entries` or `keep_for` what is to stay",
            ));
        }
        Ok(())
    }

    async fn readers(&self, open: &mut dyn Trimmer) -> Result<Vec<crate::protocol::Reader>, Error> {
        let groups = open.groups(&self.stream).await.map_err(|error| self.failed(error))?;
        let groups = groups.ok_or_else(|| self.refused(TrimReply::NoStream))?;
        let readers = TrimRequest::readers(&self.stream, &groups, &self.expected);
        if readers.len() > MAX_READERS {
            let words = format!(
                "it has {} groups, and {MAX_READERS} is the most: destroy those that nobody uses",
                readers.len()
            );
            return Err(self.error(ErrorKind::InvalidConfig, &words));
        }
        Ok(readers)
    }

    fn refused(&self, reply: TrimReply) -> Error {
        match reply {
            TrimReply::NoStream => {
                self.error(ErrorKind::NoStream, "there is no such stream: correct its name, or trim it when it has entries")
            }
            TrimReply::NoGroup => self.error(
                ErrorKind::NoGroup,
                "it has no group, so nobody has committed anything, and it is left as it is: start a consumer first, or let the \
                 floors alone decide with `without_groups()`",
            ),
            TrimReply::WrongType { key, holds } => self.error(
                ErrorKind::WrongType,
                &format!("the key `{key}` holds a {holds}: rename or remove it, or use another name"),
            ),
            TrimReply::Changed => self.error(
                ErrorKind::Unavailable,
                &format!("its groups changed {MAX_TRIES} times while they were asked for their positions: try again"),
            ),
            TrimReply::Trimmed(_) => self.error(ErrorKind::Internal, "an answer that is none"),
        }
    }

    fn error(&self, kind: ErrorKind, words: &str) -> Error {
        Error::new(kind, format!("cannot trim `{}`: {words}", self.stream))
    }

    fn failed(&self, error: StoreError) -> Error {
        let kind = error.failure.kind();
        self.error(kind, &error.to_string()).with_source(error)
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention").field("stream", &self.stream).field("floors", &self.floors).finish_non_exhaustive()
    }
}
