//! Going through the server's keys, for subscriptions and for dead letters.

use std::sync::Arc;

use atomic_streams::admin::Admin;
use atomic_streams::{Error, redis};

use super::ask::{Asking, Trouble, list, text};
use super::letters::letter_streams;
use crate::connect::Server;
use crate::top::model::MAX_SUBSCRIPTIONS;
use crate::top::snapshot::{Discovery, Name};

/// Keys that one SCAN looks at.
const SCAN_COUNT: usize = 1_000;

/// Streams that are asked whether they hold dead letters.
pub(crate) const MAX_STREAMS: usize = 2_000;

/// Streams of dead letters that are looked at in every round.
pub(crate) const MAX_LETTER_STREAMS: usize = 50;

/// Goes through the keys, over connections of its own.
pub(crate) struct Search {
    server: Arc<Server>,
    admin: Admin,
    asking: Asking,
    /// The streams of dead letters, where they need not be looked for.
    named: Vec<String>,
}

impl Search {
    pub fn new(server: &Arc<Server>, named: Vec<String>) -> Result<Self, Error> {
        let asking = Asking::new(Arc::clone(server));
        Ok(Self { server: Arc::clone(server), admin: server.admin()?, asking, named })
    }

    /// All subscriptions, and the streams of dead letters.
    ///
    /// It takes as long as the keys do: each answer is waited for with patience, however many there are.
    pub async fn run(&mut self) -> Result<Discovery, String> {
        let discovery = match self.find().await {
            // The connections may have been broken for long.
            Err(Trouble::Absent(_)) => {
                self.admin = self.server.admin().map_err(|error| error.to_string())?;
                self.asking = Asking::new(Arc::clone(&self.server));
                self.find().await
            }
            other => other,
        };
        discovery.map_err(Trouble::words)
    }

    async fn find(&mut self) -> Result<Discovery, Trouble> {
        let found = self.admin.subscriptions().await?;
        let left_out = found.len().saturating_sub(MAX_SUBSCRIPTIONS);
        let names = found.into_iter().take(MAX_SUBSCRIPTIONS).map(|(stream, group)| Name::new(stream, group)).collect();
        let mut discovery = Discovery { names, left_out, ..Discovery::default() };
        if !self.named.is_empty() {
            discovery.letter_streams = Some(self.named.clone());
            return Ok(discovery);
        }
        match self.letter_streams(&mut discovery.notes).await {
            Ok(streams) => discovery.letter_streams = Some(streams),
            Err(Trouble::Refused(why)) => {
                discovery.notes.push(format!("dead letters cannot be looked for (--dead-letters names them): {why}"));
            }
            Err(absent) => return Err(absent),
        }
        Ok(discovery)
    }

    async fn letter_streams(&mut self, notes: &mut Vec<String>) -> Result<Vec<String>, Trouble> {
        let streams = self.streams().await?;
        if streams.len() >= MAX_STREAMS {
            notes.push(format!(
                "dead letters were looked for in the first {MAX_STREAMS} streams: --dead-letters names others"
            ));
        }
        let mut found = letter_streams(&mut self.asking, &streams).await?;
        if found.len() > MAX_LETTER_STREAMS {
            notes.push(format!(
                "dead letters of {MAX_LETTER_STREAMS} streams out of {} are counted: --dead-letters chooses",
                found.len()
            ));
            found.truncate(MAX_LETTER_STREAMS);
        }
        Ok(found)
    }

    async fn streams(&mut self) -> Result<Vec<String>, Trouble> {
        let (mut streams, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("COUNT").arg(SCAN_COUNT).arg("TYPE").arg("stream");
            let page = self.asking.command(&command).await?;
            let [next, keys] = list(&page) else { break };
            cursor = text(next);
            streams.extend(list(keys).iter().map(text));
            if cursor == "0" || streams.len() >= MAX_STREAMS {
                break;
            }
        }
        // A key may come more than once.
        streams.sort();
        streams.dedup();
        streams.truncate(MAX_STREAMS);
        Ok(streams)
    }
}
