//! A handler under test, without Redis, with every fault that a server, a network or another process can add.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::builder::{Consumer, ConsumerBuilder};
use crate::consumer::{Report, Status};
use crate::entry::{self, DecodeError};
use crate::error::{Error, ErrorKind};
use crate::handle::ConsumerHandle;
use crate::handler::Handler;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::persist::StateError;
use crate::producer::Producer;
use crate::protocol::{Parking, Subscription};
use crate::retry::Backoff;
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError};

const STREAM: &str = "input";
const GROUP: &str = "under-test";
const LEASE: Duration = Duration::from_millis(300);
/// How long a pause is waited for that leads to an end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a handler as a consumer does, on a store in memory, and lets a test break what can break.
///
/// It is the real consumer with the real protocol; only the server is another. What holds here under a crash, a lost
/// reply or a rollback is what the handler's own code adds to the promises of the library: that its state is in its
/// persisted fields, that it publishes what it should, that it returns an error where it should.
///
/// ```
/// use atomic_streams::{Handler, HandlerResult, Persistable, TestDriver, Transaction, async_trait};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Sale {
///     quantity: i64,
/// }
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Alert {
///     stock: i64,
/// }
///
/// #[derive(Persistable)]
/// struct Stock {
///     #[persist(default = 12)]
///     left: i64,
/// }
///
/// #[async_trait]
/// impl Handler for Stock {
///     type Message = Sale;
///
///     async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
///         self.left -= sale.quantity;
///         if self.left <= 10 {
///             tx.publish("alerts", &Alert { stock: self.left })?;
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut driver = TestDriver::new(|| Stock { left: 12 }).await?;
/// driver.send(&Sale { quantity: 1 }).await?;
/// driver.send(&Sale { quantity: 1 }).await?;
/// assert_eq!(driver.state()?.left, 10);
/// assert_eq!(driver.published::<Alert>("alerts")?, [Alert { stock: 10 }]);
///
/// // The commit is applied, but the consumer never hears of it: nothing is applied twice.
/// driver.lose_next_reply();
/// driver.send(&Sale { quantity: 4 }).await?;
/// assert_eq!(driver.state()?.left, 6);
///
/// // The process dies and another starts: it goes on from what was committed.
/// driver.crash_and_restart().await?;
/// driver.send(&Sale { quantity: 1 }).await?;
/// assert_eq!(driver.state()?.left, 5);
/// assert_eq!(driver.published::<Alert>("alerts")?.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Its futures may be dropped; the consumer goes on.
pub struct TestDriver<H> {
    store: MemoryStore,
    producer: Producer,
    subscription: Subscription,
    /// A consumer with a new handler.
    build: Box<dyn Fn() -> ConsumerBuilder<H> + Send + Sync>,
    consumer: Running,
    /// The consumer's retries have an end.
    gives_up: bool,
    /// Owners that were overtaken, still running as standbys or as zombies.
    overtaken: Vec<Running>,
}

/// A consumer and its task.
struct Running {
    handle: ConsumerHandle,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What became of the entries that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of them are committed.
    Committed,
    /// One of them fails and is tried again without end, or after more than a second; those behind it wait.
    Blocked {
        /// The entry.
        entry: EntryId,
        /// What the handler said.
        error: String,
    },
}

impl<H: Handler + 'static> TestDriver<H> {
    /// Starts a consumer whose handler `build` makes; it is called again for every restart, as `main` would be.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::spawn`](crate::ConsumerBuilder::spawn).
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn new(build: impl Fn() -> H + Send + Sync + 'static) -> Result<Self, Error> {
        Self::with_settings(build, |consumer| consumer).await
    }

    /// [`new`](Self::new), with the settings that the application gives its consumer, such as
    /// [`coalesce`](ConsumerBuilder::coalesce). Its server and its lease, 300 ms, stay the driver's own.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::spawn`](crate::ConsumerBuilder::spawn).
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn with_settings(
        build: impl Fn() -> H + Send + Sync + 'static,
        settings: impl Fn(ConsumerBuilder<H>) -> ConsumerBuilder<H> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let store = MemoryStore::new();
        let subscription = Subscription::new(STREAM, GROUP)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()).with_source(error))?;
        let build = {
            let store = store.clone();
            move || settings(Consumer::builder(STREAM, GROUP).handler(build())).in_memory(&store).lease(LEASE)
        };
        let builder = build();
        let gives_up = builder.gives_up();
        let consumer = start(builder).await?;
        let producer = Producer::in_memory(&store);
        Ok(Self { store, producer, subscription, build: Box::new(build), consumer, gives_up, overtaken: Vec::new() })
    }

    /// Adds an entry to the input, and waits until it is committed or blocks.
    ///
    /// # Errors
    /// The message is no set of named fields, or the consumer has ended.
    pub async fn send<T: Serialize + ?Sized>(&mut self, message: &T) -> Result<Sent, Error> {
        self.add(message).await?;
        self.settle().await
    }

    /// Adds an entry to the input without waiting.
    ///
    /// # Errors
    /// The message is no set of named fields.
    pub async fn add<T: Serialize + ?Sized>(&self, message: &T) -> Result<EntryId, Error> {
        self.producer.publish(STREAM, message).await
    }

    /// Waits until everything that was added is committed and every key that was to be unparked is done with, or one entry
    /// blocks.
    ///
    /// An entry that is [skipped or becomes a dead letter](crate::OnFailure) is committed too; its letter is found with
    /// [`dead_letters`](Self::dead_letters).
    ///
    /// # Errors
    /// The error that the consumer ended with.
    pub async fn settle(&mut self) -> Result<Sent, Error> {
        let mut status = self.consumer.handle.status();
        loop {
            let now = status.borrow_and_update().clone();
            match now {
                Status::Retrying { entry, error, pause, .. } if !self.gives_up || pause > PATIENCE => {
                    return Ok(Sent::Blocked { entry, error });
                }
                Status::Stopped => {
                    self.consumer.handle.wait().await?;
                    return Ok(Sent::Committed);
                }
                _ => {}
            }
            if now == Status::Active && self.is_done() {
                return Ok(Sent::Committed);
            }
            // The store has no way to say that it was written to; a commit takes far less than this.
            let _ = tokio::time::timeout(Duration::from_millis(1), status.changed()).await;
        }
    }

    /// Has a key [unparked](crate::DeadLetters::unpark), and waits as [`settle`](Self::settle) does until its dead letters are
    /// handled, or one of them fails again.
    ///
    /// # Errors
    /// The error that the consumer ended with.
    pub async fn unpark(&mut self, key: impl AsRef<[u8]>) -> Result<Sent, Error> {
        let asked = async { self.store.letters().await?.unpark(&self.subscription, key.as_ref()).await };
        asked
            .await
            .map_err(|error: StoreError| Error::new(ErrorKind::Unavailable, error.to_string()).with_source(error))?;
        self.settle().await
    }

    /// A handler with the committed state: a new one from `build`, restored.
    ///
    /// # Errors
    /// The state cannot be decoded.
    pub fn state(&self) -> Result<H, StateError> {
        let mut handler = (self.build)().into_handler();
        let record = self.store.record(&self.subscription).unwrap_or_default();
        for (index, field) in H::schema().fields().iter().enumerate() {
            let stored = match field.collection_kind() {
                Some(kind) => {
                    let entries = self.store.hash(&self.subscription.collection(kind, field.name()));
                    record.contains_key(&format!("@size:{}", field.name())).then(|| fill(&mut handler, index, &entries))
                }
                None => record.get(field.name()).map(|value| handler.restore(index, value)),
            };
            match stored {
                Some(restored) => restored.map_err(|error| error.in_field(field.name()))?,
                None => handler.set_default(index),
            }
        }
        Ok(handler)
    }

    /// The entries of an output, oldest first.
    ///
    /// # Errors
    /// One of them is not a `T`.
    pub fn published<T: DeserializeOwned>(&self, stream: &str) -> Result<Vec<T>, DecodeError> {
        self.store.entries(stream).iter().map(|each| entry::decode(&each.fields)).collect()
    }

    /// The dead letters in `stream`, oldest first.
    #[must_use]
    pub fn dead_letters(&self, stream: &str) -> Vec<DeadLetter> {
        self.store.entries(stream).into_iter().filter_map(DeadLetter::of).collect()
    }

    /// What the consumer is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.consumer.handle.status().borrow().clone()
    }

    /// The store itself, to look into and to break in other ways.
    #[must_use]
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// The server will refuse the next commit for a passing reason; nothing of it is applied.
    pub fn fail_next_commit(&self) {
        self.store.fail_next_commit();
    }

    /// The next commit will be applied, but its reply lost with the connection.
    pub fn lose_next_reply(&self) {
        self.store.lose_next_reply();
    }

    /// The server forgets its newest `writes`, of all keys together, while the connections stay open: what a failover to a
    /// lagging replica does.
    ///
    /// An added entry is one write, a commit is one, of one entry or of a group, a renewal is one. Entries that are lost must be added again.
    pub fn lose_newest_writes(&self, writes: usize) {
        self.store.lose_newest_writes(writes);
    }

    /// The process dies where it stands, without a word to the server, and a new one starts.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::spawn`](crate::ConsumerBuilder::spawn).
    pub async fn crash_and_restart(&mut self) -> Result<(), Error> {
        self.consumer.task.abort();
        self.store.cut_connections();
        self.store.advance_clock(LEASE + Duration::from_millis(1));
        self.consumer = start((self.build)()).await?;
        Ok(())
    }

    /// A second process takes ownership while the first still thinks that it has it: the first can commit nothing more.
    ///
    /// Later calls concern the second one.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::spawn`](crate::ConsumerBuilder::spawn).
    pub async fn second_owner(&mut self) -> Result<(), Error> {
        loop {
            self.store.advance_clock(LEASE + Duration::from_millis(1));
            let second = start((self.build)()).await?;
            if matches!(*second.handle.status().borrow(), Status::Active) {
                let first = std::mem::replace(&mut self.consumer, second);
                self.overtaken.push(first);
                return Ok(());
            }
            // The first one renewed in between.
        }
    }

    /// Shuts the consumer down.
    ///
    /// # Errors
    /// The error that it had ended with.
    pub async fn shutdown(self) -> Result<Report, Error> {
        self.consumer.handle.shutdown().await
    }

    fn is_done(&self) -> bool {
        let position =
            self.store.record(&self.subscription).and_then(|record| EntryId::from_bytes(record.get("@position")?));
        let last = self.store.entries(STREAM).last().map(|entry| entry.id);
        let asked = self.store.hash(&self.subscription.collection(Parking::KIND, Parking::ASKED));
        (last.is_none() || position >= last) && asked.is_empty()
    }
}

fn fill<H: Handler>(handler: &mut H, index: usize, entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), StateError> {
    let Some(collection) = handler.collection(index) else { return Ok(()) };
    collection.reset();
    entries.iter().try_for_each(|(key, value)| collection.put(key, value))?;
    collection.complete(entries.len() as u64)
}

async fn start<H: Handler + 'static>(builder: ConsumerBuilder<H>) -> Result<Running, Error> {
    let backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(20) };
    let (handle, task) = builder.launch(Some(backoff)).await?;
    Ok(Running { handle, task })
}

impl<H> fmt::Debug for TestDriver<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDriver").field("consumer", &self.consumer.handle).finish_non_exhaustive()
    }
}
