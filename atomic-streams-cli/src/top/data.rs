//! Asks the server: a round of looks becomes a [`Snapshot`], going through the keys a list of names. Nothing here changes anything.

mod ask;
mod letters;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atomic_streams::admin::{Admin, Inspection};
use atomic_streams::redis::Pipeline;
use atomic_streams::{EntryId, Error, ErrorKind, redis};
use tokio::task::JoinSet;

use self::ask::{Asking, Trouble, list, patiently, text};
use self::letters::Tallies;
pub(crate) use self::search::Search;
use super::plan::Ask;
use super::snapshot::{Look, Name, Record, Seen, Snapshot, State};
use crate::connect::Server;

/// Looks that are under way at once, each over a connection of its own.
const LANES: usize = 4;

/// A failure that comes sooner may be one of the connections alone.
const QUICK: Duration = Duration::from_secs(1);

/// A state is read where it has no more than this.
const MAX_STATE_FIELDS: usize = 200;
const MAX_STATE_ENTRIES: u64 = 1_000;
const MAX_STATE_BYTES: u64 = 256 << 10;

/// Kinds of collections, as the keys beside a record name them.
const KINDS: [&str; 3] = ["map", "set", "deque"];

/// Characters of a field's JSON that are kept.
const MAX_JSON: usize = 4_096;

/// Says what time it is, since the start.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Looks at subscriptions, round after round.
pub(crate) struct Watch {
    server: Arc<Server>,
    lines: Lines,
    tallies: Tallies,
    /// The state that was read last, and the commit that it is of.
    state: Option<(Name, Commit, State)>,
    clock: Clock,
}

/// Its connections.
struct Lines {
    lanes: Vec<Admin>,
    asking: Asking,
}

impl Lines {
    fn new(server: &Arc<Server>) -> Result<Self, Error> {
        let lanes = (0..LANES).map(|_| server.admin()).collect::<Result<_, _>>()?;
        Ok(Self { lanes, asking: Asking::new(Arc::clone(server)) })
    }
}

/// Which commit a record shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Commit {
    epoch: u64,
    position: EntryId,
    processed: u64,
}

impl Watch {
    pub fn new(server: &Arc<Server>, clock: Clock) -> Result<Self, Error> {
        let lines = Lines::new(server)?;
        Ok(Self { server: Arc::clone(server), lines, tallies: Tallies::default(), state: None, clock })
    }

    /// Looks at what is asked for, and at the dead letters in these streams, if it is known which they are.
    ///
    /// # Errors
    /// The server is not there, in words. What it refuses is said in the snapshot.
    pub async fn round(&mut self, ask: &Ask, letter_streams: Option<&[String]>) -> Result<Snapshot, String> {
        let begun = (self.clock)();
        let mut snapshot = self.look(ask, letter_streams).await;
        for can_ask_again in [true, false] {
            if !matches!(snapshot, Err(Trouble::Absent(_))) {
                break;
            }
            // What is broken on one connection is broken on all.
            self.lines = Lines::new(&self.server).map_err(|error| error.to_string())?;
            // They may have been broken for long, where nothing was asked meanwhile.
            if can_ask_again && (self.clock)().saturating_sub(begun) < QUICK {
                snapshot = self.look(ask, letter_streams).await;
            }
        }
        snapshot.map_err(Trouble::words)
    }

    async fn look(&mut self, ask: &Ask, letter_streams: Option<&[String]>) -> Result<Snapshot, Trouble> {
        if ask.names.is_empty() && letter_streams.is_none_or(<[String]>::is_empty) {
            // Nothing is asked otherwise, and nobody would see that the server is not there.
            self.lines.asking.command(&redis::cmd("PING")).await?;
        }
        let mut snapshot = Snapshot { looks: self.looks(&ask.names).await?, ..Snapshot::default() };
        let refused = snapshot.looks.iter().find_map(|look| match &look.seen {
            Seen::Refused(why) => Some(why.clone()),
            _ => None,
        });
        snapshot.notes.extend(refused);
        match self.count_standbys(&mut snapshot.looks).await {
            Err(Trouble::Refused(why)) => snapshot.notes.push(format!("standbys cannot be counted: {why}")),
            other => other?,
        }
        if let Some(letter_streams) = letter_streams {
            match self.tallies.look(&mut self.lines.asking, letter_streams).await {
                Ok(notes) => {
                    snapshot.notes.extend(notes);
                    snapshot.letters = Some(self.tallies.by_name());
                }
                Err(Trouble::Refused(why)) => snapshot.notes.push(format!("dead letters cannot be counted: {why}")),
                Err(absent) => return Err(absent),
            }
        }
        if let Some(name) = &ask.state_of {
            let record = snapshot.looks.iter().find(|look| look.name == *name).and_then(|look| look.seen.record());
            if let Some(record) = record {
                let state = self.read_state(name, record).await?;
                snapshot.state = Some((name.clone(), state));
            }
        }
        Ok(snapshot)
    }

    async fn looks(&self, names: &[Name]) -> Result<Vec<Look>, Trouble> {
        let queue: Arc<Mutex<VecDeque<Name>>> = Arc::new(Mutex::new(names.iter().cloned().collect()));
        let mut lanes: JoinSet<Result<Vec<Look>, Trouble>> = JoinSet::new();
        for admin in self.lines.lanes.iter().take(names.len()) {
            let (admin, queue, clock) = (admin.clone(), Arc::clone(&queue), Arc::clone(&self.clock));
            lanes.spawn(async move {
                let mut looks = Vec::new();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(name) = next else { return Ok(looks) };
                    let seen = inspect(&admin, &name).await?;
                    looks.push(Look { name, at: clock(), seen });
                }
            });
        }
        let mut looks = Vec::with_capacity(names.len());
        // The first that finds the server gone ends the others.
        while let Some(lane) = lanes.join_next().await {
            looks.extend(lane.map_err(|error| Trouble::Absent(format!("looking ended midway: {error}")))??);
        }
        Ok(looks)
    }

    /// A consumer that waits to take over listens on a channel that is called as the record is.
    async fn count_standbys(&mut self, looks: &mut [Look]) -> Result<(), Trouble> {
        let keys: Vec<&str> = looks.iter().filter_map(|look| Some(look.seen.record()?.key.as_str())).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let reply = self.lines.asking.command(redis::cmd("PUBSUB").arg("NUMSUB").arg(keys)).await?;
        let counts: BTreeMap<String, u64> = list(&reply)
            .chunks_exact(2)
            .filter_map(|pair| Some((text(&pair[0]), text(&pair[1]).parse().ok()?)))
            .collect();
        for look in looks {
            if let Seen::Record(record) = &mut look.seen {
                record.standbys = counts.get(&record.key).copied();
            }
        }
        Ok(())
    }

    async fn read_state(&mut self, name: &Name, record: &Record) -> Result<State, Trouble> {
        let commit = Commit { epoch: record.epoch, position: record.position, processed: record.processed };
        if let Some((of, at, state)) = &self.state
            && (of, *at) == (name, commit)
        {
            return Ok(state.clone());
        }
        let state = match self.lines.is_small(record).await {
            Ok(false) => State::Large,
            Ok(true) => match patiently(self.lines.lanes[0].state(&name.stream, &name.group)).await {
                Ok(stored) => match stored.to_json() {
                    Ok(json) => State::Fields(fields(&json)),
                    Err(error) => State::Unreadable(error.to_string()),
                },
                Err(Trouble::Refused(why)) => State::Unreadable(why),
                Err(absent) => return Err(absent),
            },
            Err(Trouble::Refused(why)) => State::Unreadable(why),
            Err(absent) => return Err(absent),
        };
        self.state = Some((name.clone(), commit, state.clone()));
        Ok(state)
    }
}

impl Lines {
    /// What a key takes is asked only where it has few parts: all of them are looked at, since a few may not be like the others.
    async fn is_small(&mut self, record: &Record) -> Result<bool, Trouble> {
        let is_many = record.fields.len() + record.collections.len() > MAX_STATE_FIELDS;
        if is_many || record.collected() > MAX_STATE_ENTRIES {
            return Ok(false);
        }
        let beside =
            record.collections.keys().flat_map(|field| KINDS.map(|kind| format!("{}@{kind}:{field}", record.key)));
        let mut commands = Pipeline::new();
        for key in std::iter::once(record.key.clone()).chain(beside) {
            commands.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
        }
        let mut bytes = 0_u64;
        for answer in self.asking.pipeline(commands).await? {
            // Of the three kinds of one field, two are not there.
            bytes = bytes.saturating_add(text(&answer?).parse().unwrap_or(0));
        }
        Ok(bytes <= MAX_STATE_BYTES)
    }
}

fn fields(json: &serde_json::Value) -> Vec<(String, String)> {
    let cut = |text: String| if text.len() > MAX_JSON { text.chars().take(MAX_JSON).collect() } else { text };
    let fields = json.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), cut(value.to_string()))).collect()
}

async fn inspect(admin: &Admin, name: &Name) -> Result<Seen, Trouble> {
    let inspecting = async {
        match admin.inspect(&name.stream, &name.group).await {
            Ok(found) => Ok(Seen::Record(Box::new(record(found)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Seen::Gone),
            Err(error) => Err(error),
        }
    };
    match patiently(inspecting).await {
        Err(Trouble::Refused(why)) => Ok(Seen::Refused(why)),
        other => other,
    }
}

fn record(found: Inspection) -> Record {
    Record {
        key: found.record,
        owner: found.owner,
        epoch: found.epoch,
        head: found.head,
        lease: found.lease,
        standbys: None,
        position: found.position,
        processed: found.processed,
        lag: found.lag,
        lag_ms: found.lag_ms,
        last_id: found.last_id,
        first_id: found.first_id,
        length: found.length,
        passed_over: found.passed_over,
        parked_keys: found.parked_keys,
        trying: found.trying,
        schema: found.schema,
        fields: found.fields,
        collections: found.collections,
        created_ms: found.created_ms,
        memory_bytes: found.memory_bytes,
    }
}
