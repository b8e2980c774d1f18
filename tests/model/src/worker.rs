//! An owner's side: the library's protocol code, driven as its tasks drive it.

use std::sync::Arc;
use std::time::Duration;

use atomic_streams::Fields;
use atomic_streams::internals::{
    Attaching, Careful, Changes, Commit, Fold, Owned, Permissions, Proof, Publish, Reconciler, Sequencer, SessionEnd,
    Staged, Start, Step, StepReply, Timing,
};

use crate::adversary::Adversary;
use crate::checks::{Checks, ProofOf};
use crate::hashed::Hashed;
use crate::server::{CONTENT, Item, STATE, Server, TRYING, id, small};

/// A process, or one process after another.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Worker {
    /// Its name, another one after each crash.
    pub instance: u8,
    /// What it asks the server for.
    pub attaching: Attaching,
    /// What it knows of entries that kill.
    pub careful: Careful,
    /// It has had no session before.
    pub is_new: bool,
    /// The session, if it has one.
    pub session: Option<Session>,
    /// What its sessions have sent and the server has not got yet.
    pub on_their_way: Vec<Sent>,
}

/// A step on its way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Sent {
    /// The token of its session: each session has a connection of its own.
    pub token: u8,
    /// The epoch of its session.
    pub epoch: u8,
    /// The step.
    pub step: Hashed<Step>,
    /// A reply finds the way back. Not to a copy that is left over.
    pub is_awaited: bool,
    /// After which entry the reader waited when it was sent.
    pub reader_waited: Option<u8>,
}

/// An entry that was read, and the proof of the read if it is the first one of it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Read {
    /// The entry.
    pub item: Item,
    /// The proof of the read that begins here.
    pub proof: Option<Proof>,
}

/// An attach, as far as the caller knows.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Session {
    /// The token.
    pub token: u8,
    /// The epoch.
    pub epoch: u8,
    /// The staging end.
    pub sequencer: Sequencer,
    /// The settling end.
    pub reconciler: Reconciler,
    /// The handler's state, in memory.
    pub state: Vec<u8>,
    /// What was read and not handled.
    pub at_hand: Vec<Read>,
    /// The last entry that was read.
    pub read_up_to: u8,
    /// Commits that wait to be folded.
    pub staged: Vec<Hashed<Commit>>,
    /// Steps without a reply.
    pub in_flight: usize,
    /// Replies still come.
    pub hears: bool,
    /// Its reading connection is to the old primary.
    pub reads_old: bool,
    /// The entry at hand is noted as being tried.
    pub is_noted: bool,
    /// The sequence of the last step whose reply was good.
    pub confirmed: u8,
}

impl Worker {
    /// A process that has asked for nothing.
    #[must_use]
    pub fn new(instance: u8) -> Self {
        let timing = Timing::default();
        let (name, owner) = (instance.to_string(), String::new());
        let attaching = Attaching::new(name, owner, timing, Start::Beginning, Permissions::default(), String::new());
        Self { instance, attaching, careful: Careful::default(), is_new: true, session: None, on_their_way: Vec::new() }
    }

    /// Ownership is taken, and the state restored.
    pub fn begin(&mut self, owned: &Owned, server: &Server, adversary: &Adversary) {
        if adversary.crashes {
            self.careful.attached(owned, std::mem::take(&mut self.is_new), Adversary::WINDOW);
        }
        self.session = Some(Session {
            token: owned.head.token.as_str().parse().unwrap_or_default(),
            epoch: small(owned.epoch),
            sequencer: Sequencer::new(owned),
            reconciler: Reconciler::new(owned),
            state: server.state.clone(),
            at_hand: Vec::new(),
            read_up_to: small(owned.position.ms),
            staged: Vec::new(),
            in_flight: 0,
            hears: true,
            reads_old: false,
            is_noted: false,
            confirmed: small(owned.head.sequence),
        });
    }

    /// The process ends; the next one knows nothing.
    pub fn crash(&mut self) {
        let on_their_way = std::mem::take(&mut self.on_their_way);
        *self = Self { on_their_way, ..Self::new(self.instance + 2) };
    }

    /// Whether an entry can be handled, or noted as being tried.
    #[must_use]
    pub fn may_handle(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            let unsettled = session.in_flight + session.staged.len();
            let most = if self.careful.is_on() { 1 } else { Adversary::WINDOW };
            !session.at_hand.is_empty() && unsettled < most
        })
    }

    /// Handles the next entry; or notes it, if it is to be noted first. What is staged is sent unless it may be folded.
    pub fn handle(&mut self, checks: &Checks, adversary: &Adversary) {
        let Some(session) = &mut self.session else { return };
        let last_at_hand = session.at_hand.last().map(|read| read.item);
        let Some(next) = session.at_hand.first_mut() else { return };
        let item = next.item;
        if let Some(mut proof) = next.proof.take() {
            if checks.proof == ProofOf::LastAtHand
                && let Some(last) = last_at_hand
            {
                (proof.last, proof.digest) = (last.entry_id(), last.digest());
            }
            session.sequencer.begin_read(proof);
        }
        if !session.is_noted
            && let Some(trying) = self.careful.before_try(item.entry_id())
        {
            session.is_noted = true;
            let changes = Changes::from(vec![(TRYING, trying.to_string().into_bytes())]);
            let note = session.sequencer.nothing(changes, Vec::new());
            session.staged.push(Hashed(Arc::new(note)));
            return self.send(adversary);
        }
        session.at_hand.remove(0);
        session.state.push(item.content);
        let fields = Fields::from_iter([(CONTENT, [item.content])]);
        let staged = Staged { publishes: vec![Publish { stream: "outputs".into(), fields }], trims: Vec::new() };
        let changes = Changes::from(vec![(STATE, session.state.clone())]);
        let mut commit = session.sequencer.entry(item.entry_id(), changes, staged);
        if self.careful.passed() {
            commit.deleted.push(TRYING.to_owned());
        }
        session.is_noted = false;
        session.staged.push(Hashed(Arc::new(commit)));
        if !adversary.folds {
            self.send(adversary);
        }
    }

    /// The entry that is noted as being tried.
    #[must_use]
    pub fn noted(&self) -> Option<Item> {
        let session = self.session.as_ref().filter(|session| session.is_noted)?;
        session.at_hand.first().map(|read| read.item)
    }

    /// Whether the read at hand can be proved by a step of nothing.
    #[must_use]
    pub fn may_prove(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            let begins_read = session.at_hand.first().is_some_and(|read| read.proof.is_some());
            begins_read && session.in_flight + session.staged.len() < Adversary::WINDOW && !self.careful.is_on()
        })
    }

    /// Proves it so.
    pub fn prove(&mut self, adversary: &Adversary) {
        let Some(session) = &mut self.session else { return };
        if let Some(proof) = session.at_hand.first_mut().and_then(|read| read.proof.take()) {
            session.sequencer.begin_read(proof);
            let step = session.sequencer.nothing(Changes::default(), Vec::new());
            session.staged.push(Hashed(Arc::new(step)));
        }
        if !adversary.folds {
            self.send(adversary);
        }
    }

    /// Sends what is staged, folded where that is asked for.
    pub fn send(&mut self, adversary: &Adversary) {
        let Some(session) = &mut self.session else { return };
        let staged = session.staged.drain(..).map(|commit| Arc::unwrap_or_clone(commit.0));
        let max_entries = if adversary.folds { Adversary::WINDOW as u64 } else { 1 };
        let steps = Fold { max_entries, alone_until: None }.fold(staged);
        for step in steps {
            let mut step = Step::Commit(step);
            session.reconciler.sending(&mut step);
            session.in_flight += 1;
            self.on_their_way.push(session.sent(step));
        }
    }

    /// Sends a renewal behind what is on its way.
    pub fn renew(&mut self) {
        let Some(session) = &mut self.session else { return };
        session.in_flight += 1;
        self.on_their_way.push(session.sent(RENEW));
    }

    /// Whether a reply to `sent` is heard.
    #[must_use]
    pub fn hears(&self, sent: &Sent) -> bool {
        let is_of = |session: &Session| session.token == sent.token && session.hears;
        sent.is_awaited && self.session.as_ref().is_some_and(is_of)
    }

    /// Hears a reply.
    pub fn hear(&mut self, sent: &Sent, reply: StepReply, checks: &Checks) -> Result<(), SessionEnd> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let heard = session.hear(sent, reply, checks);
        if heard.is_err() {
            self.session = None;
        }
        heard
    }
}

const RENEW: Step = Step::Renew { lease_ms: Duration::from_secs(10).as_millis() as u64, stop_at_trimmed: false };

impl Session {
    /// What it would send.
    #[must_use]
    pub fn sent(&self, step: Step) -> Sent {
        Sent {
            token: self.token,
            epoch: self.epoch,
            step: Hashed(Arc::new(step)),
            is_awaited: true,
            reader_waited: self.reader_waits(),
        }
    }

    /// A renewal of its own.
    #[must_use]
    pub fn renewal(&self) -> Sent {
        self.sent(RENEW)
    }

    /// After which entry the reader waits, if it has room for one.
    fn reader_waits(&self) -> Option<u8> {
        (self.at_hand.len() < Adversary::READ_AHEAD).then_some(self.read_up_to)
    }

    /// Hears the reply to a step.
    pub fn hear(&mut self, sent: &Sent, mut reply: StepReply, checks: &Checks) -> Result<(), SessionEnd> {
        if checks.without_comparison
            && let StepReply::Renewed(renewed) = &mut reply
        {
            renewed.head.sequence = self.confirmed.into();
            renewed.position = self.reconciler.position();
        }
        let waits_after = self.reader_waits().filter(|after| sent.reader_waited == Some(*after));
        self.reconciler.reply(&sent.step.0, reply, waits_after.map(id))?;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Step::Commit(commit) = &*sent.step.0 {
            self.confirmed = small(commit.leads_to);
        }
        Ok(())
    }

    /// Takes the next `count` entries of a stream, or none if there are fewer.
    pub fn read(&mut self, count: usize, stream: &[Item]) -> bool {
        let items: Vec<Item> = stream.iter().filter(|item| item.id > self.read_up_to).take(count).copied().collect();
        let (Some(first), Some(last)) = (items.first(), items.last()) else { return false };
        if items.len() < count {
            return false;
        }
        let mut proof = Some(Proof { first: first.entry_id(), last: last.entry_id(), digest: last.digest() });
        self.read_up_to = last.id;
        self.at_hand.extend(items.into_iter().map(|item| Read { item, proof: proof.take() }));
        true
    }
}
