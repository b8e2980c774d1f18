//! The store on a real server.

mod administration;
mod connection;
mod examine;
mod inspection;
mod letters;
mod origin;
mod parts;
mod primary;
mod redirect;
mod reply;
mod request;
mod sentinel;
mod tls;
mod trim_reply;
mod trimmer;
mod watch;

#[cfg(feature = "internals")]
pub use self::reply::read_reply;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub(crate) use self::administration::{Administration, Answer, Asker};
pub(crate) use self::connection::Connector;
use self::letters::RedisLetters;
pub(crate) use self::origin::Origin;
pub use self::sentinel::Sentinel;
use self::trimmer::RedisTrimmer;
use super::{Letters, Link, Loaded, Replies, Scanned, Store, StoreError, Trimmer, Watch};
use crate::diagnosis::{Facts, Question};
use crate::entry::{Entry, Fields};
use crate::id::EntryId;
use crate::persist::CollectionKind;
use crate::protocol::{AttachReply, AttachRequest, Failure, Step, StepReply, Subscription, Timing, Token};
use crate::script::Scripts;

/// State fields that one reply carries at most.
const LOAD_CHUNK: usize = 512;

/// Steps that are written before the server gets them.
const SEND_PART: usize = 64;

/// A Redis or Valkey server.
pub struct RedisStore {
    connector: Arc<Connector>,
    scripts: Arc<Scripts>,
}

impl RedisStore {
    /// The server that `client` knows how to reach. Nothing is sent yet.
    #[cfg(feature = "internals")]
    pub fn new(client: &redis::Client, timing: Timing) -> Result<Self, redis::RedisError> {
        Ok(Self::at(Origin::of_client(client), timing))
    }

    /// The server there. Nothing is sent yet.
    pub(crate) fn at(origin: Origin, timing: Timing) -> Self {
        Self { connector: Arc::new(Connector::new(origin, timing)), scripts: Scripts::own() }
    }

    /// The same with scripts whose texts were changed: tests take checks out of them, to see that each is needed.
    #[cfg(feature = "internals")]
    pub fn with_scripts(mut self, change: impl Fn(&'static str) -> std::borrow::Cow<'static, str>) -> Self {
        self.scripts = Arc::new(Scripts::changed(change));
        self
    }

    /// What the server tells of itself, and of the user's rights if anything is asked of them.
    pub(crate) async fn facts(&self, questions: Vec<Question>) -> Result<Facts, StoreError> {
        let limit = self.connector.reply_timeout();
        let mut connection = self.connector.connect().await?;
        let asking = async {
            let mut facts = examine::examine(&mut connection).await?;
            if !questions.is_empty() {
                facts.rights = Some(examine::rights(&mut connection, questions).await?);
            }
            Ok(facts)
        };
        tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(reply::no_answer(limit)))
    }

    async fn open(&self, subscription: &Subscription) -> Result<RedisLink, StoreError> {
        let connection = self.connector.connect().await?;
        let reply_timeout = self.connector.reply_timeout();
        let scripts = Arc::clone(&self.scripts);
        Ok(RedisLink { connection, scripts, subscription: subscription.clone(), reply_timeout })
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn connect(&self, subscription: &Subscription) -> Result<Box<dyn Link>, StoreError> {
        let mut link = self.open(subscription).await?;
        for _ in 0..redirect::MAX_REDIRECTS {
            // A node of a cluster says here where the record is.
            match link.query(redis::cmd("TYPE").arg(subscription.record()), link.reply_timeout).await {
                Err(error) if self.connector.follow(&error) => link = self.open(subscription).await?,
                Err(error) if matches!(error.failure, Failure::Transient(_)) => return Err(error),
                // What is not allowed, the attach says better.
                _ => break,
            }
        }
        // One by one: in a pipeline, an error would lose its code.
        for script in self.scripts.all() {
            link.query(redis::cmd("SCRIPT").arg("LOAD").arg(&*script.text), link.reply_timeout).await?;
        }
        Ok(Box::new(link))
    }

    /// Without the scripts: an idle consumer that wakes has to wait for this.
    async fn connect_to_read(&self, subscription: &Subscription) -> Result<Box<dyn Link>, StoreError> {
        Ok(Box::new(self.open(subscription).await?))
    }

    async fn released(&self, subscription: &Subscription) {
        self.connector.hear(subscription.record()).await;
    }

    async fn examine(&self) -> Result<Option<Facts>, StoreError> {
        self.facts(Vec::new()).await.map(Some)
    }

    async fn letters(&self) -> Result<Box<dyn Letters>, StoreError> {
        Ok(Box::new(RedisLetters::connect(Arc::clone(&self.connector)).await?))
    }

    async fn trimmer(&self) -> Result<Box<dyn Trimmer>, StoreError> {
        Ok(Box::new(RedisTrimmer::connect(Arc::clone(&self.connector)).await?))
    }

    fn watch(&self, subscription: &Subscription, token: &Token, after: EntryId) -> Option<Box<dyn Watch>> {
        watch::ask(&self.connector, subscription, token, after)
    }
}

/// Adds one entry, outside any commit. The connection is made where there is none, and kept unless it fails.
pub(crate) async fn add(
    connector: &Connector,
    held: &Mutex<Option<MultiplexedConnection>>,
    stream: &str,
    fields: &Fields,
) -> Result<EntryId, StoreError> {
    let (command, limit) = (request::add(stream, fields), connector.reply_timeout());
    let mut redirects = 0;
    loop {
        let mut connection = {
            let mut held = held.lock().await;
            match &*held {
                Some(connection) => connection.clone(),
                None => held.insert(connector.connect().await?).clone(),
            }
        };
        let sending = tokio::time::timeout(limit, connection.send_packed_command(&command)).await;
        let added = sending.map_err(|_| reply::no_answer(limit)).and_then(|sent| sent.map_err(reply::error));
        let added = added.and_then(reply::added);
        let Err(error) = added else { return added };
        if matches!(error.failure, Failure::Transient(_)) {
            *held.lock().await = None;
        }
        // Nothing was added by a node that says where it must be added.
        if redirects == redirect::MAX_REDIRECTS || !connector.follow(&error) {
            return Err(error);
        }
        redirects += 1;
    }
}

/// Replies to a part of what was sent.
type Part = Result<Vec<Result<StepReply, StoreError>>, StoreError>;

/// Takes the replies part by part, up to the first error; none may come later than `limit` from now.
async fn in_order(
    parts: Vec<(Pin<Box<impl Future<Output = Part>>>, Poll<Part>)>,
    limit: Duration,
) -> Vec<Result<StepReply, StoreError>> {
    let deadline = Instant::now() + limit;
    let mut all = Vec::new();
    for (sent, first) in parts {
        let replies = match first {
            Poll::Ready(replies) => replies,
            Poll::Pending => {
                let sent = tokio::time::timeout_at(deadline, sent).await;
                sent.unwrap_or_else(|_| Err(reply::no_answer(limit)))
            }
        };
        for reply in replies.unwrap_or_else(|error| vec![Err(error)]) {
            let failed = reply.is_err();
            all.push(reply);
            if failed {
                return all;
            }
        }
    }
    all
}

struct RedisLink {
    connection: MultiplexedConnection,
    scripts: Arc<Scripts>,
    subscription: Subscription,
    reply_timeout: Duration,
}

impl RedisLink {
    async fn query(&mut self, command: &Cmd, limit: Duration) -> Result<Value, StoreError> {
        let value = tokio::time::timeout(limit, self.connection.send_packed_command(command)).await;
        reply::checked(value.map_err(|_| reply::no_answer(limit))?.map_err(reply::error)?)
    }
}

#[async_trait]
impl Link for RedisLink {
    async fn attach(&mut self, request: &AttachRequest) -> Result<AttachReply, StoreError> {
        let command = request::attach(&self.scripts, &self.subscription, request);
        reply::attach(self.query(&command, self.reply_timeout).await?)
    }

    async fn load(&mut self, names: &[String]) -> Result<Option<Loaded>, StoreError> {
        let mut loaded: Option<Loaded> = None;
        let mut chunks = names.chunks(LOAD_CHUNK);
        let mut chunk = chunks.next().unwrap_or_default();
        loop {
            let value = self.query(&request::load(&self.subscription, chunk), self.reply_timeout).await?;
            let Some(found) = reply::load(value)? else { return Ok(None) };
            match &mut loaded {
                None => loaded = Some(found),
                Some(loaded) if loaded.head == found.head => loaded.values.extend(found.values),
                // Another commit came between two chunks: this is nobody's state. The caller sees a head that is not its own.
                Some(_) => return Ok(Some(Loaded { values: Vec::new(), ..found })),
            }
            match chunks.next() {
                Some(next) => chunk = next,
                None => return Ok(loaded),
            }
        }
    }

    async fn scan(
        &mut self,
        kind: CollectionKind,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError> {
        let collection = self.subscription.collection(kind, field);
        let command = request::scan(&self.scripts, &self.subscription, &collection, cursor, count);
        reply::scan(self.query(&command, self.reply_timeout).await?)
    }

    /// In parts: the server works on the first while the next are still being written.
    async fn start(&mut self, token: &str, steps: &[Step]) -> Replies {
        let mut parts = Vec::with_capacity(steps.len().div_ceil(SEND_PART));
        for part in steps.chunks(SEND_PART) {
            let mut pipeline = Pipeline::with_capacity(part.len());
            for step in part {
                pipeline.add_command(request::step(&self.scripts, &self.subscription, token, step));
            }
            let answered: Vec<_> = part.iter().map(reply::Answered::by).collect();
            let mut connection = self.connection.clone();
            let mut sent = Box::pin(async move {
                // Not by `query_async`, which would look at every reply to convert it into itself.
                let values =
                    connection.send_packed_commands(&pipeline, 0, answered.len()).await.map_err(reply::error)?;
                Ok(answered.into_iter().zip(values).map(|(answered, value)| reply::step(answered, value)).collect())
            });
            // Polled once, it lies in the connection's queue, or waits for a place in it before all that come later: but not
            // if this task's share of the runtime were used up just then, which is why it is not asked for.
            let once = std::future::poll_fn(|context| Poll::Ready(sent.as_mut().poll(context)));
            let first = tokio::task::unconstrained(once).await;
            parts.push((sent, first));
        }
        Box::pin(in_order(parts, self.reply_timeout))
    }

    async fn read(&mut self, after: EntryId, count: usize, block: Duration) -> Result<Vec<Entry>, StoreError> {
        let command = request::read(&self.subscription, after, count, block);
        reply::entries(self.query(&command, block + self.reply_timeout).await?)
    }
}
