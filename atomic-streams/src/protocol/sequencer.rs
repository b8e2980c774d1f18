//! Turns what handlers did into a chain of commits.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::id::EntryId;
use crate::persist::Changes;
use crate::staged::Staged;

use super::messages::{Commit, Operation, Owned, Proof};

/// How many outputs are remembered as checked; a check again costs less than names without bound.
const MAX_CHECKED: usize = 4_096;

/// The staging end of a session: knows what the last commit was, and makes the one that follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequencer {
    sequence: u64,
    position: EntryId,
    processed: u64,
    /// The read in hand has not been proved yet.
    proof: Option<Proof>,
    /// Outputs that a commit of this session has checked, or the latest of them.
    checked: BTreeSet<String>,
}

impl Sequencer {
    pub fn new(owned: &Owned) -> Self {
        Self {
            sequence: owned.head.sequence,
            position: owned.position,
            processed: owned.processed,
            proof: None,
            checked: BTreeSet::new(),
        }
    }

    /// The entries of a read are taken up; the next commit proves it.
    pub fn begin_read(&mut self, proof: Proof) {
        self.proof = Some(proof);
    }

    /// The read in hand waits for a commit to prove it.
    pub fn owes_proof(&self) -> bool {
        self.proof.is_some()
    }

    /// The commit of one entry.
    pub fn entry(&mut self, id: EntryId, changes: Changes, staged: Staged) -> Commit {
        self.position = id;
        self.processed += 1;
        let operations = self.operations(staged);
        self.step(Some(id), changes, Vec::new(), operations)
    }

    /// The step that does what a dead letter's entry could not do when its turn was, and removes the letter: it moves neither the
    /// position nor the count. `letter` is to be a [`Remove`](Operation::Remove).
    pub fn letter(&mut self, id: EntryId, letter: Operation, changes: Changes, staged: Staged) -> Commit {
        let mut operations = vec![letter];
        operations.extend(self.operations(staged));
        let mut commit = self.step(Some(id), changes, Vec::new(), operations);
        commit.entries = 0;
        commit
    }

    /// The last entry that was staged.
    pub fn position(&self) -> EntryId {
        self.position
    }

    /// The sequence that the next step follows.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A step that moves the sequence alone: it carries a proof that waits, or the state that a new schema makes.
    pub fn nothing(&mut self, changes: Changes, deleted: Vec<String>) -> Commit {
        self.step(None, changes, deleted, Vec::new())
    }

    fn step(
        &mut self,
        entry: Option<EntryId>,
        changes: Changes,
        deleted: Vec<String>,
        operations: Vec<Operation>,
    ) -> Commit {
        let follows = self.sequence;
        self.sequence += 1;
        let mut commit = Commit {
            follows,
            leads_to: self.sequence,
            entry,
            entries: u64::from(entry.is_some()),
            position: self.position,
            processed: self.processed,
            entries_read: None,
            proof: self.proof.take(),
            fields: changes.fields,
            deleted,
            collections: changes.collections,
            operations,
            size_bytes: 0,
        };
        commit.size_bytes = commit.measure();
        commit
    }

    fn operations(&mut self, staged: Staged) -> Vec<Operation> {
        let mut operations = Vec::with_capacity(staged.publishes.len() + staged.trims.len());
        for publish in staged.publishes {
            let check = !self.checked.contains(&publish.stream);
            if check {
                if self.checked.len() == MAX_CHECKED {
                    self.checked.clear();
                }
                self.checked.insert(publish.stream.clone());
            }
            operations.push(Operation::Publish { stream: publish.stream, fields: publish.fields, check });
        }
        if staged.trims.is_empty() {
            return operations;
        }
        // One trim per output is enough: the last word counts.
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (index, (stream, _)) in staged.trims.iter().enumerate() {
            last.insert(stream, index);
        }
        let last: HashSet<usize> = last.into_values().collect();
        for (index, (stream, trim)) in staged.trims.into_iter().enumerate() {
            if last.contains(&index) {
                operations.push(Operation::Trim { stream, trim });
            }
        }
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::*;
    use crate::entry::Fields;
    use crate::staged::{Publish, Trim};

    fn sequencer() -> Sequencer {
        Sequencer::new(&Owned {
            head: Head::parse("t:5").unwrap(),
            epoch: 1,
            created: false,
            released: true,
            abandoned: false,
            trying: None,
            position: EntryId::new(3, 0),
            processed: 4,
            base: None,
            last_id: EntryId::new(9, 0),
            length: 6,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        })
    }

    fn publish(stream: &str) -> Publish {
        Publish { stream: stream.into(), fields: [("a", "b")].into_iter().collect::<Fields>() }
    }

    #[test]
    fn each_commit_follows_the_one_before() {
        let mut sequencer = sequencer();
        let one = sequencer.entry(EntryId::new(4, 0), Changes::default(), Staged::default());
        let two = sequencer.nothing(Changes::default(), Vec::new());
        let three = sequencer.entry(EntryId::new(5, 0), Changes::default(), Staged::default());
        assert_eq!([one.follows, two.follows, three.follows], [5, 6, 7]);
        assert_eq!([one.processed, two.processed, three.processed], [5, 5, 6]);
        assert_eq!(two.position, one.position);
    }

    #[test]
    fn a_letter_moves_the_sequence_alone_and_goes_before_what_it_publishes() {
        let mut sequencer = sequencer();
        let letter = Operation::Remove { stream: "dead".into(), id: EntryId::new(8, 0), digest: "d".into() };
        let staged = Staged { publishes: vec![publish("a")], trims: Vec::new() };
        let commit = sequencer.letter(EntryId::new(2, 0), letter.clone(), Changes::default(), staged);
        assert_eq!((commit.follows, commit.leads_to, sequencer.sequence()), (5, 6, 6));
        assert_eq!((commit.entry, commit.entries), (Some(EntryId::new(2, 0)), 0));
        assert_eq!((commit.position, commit.processed), (EntryId::new(3, 0), 4));
        assert_eq!((commit.operations.len(), &commit.operations[0]), (2, &letter));
    }

    #[test]
    fn the_first_commit_after_a_read_proves_it_and_no_other() {
        let mut sequencer = sequencer();
        let proof = Proof { first: EntryId::new(4, 0), last: EntryId::new(5, 0), digest: "d".into() };
        sequencer.begin_read(proof.clone());
        assert!(sequencer.owes_proof());
        assert_eq!(sequencer.entry(EntryId::new(4, 0), Changes::default(), Staged::default()).proof, Some(proof));
        assert_eq!(sequencer.entry(EntryId::new(5, 0), Changes::default(), Staged::default()).proof, None);
    }

    #[test]
    fn an_output_is_checked_at_its_first_use() {
        let mut sequencer = sequencer();
        let staged = Staged { publishes: vec![publish("a"), publish("a"), publish("b")], trims: Vec::new() };
        let checks = |commit: Commit| -> Vec<bool> {
            commit
                .operations
                .iter()
                .map(|operation| matches!(operation, Operation::Publish { check: true, .. }))
                .collect()
        };
        assert_eq!(
            checks(sequencer.entry(EntryId::new(4, 0), Changes::default(), staged.clone())),
            [true, false, true]
        );
        assert_eq!(checks(sequencer.entry(EntryId::new(5, 0), Changes::default(), staged)), [false, false, false]);
    }

    #[test]
    fn outputs_without_end_take_no_memory_without_end() {
        let mut sequencer = sequencer();
        for n in 0..=2 * MAX_CHECKED {
            let staged = Staged { publishes: vec![publish(&n.to_string())], trims: Vec::new() };
            sequencer.entry(EntryId::new(n as u64 + 4, 0), Changes::default(), staged);
        }
        assert!(sequencer.checked.len() <= MAX_CHECKED);
    }

    #[test]
    fn an_output_is_trimmed_once_by_the_last_word_after_all_publishes() {
        let staged = Staged {
            publishes: vec![publish("a")],
            trims: vec![("a".into(), Trim::max_len(9)), ("b".into(), Trim::max_len(1)), ("a".into(), Trim::max_len(5))],
        };
        let operations = sequencer().entry(EntryId::new(4, 0), Changes::default(), staged).operations;
        assert!(matches!(operations[0], Operation::Publish { .. }));
        assert_eq!(operations[1], Operation::Trim { stream: "b".into(), trim: Trim::max_len(1) });
        assert_eq!(operations[2], Operation::Trim { stream: "a".into(), trim: Trim::max_len(5) });
        assert_eq!(operations.len(), 3);
    }
}
