//! What the checker knows of one subscription.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant as Time;

use atomic_streams::EntryId;
use redis::aio::MultiplexedConnection;

use super::instant::Instant;
use super::{CAN_BE_LOST, Trouble};
use crate::entries::{Read, entries};
use crate::subscriptions::{Chain, RECENT, Subscription, change};

/// So many entries are read at once, and so many are waiting for their outputs at most.
const CHUNK: usize = 2_000;
const WAITING: usize = 20_000;

/// How many connections of producers are remembered.
const PRODUCERS: usize = 64;

/// The fold of all inputs up to a position.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    pub position: EntryId,
    /// The output of the entry there.
    output: EntryId,
    chain: Chain,
    by_key: BTreeMap<u64, u64>,
    recent: VecDeque<u64>,
    /// The last number of each connection of a producer.
    producers: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub struct Watch {
    pub subscription: &'static Subscription,
    /// Cannot be lost any more: what lies before it may be trimmed.
    base: Checkpoint,
    /// Instants that were exact and that may yet be lost, oldest first.
    line: VecDeque<(Time, Checkpoint)>,
    /// The last of them, and what has been held against each other since.
    pub tip: Checkpoint,
    /// Read and not yet held against each other.
    inputs: VecDeque<Read>,
    outputs: VecDeque<Read>,
    inputs_to: EntryId,
    outputs_to: EntryId,
    epoch: u64,
    owner: String,
    pub attaches: u64,
    pub takeovers: u64,
}

impl Watch {
    pub fn new(subscription: &'static Subscription) -> Self {
        Self {
            subscription,
            base: Checkpoint::default(),
            line: VecDeque::new(),
            tip: Checkpoint::default(),
            inputs: VecDeque::new(),
            outputs: VecDeque::new(),
            inputs_to: EntryId::MIN,
            outputs_to: EntryId::MIN,
            epoch: 0,
            owner: String::new(),
            attaches: 0,
            takeovers: 0,
        }
    }

    pub fn messages(&self) -> u64 {
        self.tip.chain.count
    }

    /// The first entry of this stream that is needed yet, if this subscription has to do with it.
    pub fn needs_from(&self, stream: &str) -> Option<EntryId> {
        match stream {
            _ if stream == self.subscription.stream => Some(self.base.position),
            _ if stream == self.subscription.output => Some(self.base.output),
            _ => None,
        }
    }

    pub fn forget_newest(&mut self, killed: Time) {
        self.line.retain(|(checked, _)| *checked + CAN_BE_LOST <= killed);
        let last = self.line.back().map_or(&self.base, |(_, checkpoint)| checkpoint);
        self.tip = last.clone();
        (self.inputs_to, self.outputs_to) = (self.tip.position, self.tip.output);
        self.inputs.clear();
        self.outputs.clear();
    }

    /// False where there is nothing new since the last instant.
    pub async fn check(&mut self, redis: &mut MultiplexedConnection) -> Result<bool, Trouble> {
        // All but the newest is read before, so that the transaction is a short one.
        loop {
            let inputs = self.read_inputs(redis, "+").await?;
            let outputs = self.read_outputs(redis).await?;
            self.compare()?;
            if outputs < CHUNK && (inputs < CHUNK || self.inputs.len() >= WAITING) {
                break;
            }
        }
        let instant = Instant::read(redis, self.subscription, self.outputs_to).await?;
        self.take_outputs(instant.outputs.clone());
        while self.inputs_to < instant.position && self.read_inputs(redis, &instant.position.to_string()).await? > 0 {}
        self.compare()?;
        self.hold_against(&instant)?;

        self.attaches += instant.epoch.saturating_sub(self.epoch);
        self.takeovers += u64::from(instant.owner != self.owner && !self.owner.is_empty());
        (self.epoch, self.owner) = (instant.epoch, instant.owner);
        let now = Time::now();
        let is_new = self.line.back().is_none_or(|(_, last)| last.position != self.tip.position);
        if is_new {
            self.line.push_back((now, self.tip.clone()));
        }
        let lasting = self.line.partition_point(|(checked, _)| *checked + CAN_BE_LOST < now);
        if let Some((_, last)) = self.line.drain(..lasting).next_back() {
            self.base = last;
        }
        Ok(is_new)
    }

    async fn read_inputs(&mut self, redis: &mut MultiplexedConnection, to: &str) -> Result<usize, Trouble> {
        if to == "+" && self.inputs.len() >= WAITING {
            return Ok(0);
        }
        let read = read(redis, self.subscription.stream, self.inputs_to, to).await?;
        self.inputs_to = read.last().map_or(self.inputs_to, |last| last.id);
        let count = read.len();
        self.inputs.extend(read);
        Ok(count)
    }

    async fn read_outputs(&mut self, redis: &mut MultiplexedConnection) -> Result<usize, Trouble> {
        let read = read(redis, self.subscription.output, self.outputs_to, "+").await?;
        let count = read.len();
        self.take_outputs(read);
        Ok(count)
    }

    fn take_outputs(&mut self, outputs: Vec<Read>) {
        self.outputs_to = outputs.last().map_or(self.outputs_to, |last| last.id);
        self.outputs.extend(outputs);
    }

    /// Folds each input whose output is there, and holds the output against it.
    fn compare(&mut self) -> Result<(), Trouble> {
        while let (Some(input), Some(output)) = (self.inputs.front(), self.outputs.front()) {
            let mut chain = self.tip.chain;
            chain.take(input.id, &input.item);
            let item = chain.output(self.subscription.group, input.id);
            if output.item != item {
                let what = format!("after the input {input:?} the output should be {item:?}, and it is {output:?}");
                return Err(self.wrong(&what));
            }
            let last = self.tip.producers.get(&input.item.by);
            if last.is_some_and(|last| *last >= input.item.n) {
                return Err(
                    self.wrong(&format!("the stream holds {input:?} after the number {last:?} of its producer"))
                );
            }
            let id = output.id;
            self.tip.advance(input, chain);
            self.tip.output = id;
            self.inputs.pop_front();
            self.outputs.pop_front();
        }
        Ok(())
    }

    fn hold_against(&self, instant: &Instant) -> Result<(), Trouble> {
        let Checkpoint { position, chain, by_key, recent, .. } = &self.tip;
        if let Some(output) = self.outputs.front() {
            return Err(self.wrong(&format!("no input explains the output {output:?}")));
        }
        if *position != instant.position {
            let at = instant.position;
            return Err(self.wrong(&format!("outputs are those up to {position}, and the position is {at}")));
        }
        if *chain != instant.chain || chain.count != instant.processed {
            let (found, processed) = (instant.chain, instant.processed);
            let what = format!("the state should be {chain:?}, and it is {found:?} with {processed} processed");
            return Err(self.wrong(&what));
        }
        if self.subscription.keeps_collections && (*by_key != instant.by_key || *recent != instant.recent) {
            let differs = |key: &&u64| by_key.get(key) != instant.by_key.get(key);
            let keys: BTreeSet<&u64> = by_key.keys().chain(instant.by_key.keys()).filter(differs).take(10).collect();
            let (expected, found) = (recent, &instant.recent);
            let what = format!("the map differs at {keys:?}; the deque should be {expected:?} and is {found:?}");
            return Err(self.wrong(&what));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> Trouble {
        let Subscription { stream, group, .. } = self.subscription;
        let Checkpoint { position, chain, .. } = &self.tip;
        Trouble::Wrong(format!("{group} on {stream}: {what} (exact up to {position}, {} entries)", chain.count))
    }
}

impl Checkpoint {
    fn advance(&mut self, input: &Read, chain: Chain) {
        self.producers.insert(input.item.by.clone(), input.item.n);
        if self.producers.len() > PRODUCERS {
            self.producers.pop_first();
        }
        self.position = input.id;
        self.chain = chain;
        match change(&chain, |key| self.by_key.get(&key).copied()) {
            (key, Some(value)) => drop(self.by_key.insert(key, value)),
            (key, None) => drop(self.by_key.remove(&key)),
        }
        self.recent.push_back(chain.count);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
}

async fn read(redis: &mut MultiplexedConnection, stream: &str, after: EntryId, to: &str) -> Result<Vec<Read>, Trouble> {
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg(format!("({after}")).arg(to).arg("COUNT").arg(CHUNK);
    let reply = command.query_async(redis).await?;
    entries(reply).map_err(|odd| Trouble::Wrong(format!("{stream}: {odd}")))
}
