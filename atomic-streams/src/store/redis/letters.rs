//! Dead letters on a server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::{Connector, redirect, reply, request};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::protocol::{Parking, Subscription};
use crate::script::{self, Scripts};
use crate::store::{Letters, Requeued, Scanned, StoreError, Waiting};

/// How often a transaction is tried again because somebody else wrote to its keys.
const MAX_TRIES: usize = 1_000;

pub(super) struct RedisLetters {
    connector: Arc<Connector>,
    connection: MultiplexedConnection,
    limit: Duration,
}

impl RedisLetters {
    /// A connection that knows the scripts.
    pub async fn connect(connector: Arc<Connector>) -> Result<Self, StoreError> {
        let (connection, limit) = (connector.connect().await?, connector.reply_timeout());
        let mut letters = Self { connector, connection, limit };
        letters.load().await?;
        Ok(letters)
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        let own = Scripts::own();
        for script in [&*script::REQUEUE, &*script::UNPARK, &*script::WAITING, &own.scan] {
            self.query(redis::cmd("SCRIPT").arg("LOAD").arg(&*script.text)).await?;
        }
        Ok(())
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

    /// Adds what no script can add, and removes the letter, in one transaction that nobody else's writes come between.
    async fn requeue_packed(&mut self, letters: &str, letter: &DeadLetter) -> Result<Requeued, StoreError> {
        let source = letter.stream.as_str();
        for _ in 0..MAX_TRIES {
            self.query(redis::cmd("WATCH").arg(letters).arg(source)).await?;
            // Asked again under the watch: what it says holds until the transaction, or there is none.
            let newest = match reply::requeued(self.query(&request::requeue(letters, letter)).await?)? {
                reply::RequeueReply::Packed { newest } => newest,
                reply::RequeueReply::Done(requeued) => {
                    self.query(&redis::cmd("UNWATCH")).await?;
                    return Ok(requeued);
                }
            };
            // One by one: were they sent together, those behind a refused MULTI would run by themselves.
            self.query(&redis::cmd("MULTI")).await?;
            self.query(&request::add(source, &letter.entry.fields)).await?;
            self.query(&request::withdraw(letters, source, letter.id, &newest)).await?;
            match self.query(&redis::cmd("EXEC")).await? {
                Value::Nil => {}
                Value::Array(replies) => return withdrawn(replies),
                _ => return Err(StoreError::unexpected("EXEC")),
            }
        }
        Err(StoreError::unexpected(&format!(
            "others wrote to `{source}` or `{letters}` during {MAX_TRIES} transactions"
        )))
    }
}

/// What the commands of the transaction say.
fn withdrawn(replies: Vec<Value>) -> Result<Requeued, StoreError> {
    let mut last = None;
    for reply in replies {
        last = Some(reply::checked(reply)?);
    }
    match last.map(reply::requeued).transpose()? {
        Some(reply::RequeueReply::Done(requeued)) => Ok(requeued),
        _ => Err(StoreError::unexpected("EXEC")),
    }
}

#[async_trait]
impl Letters for RedisLetters {
    async fn list(&mut self, letters: &str, first: EntryId, count: usize) -> Result<Vec<Entry>, StoreError> {
        let command = request::range(letters, first, count);
        reply::range(self.ask(&command).await?)
    }

    async fn newest(&mut self, letters: &str) -> Result<Option<EntryId>, StoreError> {
        let command = redis::cmd("XREVRANGE").arg(letters).arg("+").arg("-").arg("COUNT").arg(1).to_owned();
        Ok(reply::range(self.ask(&command).await?)?.first().map(|entry| entry.id))
    }

    async fn requeue(&mut self, letters: &str, letter: &DeadLetter) -> Result<Requeued, StoreError> {
        let command = request::requeue(letters, letter);
        match reply::requeued(self.ask(&command).await?)? {
            reply::RequeueReply::Done(requeued) => Ok(requeued),
            reply::RequeueReply::Packed { .. } => self.requeue_packed(letters, letter).await,
        }
    }

    async fn unpark(&mut self, subscription: &Subscription, key: &[u8]) -> Result<bool, StoreError> {
        reply::unparking(self.ask(&request::unpark(subscription, key)).await?)
    }

    async fn waiting(
        &mut self,
        subscription: &Subscription,
        letters: &str,
        key: &[u8],
        after: EntryId,
        count: usize,
    ) -> Result<Waiting, StoreError> {
        let command = request::waiting(subscription, letters, key, after, count);
        reply::waiting(self.ask(&command).await?)
    }

    async fn scan(
        &mut self,
        subscription: &Subscription,
        field: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError> {
        let collection = subscription.collection(Parking::KIND, field);
        reply::scan(self.ask(&request::scan(&Scripts::own(), subscription, &collection, cursor, count)).await?)
    }

    async fn remove(&mut self, letters: &str, id: EntryId) -> Result<bool, StoreError> {
        let removed = self.ask(redis::cmd("XDEL").arg(letters).arg(id.to_string())).await?;
        Ok(removed == Value::Int(1))
    }
}
