//! How long commits wait for others to be folded with.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::Coalescing;
use crate::id::EntryId;
use crate::protocol::{Commit, Fold};

/// Looks at commits as they come, and says when they are to be sent.
#[derive(Debug)]
pub(super) struct Gathering {
    coalescing: Coalescing,
    /// Commits up to this position are sent one by one: they wait for nobody.
    alone_until: Option<EntryId>,
    /// How long the proof of a read may wait.
    proof_wait: Duration,
    /// The last entry of the read in hand: no group goes beyond it.
    read_ends: Option<EntryId>,
    entries: usize,
    bytes: usize,
    /// When the commits at hand are sent at the latest.
    due: Option<Instant>,
}

impl Gathering {
    pub fn new(coalescing: Coalescing, alone_until: Option<EntryId>, proof_wait: Duration) -> Self {
        Self { coalescing, alone_until, proof_wait, read_ends: None, entries: 0, bytes: 0, due: None }
    }

    /// More commits have come. When all that are at hand are to be sent at the latest; `None`: at once.
    pub fn add(&mut self, commits: &[Commit], now: Instant) -> Option<Instant> {
        let mut wait = self.coalescing.longest_wait;
        // Nothing would come of waiting.
        let mut at_once = wait.is_zero();
        for commit in commits {
            self.entries += commit.entries as usize;
            self.bytes += commit.size_bytes;
            if let Some(proof) = &commit.proof {
                self.read_ends = Some(proof.last);
                // Its witness need not live as long as a group may wait.
                wait = wait.min(self.proof_wait);
            }
            // A step of nothing has waited already, or is what everything else waits for.
            at_once |= commit.entry.is_none()
                || self.read_ends.is_none_or(|last| commit.position >= last)
                || self.alone_until.is_some_and(|until| commit.position <= until);
        }
        if at_once || self.entries >= self.coalescing.max_messages || self.bytes >= Fold::MAX_BYTES {
            return None;
        }
        let due = self.due.get_or_insert(now + self.coalescing.longest_wait);
        *due = (*due).min(now + wait);
        Some(*due)
    }

    /// Nothing is at hand any more.
    pub fn sent(&mut self) {
        (self.entries, self.bytes, self.due) = (0, 0, None);
    }

    /// How far what is sent is folded.
    pub fn fold(&self) -> Fold {
        Fold { max_entries: self.coalescing.max_messages as u64, alone_until: self.alone_until }
    }
}
