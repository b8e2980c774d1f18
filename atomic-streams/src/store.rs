//! Where records and streams live: the narrow seam between the consumer and Redis.

pub(crate) mod administration;
pub mod memory;
pub mod redis;

use std::error::Error as StdError;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::diagnosis::Facts;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::persist::{CollectionKind, StoredEntry};
use crate::protocol::{
    AttachReply, AttachRequest, Failure, Head, Parking, Step, StepReply, Subscription, Token, Transient, TrimReply,
    TrimRequest,
};

/// A server that holds streams and records.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Opens a connection for one subscription. A session has two: this one is for its commits.
    async fn connect(&self, subscription: &Subscription) -> Result<Box<dyn Link>, StoreError>;

    /// Opens a connection for the reads of a session: nothing but [`Link::load`] and [`Link::read`] will be asked of it.
    async fn connect_to_read(&self, subscription: &Subscription) -> Result<Box<dyn Link>, StoreError> {
        self.connect(subscription).await
    }

    /// Returns when somebody releases the subscription, or at a whim: standbys ask again anyway.
    async fn released(&self, subscription: &Subscription);

    /// Asks the server how it is set; `None` where there is nothing to ask.
    async fn examine(&self) -> Result<Option<Facts>, StoreError>;

    /// Opens a connection for dead letters.
    async fn letters(&self) -> Result<Box<dyn Letters>, StoreError>;

    /// Opens a connection for retention.
    async fn trimmer(&self) -> Result<Box<dyn Trimmer>, StoreError>;

    /// Asks for a place on a connection that waits for many subscriptions of this process at once: this one has read up to
    /// `after` under `token`. `None` where nothing is shared.
    fn watch(&self, _subscription: &Subscription, _token: &Token, _after: EntryId) -> Option<Box<dyn Watch>> {
        None
    }
}

/// One connection. Dropping it closes it, with everything in flight.
#[async_trait]
pub trait Link: Send + Sync {
    /// Sends one attach, once.
    async fn attach(&mut self, request: &AttachRequest) -> Result<AttachReply, StoreError>;

    /// Reads fields of the record, with the head that they belong to; `None` if there is no record.
    async fn load(&mut self, names: &[String]) -> Result<Option<Loaded>, StoreError>;

    /// Reads a part of a collection beside the record, about `count` entries from `cursor` on; `None` begins.
    async fn scan(
        &mut self,
        kind: CollectionKind,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError>;

    /// Sends steps in order under the head's token. The steps of a later call follow them, whether their replies have come or
    /// not.
    async fn start(&mut self, token: &str, steps: &[Step]) -> Replies;

    /// Sends steps, and takes their replies.
    async fn send(&mut self, token: &str, steps: &[Step]) -> Vec<Result<StepReply, StoreError>> {
        self.start(token, steps).await.await
    }

    /// Waits up to `block` for entries after `after`, and takes at most `count`.
    async fn read(&mut self, after: EntryId, count: usize, block: Duration) -> Result<Vec<Entry>, StoreError>;
}

/// The replies to steps that were sent, one by one. After an error nothing is known of that step and those behind it, and no
/// replies follow.
pub type Replies = Pin<Box<dyn Future<Output = Vec<Result<StepReply, StoreError>>> + Send>>;

/// A connection for dead letters, whichever stream they are in.
#[async_trait]
pub trait Letters: Send {
    /// Entries from `first` on, at most `count`.
    async fn list(&mut self, letters: &str, first: EntryId, count: usize) -> Result<Vec<Entry>, StoreError>;

    /// The ID of the newest entry.
    async fn newest(&mut self, letters: &str) -> Result<Option<EntryId>, StoreError>;

    /// Adds the letter's entry to the stream that it came from and removes the letter, or does nothing.
    async fn requeue(&mut self, letters: &str, letter: &DeadLetter) -> Result<Requeued, StoreError>;

    /// Asks the owner to unpark a key. Whether it is parked.
    async fn unpark(&mut self, subscription: &Subscription, key: &[u8]) -> Result<bool, StoreError>;

    /// Looks at `count` entries or so behind `after` for letters of a key.
    async fn waiting(
        &mut self,
        subscription: &Subscription,
        letters: &str,
        key: &[u8],
        after: EntryId,
        count: usize,
    ) -> Result<Waiting, StoreError>;

    /// Reads a part of a collection beside the record, as [`Link::scan`].
    async fn scan(
        &mut self,
        subscription: &Subscription,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError>;

    /// Removes an entry. Whether it was there.
    async fn remove(&mut self, letters: &str, id: EntryId) -> Result<bool, StoreError>;
}

/// A connection for retention.
#[async_trait]
pub trait Trimmer: Send {
    /// The names of the stream's groups; `None` if there is no such stream.
    async fn groups(&mut self, stream: &str) -> Result<Option<Vec<Vec<u8>>>, StoreError>;

    /// Does a part of a trim.
    async fn trim(&mut self, request: &TrimRequest) -> Result<TrimReply, StoreError>;
}

/// What became of a letter that was to be requeued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requeued {
    /// Its entry is under this ID in the stream that it came from.
    Added(EntryId),
    /// There is no such letter.
    Gone,
    /// Its key is parked.
    Parked,
    /// The entry there is no dead letter of that stream.
    Foreign,
    /// This key cannot be written; nothing was done.
    Refused { key: String, why: String },
}

/// Dead letters of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The record's head, if there is a record.
    pub head: Option<Head>,
    /// Behind which entry to go on; `None` at the end.
    pub next: Option<EntryId>,
    pub letters: Vec<Entry>,
}

/// The key of the hash that says whether a letter's key is parked, if it has one.
pub(crate) fn parked_keys(letter: &DeadLetter) -> Option<String> {
    letter.key.as_ref()?;
    // Names that no consumer can have parked nothing.
    let subscription = Subscription::new(&letter.stream, &letter.group).ok()?;
    Some(subscription.collection(Parking::KIND, Parking::FIELD))
}

/// One subscription's place on a shared connection. Dropping it gives the place up.
#[async_trait]
pub trait Watch: Send {
    /// What has become of the request for it.
    fn place(&mut self) -> Place;

    /// Waits on a place that was given until entries have come, and returns the first of them, or none if the subscription is
    /// to read for itself again. A shared connection that breaks is an error to everybody who has a place on it.
    async fn entries(&mut self) -> Result<Vec<Entry>, StoreError>;
}

/// What becomes of a request for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Asked,
    /// From here on no entry is missed.
    Given,
    Refused,
}

/// Fields of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub head: Head,
    pub values: Vec<Option<Vec<u8>>>,
}

/// A part of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The record's head, if there is a record.
    pub head: Option<Head>,
    /// How many entries there are in all.
    pub total: u64,
    /// Where to go on; `None` at the end.
    pub cursor: Option<String>,
    /// Some may come again in another part.
    pub entries: Vec<StoredEntry>,
}

/// An error reply, a broken connection or a time-out.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct StoreError {
    pub failure: Failure,
    /// The server's words, or those of the connection.
    pub words: String,
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// An answer that no script gives.
    pub(crate) fn unexpected(what: &str) -> Self {
        Self {
            failure: Failure::Transient(Transient::Other),
            words: format!("the server's reply is not understood: {}", what.chars().take(256).collect::<String>()),
            source: None,
        }
    }
}
