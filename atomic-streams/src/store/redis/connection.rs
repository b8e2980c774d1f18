//! How connections are made, and for how long anything is waited for.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo};

use super::{Origin, primary, redirect, tls};
use crate::protocol::Timing;
use crate::store::StoreError;

/// Makes connections to one server.
pub(crate) struct Connector {
    origin: Origin,
    timing: Timing,
    /// Which sentinel is asked first.
    first_sentinel: AtomicUsize,
    /// The node of a cluster that owns the keys, as another has said.
    redirect: Mutex<Option<ConnectionInfo>>,
}

impl Connector {
    pub fn new(origin: Origin, timing: Timing) -> Self {
        Self { origin, timing, first_sentinel: AtomicUsize::new(0), redirect: Mutex::new(None) }
    }

    /// What the server is reached by.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    pub fn reply_timeout(&self) -> Duration {
        self.timing.reply_timeout()
    }

    pub(super) fn first_sentinel(&self) -> usize {
        self.first_sentinel.load(Relaxed)
    }

    pub(super) fn remember_sentinel(&self, at: usize) {
        self.first_sentinel.store(at, Relaxed);
    }

    /// A fresh connection, without the client's own limit on replies: it would end a blocking read after 500 ms.
    pub async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        self.server().await.map(|(_, connection)| connection)
    }

    /// Where the server is now, and a connection to it.
    async fn server(&self) -> Result<primary::Primary, StoreError> {
        match &self.origin {
            Origin::Node(info) => {
                if let Some(elsewhere) = self.redirect() {
                    match self.open(&elsewhere).await {
                        Ok(opened) => return Ok(opened),
                        // It may be gone, and another has taken its place.
                        Err(_) => self.set_redirect(None),
                    }
                }
                self.open(info).await
            }
            Origin::Sentinels(sentinel) => primary::find(self, sentinel).await,
        }
    }

    /// Whether the server has sent the client elsewhere with this error: the next connection leads there.
    pub fn follow(&self, error: &StoreError) -> bool {
        let Origin::Node(info) = &self.origin else { return false };
        let target = redirect::target(error, &self.redirect().unwrap_or_else(|| (**info).clone()));
        let is_redirect = target.is_some();
        if is_redirect {
            self.set_redirect(target);
        }
        is_redirect
    }

    /// Where the server is said to be, if it is not where it was named.
    pub fn redirect(&self) -> Option<ConnectionInfo> {
        self.redirect.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_redirect(&self, target: Option<ConnectionInfo>) {
        *self.redirect.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Connects to one address.
    pub(super) async fn open(&self, info: &ConnectionInfo) -> Result<(Client, MultiplexedConnection), StoreError> {
        // A commit waits for the reply to the one before: without this, the kernel may sit on it for 40 ms.
        let tcp = TcpSettings::default().set_nodelay(true);
        tls::choose_provider(info.addr());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timing.connect_timeout()))
            .set_response_timeout(None);
        let connecting = async {
            let client = Client::open(info.clone().set_tcp_settings(tcp))?;
            let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            Ok((client, connection))
        };
        connecting.await.map_err(|error| tls::explain(info.addr(), error))
    }

    /// Waits for a message on `channel`; for ever, where subscribing is not allowed.
    pub async fn hear(&self, channel: &str) {
        let limit = self.timing.connect_timeout();
        let connecting = async {
            let client = match &self.origin {
                Origin::Node(info) => {
                    tls::choose_provider(info.addr());
                    Client::open((**info).clone()).ok()?
                }
                Origin::Sentinels(_) => self.server().await.ok()?.0,
            };
            tokio::time::timeout(limit, client.get_async_pubsub()).await.ok()?.ok()
        };
        if let Some(mut channels) = connecting.await
            && channels.subscribe(channel).await.is_ok()
        {
            let mut messages = channels.into_on_message();
            if std::future::poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await.is_none() {
                // The connection was closed: asking again at once, each time, would be a storm.
                tokio::time::sleep(self.timing.standby_poll()).await;
            }
            return;
        }
        // The user may lack the right to subscribe; polling goes on without it.
        std::future::pending::<()>().await;
    }
}
