//! How a consumer is set up.

mod check;
mod choices;
mod launch;

use std::fmt;
use std::time::Duration;

use redis::Client;
use tokio_util::sync::CancellationToken;

pub use self::choices::{RecordLost, StreamReplaced, UnreadTrimmed};
use crate::consumer::Coalescing;
use crate::durability::Durability;
use crate::handler::Handler;
use crate::id::EntryId;
use crate::protocol::{Permissions, Start, Timing};
use crate::retry::{OnFailure, RetryPolicy};
use crate::store::memory::MemoryStore;
use crate::store::redis::Sentinel;

/// The entry point: [`Consumer::builder`] names a stream and a group.
///
/// ```no_run
/// use atomic_streams::{Consumer, Transaction, handler_fn};
/// use std::collections::BTreeMap;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consumer = Consumer::builder("sales", "audit")
///     .redis_url("redis://127.0.0.1:6379")
///     .handler(handler_fn(async |sale: BTreeMap<String, String>, tx: &mut Transaction| {
///         tx.publish("audit-log", &sale)?;
///         Ok(())
///     }))
///     .spawn()
///     .await?;
/// // …
/// let report = consumer.shutdown().await?;
/// println!("{} entries", report.processed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer;

impl Consumer {
    /// Begins to set up a consumer of `stream` as `group`.
    ///
    /// The group is the durable name of the subscription: consumers with one group share its position and state, and one
    /// of them is active at a time; each group sees every entry.
    pub fn builder(stream: impl Into<String>, group: impl Into<String>) -> ConsumerBuilder<NoHandler> {
        ConsumerBuilder {
            stream: stream.into(),
            group: group.into(),
            server: Server::Missing,
            handler: NoHandler,
            lease: Timing::default().lease,
            start: Start::Beginning,
            permissions: Permissions::default(),
            grace_period: Duration::from_secs(30),
            max_in_flight: 1_024,
            coalescing: None,
            read_ahead_entries: 1_536,
            read_ahead_bytes: 16 << 20,
            allow_eviction: false,
            durability: Durability::Applied,
            retry: RetryPolicy::default(),
            on_failure: OnFailure::Block,
            max_crashes: 3,
            owner: None,
            cancellation: None,
        }
    }
}

/// No handler has been given yet.
#[derive(Debug)]
pub struct NoHandler;

/// Sets up a consumer; made by [`Consumer::builder`].
#[must_use = "a builder does nothing until it is spawned"]
pub struct ConsumerBuilder<H> {
    stream: String,
    group: String,
    server: Server,
    handler: H,
    lease: Duration,
    start: Start,
    permissions: Permissions,
    grace_period: Duration,
    max_in_flight: usize,
    coalescing: Option<Coalescing>,
    read_ahead_entries: usize,
    read_ahead_bytes: usize,
    allow_eviction: bool,
    durability: Durability,
    retry: RetryPolicy,
    on_failure: OnFailure,
    max_crashes: u32,
    owner: Option<String>,
    cancellation: Option<CancellationToken>,
}

enum Server {
    Missing,
    Url(String),
    Client(Box<Client>),
    Sentinel(Box<Sentinel>),
    Memory(MemoryStore),
}

impl<H> ConsumerBuilder<H> {
    /// The server, as `redis://[user:password@]host[:port][/database]`; characters such as `@`, `/` and `#` of a password are
    /// written as `%40`, `%2F` and `%23`.
    ///
    /// - `rediss://…` connects over TLS, with the authorities that the system trusts, and needs the feature `tls`. For
    ///   authorities or certificates of your own, see [`redis_client`](Self::redis_client).
    /// - `redis+sentinel://…` and `rediss+sentinel://…` find the primary through sentinels: see [`Sentinel`].
    /// - `unix:///path[?db=…&user=…&pass=…]` is a socket of this machine.
    ///
    /// Passwords appear in no error, log or `Debug` output of this library.
    pub fn redis_url(mut self, url: impl Into<String>) -> Self {
        self.server = Server::Url(url.into());
        self
    }

    /// The server that this client knows. Every session opens connections of its own.
    ///
    /// This is the way to give certificates, as PEM: an authority that the system does not know, or those that the server asks
    /// its clients for. Without `client_tls` it is an authority alone; without `root_cert` the system's authorities count.
    ///
    #[cfg_attr(feature = "tls", doc = "```no_run")]
    #[cfg_attr(not(feature = "tls"), doc = "```ignore")]
    /// use atomic_streams::redis::{Client, ClientTlsConfig, TlsCertificates};
    /// use atomic_streams::{Consumer, Fields, Transaction, handler_fn};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let certificates = TlsCertificates {
    ///     root_cert: Some(std::fs::read("ca.pem")?),
    ///     client_tls: Some(ClientTlsConfig {
    ///         client_cert: std::fs::read("client.pem")?,
    ///         client_key: std::fs::read("client.key")?,
    ///     }),
    /// };
    /// let client = Client::build_with_tls("rediss://redis.example.com:6380", certificates)?;
    /// let consumer = Consumer::builder("sales", "billing")
    ///     .redis_client(client)
    ///     .handler(handler_fn(async |_sale: Fields, _tx: &mut Transaction| Ok(())))
    ///     .spawn()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redis_client(mut self, client: Client) -> Self {
        self.server = Server::Client(Box::new(client));
        self
    }

    /// The primary that these sentinels know. Every connection asks them anew.
    pub fn sentinel(mut self, sentinel: &Sentinel) -> Self {
        self.server = Server::Sentinel(Box::new(sentinel.clone()));
        self
    }

    /// A store in this process's memory, for tests and for trying things out.
    pub fn in_memory(mut self, store: &MemoryStore) -> Self {
        self.server = Server::Memory(store.clone());
        self
    }

    /// What handles the entries.
    pub fn handler<N: Handler + 'static>(self, handler: N) -> ConsumerBuilder<N> {
        ConsumerBuilder {
            stream: self.stream,
            group: self.group,
            server: self.server,
            handler,
            lease: self.lease,
            start: self.start,
            permissions: self.permissions,
            grace_period: self.grace_period,
            max_in_flight: self.max_in_flight,
            coalescing: self.coalescing,
            read_ahead_entries: self.read_ahead_entries,
            read_ahead_bytes: self.read_ahead_bytes,
            allow_eviction: self.allow_eviction,
            durability: self.durability,
            retry: self.retry,
            on_failure: self.on_failure,
            max_crashes: self.max_crashes,
            owner: self.owner,
            cancellation: self.cancellation,
        }
    }

    /// How long ownership lasts without renewal, 10 s by default, between 100 ms and an hour.
    ///
    /// When a process dies, a standby takes over after this time; after a shutdown it takes over at once. Every other time
    /// follows from it: it is renewed every third of it, and a reply that takes longer (or longer than a second) ends the
    /// session. It decides only when somebody tries to take over: however it is set, nothing is applied twice. Give every
    /// process of a group the same one: a standby with a shorter lease takes over from a healthy owner with a longer one.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// A new subscription begins before the first entry that the stream has. The default.
    pub fn start_at_beginning(mut self) -> Self {
        self.start = Start::Beginning;
        self
    }

    /// A new subscription begins behind the last entry that the stream has now.
    ///
    /// This, like every start, concerns only a subscription that has no record yet.
    pub fn start_at_end(mut self) -> Self {
        self.start = Start::End;
        self
    }

    /// A new subscription begins with the first entry behind this ID.
    ///
    /// The stream must have reached the ID, or be empty: later entries then get higher ones. One that holds only entries
    /// with lower IDs passes for a stream that was replaced; see [`on_stream_replaced`](Self::on_stream_replaced).
    pub fn start_after(mut self, id: EntryId) -> Self {
        self.start = Start::After(id);
        self
    }

    /// What to do when the record is gone though the group is there.
    pub fn on_record_lost(mut self, policy: RecordLost) -> Self {
        self.permissions.start_over = policy == RecordLost::StartOver;
        self
    }

    /// What to do when the stream was replaced by one with lower IDs.
    pub fn on_stream_replaced(mut self, policy: StreamReplaced) -> Self {
        self.permissions.read_replaced = policy == StreamReplaced::ReadAgain;
        self.permissions.skip_replaced = policy == StreamReplaced::Skip;
        self
    }

    /// What to do when entries were trimmed from the stream before they were read: by default they are counted
    /// ([`Stats::vanished`](crate::Stats::vanished)), and the log says so.
    ///
    /// With [`UnreadTrimmed::Stop`] the consumer ends with [`ErrorKind::UnreadTrimmed`](crate::ErrorKind::UnreadTrimmed), and so
    /// does every later start with it: a restart goes on behind the lost entries only with [`UnreadTrimmed::Warn`]. Entries
    /// that went while no consumer was running are found by the attach, before anything behind them is handled. Those that go
    /// ahead of a running consumer are found by its next renewal, within a third of the [`lease`](Self::lease); by then it may
    /// have handled entries behind them. Where the consumer is in the midst of what the stream holds, the stream's counters
    /// give no more than a lower bound, and a small hole may show later, when everything was read.
    ///
    /// Entries that were deleted by name (`XDEL`) are meant to be gone: they are counted and do not end the consumer, if the
    /// server's counters tell them apart; see [`Stats::deleted`](crate::Stats::deleted). Where they do not, it ends.
    pub fn on_unread_trimmed(mut self, policy: UnreadTrimmed) -> Self {
        self.permissions.stop_at_trimmed = policy == UnreadTrimmed::Stop;
        self
    }

    /// Takes over a group that another program made, at its cursor, if none of its entries are pending. Stop that program
    /// first: it would go on taking entries.
    pub fn adopt_group(mut self) -> Self {
        self.permissions.adopt_group = true;
        self
    }

    /// Takes over a group that another program made, also if entries of it are pending: taken by a consumer of that program and
    /// not acknowledged.
    ///
    /// The pending ones are handled first, in the order of their IDs, each exactly once, and then everything behind the cursor.
    /// Entries between them that are not pending were acknowledged: they are passed over, and count as
    /// [`processed`](crate::Stats::processed) without a call of the handler. In the first attach, pending entries become
    /// acknowledged in the group and are noted in the record, in one script, so it does not matter what crashes then. Those
    /// that are no longer in the stream are lost.
    ///
    /// **Stop that program first.** What it had done for a pending entry before it ended is done again, by this handler. More than
    /// 10,000 pending entries are refused ([`ErrorKind::GroupInUse`](crate::ErrorKind::GroupInUse)).
    ///
    /// It needs the rights `+xpending +xack +xrevrange` on the stream, until the group is taken over.
    pub fn adopt_group_with_pending(mut self) -> Self {
        self.permissions.adopt_group = true;
        self.permissions.adopt_pending = true;
        self
    }

    /// Runs on a server that may evict the record (`maxmemory-policy allkeys-*` with a limit). Its state is then lost.
    pub fn allow_eviction(mut self) -> Self {
        self.allow_eviction = true;
        self
    }

    /// What a commit must have reached before it counts as done: [`Durability::Applied`] by default.
    ///
    /// With anything else, commits that are sent together are followed by one `WAIT` or `WAITAOF`, which lasts a quarter of the
    /// [`lease`](Self::lease) at most. Until it is satisfied they are in flight: they are not in
    /// [`Stats::position`](crate::Stats::position) and [`Stats::processed`](crate::Stats::processed), they count for
    /// [`max_in_flight`](Self::max_in_flight), and shutdown waits for them. With `max_in_flight(1)` an entry is handled only
    /// when the one before it is as durable as that.
    ///
    /// What it does not do: hide a commit. The server has applied it, and readers of its outputs see them while the wait is
    /// under way; nothing is undone when the wait is not satisfied.
    ///
    /// **When a wait is not satisfied in time** the session ends, and the status is [`Recovering`](crate::Status::Recovering):
    /// "waiting for replicas" or "waiting for the server's disk". The consumer attaches again, and an attach waits as well,
    /// before the first entry is read: so no more than `max_in_flight` entries are ever handled beyond what is durable,
    /// however long it lasts. It then goes on from the record, which has the commits that were applied: they are not
    /// handled again unless the server has lost them, state and outputs together. What was handled and not sent yet is.
    ///
    /// ```
    /// use atomic_streams::{Consumer, Durability};
    ///
    /// let builder = Consumer::builder("payments", "ledger").durability(Durability::Replicas(1));
    /// # let _ = builder;
    /// ```
    ///
    /// [`spawn`](Self::spawn) refuses what the server cannot do: `WAITAOF` before Redis 7.2, or without an append-only file that
    /// is fsynced; and where that is done or told once a second (`appendfsync everysec`, disks of replicas) a lease of less than
    /// 8 s, in whose quarter it may not happen. A store in memory has neither disk nor replicas, and takes every wait for satisfied.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many commits may wait for the server's reply, 1,024 by default.
    ///
    /// The next entry is handled on the new state while earlier commits are on their way; should one of them fail, none
    /// behind it is applied. With 1, an entry is handled only when the one before it is committed.
    pub fn max_in_flight(mut self, commits: usize) -> Self {
        self.max_in_flight = commits;
        self
    }

    /// Commits up to `max_messages` messages at once, for throughput: one call of the script for all of them, with the last
    /// value of each field, the last position, and all publishes in their order. Off by default.
    ///
    /// What changes:
    ///
    /// - **Atomic by group.** State, acknowledgement and publishes of a group of messages become visible together or not at
    ///   all. Readers of Redis do not see the states between its messages, and get its publishes at one instant.
    /// - **A crash repeats up to a group.** Messages whose group was not committed are handled again, as a message was
    ///   before: what the record and the outputs show is exactly once all the same, but an effect outside Redis may be
    ///   repeated for each message of the group, not only for the last few.
    /// - **Latency.** The first message of a group waits up to `longest_wait` for the others while the handler is at work on
    ///   them. With [`Duration::ZERO`] nobody waits: what has gathered while the last group was on its way is the next one.
    ///
    /// What does not: order, exactly-once, fencing, retries and roll-back of each message by itself. A message whose
    /// publishes the server refuses blocks alone: the group is given up, and its messages are committed one at a time until
    /// they are past.
    ///
    /// A group is of one read, at most 512 messages, so nothing is waited for when all that was read is handled: a message
    /// that comes alone is committed at once. A group is also closed by 1 MiB of arguments, 1,024 publishes and trims, a
    /// renewal of the lease, shutdown, and by [`max_in_flight`](Self::max_in_flight) when it lets no more messages be
    /// handled: with 1 there, groups are of one message. The first group of a read waits no longer than 2 ms, since it
    /// proves that what was read is still there.
    ///
    /// `longest_wait` may be a third of the [`lease`](Self::lease) at most.
    pub fn coalesce(mut self, max_messages: usize, longest_wait: Duration) -> Self {
        self.coalescing = Some(Coalescing { max_messages, longest_wait });
        self
    }

    /// How many entries, and about how many bytes of them, are read ahead of the handler: 1,536 and 16 MiB by default.
    ///
    /// One read beyond the bound in bytes may be held: the size of entries is known only when they are there. What is asked for
    /// at once grows from one entry and goes by those before, so that a read is too large only where small entries are
    /// followed by large ones: a third of the entries at most, and never more than 512.
    pub fn read_ahead(mut self, entries: usize, bytes: usize) -> Self {
        self.read_ahead_entries = entries;
        self.read_ahead_bytes = bytes;
        self
    }

    /// How a failed entry is tried again: by default after 100 ms to 30 s, for as long as it takes.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// What becomes of an entry that cannot be handled; by default it blocks.
    ///
    /// ```
    /// use atomic_streams::{Consumer, OnFailure, RetryPolicy};
    /// use std::time::Duration;
    ///
    /// let builder = Consumer::builder("sales", "billing")
    ///     .retry(RetryPolicy::exponential(Duration::from_millis(100), Duration::from_secs(5)).max_attempts(5))
    ///     .on_failure(OnFailure::dead_letter("sales:dead"));
    /// # let _ = builder;
    /// ```
    ///
    /// Without [`max_attempts`](RetryPolicy::max_attempts), only an entry that does not decode or whose handler says that it is
    /// no use ([`HandlerError::permanent`](crate::HandlerError::permanent)) is given up.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// How many tries of one entry may kill the process, 3 by default, before it is treated as one that cannot be handled: see
    /// [`on_failure`](Self::on_failure). Where that says to block, which is the default, the entry is named in the log.
    ///
    /// After an owner that ended without a shutdown, entries are handled one at a time, each when the one before is
    /// committed, for as many entries as may have been on their way ([`max_in_flight`](Self::max_in_flight)): if the next owner
    /// dies as well, the entry behind its position is the culprit. That one is noted in the record before each try, and only
    /// such tries are counted: a process that is killed while it waits for entries blames none of them. A process that stands
    /// still for longer than its lease while it handles a noted entry counts as dead.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.max_crashes = crashes;
        self
    }

    /// How long a running handler is waited for at shutdown or after ownership was lost, 30 s by default.
    ///
    /// After it the handler is dropped where it awaits, and its entry is handled again by the next owner.
    pub fn grace_period(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// The name of this process for people, shown by the record and to standbys; `host/process` by default.
    pub fn owner_name(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self
    }

    /// Begins shutdown when `token` is cancelled: for applications that have a shutdown tree of their own.
    pub fn cancellation_token(mut self, token: CancellationToken) -> Self {
        self.cancellation = Some(token);
        self
    }

    /// Whether an entry that fails again and again is given up in the end.
    pub(crate) fn gives_up(&self) -> bool {
        self.retry.max_attempts.is_some()
    }

    pub(crate) fn into_handler(self) -> H {
        self.handler
    }
}

/// Shows everything but the server, whose address may hold a password.
impl<H> fmt::Debug for ConsumerBuilder<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("stream", &self.stream)
            .field("group", &self.group)
            .field("lease", &self.lease)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
