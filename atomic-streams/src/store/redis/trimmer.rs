//! Trimming on a server.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::{Connector, reply, request, trim_reply};
use crate::protocol::{TrimReply, TrimRequest};
use crate::script;
use crate::store::{StoreError, Trimmer};

pub(super) struct RedisTrimmer {
    connection: MultiplexedConnection,
    limit: Duration,
}

impl RedisTrimmer {
    /// A connection that knows the script.
    pub async fn connect(connector: &Connector) -> Result<Self, StoreError> {
        let mut trimmer = Self { connection: connector.connect().await?, limit: connector.reply_timeout() };
        trimmer.query(redis::cmd("SCRIPT").arg("LOAD").arg(&*script::TRIM.text)).await?;
        Ok(trimmer)
    }

    async fn query(&mut self, command: &Cmd) -> Result<Value, StoreError> {
        let value = tokio::time::timeout(self.limit, self.connection.send_packed_command(command)).await;
        reply::checked(value.map_err(|_| reply::no_answer(self.limit))?.map_err(reply::error)?)
    }
}

#[async_trait]
impl Trimmer for RedisTrimmer {
    async fn groups(&mut self, stream: &str) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        match self.query(redis::cmd("XINFO").arg("GROUPS").arg(stream)).await {
            Ok(value) => trim_reply::group_names(value).map(Some),
            Err(error) if error.words.contains("no such key") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn trim(&mut self, request: &TrimRequest) -> Result<TrimReply, StoreError> {
        trim_reply::trimmed(self.query(&request::trim(request)).await?)
    }
}
