//! Makes one commit of several that follow each other.

mod cut;
mod entries;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use crate::id::EntryId;
use crate::persist::CollectionChanges;

use super::messages::{Commit, Operation};

use self::cut::Cut;
use self::entries::Entries;

/// How far commits are folded.
///
/// A fold leaves what its commits would leave one after the other, and is applied as one step: with the last value of each
/// field, the last position, all publishes in their order. It never spans two reads, since a proof is of what follows it, and
/// a step that handles a dead letter stays alone, since its letter must be there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Of how many entries a step may hold the effects.
    pub max_entries: u64,
    /// Commits up to this position stay alone.
    pub alone_until: Option<EntryId>,
}

impl Fold {
    /// Bytes of arguments that one step is folded to at most: a server that reads and applies them stands still for a few
    /// milliseconds. A commit that is larger by itself stays alone.
    pub const MAX_BYTES: usize = 1 << 20;
    /// Publishes and trims that one step is folded to at most, for the same reason.
    pub const MAX_OPERATIONS: usize = 1_024;

    /// Folds commits that were made one after the other.
    pub fn fold(self, commits: impl IntoIterator<Item = Commit>) -> Vec<Commit> {
        let mut steps = Vec::new();
        let mut open: Option<Group> = None;
        for commit in commits {
            if let Some(group) = &mut open
                && self.joins(group, &commit)
            {
                group.add(commit);
            } else {
                steps.extend(open.replace(Group::of(commit)).map(Group::into_commit));
            }
        }
        steps.extend(open.map(Group::into_commit));
        steps
    }

    fn joins(self, group: &mut Group, commit: &Commit) -> bool {
        if !self.may_join(group, commit) {
            return false;
        }
        group.open();
        group.may_publish(commit)
    }

    fn may_join(self, group: &Group, commit: &Commit) -> bool {
        let so_far = &group.commit;
        commit.proof.is_none()
            && ![&so_far.operations, &commit.operations].into_iter().any(|each| is_of_letter(each))
            && commit.follows == so_far.leads_to
            && so_far.entries + commit.entries <= self.max_entries
            && so_far.size_bytes.saturating_add(commit.size_bytes) <= Self::MAX_BYTES
            && so_far.operations.len() + group.cuts.len() + commit.operations.len() <= Self::MAX_OPERATIONS
            && self.alone_until.is_none_or(|until| so_far.position > until && commit.position > until)
    }
}

/// Such a step begins with the removal of its letter.
fn is_of_letter(operations: &[Operation]) -> bool {
    matches!(operations.first(), Some(Operation::Remove { .. }))
}

/// Consecutive commits on their way to becoming one.
struct Group {
    /// The first, with what those behind it made of it; but for what is beside it here, if there are any.
    commit: Commit,
    folds: bool,
    /// The fields, in the order of their first change; `None` for one that was deleted since.
    fields: Vec<(&'static str, Option<Vec<u8>>)>,
    /// Where in `fields` each of them is.
    places: HashMap<&'static str, usize>,
    deleted: HashSet<String>,
    collections: Vec<Entries>,
    /// What is to be trimmed when everything is published.
    cuts: BTreeMap<String, Cut>,
}

impl Group {
    fn of(commit: Commit) -> Self {
        Self {
            commit,
            folds: false,
            fields: Vec::new(),
            places: HashMap::new(),
            deleted: HashSet::new(),
            collections: Vec::new(),
            cuts: BTreeMap::new(),
        }
    }

    /// Takes the first commit apart, once another one is to be added: most are not followed by any.
    fn open(&mut self) {
        if mem::replace(&mut self.folds, true) {
            return;
        }
        let fields = mem::take(&mut self.commit.fields);
        let deleted = mem::take(&mut self.commit.deleted);
        let collections = mem::take(&mut self.commit.collections);
        let operations = mem::take(&mut self.commit.operations);
        self.set(fields);
        self.delete(deleted);
        self.change(collections);
        self.operate(operations);
    }

    fn add(&mut self, commit: Commit) {
        let Commit {
            follows: _,
            leads_to,
            entry,
            entries,
            position,
            processed,
            entries_read,
            proof: _,
            fields,
            deleted,
            collections,
            operations,
            size_bytes,
        } = commit;
        self.commit.leads_to = leads_to;
        self.commit.entry = entry.or(self.commit.entry);
        self.commit.entries += entries;
        self.commit.position = position;
        self.commit.processed = processed;
        self.commit.entries_read = entries_read;
        self.commit.size_bytes += size_bytes.saturating_sub(Commit::ENVELOPE_BYTES);
        self.set(fields);
        self.delete(deleted);
        self.change(collections);
        self.operate(operations);
    }

    fn set(&mut self, fields: Vec<(&'static str, Vec<u8>)>) {
        for (name, value) in fields {
            if !self.deleted.is_empty() {
                self.deleted.remove(name);
            }
            match self.places.get(name) {
                Some(place) => {
                    if let Some(before) = self.fields[*place].1.replace(value) {
                        let gone = name.len() + before.len() + Commit::FIELD_BYTES;
                        self.commit.size_bytes = self.commit.size_bytes.saturating_sub(gone);
                    }
                }
                None => {
                    self.places.insert(name, self.fields.len());
                    self.fields.push((name, Some(value)));
                }
            }
        }
    }

    /// Fields are deleted after those of the same commit are set.
    fn delete(&mut self, names: Vec<String>) {
        for name in names {
            if let Some(place) = self.places.get(name.as_str()) {
                self.fields[*place].1 = None;
            }
            self.deleted.insert(name);
        }
    }

    fn change(&mut self, collections: Vec<CollectionChanges>) {
        for changes in collections {
            match self.collections.iter_mut().find(|entries| entries.is_of(&changes)) {
                Some(entries) => entries.add(changes),
                None => self.collections.push(Entries::of(changes)),
            }
        }
    }

    fn operate(&mut self, operations: Vec<Operation>) {
        for operation in operations {
            match operation {
                Operation::Remove { .. } => self.commit.operations.push(operation),
                Operation::Publish { ref stream, .. } => {
                    if let Some(cut) = self.cuts.get_mut(stream) {
                        cut.publish();
                    }
                    self.commit.operations.push(operation);
                }
                Operation::Trim { stream, trim } => self.cuts.entry(stream).or_default().trim(trim),
            }
        }
    }

    /// Whether what `commit` publishes survives the trims before it also when they are put off.
    fn may_publish(&self, commit: &Commit) -> bool {
        if self.cuts.is_empty() {
            return true;
        }
        let own = Cut::each(&commit.operations);
        commit.operations.iter().all(|operation| match operation {
            Operation::Publish { stream, .. } => {
                self.cuts.get(stream).is_none_or(|cut| cut.may_come_after(own.get(stream.as_str())))
            }
            Operation::Trim { .. } | Operation::Remove { .. } => true,
        })
    }

    fn into_commit(mut self) -> Commit {
        if self.folds {
            self.commit.fields = self.fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            self.commit.deleted = self.deleted.into_iter().collect();
            self.commit.collections = self.collections.into_iter().map(Entries::into_changes).collect();
            for (stream, cut) in self.cuts {
                for trim in cut.trims() {
                    self.commit.operations.push(Operation::Trim { stream: stream.clone(), trim });
                }
            }
        }
        self.commit
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::super::messages::{Owned, Proof};
    use super::super::sequencer::Sequencer;
    use super::*;
    use crate::entry::Fields;
    use crate::staged::{Publish, Staged, Trim};

    const ANY: Fold = Fold { max_entries: u64::MAX, alone_until: None };

    fn sequencer() -> Sequencer {
        Sequencer::new(&Owned {
            head: Head::parse("t:5").unwrap(),
            epoch: 1,
            created: false,
            released: true,
            abandoned: false,
            trying: None,
            position: id(3),
            processed: 4,
            base: None,
            last_id: id(9),
            length: 6,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        })
    }

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn proof(first: u64, last: u64) -> Proof {
        Proof { first: id(first), last: id(last), digest: "d".into() }
    }

    fn publishes(streams: &[&str]) -> Staged {
        let fields: Fields = [("a", "b")].into_iter().collect();
        let publish = |stream: &&str| Publish { stream: (*stream).to_owned(), fields: fields.clone() };
        Staged { publishes: streams.iter().map(publish).collect(), trims: Vec::new() }
    }

    /// Publishes to "a" and trims it.
    fn trims(trim: Trim) -> Staged {
        Staged { trims: vec![("a".into(), trim)], ..publishes(&["a"]) }
    }

    /// Commits of entries 4, 5, … that stage this.
    fn commits(staged: impl IntoIterator<Item = Staged>) -> Vec<Commit> {
        let mut sequencer = sequencer();
        let entry = |(n, staged): (u64, Staged)| sequencer.entry(id(4 + n), Vec::new().into(), staged);
        (0..).zip(staged).map(entry).collect()
    }

    fn entries(steps: &[Commit]) -> Vec<u64> {
        steps.iter().map(|step| step.entries).collect()
    }

    #[test]
    fn a_fold_leads_from_the_first_head_to_the_last() {
        let mut sequencer = sequencer();
        sequencer.begin_read(proof(4, 6));
        let mut each = vec![sequencer.nothing(Vec::new().into(), Vec::new())];
        each.extend((4..=6).map(|at| sequencer.entry(id(at), vec![("n", vec![at as u8])].into(), Staged::default())));
        let [one] = &ANY.fold(each)[..] else { panic!("not one step") };
        assert_eq!((one.follows, one.leads_to), (5, 9));
        assert_eq!((one.entry, one.entries, one.position, one.processed), (Some(id(6)), 3, id(6), 7));
        assert_eq!(one.proof, Some(proof(4, 6)));
        assert_eq!(one.fields, [("n", vec![6])]);
        assert_eq!(one.size_bytes, one.measure());
    }

    #[test]
    fn a_commit_by_itself_stays_as_it_is() {
        let each = commits([trims(Trim::max_len(3)), publishes(&["b"])]);
        assert_eq!(Fold { max_entries: 1, ..ANY }.fold(each.clone()), each);
    }

    #[test]
    fn a_fold_never_spans_two_reads() {
        let mut sequencer = sequencer();
        let mut each = Vec::new();
        for read in [4..7, 7..8, 8..12] {
            sequencer.begin_read(proof(read.start, read.end - 1));
            each.extend(read.map(|at| sequencer.entry(id(at), Vec::new().into(), Staged::default())));
        }
        let steps = ANY.fold(each);
        assert_eq!(entries(&steps), [3, 1, 4]);
        assert!(steps.iter().all(|step| step.proof.is_some()));
    }

    #[test]
    fn a_step_that_handles_a_letter_stays_alone() {
        let mut sequencer = sequencer();
        let letter = |at| Operation::Remove { stream: "dead".into(), id: id(at), digest: "d".into() };
        let mut each = vec![sequencer.entry(id(4), Vec::new().into(), publishes(&["a"]))];
        each.extend((1..3).map(|at| sequencer.letter(id(at), letter(at), Vec::new().into(), publishes(&["a"]))));
        each.extend((5..7).map(|at| sequencer.entry(id(at), Vec::new().into(), publishes(&["a"]))));
        let steps = ANY.fold(each);
        assert_eq!(entries(&steps), [1, 0, 0, 2]);
        assert!(steps[1..3].iter().all(|step| step.operations.len() == 2));
    }

    #[test]
    fn the_last_value_of_a_field_counts_and_a_deletion_is_one() {
        let mut sequencer = sequencer();
        let field = |name, value: &str| (name, value.as_bytes().to_vec());
        let deleted = |name: &str| vec![name.to_owned()];
        let each = [
            sequencer.nothing(vec![field("a", "1"), field("b", "1"), field("c", "1")].into(), deleted("old")),
            sequencer.nothing(vec![field("a", "22")].into(), deleted("b")),
            sequencer.nothing(vec![field("old", "3"), field("c", "3")].into(), deleted("c")),
            sequencer.nothing(vec![field("d", "4")].into(), Vec::new()),
        ];
        let mut steps = ANY.fold(each);
        assert_eq!(steps.len(), 1);
        steps[0].deleted.sort();
        assert_eq!(steps[0].fields, [field("a", "22"), field("old", "3"), field("d", "4")]);
        assert_eq!(steps[0].deleted, ["b", "c"]);
    }

    #[test]
    fn publishes_keep_their_order_and_the_check_of_an_output_at_its_first_use() {
        let steps = ANY.fold(commits([publishes(&["a", "b"]), trims(Trim::max_len(9)), publishes(&["c", "b"])]));
        assert_eq!(steps.len(), 1);
        let done: Vec<(&str, bool)> = steps[0]
            .operations
            .iter()
            .map(|operation| match operation {
                Operation::Publish { stream, check, .. } => (stream.as_str(), *check),
                Operation::Trim { .. } | Operation::Remove { .. } => ("other", false),
            })
            .collect();
        assert_eq!(done, [("a", true), ("b", true), ("a", false), ("c", true), ("b", false), ("other", false)]);
    }

    #[test]
    fn trims_that_are_put_off_leave_what_they_would_have_left() {
        let trim = |max: Trim| commits([publishes(&["a"]), trims(max), publishes(&["a", "b", "a"])]);
        let left = |steps: Vec<Commit>| -> Vec<(Trim, usize)> {
            let trims = |step: &Commit| {
                let trim = |operation: &Operation| match operation {
                    Operation::Trim { trim, .. } => Some(*trim),
                    Operation::Publish { .. } | Operation::Remove { .. } => None,
                };
                step.operations.iter().filter_map(trim).collect::<Vec<_>>()
            };
            let steps = steps.iter().enumerate();
            steps.flat_map(|(n, step)| trims(step).into_iter().map(move |trim| (trim, n))).collect()
        };
        assert_eq!(left(ANY.fold(trim(Trim::max_len(5)))), [(Trim::max_len(7), 0)]);
        assert_eq!(left(ANY.fold(trim(Trim::max_len(0).exact()))), [(Trim::max_len(2).exact(), 0)]);
        let falling = commits([trims(Trim::max_len(5)), trims(Trim::max_len(3)), trims(Trim::max_len(100))]);
        assert_eq!(left(ANY.fold(falling)), [(Trim::max_len(4), 0)]);
        let rising = commits([trims(Trim::min_id(id(5))), trims(Trim::min_id(id(7)))]);
        assert_eq!(left(ANY.fold(rising)), [(Trim::min_id(id(7)), 0)]);
    }

    #[test]
    fn what_a_trim_by_id_could_take_although_it_came_later_begins_a_new_step() {
        let steps = ANY.fold(commits([trims(Trim::min_id(id(9))), publishes(&["b"]), publishes(&["a"])]));
        assert_eq!(entries(&steps), [2, 1]);
        let steps = ANY.fold(commits([trims(Trim::min_id(id(9))), trims(Trim::min_id(id(8)))]));
        assert_eq!(entries(&steps), [1, 1]);
        let steps = ANY.fold(commits([trims(Trim::min_id(id(9)).exact()), trims(Trim::min_id(id(9)))]));
        assert_eq!(entries(&steps), [1, 1]);
    }

    #[test]
    fn steps_are_bounded_in_entries_bytes_and_operations() {
        let nothing = || commits(vec![Staged::default(); 10]);
        assert_eq!(entries(&Fold { max_entries: 4, ..ANY }.fold(nothing())), [4, 4, 2]);
        assert_eq!(entries(&Fold { alone_until: Some(id(6)), ..ANY }.fold(nothing())), [1, 1, 1, 7]);

        let many = vec!["a"; Fold::MAX_OPERATIONS / 4];
        assert_eq!(entries(&ANY.fold(commits(vec![publishes(&many); 9]))), [4, 4, 1]);

        let mut sequencer = sequencer();
        let mut large =
            |name, n| sequencer.entry(id(n), vec![(name, vec![0; Fold::MAX_BYTES / 3])].into(), Staged::default());
        let same = (4..10).map(|n| large("a", n)).collect::<Vec<_>>();
        assert_eq!(entries(&ANY.fold(same)), [6], "only the last value is sent");
        let others = ["a", "b", "c", "d", "e"].into_iter().zip(10..).map(|(name, n)| large(name, n));
        assert_eq!(entries(&ANY.fold(others.collect::<Vec<_>>())), [2, 2, 1]);
    }

    #[test]
    fn only_what_follows_is_folded() {
        let mut each = commits(vec![Staged::default(); 5]);
        each.remove(2);
        assert_eq!(entries(&ANY.fold(each)), [2, 2]);
    }
}
