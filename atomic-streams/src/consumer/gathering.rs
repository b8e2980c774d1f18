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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Head, Owned, Proof, Sequencer};
    use crate::staged::Staged;

    const WAIT: Duration = Duration::from_millis(50);
    const PROOF_WAIT: Duration = Duration::from_millis(2);

    fn gathering(max_messages: usize, alone_until: Option<EntryId>) -> Gathering {
        Gathering::new(Coalescing { max_messages, longest_wait: WAIT }, alone_until, PROOF_WAIT)
    }

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    /// Commits of the entries of one read, from 1 to `last`.
    fn read(last: u64) -> Vec<Commit> {
        let mut sequencer = Sequencer::new(&Owned {
            head: Head::parse("t:0").unwrap(),
            epoch: 1,
            created: false,
            released: true,
            abandoned: false,
            trying: None,
            position: EntryId::MIN,
            processed: 0,
            base: None,
            last_id: id(9),
            length: 9,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        });
        sequencer.begin_read(Proof { first: id(1), last: id(last), digest: "d".into() });
        (1..=last).map(|ms| sequencer.entry(id(ms), Vec::new().into(), Staged::default())).collect()
    }

    #[test]
    fn the_first_of_a_group_says_how_long_all_wait() {
        let (mut gathering, began) = (gathering(100, None), Instant::now());
        let read = read(9);
        assert_eq!(gathering.add(&read[..1], began), Some(began + PROOF_WAIT), "it proves the read");
        assert_eq!(gathering.add(&read[1..2], began + WAIT), Some(began + PROOF_WAIT));
        gathering.sent();
        assert_eq!(gathering.add(&read[2..3], began), Some(began + WAIT));
        assert_eq!(gathering.add(&read[3..5], began + PROOF_WAIT), Some(began + WAIT));
    }

    #[test]
    fn nothing_waits_for_what_cannot_come() {
        let now = Instant::now();
        let read = read(9);
        assert!(gathering(100, None).add(&read[..8], now).is_some());
        assert_eq!(gathering(100, None).add(&read, now), None, "all that was read is there");
        assert_eq!(gathering(8, None).add(&read[..8], now), None, "the group is full");
        assert_eq!(gathering(100, Some(id(1))).add(&read[..1], now), None, "it stays alone");
        let nothing = Commit { entry: None, entries: 0, ..read[0].clone() };
        assert_eq!(gathering(100, None).add(&[nothing], now), None, "it has waited");
        let large = Commit { size_bytes: Fold::MAX_BYTES, ..read[0].clone() };
        assert_eq!(gathering(100, None).add(&[large], now), None, "it is as large as may be");
    }
}
