//! What the handling side does with its ends of the channels.

use std::time::Duration;

use tokio::time::Instant;

use super::{Handling, due, from_now};
use crate::consumer::hold::Held;
use crate::handler::HandlerResult;
use crate::persist::Changes;
use crate::protocol::Commit;

/// For how long entries are handled before other tasks have a turn.
const TURN: Duration = Duration::from_millis(1);

impl Handling {
    pub(super) fn stage(&mut self, commit: Commit) {
        self.proof_due = None;
        self.in_flight.enter(commit.size_bytes);
        // A committer that has ended takes nothing more; the next look at the bound says so.
        let _ = self.commits.send(commit);
    }

    /// Whether keys are to be unparked, as far as is known.
    pub(super) fn is_asked(&self) -> bool {
        // A sender that is gone is the committer's matter.
        self.asked.as_ref().is_some_and(|asked| asked.has_changed().unwrap_or(false))
    }

    /// Lets other tasks run, if they have not for a while.
    ///
    /// A handler that never waits would keep the committer, which this task has woken and which may sit behind it on the
    /// same thread, from committing and renewing until all that was read ahead is handled.
    pub(super) async fn give_turn(&mut self) {
        if self.turn_began.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.turn_began = Instant::now();
        }
    }

    /// Proves the read in hand by a step of nothing, so that its witness need not live as long as the handler runs.
    pub(super) fn prove(&mut self) {
        self.proof_due = None;
        if self.sequencer.owes_proof() {
            let proof = self.sequencer.nothing(Changes::default(), Vec::new());
            self.stage(proof);
        }
    }

    /// Waits for a handler; `None` if its result is not wanted any more and it outlasted the grace period.
    pub(super) async fn wait_for<F>(&mut self, call: &mut Held<'_, F>, grace_period: Duration) -> Option<HandlerResult>
    where
        F: Future<Output = HandlerResult> + Unpin,
    {
        let mut grace_ends = None;
        loop {
            tokio::select! {
                biased;
                result = &mut *call => return Some(result),
                () = self.cancelled.cancelled(), if grace_ends.is_none() => grace_ends = Some(from_now(grace_period)),
                () = due(self.proof_due) => self.prove(),
                () = due(grace_ends) => return None,
            }
        }
    }
}
