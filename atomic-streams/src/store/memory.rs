//! The store in memory: the scripts in Rust, over keys and streams that do what Redis does with them.

mod attach;
mod by_hand;
mod commit;
mod counting;
mod entries;
mod faults;
mod history;
mod keys;
mod letters;
mod link;
mod outside;
mod record;
mod renew;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod trimmer;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::by_hand::{GroupInfo, StreamInfo};
use self::letters::MemoryLetters;
use self::link::MemoryLink;
use self::server::Shared;
use self::trimmer::MemoryTrimmer;
use super::{Letters, Link, Store, StoreError, Trimmer};
use crate::diagnosis::Facts;
use crate::protocol::Subscription;

/// A server in this process's memory, for tests and for trying things out.
///
/// It answers as Redis does, entry IDs and group cursors included, and can be made to fail as servers and networks do.
/// Clones are handles to the same server; what it holds is gone with the last of them.
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// A server that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn connect(&self, subscription: &Subscription) -> Result<Box<dyn Link>, StoreError> {
        let number = self.shared.server().connect()?;
        let (shared, subscription) = (Arc::clone(&self.shared), subscription.clone());
        Ok(Box::new(MemoryLink { shared, subscription, number, is_dead: false }))
    }

    async fn released(&self, subscription: &Subscription) {
        self.shared.release_of(subscription.record()).notified().await;
    }

    async fn letters(&self) -> Result<Box<dyn Letters>, StoreError> {
        let number = self.shared.server().connect()?;
        Ok(Box::new(MemoryLetters { shared: Arc::clone(&self.shared), number }))
    }

    async fn trimmer(&self) -> Result<Box<dyn Trimmer>, StoreError> {
        let number = self.shared.server().connect()?;
        Ok(Box::new(MemoryTrimmer { shared: Arc::clone(&self.shared), number }))
    }

    async fn examine(&self) -> Result<Option<Facts>, StoreError> {
        let server = self.shared.server();
        server.faults.check_connection(u64::MAX)?;
        Ok(None)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
