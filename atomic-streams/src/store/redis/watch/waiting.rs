//! The waiting itself: one connection, one blocking read at a time for everybody who has a place.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

use super::{MIN_PLACES, Outcome, Request};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::protocol::Failure;
use crate::store::StoreError;
use crate::store::redis::{Connector, reply, request};
use crate::targets;

/// How the waiting ended by itself.
pub(super) enum Ended {
    Broken,
    /// Each stream may be read, but not all of them at once.
    Refused,
}

/// One connection and who waits on it.
struct Waiting<'a> {
    connector: &'a Connector,
    connection: MultiplexedConnection,
    /// By stream: several groups may wait for the same one.
    places: BTreeMap<String, Vec<Given>>,
}

/// A place that was given.
struct Given {
    after: EntryId,
    outcome: oneshot::Sender<Outcome>,
}

/// Waits for everybody who asks. Those who have no place when it ends go on as they did.
pub(super) async fn run(connector: &Connector, mut requests: mpsc::UnboundedReceiver<Request>) -> Ended {
    let mut asked = Vec::new();
    while asked.len() < MIN_PLACES {
        let Some(request) = requests.recv().await else { return Ended::Broken };
        asked.push(request);
        asked.retain(|request| !request.outcome.is_closed());
    }
    let connection = match connector.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            debug!(
                name: "server.not_shared",
                target: targets::SERVER,
                error = error.words,
                "no shared connection: every consumer keeps its own"
            );
            return Ended::Broken;
        }
    };
    let mut waiting = Waiting { connector, connection, places: BTreeMap::new() };
    loop {
        while let Ok(request) = requests.try_recv() {
            asked.push(request);
        }
        match waiting.give(std::mem::take(&mut asked)).await {
            Ok(true) => {}
            // Perhaps the connection leads to another server than those of the newcomer: it gets no more of them.
            Ok(false) => requests.close(),
            Err(error) => return waiting.broken(&error),
        }
        waiting.prune();
        if waiting.places.is_empty() {
            match requests.recv().await {
                Some(request) => asked.push(request),
                None => return Ended::Broken,
            }
            continue;
        }
        match waiting.wait().await {
            Ok(()) => {}
            Err(error) => match error.failure {
                Failure::Transient(_) => return waiting.broken(&error),
                Failure::Permanent(_) => match waiting.blame().await {
                    Ok(true) => {}
                    Ok(false) => return waiting.refused(&error),
                    Err(error) => return waiting.broken(&error),
                },
            },
        }
    }
}

impl Waiting<'_> {
    /// Gives places to those whose record shows their token here: what they wait for must come from the same server.
    /// Whether all got one.
    async fn give(&mut self, mut asked: Vec<Request>) -> Result<bool, StoreError> {
        asked.retain(|request| !request.outcome.is_closed());
        if asked.is_empty() {
            return Ok(true);
        }
        let commands = asked.iter().map(|request| request::load(&request.subscription, &[])).collect();
        let records = self.pipeline(commands).await?;
        let mut all = true;
        for (request, record) in asked.into_iter().zip(records) {
            let record = record.map_err(reply::error).and_then(reply::load);
            if !record.is_ok_and(|record| record.is_some_and(|record| record.head.token == request.token)) {
                all = false;
                continue;
            }
            // Before the command goes out: one that waits behind a place finds whatever came in between.
            if request.given.send(()).is_ok() {
                let places = self.places.entry(request.subscription.stream().to_owned()).or_default();
                places.push(Given { after: request.after, outcome: request.outcome });
            }
        }
        Ok(all)
    }

    /// Forgets the places that were given up.
    fn prune(&mut self) {
        self.places.retain(|_, places| {
            places.retain(|place| !place.outcome.is_closed());
            !places.is_empty()
        });
    }

    /// Waits once, for as long as a consumer of its own would.
    async fn wait(&mut self) -> Result<(), StoreError> {
        let block = self.connector.timing().block();
        // One entry shows that there are more; who waits for it gets it, so that it is sent no second time.
        let command = request::read_many(&self.streams(), 1, Some(block));
        let limit = block + self.connector.reply_timeout();
        let value = timeout(limit, self.connection.send_packed_command(&command)).await;
        let value = value.map_err(|_| reply::no_answer(limit))?.map_err(reply::error)?;
        for (stream, entries) in reply::streams(reply::checked(value)?)? {
            self.deliver(&stream, entries);
        }
        Ok(())
    }

    /// Each stream, and the lowest ID that anybody waits behind.
    fn streams(&self) -> Vec<(&str, EntryId)> {
        let lowest = |places: &Vec<Given>| places.iter().map(|place| place.after).min().unwrap_or_default();
        self.places.iter().map(|(stream, places)| (stream.as_str(), lowest(places))).collect()
    }

    /// Wakes those who wait for these entries.
    fn deliver(&mut self, stream: &str, entries: Vec<Entry>) {
        let (Some(first), Some(places)) = (entries.first(), self.places.get_mut(stream)) else { return };
        // Behind the lowest ID it is the first entry: so it is behind every other one that is before it.
        let (mut woken, left): (Vec<_>, _) = places.drain(..).partition(|place| place.after < first.id);
        *places = left;
        let last = woken.pop();
        for place in woken {
            let _ = place.outcome.send(Ok(entries.clone()));
        }
        // Nearly always the only one: an entry may be large.
        if let Some(place) = last {
            let _ = place.outcome.send(Ok(entries));
        }
        if places.is_empty() {
            self.places.remove(stream);
        }
    }

    /// Finds out whose stream it is that the server refuses to read: one must not cost the others their sessions.
    /// Whether there is one.
    async fn blame(&mut self) -> Result<bool, StoreError> {
        let commands = self.streams().into_iter().map(|stream| request::read_many(&[stream], 1, None)).collect();
        let streams: Vec<String> = self.places.keys().cloned().collect();
        let mut found = false;
        for (stream, value) in streams.into_iter().zip(self.pipeline(commands).await?) {
            match value.map_err(reply::error).and_then(reply::entries) {
                Ok(entries) => self.deliver(&stream, entries),
                Err(error) => {
                    found = true;
                    for place in self.places.remove(&stream).unwrap_or_default() {
                        let _ = place.outcome.send(Err(again(&error)));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Sends commands at once, and takes each reply by itself.
    async fn pipeline(&mut self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        pipeline.ignore_errors();
        for command in commands {
            pipeline.add_command(command);
        }
        let limit = self.connector.reply_timeout();
        let values = timeout(limit, pipeline.query_async(&mut self.connection)).await;
        values.map_err(|_| reply::no_answer(limit))?.map_err(reply::error)
    }

    /// Ends the session of everybody who has a place.
    fn broken(self, error: &StoreError) -> Ended {
        for place in self.places.into_values().flatten() {
            let _ = place.outcome.send(Err(again(error)));
        }
        Ended::Broken
    }

    /// Sends everybody back to a connection of its own.
    fn refused(self, error: &StoreError) -> Ended {
        debug!(
            name: "server.not_watched",
            target: targets::SERVER,
            error = error.words,
            "streams cannot be watched together: every consumer keeps its own connection"
        );
        for place in self.places.into_values().flatten() {
            let _ = place.outcome.send(Ok(Vec::new()));
        }
        Ended::Refused
    }
}

/// The same error for one more.
fn again(error: &StoreError) -> StoreError {
    StoreError { failure: error.failure, words: error.words.clone(), source: None }
}
