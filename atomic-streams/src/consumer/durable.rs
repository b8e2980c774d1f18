//! Before the first entry is read: what the record says must be as durable as the user wants it.

use super::attach::Trouble;
use super::{Worker, committer, ending};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::handler::Handler;
use crate::protocol::{Failure, Owned, Step, StepReply, not_durable};
use crate::store::{Link, StoreError};

impl<H: Handler> Worker<H> {
    /// Waits for everything that the server has written up to this attach, commits of earlier sessions among it: what they
    /// had on their way was perhaps applied, and is handled no second time.
    ///
    /// Without this, each session would go on by so many entries as may be in flight, and nothing would bound what is lost.
    pub(super) async fn confirm(&mut self, link: &mut dyn Link, owned: &Owned) -> Result<(), Trouble> {
        let durability = self.settings.durability;
        if !durability.waits() {
            return Ok(());
        }
        self.unconfirmed = Some(owned.head.token.clone());
        let wait = committer::wait(&self.settings);
        let replies = link.send(owned.head.token.as_str(), std::slice::from_ref(&wait)).await;
        let (on_disk, replicas) = match replies.into_iter().next() {
            Some(Ok(StepReply::Waited { on_disk, replicas })) => (on_disk, replicas),
            Some(Err(error)) => return Err(impossible(durability, error)),
            _ => return Err(StoreError::unexpected(durability.command()).into()),
        };
        if let Step::Wait { timeout_ms, .. } = wait
            && let Some((what, words)) = not_durable(durability, timeout_ms, on_disk, replicas)
        {
            return Err(StoreError { failure: Failure::Transient(what), words, source: None }.into());
        }
        self.unconfirmed = None;
        Ok(())
    }

    /// At shutdown: a lease that was taken and led to no session would keep the next owner waiting.
    ///
    /// Over a connection of its own: the one that took it may be in the middle of a wait.
    pub(super) async fn give_back(&mut self) {
        let Some(token) = self.unconfirmed.take() else { return };
        let (store, subscription) = (&self.store, &self.settings.subscription);
        let release = async {
            let mut link = store.connect(subscription).await?;
            let replies = link.send(token.as_str(), &[Step::Release]).await;
            Ok::<_, StoreError>(matches!(replies.first(), Some(Ok(StepReply::Released { .. }))))
        };
        let released = tokio::time::timeout(self.settings.timing.last_reply(), release).await;
        self.holds_lease &= !matches!(released, Ok(Ok(true)));
    }
}

/// A server that cannot wait for it says so by an error.
fn impossible(durability: Durability, error: StoreError) -> Trouble {
    let has = |text: &str| error.words.contains(text);
    if has("unknown command") {
        let words = format!(
            "durability({durability}) needs the command {}, which the server does not have: use Redis 7.2 or later, or Valkey, or \
             `Durability::Replicas(n)`",
            durability.command()
        );
        return Error::new(ErrorKind::UnsupportedServer, words).with_source(error).into();
    }
    if has("appendonly is disabled") {
        return Error::new(ErrorKind::UnsupportedServer, no_file(durability)).with_source(error).into();
    }
    match error.failure {
        Failure::Permanent(what) => ending::permanent(what, &error.words).with_source(error).into(),
        Failure::Transient(_) => error.into(),
    }
}

/// Why there is nothing to wait for.
fn no_file(durability: Durability) -> String {
    format!("durability({durability}) needs an append-only file, and the server has none: set `appendonly yes`")
}
