//! The server's side: what the scripts do, on small numbers.

use std::sync::Arc;

use atomic_streams::EntryId;
use atomic_streams::internals::{
    AttachReply, AttachRequest, Cause, Commit, Divergence, Head, Lag, Operation, Owned, Proof, Renewed, Step,
    StepReply, Token, Trying,
};

use crate::checks::{Checks, Fence, MintedBy, ProofOf};
use crate::worker::Sent;

/// The field that holds the handler's state: the contents of every entry it was given.
pub const STATE: &str = "state";
/// The field of a published entry.
pub const CONTENT: &str = "content";
/// The field that names the entry under suspicion.
pub const TRYING: &str = "@trying";

/// An entry of the stream. Contents are unique, IDs may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// Its ID.
    pub id: u8,
    /// What it holds.
    pub content: u8,
}

impl Item {
    /// Its ID as the protocol has it.
    #[must_use]
    pub fn entry_id(self) -> EntryId {
        id(self.id)
    }

    /// The digest of its fields.
    #[must_use]
    pub fn digest(self) -> String {
        self.content.to_string()
    }
}

/// The owner's part of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The token, by its number.
    pub token: u8,
    /// Attaches so far in this history.
    pub epoch: u8,
    /// The number of the last step.
    pub sequence: u8,
    /// ID of the last entry that is committed.
    pub position: u8,
    /// Entries committed.
    pub processed: u8,
    /// Which instance attached last, and its attempt.
    pub author: (u8, u8),
    /// The entry under suspicion, and its tries.
    pub trying: Option<(u8, u8)>,
}

/// All keys of one server at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server {
    /// What the stream holds.
    pub stream: Vec<Item>,
    /// The last ID that it has given.
    pub last_id: u8,
    /// The record, once there was an attach.
    pub record: Option<Record>,
    /// The handler's state in the record.
    pub state: Vec<u8>,
    /// What the output stream holds.
    pub outputs: Vec<u8>,
    /// Not on the server: every entry that this history has added.
    pub added: Vec<Item>,
    /// Not on the server: a commit was applied that was not the owner's.
    pub was_stolen: bool,
}

impl Server {
    /// Adds an entry.
    #[must_use]
    pub fn add(&self, item: Item) -> Self {
        let mut next = self.clone();
        next.stream.push(item);
        next.added.push(item);
        next.last_id = item.id;
        next
    }

    /// Trims the first entry.
    #[must_use]
    pub fn trim(&self) -> Self {
        let mut next = self.clone();
        next.stream.remove(0);
        next
    }

    /// `attach.lua`. Leases are always over when somebody tries: when they end is up to the adversary. `time` is never the
    /// same.
    #[must_use]
    pub fn attach(&self, checks: &Checks, request: &AttachRequest, time: u8) -> (AttachReply, Option<Self>) {
        let author = author(request);
        let before = self.record;
        if let Some(Record { author: (instance, attempt), .. }) = before
            && instance == author.0
            && author.1 <= attempt
        {
            return (AttachReply::Stale { attempt: attempt.into() }, None);
        }
        let token = match checks.minted_by {
            MintedBy::Server => time,
            MintedBy::Client => author.0 * 10 + author.1,
        };
        let held =
            before.unwrap_or(Record { token, epoch: 0, sequence: 0, position: 0, processed: 0, author, trying: None });
        let record = Record { token, epoch: held.epoch + 1, author, ..held };
        let reply = AttachReply::Owned(Owned {
            head: Head { token: Token::new(&token.to_string()), sequence: held.sequence.into() },
            epoch: record.epoch.into(),
            created: before.is_none(),
            released: before.is_none(),
            abandoned: before.is_some_and(|before| before.author.0 != author.0),
            trying: held.trying.map(|(entry, crashes)| Trying { entry: id(entry), crashes: crashes.into() }),
            position: id(held.position),
            processed: held.processed.into(),
            base: None,
            last_id: id(self.last_id),
            length: self.stream.len() as u64,
            vanished: 0,
            lag: Lag::default(),
            adopted: None,
        });
        (reply, Some(Self { record: Some(record), ..self.clone() }))
    }

    /// `commit.lua` and `renew.lua`: the reply, and what is written if anything is.
    #[must_use]
    pub fn step(&self, checks: &Checks, sent: &Sent) -> (StepReply, Option<Self>) {
        match &*sent.step.0 {
            Step::Commit(commit) => self.commit(checks, sent, commit),
            Step::Renew { .. } | Step::Release => (self.renew(checks, sent), None),
            Step::Wait { .. } => unreachable!("the model's owner waits for no disk"),
        }
    }

    fn commit(&self, checks: &Checks, sent: &Sent, commit: &Commit) -> (StepReply, Option<Self>) {
        let Some(record) = self.record.filter(|record| owns(checks, record, sent)) else { return (fenced(), None) };
        let diverged = |why| {
            let found = format!("{}:{}", record.token, record.sequence);
            (StepReply::Diverged { found, position: record.position.to_string(), why }, None)
        };
        if !checks.without_chain && u64::from(record.sequence) != commit.follows {
            return diverged(Divergence::Sequence);
        }
        if let Some(proof) = &commit.proof {
            let is_between = |item: &Item| record.position < item.id && item.entry_id() < proof.first;
            if !checks.without_gap && self.stream.iter().any(is_between) {
                return diverged(Divergence::Gap);
            }
            if !self.proves(checks, proof) {
                return diverged(Divergence::Gone);
            }
        }
        let mut next = self.clone();
        next.was_stolen |= record.token != sent.token;
        next.record = Some(Record {
            sequence: small(commit.leads_to),
            position: small(commit.position.ms),
            processed: small(commit.processed),
            trying: record.trying.filter(|_| !commit.deleted.iter().any(|name| name == TRYING)),
            ..record
        });
        for (name, value) in &commit.fields {
            match *name {
                STATE => next.state.clone_from(value),
                _ => {
                    let trying = std::str::from_utf8(value).ok().and_then(Trying::parse);
                    let trying = trying.map(|trying| (small(trying.entry.ms), small(trying.crashes.into())));
                    next.record = next.record.map(|record| Record { trying, ..record });
                }
            }
        }
        for operation in &commit.operations {
            if let Operation::Publish { fields, .. } = operation {
                next.outputs.extend(fields.get(CONTENT).unwrap_or_default());
            }
        }
        (StepReply::Committed { cursor_trouble: None, trim_trouble: None }, Some(next))
    }

    fn proves(&self, checks: &Checks, proof: &Proof) -> bool {
        let last = self.stream.iter().find(|item| item.entry_id() == proof.last);
        let is_same = last.is_some_and(|last| last.digest() == proof.digest);
        match checks.proof {
            ProofOf::LastOfRead => is_same,
            ProofOf::LastOfReadById | ProofOf::LastAtHand => last.is_some(),
            ProofOf::LastOfReadOrTrimmed => {
                let is_past = self.stream.first().is_none_or(|first| proof.last < first.entry_id());
                is_same || (proof.last <= id(self.last_id) && is_past)
            }
            ProofOf::LastGeneratedId => proof.last <= id(self.last_id),
            ProofOf::Nothing => true,
        }
    }

    fn renew(&self, checks: &Checks, sent: &Sent) -> StepReply {
        let Some(record) = self.record.filter(|record| owns(checks, record, sent)) else { return fenced() };
        StepReply::Renewed(Renewed {
            head: Head { token: Token::new(&record.token.to_string()), sequence: record.sequence.into() },
            position: id(record.position),
            last_id: id(self.last_id),
            last_entry: self.stream.last().map(|item| item.entry_id()),
            base: None,
            vanished: 0,
            all: true,
            cause: Cause::Either,
            cursor_repaired: false,
            cursor_trouble: None,
            unparking: 0,
            lag: Lag::default(),
        })
    }

    /// What the state must be: every entry up to the position, each once and in order. One that was trimmed may be missing.
    pub fn expected(&self) -> impl Iterator<Item = u8> {
        let position = self.record.map_or(0, |record| record.position);
        self.owed().filter(move |item| item.id <= position).map(|item| item.content)
    }

    /// The entries that the state has or must still get.
    pub fn owed(&self) -> impl Iterator<Item = Item> {
        self.added.iter().copied().filter(|item| self.stream.contains(item) || self.state.contains(&item.content))
    }
}

/// A server's keys, found equal by a number: the model compares whole histories of them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The keys.
    pub server: Arc<Server>,
    mark: u64,
}

impl Snapshot {
    /// Takes the number.
    #[must_use]
    pub fn new(server: Server) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        server.hash(&mut hasher);
        Self { server: Arc::new(server), mark: hasher.finish() }
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.server == other.server
    }
}

impl std::hash::Hash for Snapshot {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.mark.hash(state);
    }
}

fn owns(checks: &Checks, record: &Record, sent: &Sent) -> bool {
    match checks.fence {
        Fence::Token => record.token == sent.token,
        Fence::Epoch => record.epoch == sent.epoch,
        Fence::Nothing => true,
    }
}

fn fenced() -> StepReply {
    StepReply::Fenced { owner: String::new() }
}

/// Instance and attempt.
fn author(request: &AttachRequest) -> (u8, u8) {
    (request.instance.parse().unwrap_or_default(), small(request.attempt))
}

/// An ID as the protocol has it.
pub(crate) fn id(id: u8) -> EntryId {
    EntryId::new(id.into(), 0)
}

/// The model's numbers are small.
pub(crate) fn small(number: u64) -> u8 {
    assert!(number <= u8::MAX.into(), "{number} is no number of this model");
    number as u8
}
