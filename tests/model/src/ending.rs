//! From any state on, a run in which nothing more goes wrong.

use std::fmt;

use atomic_streams::internals::{SessionEnd, StepReply};

use crate::adversary::Adversary;
use crate::world::{Delivery, Exclusive, Way, World};

/// How a run without further faults must not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It comes to rest before everything is committed.
    Stuck,
    /// It does not come to rest.
    Endless,
    /// The owner's session ends at a renewal though nothing was ever lost.
    Needless(SessionEnd),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Rounds in which everything must have come to rest.
const MAX_ROUNDS: usize = 40;

/// After so many rounds in which nothing happens but renewals nothing will: a stale reader is found by the second.
const RENEWALS: usize = 2;

impl World {
    /// Lets everything come to rest: what is on its way arrives, sessions time out, renew, attach, read and commit.
    pub fn finish(&self, model: &Exclusive) -> Result<(), Fault> {
        let Adversary { folds, crashes, .. } = model.adversary;
        let model = Exclusive { adversary: Adversary { folds, crashes, ..Adversary::default() }, ..*model };
        let mut world = self.clone();
        for request in std::mem::take(&mut world.late_attaches) {
            world.attach_late(&model.checks, &request);
        }
        let mut quiet = 0;
        for _ in 0..MAX_ROUNDS {
            let mut is_quiet = true;
            for owner in 0..2 {
                is_quiet &= world.go_on(&model, owner)?;
            }
            // The lease of an owner that renews is alive: nobody takes over from it.
            if world.workers.iter().all(|worker| worker.session.is_none()) {
                world.attach(&model, 0, Way::Heard);
                is_quiet = false;
            }
            world.history.drain(..world.history.len() - 1);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == RENEWALS {
                return if world.is_complete() { Ok(()) } else { Err(Fault::Stuck) };
            }
        }
        Err(Fault::Endless)
    }

    /// Everything that the stream owes is in the state.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let server = self.server();
        server.owed().map(|item| item.content).eq(server.state.iter().copied())
    }

    /// One round of one owner. Whether nothing has come of it.
    fn go_on(&mut self, model: &Exclusive, owner: usize) -> Result<bool, Fault> {
        let mut is_quiet = self.arrive(model, owner);
        let stream = self.server().stream.clone();
        let Some(session) = &self.workers[owner].session else { return Ok(is_quiet) };
        if session.in_flight > 0 {
            // The time-out: a reply that has not come will not come.
            self.workers[owner].session = None;
            return Ok(false);
        }
        // An entry that has come a moment ago makes no reader stale; two renewals before it is read would.
        if self.used.renewals == 0 {
            self.renew(model, owner)?;
        }
        let Some(session) = &mut self.workers[owner].session else { return Ok(false) };
        // A reader that sits on the old primary does not know it.
        let stream = if session.reads_old { self.old.clone().unwrap_or_default() } else { stream };
        while session.at_hand.len() < Adversary::READ_AHEAD && session.read(1, &stream) {
            is_quiet = false;
        }
        self.renew(model, owner)?;
        is_quiet &= self.workers[owner].session.is_some();
        while self.workers[owner].may_handle() {
            self.handle(model, owner);
            is_quiet = false;
        }
        self.workers[owner].send(&model.adversary);
        Ok(is_quiet)
    }

    /// What is on its way arrives. Whether nothing was.
    fn arrive(&mut self, model: &Exclusive, owner: usize) -> bool {
        let mut is_quiet = true;
        loop {
            let Some(which) = self.next_of(owner).next() else { return is_quiet };
            self.deliver(&model.checks, owner, which, Delivery::Once);
            is_quiet = false;
        }
    }

    fn renew(&mut self, model: &Exclusive, owner: usize) -> Result<(), Fault> {
        let Some(session) = &self.workers[owner].session else { return Ok(()) };
        let sent = session.renewal();
        let (reply, _) = self.server().step(&model.checks, &sent);
        let is_owner = !matches!(reply, StepReply::Fenced { .. });
        match self.workers[owner].hear(&sent, reply, &model.checks) {
            Err(end) if is_owner && self.used.roll_backs == 0 => Err(Fault::Needless(end)),
            _ => Ok(()),
        }
    }
}
