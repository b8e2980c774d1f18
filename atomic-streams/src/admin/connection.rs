//! A connection for what nothing else here asks.

use redis::aio::MultiplexedConnection;

use super::{Admin, failed};
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;

impl Admin {
    /// A new connection to the server, or to the primary that the sentinels name, to ask what this does not.
    ///
    /// Replies are waited for as long as they take.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied).
    pub async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        self.connector.connect().await.map_err(|error| failed("administration", error))
    }
}
