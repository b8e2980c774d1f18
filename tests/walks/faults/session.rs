//! A session of a worker: the library's own decisions, over a network that the walk moves by hand.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use atomic_streams::EntryId;
use atomic_streams::internals::{
    Changes, Commit, Entry, Fold, Link, Outcome, Owned, Proof, Publish, Reconciler, Sequencer, Staged, Step, StepReply,
    digest,
};

use super::truth;
use crate::place::OUTPUT;

const RENEW: Step = Step::Renew { lease_ms: 10_000, stop_at_trimmed: false };

pub struct Session {
    /// Tells its results from those of all others: handlers need not be deterministic.
    number: usize,
    token: String,
    sequencer: Sequencer,
    reconciler: Reconciler,
    /// What was read and is not yet handled.
    read: VecDeque<Entry>,
    read_to: EntryId,
    handled: Vec<String>,
    even: Vec<String>,
    /// What the server has not got yet.
    on_its_way: VecDeque<Step>,
    /// What the server has answered, and the worker has not heard.
    answered: VecDeque<(Step, StepReply)>,
    last_delivered: Vec<Step>,
    /// The ID and the contents of each entry of each read.
    reads: Vec<Vec<(u64, u64)>>,
}

impl Session {
    /// Begins with the state that the record has; `None` if somebody else has attached meanwhile.
    pub async fn begin(number: usize, owned: &Owned, link: &mut dyn Link) -> Result<Option<Self>, String> {
        let names = ["handled".to_owned(), "even".to_owned()];
        let loaded = link.load(&names).await.map_err(|error| error.to_string())?;
        let Some(loaded) = loaded.filter(|loaded| loaded.head == owned.head) else { return Ok(None) };
        let list = |value: &Option<Vec<u8>>| {
            value.as_ref().map(|value| truth::items(&String::from_utf8_lossy(value))).unwrap_or_default()
        };
        Ok(Some(Self {
            number,
            token: owned.head.token.as_str().to_owned(),
            sequencer: Sequencer::new(owned),
            reconciler: Reconciler::new(owned),
            read: VecDeque::new(),
            read_to: owned.position,
            handled: list(&loaded.values[0]),
            even: list(&loaded.values[1]),
            on_its_way: VecDeque::new(),
            answered: VecDeque::new(),
            last_delivered: Vec::new(),
            reads: Vec::new(),
        }))
    }

    /// Reads on, when everything that was read is handled.
    pub async fn read(&mut self, count: usize, link: &mut dyn Link) -> Result<(), String> {
        if !self.read.is_empty() {
            return Ok(());
        }
        if self.sequencer.owes_proof() {
            self.prove();
        }
        let read = link.read(self.read_to, count, Duration::from_millis(1)).await;
        let read = read.map_err(|error| error.to_string())?;
        if let (Some(first), Some(last)) = (read.first(), read.last()) {
            self.read_to = last.id;
            self.sequencer.begin_read(Proof { first: first.id, last: last.id, digest: digest(last) });
            self.reads.push(read.iter().map(|entry| (entry.id.ms, contents(entry))).collect());
            self.read.extend(read);
        }
        Ok(())
    }

    /// The ID of the last entry that was read.
    pub fn read_to(&self) -> u64 {
        self.read_to.ms
    }

    /// Handles the next entry, and sends what is to be committed on its way.
    pub fn handle(&mut self) {
        let Some(entry) = self.read.pop_front() else { return };
        let contents = contents(&entry);
        let item = format!("{contents}.{}", self.number);
        self.handled.push(item.clone());
        let mut changed = vec![("handled", self.handled.join(" ").into_bytes())];
        if contents.is_multiple_of(2) {
            self.even.push(item.clone());
            changed.push(("even", self.even.join(" ").into_bytes()));
        }
        let publish = Publish { stream: OUTPUT.into(), fields: [("item", item)].into_iter().collect() };
        let staged = Staged { publishes: vec![publish], trims: Vec::new() };
        let commit = self.sequencer.entry(entry.id, Changes::from(changed), staged);
        self.on_its_way.push_back(Step::Commit(commit));
    }

    /// Sends a proof that waits on its way alone.
    pub fn prove(&mut self) {
        if self.sequencer.owes_proof() {
            let commit = self.sequencer.nothing(Changes::default(), Vec::new());
            self.on_its_way.push_back(Step::Commit(commit));
        }
    }

    pub fn renew(&mut self) {
        self.on_its_way.push_back(RENEW);
    }

    /// Whether a read ends with the entry `last`, and what it has seen before that is not what the stream has got there.
    pub fn has_read_otherwise(&self, last: (u64, u64), added: impl Iterator<Item = (u64, u64)> + Clone) -> bool {
        self.reads.iter().any(|read| {
            let others = added.clone().filter(|entry| (read[0].0..last.0).contains(&entry.0));
            read.last() == Some(&last) && !others.eq(read[..read.len() - 1].iter().copied())
        })
    }

    /// Whether everything that it did is confirmed.
    pub fn is_settled(&self) -> bool {
        self.on_its_way.is_empty() && self.answered.is_empty()
    }

    /// The server gets the next steps.
    pub async fn deliver(&mut self, count: usize, folded: bool, link: &mut dyn Link) -> Result<(), String> {
        let count = count.min(self.on_its_way.len());
        let mut steps: Vec<Step> = self.on_its_way.drain(..count).collect();
        if folded {
            steps = fold(steps);
        }
        for step in &mut steps {
            self.reconciler.sending(step);
        }
        let replies = send(&self.token, &steps, link).await?;
        self.answered.extend(steps.iter().cloned().zip(replies));
        self.last_delivered = steps;
        Ok(())
    }

    /// The server gets the last steps once more; nobody hears what it says.
    pub async fn deliver_again(&mut self, link: &mut dyn Link) -> Result<(), String> {
        send(&self.token, &self.last_delivered, link).await.map(drop)
    }

    /// Hears all answers. `false`: one of them ends the session.
    pub fn hear(&mut self) -> bool {
        for (step, reply) in mem::take(&mut self.answered) {
            match self.reconciler.reply(&step, reply, None) {
                Ok(Outcome::Committed { cursor_trouble: Some(_), .. }) => self.renew(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Gives the lease back, as the last thing.
    pub async fn release(self, link: &mut dyn Link) -> Result<(), String> {
        send(&self.token, &[Step::Release], link).await.map(drop)
    }
}

fn contents(entry: &Entry) -> u64 {
    entry.fields.get_str("n").unwrap().parse().unwrap()
}

async fn send(token: &str, steps: &[Step], link: &mut dyn Link) -> Result<Vec<StepReply>, String> {
    let replies = link.send(token, steps).await;
    replies.into_iter().map(|reply| reply.map_err(|error| format!("a script failed: {error}"))).collect()
}

/// One step of consecutive commits, where they can be folded.
fn fold(steps: Vec<Step>) -> Vec<Step> {
    let mut folded = Vec::new();
    let mut commits: Vec<Commit> = Vec::new();
    let fold = |commits: &mut Vec<Commit>| {
        let fold = Fold { max_entries: 8, alone_until: None };
        fold.fold(mem::take(commits)).into_iter().map(Step::Commit).collect::<Vec<_>>()
    };
    for step in steps {
        match step {
            Step::Commit(commit) => commits.push(commit),
            other => {
                folded.extend(fold(&mut commits));
                folded.push(other);
            }
        }
    }
    folded.extend(fold(&mut commits));
    folded
}
