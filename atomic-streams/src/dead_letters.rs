//! Looking at dead letters, and putting them back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use redis::Client;
use tokio::sync::Mutex;
use tracing::warn;

use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::letter::DeadLetter;
pub use crate::letter::{
    ATTEMPTS, ERROR, FIELDS, GROUP, ID, KEY, MAX_ERROR_BYTES, MAX_KEY_BYTES, MAX_PARKED_KEYS, PACKED, PARKED_BEHIND,
    STREAM, TIME_MS,
};
use crate::name;
use crate::persist::MAX_PART_ENTRIES;
use crate::protocol::{Failure, Parking, Subscription, Timing};
use crate::read_size::ReadSize;
use crate::store::memory::MemoryStore;
use crate::store::redis::{Origin, RedisStore, Sentinel};
use crate::store::{Letters, Requeued, Store, StoreError};
use crate::targets;

/// How many entries are read at once, and about how many bytes of them.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 16 << 20;

/// A stream of dead letters: what [`OnFailure::DeadLetter`](crate::OnFailure::DeadLetter) has put there.
///
/// ```no_run
/// use atomic_streams::DeadLetters;
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let letters = DeadLetters::new("redis://127.0.0.1:6379", "sales:dead")?;
/// for letter in letters.list(10).await? {
///     println!("{} of {}: {}", letter.entry.id, letter.stream, letter.error);
/// }
/// let requeued = letters.requeue_all().await?;
/// println!("{requeued} entries will be handled again");
/// # Ok(())
/// # }
/// ```
///
/// # Requeueing
///
/// Requeueing adds the original fields to the end of the stream that the entry came from and removes the letter, together or
/// not at all: whatever is lost or called twice, the entry is in one place. It gets a new ID there, behind what was added
/// since; and every group of that stream sees it as a new entry, also those that had handled the original.
///
/// A letter whose key is [parked](crate::OnFailure::Park) is not requeued: its entry would come out of its order.
///
/// # Rights
///
/// `+xrange +xrevrange +xdel` on the dead-letter stream, `+xrange +xrevrange +xadd` on the source streams, and
/// `+evalsha +script|load +type`; for entries of more than 3,893 fields `+watch +unwatch +multi +exec +eval` as well.
///
/// # Cancel safety
///
/// After a future is dropped, what it asked for may still be done, wholly.
pub struct DeadLetters {
    store: Arc<dyn Store>,
    stream: String,
    /// Made at the first call, and anew after a failure. Taken out during a call: one that is given up midway ends with it.
    connection: Mutex<Option<Box<dyn Letters>>>,
}

impl DeadLetters {
    /// The dead letters in `stream`, on the server at this address, which is one that
    /// [`ConsumerBuilder::redis_url`](crate::ConsumerBuilder::redis_url) takes. Nothing is sent yet.
    ///
    /// # Errors
    /// The address cannot be read, or the name is none.
    pub fn new(url: &str, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::of_url(url)?, stream.into())
    }

    /// The dead letters in `stream`, on the server that this client knows, over a connection of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// The name is none.
    pub fn with_client(client: &Client, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::of_client(client), stream.into())
    }

    /// The dead letters in `stream`, on the primary that these sentinels know. Nothing is sent yet.
    ///
    /// # Errors
    /// The name is none.
    pub fn with_sentinel(sentinel: &Sentinel, stream: impl Into<String>) -> Result<Self, Error> {
        Self::at(Origin::Sentinels(Box::new(sentinel.clone())), stream.into())
    }

    /// The dead letters in `stream`, in a store in this process's memory.
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
        if let Some(problem) = name::stream_problem(&stream) {
            let shown: String = stream.chars().take(64).collect();
            return Err(Error::new(ErrorKind::InvalidConfig, format!("the stream name {shown:?} {problem}")));
        }
        Ok(Self { store, stream, connection: Mutex::new(None) })
    }

    /// The oldest letters, at most `limit` of them. Entries that are no dead letters are left out, and so are damaged ones, which
    /// are logged: [`get`](Self::get) says what is wrong with one.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied), [`WrongType`](ErrorKind::WrongType).
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.list_from(EntryId::MIN, limit).await
    }

    /// The oldest letters behind `after`, at most `limit` of them: the next page of [`list`](Self::list).
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_after(&self, after: EntryId, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        match next(after) {
            Some(first) => self.list_from(first, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// One letter; `None` if it is not there (any more).
    ///
    /// # Errors
    /// As [`list`](Self::list); and [`LetterDamaged`](ErrorKind::LetterDamaged).
    pub async fn get(&self, id: EntryId) -> Result<Option<DeadLetter>, Error> {
        let entries = self.entries(id, 1).await?;
        entries.into_iter().find(|entry| entry.id == id).map_or(Ok(None), |entry| self.read(entry))
    }

    /// Puts one letter's entry back to the end of the stream that it came from, and returns its ID there; `None` if the letter is
    /// not there (any more): it was requeued or removed before.
    ///
    /// After [`Unavailable`](ErrorKind::Unavailable) it may have been done: calling again does it if it was not.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`KeyParked`](ErrorKind::KeyParked); or the source stream cannot take the entry. Nothing was done
    /// then.
    pub async fn requeue(&self, id: EntryId) -> Result<Option<EntryId>, Error> {
        let Some(letter) = self.get(id).await? else { return Ok(None) };
        match self.requeue_letter(&letter).await? {
            Placed::Requeued(id) => Ok(Some(id)),
            Placed::Gone => Ok(None),
            Placed::Parked => Err(Error::new(
                ErrorKind::KeyParked,
                format!(
                    "dead letter {id} is where it was: its key is parked, and at the end of `{}` its entry would come out of order: \
                     unpark the key with `DeadLetters::unpark`, or remove the letter",
                    letter.stream
                ),
            )),
        }
    }

    /// Puts all letters' entries back to the ends of the streams that they came from, in their order, and returns how many there
    /// were.
    ///
    /// Each is requeued by itself, as by [`requeue`](Self::requeue). Letters that come while this runs are left for the next
    /// call, so that entries which fail again go round no more than once. Letters whose key is
    /// [parked](crate::OnFailure::Park), and entries that are no dead letters, are left where they are.
    ///
    /// # Errors
    /// As [`requeue`](Self::requeue). [`LetterDamaged`](ErrorKind::LetterDamaged) comes when all others are requeued. After any
    /// other, those before the one that it says are; calling again goes on from there.
    pub async fn requeue_all(&self) -> Result<u64, Error> {
        let Some(last) = self.newest().await? else { return Ok(0) };
        let (mut requeued, mut first) = (0, Some(EntryId::MIN));
        let (mut damaged, mut damage) = (0_u64, None);
        let mut size = ReadSize::new(BATCH, BATCH_BYTES);
        while let Some(from) = first.filter(|first| *first <= last) {
            let count = size.count();
            let entries = self.entries(from, count).await?;
            size.learn(&entries);
            first = entries.last().filter(|_| entries.len() == count).and_then(|entry| next(entry.id));
            for entry in entries.into_iter().take_while(|entry| entry.id <= last) {
                let outcome = match self.read(entry) {
                    Ok(Some(letter)) => {
                        self.requeue_letter(&letter).await.map(|placed| matches!(placed, Placed::Requeued(_)))
                    }
                    Ok(None) => Ok(false),
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(is_requeued) => requeued += u64::from(is_requeued),
                    Err(error) if error.kind() == ErrorKind::LetterDamaged => {
                        damaged += 1;
                        damage.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        match damage {
            None => Ok(requeued),
            Some(first) => Err(Error::new(
                ErrorKind::LetterDamaged,
                format!("{requeued} dead letters were requeued and {damaged} could not be, the first of them: {first}"),
            )),
        }
    }

    /// Unparks a key of `group` on `stream`, which [`OnFailure::Park`](crate::OnFailure::Park) has parked there: its owner handles
    /// the dead letters of the key, in order, before any later entry of it. Returns whether the key is parked; where it is
    /// not, nothing is done. Calling again does no harm.
    ///
    /// This asks for it; the owner learns of it within a third of its lease, or the next owner when it attaches, and handles the
    /// letters between two entries of its input. Each is one commit: what its handler has changed and published, and the
    /// removal of the letter, which must still be there; the commit of the last one unparks the key. The handler sees the entry
    /// as it was, under its own ID, and it is tried as often as any other; entries of all keys wait meanwhile, as they do behind
    /// any entry. If it cannot be handled this time either, the letter stays where it is and its key parked, which the log says,
    /// and calling this again begins with that letter. [`parked`](Self::parked) shows what is left.
    ///
    /// Letters from before a [reset](crate::admin::Admin::reset) that wait behind another entry than the key does now are left where they
    /// are. [Remove](Self::remove) those of the same entry before the reset: after it, they cannot be told from new ones.
    ///
    /// A letter that was [removed](Self::remove) is not missed: what it stands for is left out, and the others keep their order.
    ///
    /// # Rights
    /// `+hexists +hincrby +hsetnx +type` on the keys of the record, `~atomic-streams:*`. The consumer needs `+xrange` on
    /// the dead-letter stream, and `+hlen +hscan +hdel` on those keys.
    ///
    /// # Errors
    /// As [`list`](Self::list); [`InvalidConfig`](ErrorKind::InvalidConfig) where a name is none.
    pub async fn unpark(&self, stream: &str, group: &str, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let subscription = self.subscription(stream, group)?;
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let is_parked = open.unpark(&subscription, key.as_ref()).await.map_err(|error| self.failed(error))?;
        *connection = Some(open);
        Ok(is_parked)
    }

    /// The keys of `group` on `stream` that are parked, in the order of their bytes.
    ///
    /// # Rights
    /// `+hget +hlen +hscan` on the keys of the record, `~atomic-streams:*`.
    ///
    /// # Errors
    /// As [`unpark`](Self::unpark).
    pub async fn parked(&self, stream: &str, group: &str) -> Result<Vec<ParkedKey>, Error> {
        let subscription = self.subscription(stream, group)?;
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let (mut keys, mut cursor) = (BTreeMap::new(), None);
        loop {
            let part = open.scan(&subscription, Parking::FIELD, cursor.as_deref(), MAX_PART_ENTRIES).await;
            let part = part.map_err(|error| self.failed(error))?;
            for (key, entry) in part.entries {
                // Another value is nobody's that this version knows.
                keys.extend(EntryId::from_bytes(&entry).map(|entry| (key, entry)));
            }
            match part.cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        *connection = Some(open);
        Ok(keys.into_iter().map(|(key, entry)| ParkedKey { key, entry }).collect())
    }

    fn subscription(&self, stream: &str, group: &str) -> Result<Subscription, Error> {
        Subscription::new(stream, group)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()).with_source(error))
    }

    /// Removes one letter for good. Whether it was there.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn remove(&self, id: EntryId) -> Result<bool, Error> {
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let removed = open.remove(&self.stream, id).await.map_err(|error| self.failed(error))?;
        *connection = Some(open);
        Ok(removed)
    }

    async fn list_from(&self, mut first: EntryId, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        let mut letters = Vec::new();
        while letters.len() < limit {
            let count = BATCH.min(limit - letters.len());
            let entries = self.entries(first, count).await?;
            let following = entries.last().filter(|_| entries.len() == count).and_then(|entry| next(entry.id));
            for entry in entries {
                let id = entry.id;
                match self.read(entry) {
                    Ok(letter) => letters.extend(letter),
                    Err(error) => warn!(
                        name: "letter.damaged",
                        target: targets::LETTER,
                        letters = self.stream,
                        letter = %id,
                        %error,
                        "a dead letter is left out"
                    ),
                }
            }
            match following {
                Some(following) => first = following,
                None => break,
            }
        }
        Ok(letters)
    }

    /// What lies in the stream from `first` on, whatever it is.
    async fn entries(&self, first: EntryId, count: usize) -> Result<Vec<Entry>, Error> {
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let entries = open.list(&self.stream, first, count).await.map_err(|error| self.failed(error))?;
        *connection = Some(open);
        Ok(entries)
    }

    fn read(&self, entry: Entry) -> Result<Option<DeadLetter>, Error> {
        let id = entry.id;
        DeadLetter::read(entry).map_err(|problem| self.damaged(id, &problem))
    }

    fn damaged(&self, id: EntryId, problem: &str) -> Error {
        let words = format!(
            "dead letter {id} in `{}` is damaged and stays where it is: {problem}. Add its entry again by hand, if it is \
             needed, and `remove` it",
            self.stream
        );
        Error::new(ErrorKind::LetterDamaged, words)
    }

    async fn newest(&self) -> Result<Option<EntryId>, Error> {
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let newest = open.newest(&self.stream).await.map_err(|error| self.failed(error))?;
        *connection = Some(open);
        Ok(newest)
    }

    async fn requeue_letter(&self, letter: &DeadLetter) -> Result<Placed, Error> {
        if letter.entry.fields.is_empty() {
            return Err(self.damaged(letter.id, "its entry has no field, and none can be added without one"));
        }
        let mut connection = self.connection.lock().await;
        let mut open = self.open(&mut connection).await?;
        let requeued = open.requeue(&self.stream, letter).await.map_err(|error| self.failed(error))?;
        *connection = Some(open);
        match requeued {
            Requeued::Added(id) => Ok(Placed::Requeued(id)),
            Requeued::Gone => Ok(Placed::Gone),
            Requeued::Parked => Ok(Placed::Parked),
            Requeued::Foreign => {
                warn!(
                    name: "letter.replaced",
                    target: targets::LETTER,
                    letters = self.stream,
                    letter = %letter.id,
                    "another entry was put in the place of a dead letter"
                );
                Ok(Placed::Gone)
            }
            Requeued::Refused { key, why } => {
                let failure = Failure::of_reply(why.split(' ').next().unwrap_or_default(), &why);
                let words = format!("dead letter {} is where it was: `{key}` cannot be written: {why}", letter.id);
                Err(Error::new(failure.kind(), words))
            }
        }
    }

    async fn open(&self, held: &mut Option<Box<dyn Letters>>) -> Result<Box<dyn Letters>, Error> {
        match held.take() {
            Some(open) => Ok(open),
            None => self.store.letters().await.map_err(|error| self.failed(error)),
        }
    }

    fn failed(&self, error: StoreError) -> Error {
        Error::new(error.failure.kind(), format!("dead letters in `{}`: {error}", self.stream)).with_source(error)
    }
}

/// A key whose entries follow a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedKey {
    /// The key, as it is in the entries.
    pub key: Vec<u8>,
    /// The entry that failed, which the others wait behind.
    pub entry: EntryId,
}

/// Where the entry of a letter is that was to be requeued.
enum Placed {
    Requeued(EntryId),
    Gone,
    Parked,
}

/// The ID that follows.
fn next(id: EntryId) -> Option<EntryId> {
    match id.seq.checked_add(1) {
        Some(seq) => Some(EntryId::new(id.ms, seq)),
        None => Some(EntryId::new(id.ms.checked_add(1)?, 0)),
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("stream", &self.stream).finish_non_exhaustive()
    }
}
