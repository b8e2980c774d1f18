//! Adding entries to a stream from outside a consumer.

use std::fmt;

use redis::Client;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use tokio::sync::Mutex;
use tracing::field::{Empty, debug, display};
use tracing::{Instrument, info_span};

use crate::entry::{self, Fields};
use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::name;
use crate::protocol::Timing;
use crate::store::StoreError;
use crate::store::memory::MemoryStore;
use crate::store::redis::{Connector, Origin, Sentinel, add};
use crate::targets;
use crate::trace_context;

/// How many bytes a server takes as one name or value, unless it is told otherwise.
const MAX_VALUE_BYTES: usize = 512 << 20;

/// Adds typed entries to streams.
///
/// Entries are what any other program would add with `XADD`, one field for each member of the message; see
/// [`Fields`](crate::Fields) for the rules. Inside a handler use
/// [`Transaction::publish`](crate::Transaction::publish), which belongs to the commit.
///
/// ```no_run
/// use atomic_streams::Producer;
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Sale<'a> {
///     sku: &'a str,
///     quantity: i64,
/// }
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let producer = Producer::new("redis://127.0.0.1:6379")?;
/// let id = producer.publish("sales", &Sale { sku: "A-1", quantity: 2 }).await?;
/// println!("added as {id}");
/// # Ok(())
/// # }
/// ```
pub struct Producer {
    target: Target,
}

enum Target {
    /// The connection is made at the first call, and anew after a failure.
    Redis {
        connector: Box<Connector>,
        connection: Mutex<Option<MultiplexedConnection>>,
    },
    Memory(MemoryStore),
}

impl Producer {
    /// A producer for the server at this address, such as `redis://127.0.0.1:6379`: one that
    /// [`ConsumerBuilder::redis_url`](crate::ConsumerBuilder::redis_url) takes. Nothing is sent yet.
    ///
    /// # Errors
    /// The address cannot be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::at(Origin::of_url(url)?))
    }

    /// A producer for the server that this client knows, over a connection of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// The client's address cannot be used.
    pub fn with_client(client: &Client) -> Result<Self, Error> {
        Ok(Self::at(Origin::of_client(client)))
    }

    /// A producer for the primary that these sentinels know. Nothing is sent yet.
    ///
    /// An entry that was added shortly before a failover may be lost with the old primary, as it is without this library:
    /// replication is asynchronous.
    #[must_use]
    pub fn with_sentinel(sentinel: &Sentinel) -> Self {
        Self::at(Origin::Sentinels(Box::new(sentinel.clone())))
    }

    fn at(origin: Origin) -> Self {
        let connector = Box::new(Connector::new(origin, Timing::default()));
        Self { target: Target::Redis { connector, connection: Mutex::new(None) } }
    }

    /// A producer for a store in this process's memory.
    #[must_use]
    pub fn in_memory(store: &MemoryStore) -> Self {
        Self { target: Target::Memory(store.clone()) }
    }

    /// Adds one entry to `stream`, which is made if it is not there, and returns its ID.
    ///
    /// It is a span of [`tracing`](crate::targets). With the feature `opentelemetry`, where an OpenTelemetry layer listens, the entry
    /// gets that span's `traceparent` and `tracestate`, unless it has a `traceparent`.
    ///
    /// # Errors
    /// [`InvalidMessage`](ErrorKind::InvalidMessage): it is not a set of named fields, or one of more than 512 MiB.
    /// [`Unavailable`](ErrorKind::Unavailable): the server could not be reached, or its answer was lost: **the entry may
    /// have been added**, and calling again may add it twice. [`Denied`](ErrorKind::Denied) and
    /// [`WrongType`](ErrorKind::WrongType) as they say.
    ///
    /// # Cancel safety
    /// After the future is dropped the entry may still be added.
    pub async fn publish<T: Serialize + ?Sized>(&self, stream: &str, message: &T) -> Result<EntryId, Error> {
        let span = info_span!(
            target: targets::SPAN,
            "publish",
            otel.name = %format_args!("publish {stream}"),
            otel.kind = "producer",
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            messaging.system = "redis",
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = stream,
            messaging.message.id = Empty,
        );
        let published = self.publish_one(stream, message).instrument(span.clone()).await;
        match &published {
            Ok(id) => span.record("messaging.message.id", display(id)),
            Err(error) => span
                .record("error.type", debug(error.kind()))
                .record("otel.status_code", "ERROR")
                .record("otel.status_description", display(error)),
        };
        published
    }

    async fn publish_one<T: Serialize + ?Sized>(&self, stream: &str, message: &T) -> Result<EntryId, Error> {
        if let Some(problem) = name::stream_problem(stream) {
            let shown: String = stream.chars().take(64).collect();
            return Err(Error::new(ErrorKind::InvalidConfig, format!("the stream name {shown:?} {problem}")));
        }
        let mut fields = entry::encode(message).map_err(|error| {
            Error::new(ErrorKind::InvalidMessage, format!("cannot publish to `{stream}`: {error}")).with_source(error)
        })?;
        let largest = fields.iter().flat_map(|(name, value)| [name.len(), value.len()]).max().unwrap_or_default();
        if largest > MAX_VALUE_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidMessage,
                format!(
                    "cannot publish to `{stream}`: a name or value has {largest} bytes, and a server takes {MAX_VALUE_BYTES} by \
                     default (proto-max-bulk-len)"
                ),
            ));
        }
        trace_context::add_to(&mut fields, usize::MAX);
        self.add(stream, &fields).await.map_err(|error| {
            Error::new(error.failure.kind(), format!("cannot publish to `{stream}`: {error}")).with_source(error)
        })
    }

    async fn add(&self, stream: &str, fields: &Fields) -> Result<EntryId, StoreError> {
        match &self.target {
            Target::Memory(store) => store.publish(stream, fields),
            Target::Redis { connector, connection } => add(connector, connection, stream, fields).await,
        }
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}
