//! What a server is fit for, before anything depends on it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use redis::Client;

use crate::diagnosis::{self, Aim};
pub use crate::diagnosis::{Diagnosis, Finding, Severity};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::protocol::{Subscription, Timing};
use crate::store::StoreError;
use crate::store::redis::{Origin, RedisStore, Sentinel};

/// Examines a server: what it keeps, whom it has to take over, what it would evict, which of its settings a consumer will
/// suffer from, and what a crash and a failover can lose as things stand.
///
/// It reads settings and changes nothing. [`spawn`](crate::ConsumerBuilder::spawn) does the same, but for the rights, which the
/// attach finds out: it refuses what [`Finding::refused`] says, and logs warnings once a process for each server.
///
/// ```no_run
/// use atomic_streams::Doctor;
/// use atomic_streams::doctor::Severity;
///
/// # async fn example() -> Result<(), atomic_streams::Error> {
/// let diagnosis = Doctor::new("redis://127.0.0.1:6379")?
///     .subscription("sales", "inventory-tracker") // for the rights of this user
///     .output("restock-alerts")
///     .examine()
///     .await?;
/// println!("{diagnosis}");
/// assert!(diagnosis.worst() < Severity::Error);
/// # Ok(())
/// # }
/// ```
///
/// # Rights
///
/// It asks with `+info +config|get +time`, and for the rights with `+evalsha +script|load`, which a consumer has. What is refused,
/// or renamed by a provider, is [`Unknown`](Severity::Unknown) in the diagnosis.
#[must_use = "a doctor does nothing until it is asked to examine"]
pub struct Doctor {
    origin: Origin,
    subscription: Option<(String, String)>,
    outputs: BTreeSet<String>,
    durability: Durability,
    lease: Duration,
}

impl Doctor {
    /// Of the server at this address, as for [`redis_url`](crate::ConsumerBuilder::redis_url). Nothing is sent yet.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): the address cannot be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::at(Origin::of_url(url)?))
    }

    /// Of the server that this client knows, over a connection of its own. Nothing is sent yet.
    pub fn with_client(client: &Client) -> Self {
        Self::at(Origin::of_client(client))
    }

    /// Of the primary that these sentinels know. Nothing is sent yet.
    pub fn with_sentinel(sentinel: &Sentinel) -> Self {
        Self::at(Origin::Sentinels(Box::new(sentinel.clone())))
    }

    fn at(origin: Origin) -> Self {
        Self {
            origin,
            subscription: None,
            outputs: BTreeSet::new(),
            durability: Durability::default(),
            lease: Timing::default().lease,
        }
    }

    /// Looks also at what the user may do, for a consumer of `stream` as `group`.
    pub fn subscription(mut self, stream: impl Into<String>, group: impl Into<String>) -> Self {
        self.subscription = Some((stream.into(), group.into()));
        self
    }

    /// With this output of the handler, or dead-letter stream, among what the [`subscription`](Self::subscription)'s user may
    /// do. May be called again.
    pub fn output(mut self, stream: impl Into<String>) -> Self {
        self.outputs.insert(stream.into());
        self
    }

    /// For a consumer of this [`durability`](crate::ConsumerBuilder::durability): whether the server can do it, and what is then
    /// lost.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// For a consumer of this [`lease`](crate::ConsumerBuilder::lease), 10 s by default.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Asks the server and judges what it says.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable): the server cannot be reached, or does not answer within the lease.
    /// [`Denied`](ErrorKind::Denied): it does not let this user in. [`InvalidConfig`](ErrorKind::InvalidConfig): a name that cannot
    /// be one.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn examine(&self) -> Result<Diagnosis, Error> {
        let timing = Timing { lease: self.lease };
        let aim = Aim { durability: self.durability, timing };
        let questions = match &self.subscription {
            None => Vec::new(),
            Some((stream, group)) => {
                let subscription = Subscription::new(stream, group)
                    .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()).with_source(error))?;
                diagnosis::questions(&subscription, &self.outputs, aim)
            }
        };
        let facts = RedisStore::at(self.origin.clone(), timing).facts(questions).await.map_err(failed)?;
        Ok(Diagnosis::judge(&facts, aim))
    }
}

fn failed(error: StoreError) -> Error {
    let kind = error.failure.kind();
    Error::new(kind, format!("the server cannot be examined: {}", error.words)).with_source(error)
}

/// Shows everything but the server, whose address may hold a password.
impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor")
            .field("subscription", &self.subscription)
            .field("outputs", &self.outputs)
            .field("durability", &self.durability)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
