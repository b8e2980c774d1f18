//! One connection to the server in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::faults::{connection_lost, is_broken};
use super::server::{Server, Shared};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::persist::CollectionKind;
use crate::protocol::{AttachReply, AttachRequest, Step, StepReply, Subscription};
use crate::store::{Link, Loaded, Replies, Scanned, StoreError};

pub(super) struct MemoryLink {
    pub shared: Arc<Shared>,
    pub subscription: Subscription,
    /// Tells it from other connections.
    pub number: u64,
    /// It has failed once, and stays so.
    pub is_dead: bool,
}

impl MemoryLink {
    /// Lets the server do something, if the connection still carries it there.
    fn call<T>(
        &mut self,
        action: impl FnOnce(&mut Server, &Subscription) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_dead {
            return Err(connection_lost("the connection is closed"));
        }
        let outcome = {
            let mut server = self.shared.server();
            server.faults.check_connection(self.number).and_then(|()| action(&mut server, &self.subscription))
        };
        self.is_dead = outcome.as_ref().is_err_and(is_broken);
        outcome
    }
}

#[async_trait]
impl Link for MemoryLink {
    async fn attach(&mut self, request: &AttachRequest) -> Result<AttachReply, StoreError> {
        let reply = self.call(|server, subscription| server.attach(subscription, request));
        // On a network too, what is dropped between sending and hearing may have been applied.
        tokio::task::yield_now().await;
        reply
    }

    async fn load(&mut self, names: &[String]) -> Result<Option<Loaded>, StoreError> {
        self.call(|server, subscription| server.load(subscription, names))
    }

    async fn scan(
        &mut self,
        kind: CollectionKind,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError> {
        self.call(|server, subscription| {
            server.scan(subscription, &subscription.collection(kind, field), cursor, count)
        })
    }

    async fn start(&mut self, token: &str, steps: &[Step]) -> Replies {
        let replies = match self.call(|server, subscription| Ok(server.steps(subscription, token, steps))) {
            Ok(replies) => replies,
            Err(error) => vec![Err(error)],
        };
        if let Some(Err(error)) = replies.last() {
            self.is_dead |= is_broken(error);
        }
        if !steps.is_empty() {
            self.shared.changed.notify_waiters();
        }
        if replies.iter().any(|reply| matches!(reply, Ok(StepReply::Released { was_owner: true }))) {
            self.shared.tell_release(self.subscription.record());
        }
        tokio::task::yield_now().await;
        Box::pin(std::future::ready(replies))
    }

    async fn read(&mut self, after: EntryId, count: usize, block: Duration) -> Result<Vec<Entry>, StoreError> {
        let entries = self.call(|server, subscription| Ok(server.read(subscription.stream(), after, count)?))?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let shared = Arc::clone(&self.shared);
        let waiting = async {
            loop {
                let changed = shared.changed.notified();
                tokio::pin!(changed);
                // From here on no change is missed, also none before the wait itself.
                changed.as_mut().enable();
                let read = self.call(|server, subscription| {
                    // What became something else while it was waited for is a stream that is gone.
                    Ok(server.read(subscription.stream(), after, count).unwrap_or_default())
                });
                if read.as_ref().map_or(true, |entries| !entries.is_empty()) {
                    return read;
                }
                changed.await;
            }
        };
        tokio::time::timeout(block.max(Duration::from_millis(1)), waiting).await.unwrap_or_else(|_| Ok(Vec::new()))
    }
}
