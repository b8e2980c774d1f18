//! From a builder to a running consumer.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ConsumerBuilder, Server};
use crate::consumer::{Report, Worker};
use crate::error::{Error, ErrorKind};
use crate::handle::ConsumerHandle;
use crate::handler::Handler;
use crate::protocol::Timing;
use crate::retry::Backoff;
use crate::store::Store;
use crate::store::redis::{Origin, RedisStore};

impl<H: Handler + 'static> ConsumerBuilder<H> {
    /// Starts the consumer as a task of the current Tokio runtime.
    ///
    /// Returns when it is active or standing by. Where the server cannot be reached at the moment it returns as well, and
    /// the consumer goes on trying, as it does when the connection is lost later: see [`ConsumerHandle::status`].
    ///
    /// # Errors
    /// What only a person can mend and is so already now: settings that cannot work, a wrong password or a missing
    /// permission, a schema that does not fit, a lost record, a key of another type, a server that is too old or may evict
    /// the record. See [`ErrorKind`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future shuts the consumer down.
    pub async fn spawn(self) -> Result<ConsumerHandle, Error> {
        self.launch(None).await.map(|(handle, _)| handle)
    }

    /// [`spawn`](Self::spawn), with the task itself, and pauses between tries to choose.
    pub(crate) async fn launch(self, backoff: Option<Backoff>) -> Result<(ConsumerHandle, JoinHandle<()>), Error> {
        let mut settings = self.settings()?;
        if let Some(backoff) = backoff {
            settings.retry.backoff = backoff;
        }
        let (stream, group) = (Arc::clone(&settings.stream), Arc::clone(&settings.group));
        let of = move |error: Error| error.of(&stream, &group);
        let store = self.server.open(settings.timing).map_err(of.clone())?;
        let shutdown = self.cancellation.map_or_else(CancellationToken::new, |token| token.child_token());
        let (ready, is_ready) = oneshot::channel();
        let (worker, shared) = Worker::new(settings, store, self.handler, shutdown.clone(), ready).map_err(of)?;
        let (outcome_sender, outcome) = watch::channel(None);
        let guard = shutdown.clone().drop_guard();
        let task = tokio::spawn(async move {
            let result = worker.run().await;
            // Nobody listens when the handle was dropped.
            let _ = outcome_sender.send(Some(result));
        });
        let handle = ConsumerHandle::new(shutdown, shared, outcome);
        match is_ready.await {
            Ok(Ok(())) => {
                guard.disarm();
                Ok((handle, task))
            }
            Ok(Err(error)) => Err(error),
            // The task has ended without a word: its outcome says why.
            Err(_) => {
                handle.wait().await?;
                Ok((handle, task))
            }
        }
    }

    /// Runs the consumer until `stop` resolves, then shuts it down.
    ///
    /// ```no_run
    /// # use atomic_streams::{Consumer, Fields, Transaction, handler_fn};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = Consumer::builder("sales", "audit")
    ///     .redis_url("redis://127.0.0.1:6379")
    ///     .handler(handler_fn(async |_sale: Fields, _tx: &mut Transaction| Ok(())))
    ///     .run_until(tokio::signal::ctrl_c())
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn) and of [`ConsumerHandle::wait`].
    ///
    /// # Cancel safety
    /// Dropping the future shuts the consumer down without waiting for it.
    pub async fn run_until<F: Future>(self, stop: F) -> Result<Report, Error> {
        let consumer = self.spawn().await?;
        let _guard = consumer.shutdown_on_drop();
        tokio::select! {
            _ = stop => consumer.shutdown().await,
            ended = consumer.wait() => ended,
        }
    }
}

impl Server {
    fn open(self, timing: Timing) -> Result<Arc<dyn Store>, Error> {
        match self {
            Self::Missing => Err(Error::new(
                ErrorKind::InvalidConfig,
                "no server was named: call `redis_url(\"redis://127.0.0.1:6379\")` or `redis_client(client)`",
            )),
            Self::Url(url) => Ok(Arc::new(RedisStore::at(Origin::of_url(&url)?, timing))),
            Self::Client(client) => Ok(Arc::new(RedisStore::at(Origin::of_client(&client), timing))),
            Self::Sentinel(sentinel) => Ok(Arc::new(RedisStore::at(Origin::Sentinels(sentinel), timing))),
            Self::Memory(store) => Ok(Arc::new(store)),
        }
    }
}
