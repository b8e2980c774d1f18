//! Both owners, the server, and everything that can happen next.

use std::sync::Arc;
use std::time::Duration;

use atomic_streams::internals::{AttachNext, AttachRequest};

use crate::adversary::Adversary;
use crate::checks::{Checks, Fence, MintedBy};
use crate::server::{Item, Server, Snapshot};
use crate::worker::{Sent, Worker};

/// The protocol under one adversary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exclusive {
    /// What may go wrong.
    pub adversary: Adversary,
    /// What is checked.
    pub checks: Checks,
}

/// A state of everything.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct World {
    /// What the server holds, newest last, behind what it can fall back to.
    pub history: Vec<Snapshot>,
    /// The stream as the old primary has it, where readers may be left there.
    pub old: Option<Vec<Item>>,
    /// The owners.
    pub workers: [Worker; 2],
    /// Attaches that are still on their way, with nobody waiting for them.
    pub late_attaches: Vec<AttachRequest>,
    /// What of the adversary's bounds is used up.
    pub used: Used,
    /// How often an entry, by its ID, was noted as being tried.
    pub tries: Vec<(u8, u8)>,
}

/// How often each of the bounded things has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Used {
    /// Entries.
    pub entries: u8,
    /// IDs, where none comes back.
    pub ids: u8,
    /// Attaches that were asked for.
    pub attaches: u8,
    /// Tokens that were made.
    pub tokens: u8,
    /// Roll-backs.
    pub roll_backs: u8,
    /// Requests sent again.
    pub resends: u8,
    /// Attaches that came late.
    pub late_attaches: u8,
    /// Trims.
    pub trims: u8,
    /// Renewals.
    pub renewals: u8,
}

/// What can happen. Owners are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the name of what it does")]
pub enum Action {
    Add,
    Trim,
    Attach { owner: usize, way: Way },
    LateAttach { which: usize },
    Read { owner: usize, count: usize, old: bool },
    Handle { owner: usize },
    Prove { owner: usize },
    Send { owner: usize },
    Renew { owner: usize },
    Deliver { owner: usize, which: usize, delivery: Delivery },
    LoseSession { owner: usize },
    Crash { owner: usize },
    RollBack { writes: usize, readers_stay: bool },
}

/// How an attach goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Applied, and its reply heard.
    Heard,
    /// Applied, and its reply lost.
    Unheard,
    /// Applied and heard, and it will come again.
    Twice,
    /// Given up by its owner before it came.
    Late,
}

/// How the server gets a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once; its reply is heard if its session is there.
    Once,
    /// Once, and its reply is lost, with all that follow.
    Unheard,
    /// A copy of it, whose reply is lost; it will come again.
    CopyFirst,
    /// Once, with its reply heard; a copy will come.
    CopyLeft,
}

impl World {
    /// Nothing has happened.
    #[must_use]
    pub fn new() -> Self {
        Self {
            history: vec![Snapshot::new(Server::default())],
            old: None,
            workers: [Worker::new(1), Worker::new(2)],
            late_attaches: Vec::new(),
            used: Used::default(),
            tries: Vec::new(),
        }
    }

    /// What the server holds.
    #[must_use]
    pub fn server(&self) -> &Server {
        // There is always one.
        &self.history[self.history.len() - 1].server
    }

    fn write(&mut self, server: Server) {
        self.history.push(Snapshot::new(server));
    }

    /// Everything that can happen next.
    pub fn actions(&self, model: &Exclusive, actions: &mut Vec<Action>) {
        let (adversary, used) = (&model.adversary, &self.used);
        if used.entries < adversary.entries {
            actions.push(Action::Add);
        }
        if used.trims < adversary.trims && !self.server().stream.is_empty() {
            actions.push(Action::Trim);
        }
        for owner in 0..2 {
            self.actions_of(model, owner, actions);
        }
        actions.extend((0..self.late_attaches.len()).map(|which| Action::LateAttach { which }));
        if used.roll_backs < adversary.roll_backs {
            for writes in 1..self.history.len() {
                actions.push(Action::RollBack { writes, readers_stay: false });
                if adversary.stale_readers {
                    actions.push(Action::RollBack { writes, readers_stay: true });
                }
            }
        }
    }

    fn actions_of(&self, model: &Exclusive, owner: usize, actions: &mut Vec<Action>) {
        let (adversary, used, worker) = (&model.adversary, &self.used, &self.workers[owner]);
        // The first to attach is the first owner: until then they differ in nothing.
        if worker.session.is_none() && used.attaches < adversary.attaches && (owner == 0 || used.attaches > 0) {
            actions.push(Action::Attach { owner, way: Way::Heard });
            if adversary.lost_replies {
                actions.push(Action::Attach { owner, way: Way::Unheard });
            }
            if used.late_attaches < adversary.late_attaches {
                actions.push(Action::Attach { owner, way: Way::Twice });
                actions.push(Action::Attach { owner, way: Way::Late });
            }
        }
        if let Some(session) = &worker.session {
            let left = |stream: &[Item]| stream.iter().filter(|item| item.id > session.read_up_to).count();
            let room = Adversary::READ_AHEAD - session.at_hand.len();
            for count in 1..=room.min(left(&self.server().stream)) {
                actions.push(Action::Read { owner, count, old: false });
            }
            for count in 1..=room.min(self.old.as_deref().map_or(0, left)) {
                actions.push(Action::Read { owner, count, old: true });
            }
            if worker.may_handle() {
                actions.push(Action::Handle { owner });
            }
            if adversary.lone_proofs && worker.may_prove() {
                actions.push(Action::Prove { owner });
            }
            if !session.staged.is_empty() {
                actions.push(Action::Send { owner });
            }
            if used.renewals < adversary.renewals && session.in_flight < Adversary::WINDOW {
                actions.push(Action::Renew { owner });
            }
            actions.push(Action::LoseSession { owner });
            if adversary.crashes {
                actions.push(Action::Crash { owner });
            }
        }
        for which in self.next_of(owner) {
            let mut deliver = |delivery| actions.push(Action::Deliver { owner, which, delivery });
            let sent = &worker.on_their_way[which];
            let is_heard = worker.hears(sent);
            deliver(Delivery::Once);
            if adversary.lost_replies && is_heard {
                deliver(Delivery::Unheard);
            }
            if used.resends < adversary.resends {
                deliver(Delivery::CopyFirst);
                if is_heard {
                    deliver(Delivery::CopyLeft);
                }
            }
        }
    }

    /// Which of an owner's steps can come next: the first one of each connection, and copies at any time.
    pub fn next_of(&self, owner: usize) -> impl Iterator<Item = usize> {
        let all = &self.workers[owner].on_their_way;
        all.iter().enumerate().filter_map(move |(which, sent)| {
            let is_behind = |before: &Sent| before.token == sent.token && before.is_awaited;
            (!sent.is_awaited || !all[..which].iter().any(is_behind)).then_some(which)
        })
    }

    /// Lets it happen.
    pub fn act(&mut self, model: &Exclusive, action: Action) {
        let Exclusive { adversary, checks } = model;
        match action {
            Action::Add => {
                self.used.entries += 1;
                let id = if adversary.ids_return {
                    self.server().last_id + 1
                } else {
                    self.used.ids += 1;
                    self.used.ids
                };
                self.write(self.server().add(Item { id, content: self.used.entries }));
            }
            Action::Trim => {
                self.used.trims += 1;
                self.write(self.server().trim());
            }
            Action::Attach { owner, way } => self.attach(model, owner, way),
            Action::LateAttach { which } => {
                let request = self.late_attaches.remove(which);
                self.attach_late(checks, &request);
            }
            Action::Read { owner, count, old } => {
                let stream = if old { self.old.clone().unwrap_or_default() } else { self.server().stream.clone() };
                if let Some(session) = &mut self.workers[owner].session {
                    session.read(count, &stream);
                    session.reads_old = old;
                }
            }
            Action::Handle { owner } => self.handle(model, owner),
            Action::Prove { owner } => self.workers[owner].prove(adversary),
            Action::Send { owner } => self.workers[owner].send(adversary),
            Action::Renew { owner } => {
                self.used.renewals += 1;
                self.workers[owner].renew();
            }
            Action::Deliver { owner, which, delivery } => self.deliver(checks, owner, which, delivery),
            Action::LoseSession { owner } => self.workers[owner].session = None,
            Action::Crash { owner } => self.workers[owner].crash(),
            Action::RollBack { writes, readers_stay } => {
                self.used.roll_backs += 1;
                if adversary.stale_readers {
                    self.old = Some(self.server().stream.clone());
                    for session in self.workers.iter_mut().filter_map(|worker| worker.session.as_mut()) {
                        session.reads_old = readers_stay;
                    }
                }
                self.history.truncate(self.history.len() - writes);
            }
        }
        self.forget(model);
    }

    /// An owner attaches.
    pub fn attach(&mut self, model: &Exclusive, owner: usize, way: Way) {
        self.used.attaches += 1;
        let request = self.workers[owner].attaching.request(Duration::ZERO);
        if way == Way::Late || way == Way::Twice {
            self.used.late_attaches += 1;
            self.late_attaches.push(request.clone());
        }
        if way == Way::Late {
            return;
        }
        self.used.tokens += 1;
        let (reply, server) = self.server().attach(&model.checks, &request, self.used.tokens);
        if let Some(server) = server {
            self.write(server);
        }
        if way != Way::Unheard {
            let server = Arc::clone(&self.history[self.history.len() - 1].server);
            let worker = &mut self.workers[owner];
            match worker.attaching.reply(Duration::ZERO, reply) {
                AttachNext::Own(owned) => worker.begin(&owned, &server, &model.adversary),
                AttachNext::Again => {}
                next => unreachable!("the model's server does not answer so: {next:?}"),
            }
        }
    }

    /// An attach comes that nobody waits for.
    pub fn attach_late(&mut self, checks: &Checks, request: &AttachRequest) {
        self.used.tokens += 1;
        if let (_, Some(server)) = self.server().attach(checks, request, self.used.tokens) {
            self.write(server);
        }
    }

    /// The server gets a step.
    pub fn deliver(&mut self, checks: &Checks, owner: usize, which: usize, delivery: Delivery) {
        let worker = &mut self.workers[owner];
        let mut sent = worker.on_their_way[which].clone();
        match delivery {
            Delivery::CopyFirst => self.used.resends += 1,
            Delivery::Once | Delivery::Unheard => drop(worker.on_their_way.remove(which)),
            Delivery::CopyLeft => {
                self.used.resends += 1;
                worker.on_their_way[which].is_awaited = false;
            }
        }
        let (reply, server) = self.server().step(checks, &sent);
        if let Some(server) = server {
            self.write(server);
        }
        let worker = &mut self.workers[owner];
        match delivery {
            Delivery::CopyFirst => sent.is_awaited = false,
            Delivery::Unheard => {
                if let Some(session) = worker.session.as_mut().filter(|session| session.token == sent.token) {
                    session.hears = false;
                }
            }
            Delivery::Once | Delivery::CopyLeft => {}
        }
        if worker.hears(&sent) {
            // What it ends for is told by the session that is gone.
            let _ = worker.hear(&sent, reply, checks);
        }
    }

    /// An owner goes on with the entry at hand.
    pub fn handle(&mut self, model: &Exclusive, owner: usize) {
        let worker = &mut self.workers[owner];
        let was_noted = worker.noted();
        worker.handle(&model.checks, &model.adversary);
        if let (None, Some(item)) = (was_noted, worker.noted()) {
            match self.tries.iter_mut().find(|(id, _)| *id == item.id) {
                Some((_, tries)) => *tries += 1,
                None => self.tries.push((item.id, 1)),
            }
            self.tries.sort_unstable();
        }
    }

    /// Forgets what can matter no more: what the server cannot fall back to, and, since each attach makes a new token, steps
    /// under a token that the server can never show again.
    fn forget(&mut self, model: &Exclusive) {
        if self.used.roll_backs >= model.adversary.roll_backs {
            self.history.drain(..self.history.len() - 1);
        }
        if model.checks.fence == Fence::Token && model.checks.minted_by == MintedBy::Server {
            let history = &self.history;
            let can_return = |token| {
                let has_token = |state: &Snapshot| state.server.record.is_some_and(|record| record.token == token);
                history.iter().any(has_token)
            };
            for worker in &mut self.workers {
                let session = worker.session.as_ref().map(|session| session.token);
                worker.on_their_way.retain(|sent| can_return(sent.token) || session == Some(sent.token));
            }
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
