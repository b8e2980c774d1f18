//! How connections are made, and for how long anything is waited for.

use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError};

use super::reply;
use crate::protocol::Timing;
use crate::store::StoreError;

/// Makes connections to one server.
pub(crate) struct Connector {
    client: Client,
    timing: Timing,
}

impl Connector {
    pub fn new(client: &Client, timing: Timing) -> Result<Self, RedisError> {
        // A commit waits for the reply to the one before: without this, the kernel may sit on it for 40 ms.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = client.get_connection_info().clone().into_connection_info()?.set_tcp_settings(tcp);
        Ok(Self { client: Client::open(info)?, timing })
    }

    /// What the server is reached by.
    pub fn info(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    pub fn reply_timeout(&self) -> Duration {
        self.timing.reply_timeout()
    }

    /// A fresh connection, without the client's own limit on replies: it would end a blocking read after 500 ms.
    pub async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timing.connect_timeout()))
            .set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(reply::error)
    }

    /// Waits for a message on `channel`; for ever, where subscribing is not allowed.
    pub async fn hear(&self, channel: &str) {
        let connecting = tokio::time::timeout(self.timing.connect_timeout(), self.client.get_async_pubsub());
        if let Ok(Ok(mut channels)) = connecting.await
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
