//! A subscription's state, read from outside into the struct that it is of.

mod filling;

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use redis::Client;

use self::filling::fill;
use crate::admin::{Admin, MAX_STATE_ENTRIES, StoredState, declined, failed, named};
use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::persist::Persistable;
use crate::protocol::Subscription;
use crate::store::StoreError;
use crate::store::administration::{Collections, Declined, State};
use crate::store::memory::MemoryStore;
use crate::store::redis::Sentinel;

/// The first pause between two looks at the position, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Reads the state of a subscription from outside, as the struct that its handler persists.
///
/// Every snapshot is what one commit left: fields, collections and position belong together, whoever commits meanwhile. Reading
/// takes no lease and changes nothing; it is one script, over a connection that is kept for the next call.
///
/// ```no_run
/// use atomic_streams::{Persistable, Producer, StateMap, StateReader};
/// use std::collections::BTreeMap;
/// use std::time::Duration;
///
/// /// What the consumer of `sales` keeps; both programs have it from one crate.
/// #[derive(Persistable, Default)]
/// struct Stock {
///     sold: u64,
///     by_sku: StateMap<String, i64>,
/// }
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let stock = StateReader::new("redis://127.0.0.1:6379", "sales", "stock")?;
/// let now = stock.read::<Stock>().await?;
/// println!("{:?} left of A-1, as of {}", now.state.by_sku.get("A-1"), now.position);
///
/// // Read what was written: not before the sale is in it.
/// let sales = Producer::new("redis://127.0.0.1:6379")?;
/// let sale = sales.publish("sales", &BTreeMap::from([("sku", "A-1"), ("quantity", "1")])).await?;
/// let then = stock.read_at_least::<Stock>(sale, Duration::from_secs(2)).await?;
/// assert!(then.position >= sale);
/// # Ok(())
/// # }
/// ```
///
/// # What is compared
/// Names and types of the fields, as at the start of a consumer: a field that is new needs its `default`, and gets it; renamed
/// and dropped ones need `alias` and `removed`. A state of an earlier `version` is not migrated here: it is a
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) until a consumer of the new build has begun.
///
/// # Rights
/// `+evalsha +eval +hmget +hlen +hgetall`, on the record and what lies beside it.
///
/// # Cancel safety
/// A future that is dropped has changed nothing; its connection is closed, and the next call makes another.
pub struct StateReader {
    source: Source,
    subscription: Subscription,
    max_entries: usize,
}

enum Source {
    Redis(Admin),
    Memory(MemoryStore),
}

/// A state and where in the stream it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateSnapshot<S> {
    /// The persisted fields. Others are as they were in what was given.
    pub state: S,
    /// The last entry whose effects are in it.
    pub position: EntryId,
    /// How many entries it is made of.
    pub processed: u64,
    /// How many commits the record has had; a later snapshot has a higher number, unless the server has lost writes.
    pub sequence: u64,
}

impl StateReader {
    /// Of the server at this address, which is one that [`ConsumerBuilder::redis_url`](crate::ConsumerBuilder::redis_url)
    /// takes. Nothing is sent yet.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): the address cannot be read, or a name cannot be one.
    pub fn new(url: &str, stream: &str, group: &str) -> Result<Self, Error> {
        Self::of(Source::Redis(Admin::new(url)?), stream, group)
    }

    /// Of the server that this client knows, over a connection of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): a name cannot be one.
    pub fn with_client(client: &Client, stream: &str, group: &str) -> Result<Self, Error> {
        Self::of(Source::Redis(Admin::with_client(client)), stream, group)
    }

    /// Of the primary that these sentinels know. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`with_client`](Self::with_client).
    pub fn with_sentinel(sentinel: &Sentinel, stream: &str, group: &str) -> Result<Self, Error> {
        Self::of(Source::Redis(Admin::with_sentinel(sentinel)), stream, group)
    }

    /// Of a store in this process's memory.
    ///
    /// # Errors
    /// As [`with_client`](Self::with_client).
    pub fn in_memory(store: &MemoryStore, stream: &str, group: &str) -> Result<Self, Error> {
        Self::of(Source::Memory(store.clone()), stream, group)
    }

    fn of(source: Source, stream: &str, group: &str) -> Result<Self, Error> {
        Ok(Self { source, subscription: named(stream, group)?, max_entries: MAX_STATE_ENTRIES })
    }

    /// How many fields and entries of collections are read at most, [`MAX_STATE_ENTRIES`] by default: the server does nothing else
    /// while it copies them, about half a second for a million.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): there is no such subscription, or its first owner has not written its state yet.
    /// - [`SchemaMismatch`](ErrorKind::SchemaMismatch): the stored fields are not those of `S`; the text names each.
    /// - [`TooLarge`](ErrorKind::TooLarge): there is more than [`max_entries`](Self::max_entries).
    /// - [`StateDamaged`](ErrorKind::StateDamaged), [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied).
    pub async fn read<S: Persistable + Default>(&self) -> Result<StateSnapshot<S>, Error> {
        self.read_into(S::default()).await
    }

    /// The state as it is now, put into `state`: for structs that have no `Default`, or fields that are not persisted.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_into<S: Persistable>(&self, state: S) -> Result<StateSnapshot<S>, Error> {
        let schema = S::schema();
        let mut guess: Collections = schema
            .fields()
            .iter()
            .filter_map(|field| Some((field.collection_kind()?, field.name().to_owned())))
            .collect();
        guess.sort_by(|one, other| one.1.cmp(&other.1));
        let (stored, collections) = self.look(guess).await?;
        fill(state, &schema, stored, &collections).map_err(|error| self.named(error))
    }

    /// The state as soon as the effects of the entry at `position` are in it, and those of all before it.
    ///
    /// The position is looked at every 2 to 100 ms until then.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): it has not got there within `timeout`; and as [`read`](Self::read), at once, except for
    /// [`NotFound`](ErrorKind::NotFound), which may come to be.
    pub async fn read_at_least<S: Persistable + Default>(
        &self,
        position: EntryId,
        timeout: Duration,
    ) -> Result<StateSnapshot<S>, Error> {
        let mut found = None;
        let (mut pause, longest) = PAUSES;
        let mut waited = pin!(tokio::time::sleep(timeout));
        loop {
            tokio::select! {
                biased;
                reached = self.reached(position) => match reached {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                    Ok((_, Some(snapshot))) => return Ok(snapshot),
                    Ok((at, None)) => found = Some(at),
                },
                () = &mut waited => break,
            }
            tokio::select! {
                biased;
                () = &mut waited => break,
                () = tokio::time::sleep(pause) => pause = (2 * pause).min(longest),
            }
        }
        let at = found.map_or_else(|| "there is no record".to_owned(), |at| format!("it is at {at}"));
        let words = format!("position {position} was not reached within {timeout:?}: {at}. Is its consumer running?");
        Err(self.named(Error::new(ErrorKind::TimedOut, words)))
    }

    /// Where the position is, and a snapshot if that is far enough.
    async fn reached<S: Persistable + Default>(
        &self,
        position: EntryId,
    ) -> Result<(EntryId, Option<StateSnapshot<S>>), Error> {
        let at = match &self.source {
            Source::Redis(admin) => admin.position(&self.subscription).await?,
            Source::Memory(store) => self.answered(store.position(&self.subscription))?,
        };
        if at < position {
            return Ok((at, None));
        }
        // It may have been put back since.
        let snapshot = self.read::<S>().await?;
        Ok((snapshot.position, Some(snapshot).filter(|snapshot| snapshot.position >= position)))
    }

    /// The state as it is now, whatever its fields are.
    ///
    /// # Errors
    /// As [`read`](Self::read), without those that concern the fields.
    pub async fn read_stored(&self) -> Result<StoredState, Error> {
        let (state, collections) = self.look(Collections::new()).await?;
        Ok(StoredState::new(state, collections))
    }

    async fn look(&self, guess: Collections) -> Result<(State, Collections), Error> {
        match &self.source {
            Source::Redis(admin) => admin.stored(&self.subscription, None, guess, self.max_entries).await,
            Source::Memory(store) => self.answered(store.state(&self.subscription, self.max_entries)),
        }
    }

    fn answered<T>(&self, answer: Result<Result<T, Declined>, StoreError>) -> Result<T, Error> {
        let answer = answer.map_err(|error| self.named(failed("the store in memory", error)))?;
        answer.map_err(|why| self.named(declined(why)))
    }

    fn named(&self, error: Error) -> Error {
        error.of(self.subscription.stream(), self.subscription.group())
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for StateReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateReader")
            .field("stream", &self.subscription.stream())
            .field("group", &self.subscription.group())
            .field("max_entries", &self.max_entries)
            .finish_non_exhaustive()
    }
}
