//! Holds every reply against what was sent.

use crate::durability::Durability;
use crate::id::EntryId;

use super::failure::{Failure, Transient};
use super::messages::{Behind, Commit, Divergence, Hole, Owned, Renewed, Step, StepReply};

/// The settling end of a session: knows what the server has confirmed, and what it must show next.
///
/// Steps go to the server in order over one connection, and replies come back in that order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reconciler {
    committed: u64,
    position: EntryId,
    base: Option<i64>,
    /// The last entry of the stream that the reader had not delivered at the last renewal, though it was waiting for one.
    undelivered: Option<EntryId>,
}

/// What a good reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed {
        /// How many entries' effects are committed now.
        entries: u64,
        /// The group's cursor stayed behind, and why: renew, which puts it right.
        cursor_trouble: Option<String>,
        /// An output was not trimmed, and why.
        trim_trouble: Option<String>,
    },
    Renewed(Renewed),
    Released,
    /// Everything before it is as durable as it should be.
    Durable,
}

/// Why a session is over. Memory is dropped, both connections with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Another attach owns the record.
    Fenced { owner: String },
    /// The server does not hold what this session has built on.
    Diverged { why: Divergence },
    /// A renewal showed another head than the one that was committed.
    RolledBack,
    /// A commit could not be applied as it is.
    Refused { entry: Option<EntryId>, key: String, why: String },
    /// A step of several entries ended it so. Nothing of a refused one was done; which entry it was is found by committing
    /// them one at a time, up to the last of them.
    OfGroup { last: EntryId, end: Box<Self> },
    /// The stream's last ID is before the position.
    Behind(Behind),
    /// Entries were trimmed before they were read, and the user wants to end there.
    Trimmed(Hole),
    /// The reader waits, and entries are there: it sits on another server.
    ReaderStale,
    /// An error reply, a broken connection, a time-out: what was sent may have been applied.
    Failed { failure: Failure, words: String },
}

impl Reconciler {
    pub fn new(owned: &Owned) -> Self {
        Self { committed: owned.head.sequence, position: owned.position, base: owned.base, undelivered: None }
    }

    /// The position that the server has confirmed.
    pub fn position(&self) -> EntryId {
        self.position
    }

    /// Completes a step on its way out.
    pub fn sending(&self, step: &mut Step) {
        if let Step::Commit(commit) = step {
            commit.entries_read =
                self.base.and_then(|base| base.checked_add_unsigned(commit.processed)?.try_into().ok());
        }
    }

    /// What the reply to `step` means.
    ///
    /// `reader_waits_after` is the last ID that the reader has delivered, if it was waiting for more since before the step
    /// was sent.
    pub fn reply(
        &mut self,
        step: &Step,
        reply: StepReply,
        reader_waits_after: Option<EntryId>,
    ) -> Result<Outcome, SessionEnd> {
        match (step, reply) {
            (_, StepReply::Fenced { owner }) => Err(SessionEnd::Fenced { owner }),
            (_, StepReply::Diverged { why, .. }) => Err(SessionEnd::Diverged { why }),
            (_, StepReply::Refused { key, why }) => {
                let entry = if let Step::Commit(commit) = step { commit.entry } else { None };
                Err(of_step(step, SessionEnd::Refused { entry, key, why }))
            }
            (_, StepReply::Behind(behind)) => Err(SessionEnd::Behind(behind)),
            (_, StepReply::Trimmed(hole)) => Err(SessionEnd::Trimmed(hole)),
            (Step::Commit(commit), StepReply::Committed { cursor_trouble, trim_trouble }) => {
                self.committed = commit.leads_to;
                self.position = commit.position;
                Ok(Outcome::Committed { entries: commit.entries, cursor_trouble, trim_trouble })
            }
            (Step::Renew { .. }, StepReply::Renewed(renewed)) => {
                if renewed.head.sequence != self.committed || renewed.position != self.position {
                    return Err(SessionEnd::RolledBack);
                }
                let undelivered =
                    renewed.last_entry.filter(|last| reader_waits_after.is_some_and(|after| after < *last));
                // An entry may have come a moment ago: only one that a whole period did not bring is proof.
                if let (Some(before), Some(after)) = (self.undelivered, reader_waits_after)
                    && undelivered.is_some()
                    && after < before
                {
                    return Err(SessionEnd::ReaderStale);
                }
                self.undelivered = undelivered;
                self.base = renewed.base;
                Ok(Outcome::Renewed(renewed))
            }
            (Step::Release, StepReply::Released { .. }) => Ok(Outcome::Released),
            (Step::Wait { durability, timeout_ms }, StepReply::Waited { on_disk, replicas }) => {
                match not_durable(*durability, *timeout_ms, on_disk, replicas) {
                    None => Ok(Outcome::Durable),
                    Some((what, words)) => Err(SessionEnd::Failed { failure: Failure::Transient(what), words }),
                }
            }
            (step, reply) => Err(SessionEnd::Failed {
                failure: Failure::Transient(Transient::Other),
                words: format!("the reply {reply:?} does not belong to {step:?}"),
            }),
        }
    }

    /// What an error in place of the reply to `step` means.
    pub fn failed(&self, step: &Step, failure: Failure, words: String) -> SessionEnd {
        of_step(step, SessionEnd::Failed { failure, words })
    }
}

/// What a wait lacked, if it did. Nothing was undone, and it may come to be as durable as that at any time.
pub fn not_durable(
    durability: Durability,
    timeout_ms: u64,
    on_disk: bool,
    replicas: u64,
) -> Option<(Transient, String)> {
    if durability.is_met(on_disk, replicas) {
        return None;
    }
    let (needed, command) = (durability.replicas(), durability.command());
    if replicas < u64::from(needed) {
        let deed = if durability.on_disk() { "fsynced" } else { "received" };
        let words = format!(
            "{replicas} of {needed} have {deed} the newest writes within {timeout_ms} ms ({command}); nothing was undone"
        );
        return Some((Transient::WaitingForReplicas, words));
    }
    let words = format!("the newest writes were not fsynced within {timeout_ms} ms ({command}); nothing was undone");
    Some((Transient::WaitingForDisk, words))
}

/// A step of several entries may fail where each of them alone would not, or only one of them would.
fn of_step(step: &Step, end: SessionEnd) -> SessionEnd {
    match step {
        Step::Commit(Commit { entry: Some(last), entries: 2.., .. }) => {
            SessionEnd::OfGroup { last: *last, end: Box::new(end) }
        }
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::super::messages::Cause;
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn reconciler() -> Reconciler {
        Reconciler::new(&Owned {
            head: Head::parse("t:5").unwrap(),
            epoch: 1,
            created: false,
            released: true,
            abandoned: false,
            trying: None,
            position: id(3),
            processed: 4,
            base: Some(2),
            last_id: id(9),
            length: 6,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        })
    }

    fn commit(follows: u64, at: u64) -> Step {
        Step::Commit(Commit {
            follows,
            leads_to: follows + 1,
            entry: Some(id(at)),
            entries: 1,
            position: id(at),
            processed: 5,
            entries_read: None,
            proof: None,
            fields: Vec::new(),
            deleted: Vec::new(),
            collections: Vec::new(),
            operations: Vec::new(),
            size_bytes: 0,
        })
    }

    const DONE: StepReply = StepReply::Committed { cursor_trouble: None, trim_trouble: None };
    const RENEW: Step = Step::Renew { lease_ms: 9, stop_at_trimmed: false };

    fn renewed(sequence: u64, position: u64, last_entry: u64) -> StepReply {
        StepReply::Renewed(Renewed {
            head: Head::parse(&format!("t:{sequence}")).unwrap(),
            position: id(position),
            last_id: id(last_entry),
            last_entry: Some(id(last_entry)),
            base: Some(1),
            vanished: 0,
            cause: Cause::Either,
            all: true,
            cursor_repaired: false,
            cursor_trouble: None,
            unparking: 0,
            lag: Default::default(),
        })
    }

    #[test]
    fn a_renewal_must_show_the_last_commit() {
        let mut reconciler = reconciler();
        assert!(reconciler.reply(&RENEW, renewed(5, 3, 3), None).is_ok());
        reconciler.reply(&commit(5, 4), DONE, None).unwrap();
        assert!(reconciler.clone().reply(&RENEW, renewed(6, 4, 9), None).is_ok());
        assert_eq!(reconciler.clone().reply(&RENEW, renewed(5, 3, 9), None), Err(SessionEnd::RolledBack));
        assert_eq!(reconciler.clone().reply(&RENEW, renewed(6, 3, 9), None), Err(SessionEnd::RolledBack));
    }

    fn group(follows: u64, last: u64, entries: u64) -> Step {
        let Step::Commit(commit) = commit(follows, last) else { unreachable!() };
        Step::Commit(Commit { leads_to: follows + entries, entries, ..commit })
    }

    #[test]
    fn a_folded_step_is_as_many_as_it_holds() {
        let mut reconciler = reconciler();
        let outcome = reconciler.reply(&group(5, 7, 4), DONE, None).unwrap();
        assert_eq!(outcome, Outcome::Committed { entries: 4, cursor_trouble: None, trim_trouble: None });
        assert!(reconciler.reply(&RENEW, renewed(9, 7, 7), None).is_ok());
    }

    #[test]
    fn what_ends_a_session_at_a_group_is_said_to_be_of_the_group() {
        let mut reconciler = reconciler();
        let refused = || StepReply::Refused { key: "out".into(), why: "WRONGTYPE".into() };
        let end = SessionEnd::Refused { entry: Some(id(7)), key: "out".into(), why: "WRONGTYPE".into() };
        let of_group = SessionEnd::OfGroup { last: id(7), end: Box::new(end) };
        assert_eq!(reconciler.reply(&group(5, 7, 4), refused(), None), Err(of_group));
        let failure = Failure::Transient(Transient::TimedOut);
        let failed = |step: Step| reconciler.failed(&step, failure, "late".into());
        let end = SessionEnd::Failed { failure, words: "late".into() };
        assert_eq!(failed(group(5, 7, 4)), SessionEnd::OfGroup { last: id(7), end: Box::new(end.clone()) });
        assert_eq!(failed(commit(5, 4)), end);
    }

    #[test]
    fn a_wait_says_what_it_lacked() {
        let mut reconciler = reconciler();
        let mut wait = |durability, on_disk, replicas| {
            let reply = StepReply::Waited { on_disk, replicas };
            match reconciler.reply(&Step::Wait { durability, timeout_ms: 5 }, reply, None) {
                Ok(Outcome::Durable) => None,
                Err(SessionEnd::Failed { failure: Failure::Transient(what), .. }) => Some(what),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(wait(Durability::Replicas(2), false, 2), None);
        assert_eq!(wait(Durability::Replicas(2), false, 1), Some(Transient::WaitingForReplicas));
        assert_eq!(wait(Durability::LocalDisk, false, 3), Some(Transient::WaitingForDisk));
        assert_eq!(wait(Durability::LocalAndReplicaDisks(1), true, 0), Some(Transient::WaitingForReplicas));
        assert_eq!(wait(Durability::LocalAndReplicaDisks(1), false, 1), Some(Transient::WaitingForDisk));
    }

    #[test]
    fn entries_read_follow_the_base_that_a_renewal_settles() {
        let mut reconciler = reconciler();
        let read = |reconciler: &Reconciler| {
            let mut step = commit(5, 4);
            reconciler.sending(&mut step);
            let Step::Commit(commit) = step else { unreachable!() };
            commit.entries_read
        };
        assert_eq!(read(&reconciler), Some(7));
        reconciler.reply(&RENEW, renewed(5, 3, 3), None).unwrap();
        assert_eq!(read(&reconciler), Some(6));
    }

    #[test]
    fn a_reader_that_waits_beside_entries_for_a_whole_period_is_stale() {
        let mut reconciler = reconciler();
        assert!(reconciler.reply(&RENEW, renewed(5, 3, 9), Some(id(3))).is_ok(), "the entry may have come just now");
        assert_eq!(reconciler.clone().reply(&RENEW, renewed(5, 3, 9), Some(id(3))), Err(SessionEnd::ReaderStale));
        assert!(reconciler.clone().reply(&RENEW, renewed(5, 3, 12), Some(id(9))).is_ok(), "it delivered meanwhile");
        assert!(reconciler.reply(&RENEW, renewed(5, 3, 9), None).is_ok(), "it is not waiting: its buffer is full");
        assert!(reconciler.reply(&RENEW, renewed(5, 3, 9), Some(id(3))).is_ok(), "the period begins anew");
    }

    #[test]
    fn every_refusal_ends_the_session() {
        let mut reconciler = reconciler();
        let mut end = |reply| reconciler.reply(&commit(5, 4), reply, None).unwrap_err();
        assert_eq!(end(StepReply::Fenced { owner: "b".into() }), SessionEnd::Fenced { owner: "b".into() });
        let diverged = StepReply::Diverged { found: "t:4".into(), position: "3-0".into(), why: Divergence::Gone };
        assert_eq!(end(diverged), SessionEnd::Diverged { why: Divergence::Gone });
        let refused = StepReply::Refused { key: "out".into(), why: "WRONGTYPE".into() };
        assert_eq!(
            end(refused),
            SessionEnd::Refused { entry: Some(id(4)), key: "out".into(), why: "WRONGTYPE".into() }
        );
        assert!(matches!(end(StepReply::Released { was_owner: true }), SessionEnd::Failed { .. }));
    }
}
