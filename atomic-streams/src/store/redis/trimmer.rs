//! Trimming on a server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::{Connector, redirect, reply, request, trim_reply};
use crate::protocol::{TrimReply, TrimRequest};
use crate::script;
use crate::store::{StoreError, Trimmer};

pub(super) struct RedisTrimmer {
    connector: Arc<Connector>,
    connection: MultiplexedConnection,
    limit: Duration,
}

impl RedisTrimmer {
    /// A connection that knows the script.
    pub async fn connect(connector: Arc<Connector>) -> Result<Self, StoreError> {
        let (connection, limit) = (connector.connect().await?, connector.reply_timeout());
        let mut trimmer = Self { connector, connection, limit };
        trimmer.load().await?;
        Ok(trimmer)
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        self.query(redis::cmd("SCRIPT").arg("LOAD").arg(&*script::TRIM.text)).await.map(drop)
    }

    /// Sends a command, and sends it again to the node of a cluster that it should have gone to.
    async fn ask(&mut self, command: &Cmd) -> Result<Value, StoreError> {
        for _ in 0..redirect::MAX_REDIRECTS {
            match self.query(command).await {
                Err(error) if self.connector.follow(&error) => {
                    self.connection = self.connector.connect().await?;
                    self.load().await?;
                }
                replied => return replied,
            }
        }
        self.query(command).await
    }

    async fn query(&mut self, command: &Cmd) -> Result<Value, StoreError> {
        let value = tokio::time::timeout(self.limit, self.connection.send_packed_command(command)).await;
        reply::checked(value.map_err(|_| reply::no_answer(self.limit))?.map_err(reply::error)?)
    }
}

#[async_trait]
impl Trimmer for RedisTrimmer {
    async fn groups(&mut self, stream: &str) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        match self.ask(redis::cmd("XINFO").arg("GROUPS").arg(stream)).await {
            Ok(value) => trim_reply::group_names(value).map(Some),
            Err(error) if error.words.contains("no such key") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn trim(&mut self, request: &TrimRequest) -> Result<TrimReply, StoreError> {
        trim_reply::trimmed(self.ask(&request::trim(request)).await?)
    }
}
