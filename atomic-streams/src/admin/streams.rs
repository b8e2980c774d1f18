//! Streams from outside, and a connection for what nothing else here asks.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;

use super::{Admin, StreamSummary, Tail, failed};
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::id::EntryId;
use crate::name;
use crate::store::StoreError;
use crate::store::redis::Administration;

impl Admin {
    /// What a stream says of itself, whoever reads it.
    ///
    /// # Errors
    /// [`NoStream`](ErrorKind::NoStream), [`WrongType`](ErrorKind::WrongType), [`Unavailable`](ErrorKind::Unavailable),
    /// [`Denied`](ErrorKind::Denied); [`InvalidConfig`](ErrorKind::InvalidConfig): it is no name.
    pub async fn stream(&self, stream: &str) -> Result<StreamSummary, Error> {
        let found = self.of_stream(stream, async |open| open.stream(stream).await).await?;
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::NoStream,
                format!("there is no stream `{stream}` on this server: correct its name, or wait until it has entries"),
            )
        })
    }

    /// The newest entries of a stream, at most `count` of them, in their order; none if it is not there.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn newest(&self, stream: &str, count: usize) -> Result<Vec<Entry>, Error> {
        self.of_stream(stream, async |open| open.newest(stream, count).await).await
    }

    /// Reads the entries of a stream behind this one, over a connection of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): it is no name.
    pub fn tail(&self, stream: &str, after: EntryId) -> Result<Tail, Error> {
        stream_name(stream)?;
        Ok(Tail::new(Arc::clone(&self.connector), stream.to_owned(), after))
    }

    /// A new connection to the server, or to the primary that the sentinels name, to ask what this does not.
    ///
    /// Replies are waited for as long as they take.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied).
    pub async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        self.connector.connect().await.map_err(|error| failed("administration", error))
    }

    async fn of_stream<T>(
        &self,
        stream: &str,
        call: impl AsyncFnOnce(&mut Administration) -> Result<T, StoreError>,
    ) -> Result<T, Error> {
        stream_name(stream)?;
        let mut held = self.connection.lock().await;
        let mut open = self.open(&mut held).await?;
        let answer = call(&mut open).await.map_err(|error| failed(&format!("stream `{stream}`"), error))?;
        *held = Some(open);
        Ok(answer)
    }
}

fn stream_name(stream: &str) -> Result<(), Error> {
    match name::problem(stream) {
        None => Ok(()),
        Some(problem) => {
            let shown: String = stream.chars().take(64).collect();
            Err(Error::new(ErrorKind::InvalidConfig, format!("the stream name {shown:?} {problem}")))
        }
    }
}
