//! Looking after subscriptions from outside: who has which, how far behind, and going back.

mod create;
mod refusals;
mod state;
mod streams;
mod tail;

use std::fmt;
use std::sync::Arc;

use redis::Client;
use tokio::sync::Mutex;

pub use self::create::{Created, NewRecord};
use self::refusals::{changing, copy_name};
pub(crate) use self::refusals::{declined, failed, named};
pub use self::state::StoredState;
pub use self::tail::Tail;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::id::EntryId;
use crate::protocol::{Parking, Subscription, Timing};
use crate::random;
use crate::store::administration::{Collections, Declined, State, Target, collections_of};
pub use crate::store::administration::{Deleted, Inspection, Kept, Lease, Moved, PutBack, StreamSummary};
use crate::store::redis::{Administration, Answer, Asker, Connector, Origin, Sentinel};

/// Fields and entries that [`Admin::state`] reads at most: the server is busy for as long as it takes to copy them.
pub const MAX_STATE_ENTRIES: usize = 200_000;

/// How often something is tried again because the record has got other collections meanwhile.
const MAX_TRIES: usize = 8;

/// The subscriptions of a server: to look at, to move, to start anew, to keep copies of.
///
/// Everything that changes one is one script: it is done wholly or not at all, whatever is lost on the way, and safe under a
/// running consumer, which is fenced and attaches again on what it then finds. [`dry_run`](Self::dry_run) says what would be
/// done, and does nothing.
///
/// ```no_run
/// use atomic_streams::admin::{Admin, Position};
/// use std::time::{Duration, SystemTime};
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let admin = Admin::new("redis://127.0.0.1:6379")?;
/// for (stream, group) in admin.subscriptions().await? {
///     let found = admin.inspect(&stream, &group).await?;
///     println!("{stream} {group}: {} at {}, {:?} behind", found.owner, found.position, found.lag);
/// }
/// // Once more from yesterday, on the state of now; a copy is kept in case that was wrong.
/// admin.keep("sales", "audit", "before-replay").await?;
/// let yesterday = SystemTime::now() - Duration::from_secs(86_400);
/// let moved = admin.seek("sales", "audit", Position::since(yesterday)).await?;
/// println!("from {} to {}", moved.from, moved.to);
/// # Ok(())
/// # }
/// ```
///
/// # Rights
///
/// `+evalsha +eval +scan +hmget +hkeys +unlink` and, on records, their copies and streams, what the scripts use: `+type +exists
/// +hget +hlen +hkeys +hgetall +hset +hdel +copy +unlink +xinfo +xrange +xgroup +time +publish +memory`. `+xrevrange` and `+xread`
/// besides, where entries are read.
///
/// # Cancel safety
///
/// After a future is dropped, what it asked for may still be done, wholly.
#[derive(Clone)]
pub struct Admin {
    connector: Arc<Connector>,
    /// Made at the first call, and anew after a failure. Taken out during a call: one that is given up midway ends with it.
    connection: Arc<Mutex<Option<Administration>>>,
    dry_run: bool,
}

/// Where a subscription is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// Before the first entry.
    Beginning,
    /// Behind the last entry that the stream has now.
    End,
    /// Behind this entry.
    After(EntryId),
    /// Before the first entry of this time or later, in ms, by the entries' IDs.
    SinceMs(u64),
}

impl Position {
    /// Before the first entry of this time or later, by the entries' IDs.
    #[must_use]
    pub fn since(time: std::time::SystemTime) -> Self {
        let ms = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Self::SinceMs(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    fn target(self) -> Target {
        match self {
            Self::Beginning | Self::SinceMs(0) => Target::After(EntryId::MIN),
            Self::End => Target::End,
            Self::After(id) => Target::After(id),
            Self::SinceMs(ms) => Target::After(EntryId::new(ms - 1, u64::MAX)),
        }
    }
}

impl Admin {
    /// For the server at this address, which is one that [`ConsumerBuilder::redis_url`](crate::ConsumerBuilder::redis_url)
    /// takes. Nothing is sent yet.
    ///
    /// # Errors
    /// The address cannot be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::at(Origin::of_url(url)?))
    }

    /// For the server that this client knows, over a connection of its own. Nothing is sent yet.
    #[must_use]
    pub fn with_client(client: &Client) -> Self {
        Self::at(Origin::of_client(client))
    }

    /// For the primary that these sentinels know. Nothing is sent yet.
    #[must_use]
    pub fn with_sentinel(sentinel: &Sentinel) -> Self {
        Self::at(Origin::Sentinels(Box::new(sentinel.clone())))
    }

    fn at(origin: Origin) -> Self {
        let connector = Arc::new(Connector::new(origin, Timing::default()));
        Self { connector, connection: Arc::default(), dry_run: false }
    }

    /// One that changes nothing: every call says what it would do.
    #[must_use]
    pub fn dry_run(&self) -> Self {
        Self { dry_run: true, ..self.clone() }
    }

    /// Streams and groups of all subscriptions, found by looking at every record of the server's database, in their order.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied).
    pub async fn subscriptions(&self) -> Result<Vec<(String, String)>, Error> {
        let mut held = self.connection.lock().await;
        let mut open = self.open(&mut held).await?;
        let found = open.subscriptions().await.map_err(|error| failed("the subscriptions", error))?;
        *held = Some(open);
        Ok(found)
    }

    /// What there is to know about one subscription.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), and as [`subscriptions`](Self::subscriptions).
    pub async fn inspect(&self, stream: &str, group: &str) -> Result<Inspection, Error> {
        let subscription = named(stream, group)?;
        self.ask(&subscription, async |open| open.inspect(&subscription).await).await
    }

    /// The state, with everything of one head: a consistent snapshot, also under a running consumer.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge): it has more than [`MAX_STATE_ENTRIES`]; and as [`inspect`](Self::inspect).
    pub async fn state(&self, stream: &str, group: &str) -> Result<StoredState, Error> {
        self.state_of(stream, group, None).await
    }

    /// The state of a kept copy.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn copied_state(&self, stream: &str, group: &str, name: &str) -> Result<StoredState, Error> {
        self.state_of(stream, group, Some(copy_name(name)?)).await
    }

    async fn state_of(&self, stream: &str, group: &str, copy: Option<&str>) -> Result<StoredState, Error> {
        let found = self.stored(&named(stream, group)?, copy, Collections::new(), MAX_STATE_ENTRIES).await;
        found.map(|(state, collections)| StoredState::new(state, collections))
    }

    /// A state with its collections, of one head; `collections` are those that it is thought to have.
    pub(crate) async fn stored(
        &self,
        subscription: &Subscription,
        copy: Option<&str>,
        mut collections: Collections,
        most_entries: usize,
    ) -> Result<(State, Collections), Error> {
        // The kinds of the collections are in the schema, which may be another one at the next look.
        for _ in 0..MAX_TRIES {
            let found = self
                .ask(subscription, async |open| {
                    match open.state(subscription, copy, &collections, most_entries).await {
                        Ok(Err(Declined::Changed)) => Ok(Ok(None)),
                        answer => answer.map(|answer| answer.map(Some)),
                    }
                })
                .await?;
            let schema = match &found {
                Some(state) => state.schema.clone(),
                None => self.schema(subscription, copy).await?,
            };
            let named = collections_of(&schema);
            if let Some(state) = found.filter(|_| named == collections) {
                return Ok((state, collections));
            }
            collections = named;
        }
        Err(changing(subscription))
    }

    pub(crate) async fn position(&self, subscription: &Subscription) -> Result<EntryId, Error> {
        self.ask(subscription, async |open| open.position(subscription).await).await
    }

    async fn schema(&self, subscription: &Subscription, copy: Option<&str>) -> Result<String, Error> {
        self.ask(subscription, async |open| open.schema(subscription, copy).await).await
    }

    /// Makes a subscription go on elsewhere, on the state that it has: entries that it handled before are handled again, or
    /// entries are left out. What it published stays published.
    ///
    /// Its owner is fenced and attaches again. Lag may be unknown until the new position reaches the end.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): the position is behind the end of the stream; and as
    /// [`inspect`](Self::inspect).
    pub async fn seek(&self, stream: &str, group: &str, to: Position) -> Result<Moved, Error> {
        self.move_to(stream, group, to.target(), false).await
    }

    /// Drops the state: the next owner begins with the values that a new subscription has. `to` is where it goes on; `None`
    /// leaves the position.
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn reset(&self, stream: &str, group: &str, to: Option<Position>) -> Result<Moved, Error> {
        self.move_to(stream, group, to.map_or(Target::Here, Position::target), true).await
    }

    async fn move_to(&self, stream: &str, group: &str, target: Target, resets: bool) -> Result<Moved, Error> {
        let subscription = named(stream, group)?;
        let (instance, name) = (random::instance_name(), asker());
        let asker = Asker { instance: &instance, name: &name, dry_run: self.dry_run };
        self.with_collections(&subscription, async |open, collections| {
            open.seek(&subscription, target, resets.then_some(collections), &asker).await
        })
        .await
    }

    /// Removes a subscription: its record, its collections and its group. Copies of it stay.
    ///
    /// # Errors
    /// [`InUse`](ErrorKind::InUse): its owner is alive: shut it down first, or it would begin anew at once; and as
    /// [`inspect`](Self::inspect).
    pub async fn delete(&self, stream: &str, group: &str) -> Result<Deleted, Error> {
        let subscription = named(stream, group)?;
        self.with_collections(&subscription, async |open, collections| {
            open.delete(&subscription, collections, self.dry_run).await
        })
        .await
    }

    /// Keeps a copy of position and state under a name, all of one head.
    ///
    /// The server is busy while it copies: about half a second for a million entries of collections. The copy stays until it is
    /// dropped, and takes as much memory as the original.
    ///
    /// # Errors
    /// [`InUse`](ErrorKind::InUse): there is a copy of this name; [`InvalidConfig`](ErrorKind::InvalidConfig): it is no name; and as
    /// [`inspect`](Self::inspect).
    pub async fn keep(&self, stream: &str, group: &str, name: &str) -> Result<(), Error> {
        let (subscription, name) = (named(stream, group)?, copy_name(name)?);
        if self.dry_run {
            return self.inspect(stream, group).await.map(drop);
        }
        self.with_collections(&subscription, async |open, collections| {
            open.keep(&subscription, name, collections).await
        })
        .await
    }

    /// The copies that are kept of a subscription, in the order of their names.
    ///
    /// # Errors
    /// As [`subscriptions`](Self::subscriptions).
    pub async fn copies(&self, stream: &str, group: &str) -> Result<Vec<Kept>, Error> {
        let subscription = named(stream, group)?;
        self.ask(&subscription, async |open| open.copies(&subscription).await.map(Ok)).await
    }

    /// Makes a copy the subscription's position and state again; the copy stays. Entries behind its position are handled again,
    /// and what they lead to is published again.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): there is no such copy; and as [`seek`](Self::seek).
    pub async fn put_back(&self, stream: &str, group: &str, name: &str) -> Result<PutBack, Error> {
        let (subscription, name) = (named(stream, group)?, copy_name(name)?);
        let (instance, asking) = (random::instance_name(), asker());
        let asker = Asker { instance: &instance, name: &asking, dry_run: self.dry_run };
        self.with_collections(&subscription, async |open, present| {
            let copied = open.copied_collections(&subscription, name).await?;
            open.put_back(&subscription, name, present, &copied, &asker).await
        })
        .await
    }

    /// Removes a copy. Whether it was there.
    ///
    /// # Errors
    /// As [`subscriptions`](Self::subscriptions).
    pub async fn drop_copy(&self, stream: &str, group: &str, name: &str) -> Result<bool, Error> {
        let (subscription, name) = (named(stream, group)?, copy_name(name)?);
        self.ask(&subscription, async |open| {
            let copied = open.copied_collections(&subscription, name).await?;
            if self.dry_run {
                return Ok(Ok(open.copies(&subscription).await?.iter().any(|copy| copy.name == name)));
            }
            open.drop_copy(&subscription, name, &copied).await.map(Ok)
        })
        .await
    }

    /// Asks with the names of the collections that the record has, again if they have changed meanwhile.
    async fn with_collections<T>(
        &self,
        subscription: &Subscription,
        mut call: impl AsyncFnMut(&mut Administration, &[String]) -> Answer<T>,
    ) -> Result<T, Error> {
        for _ in 0..MAX_TRIES {
            let done = self
                .ask(subscription, async |open| {
                    let collections: Vec<String> = match open.inspect(subscription).await? {
                        Ok(found) => {
                            let parked = (found.parked_keys > 0).then(|| Parking::FIELD.to_owned());
                            found.collections.into_keys().chain(parked).collect()
                        }
                        // The script says what that means.
                        Err(_) => Vec::new(),
                    };
                    Ok(match call(open, &collections).await? {
                        Err(Declined::Changed) => Ok(None),
                        answer => answer.map(Some),
                    })
                })
                .await?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(changing(subscription))
    }

    async fn ask<T>(
        &self,
        subscription: &Subscription,
        call: impl AsyncFnOnce(&mut Administration) -> Answer<T>,
    ) -> Result<T, Error> {
        let mut held = self.connection.lock().await;
        let mut open = self.open(&mut held).await?;
        let answer = call(&mut open).await.map_err(|error| failed("administration", error));
        let answer = answer.map_err(|error| error.of(subscription.stream(), subscription.group()))?;
        *held = Some(open);
        answer.map_err(|why| declined(why).of(subscription.stream(), subscription.group()))
    }

    async fn open(&self, held: &mut Option<Administration>) -> Result<Administration, Error> {
        match held.take() {
            Some(open) => Ok(open),
            None => Administration::connect(&self.connector).await.map_err(|error| failed("administration", error)),
        }
    }
}

fn asker() -> String {
    format!("administration/{}", std::process::id())
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}
