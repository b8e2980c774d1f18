//! Steps made from drafts and from what a session knows.

use std::collections::BTreeSet;

use atomic_streams::internals::{
    CollectionChanges, Commit, Entry, EntryChanges, Operation, Proof, Step, StepReply, digest,
};
use atomic_streams::{EntryId, Fields, Trim};

use super::operation::{CollectionDraft, CommitDraft, Draft, ProofDraft, Where};
use crate::place::{COLLECTIONS, STREAMS, Sight, subscription};

pub const LEASE_MS: u64 = 600_000;

const FIELDS: [&str; 3] = ["f0", "f1", "f2"];

/// What one attach has taken, and what became of it.
#[derive(Clone, Debug)]
pub struct Seat {
    pub token: String,
    pub sequence: u64,
    pub position: EntryId,
    pub processed: u64,
    /// The last read.
    pub read: Vec<Entry>,
    /// How many entries of it are handled.
    pub handled: usize,
}

impl Seat {
    pub fn place(&self, place: Where, sight: &Sight) -> EntryId {
        match place {
            Where::Read => self.read.last().map_or(EntryId::MIN, |entry| entry.id),
            _ => place_in(place, sight),
        }
    }

    /// The step, and the seat after it if it is done.
    pub fn step(&self, draft: &Draft, sight: &Sight) -> (Step, Self) {
        match draft {
            Draft::Renew => (Step::Renew { lease_ms: LEASE_MS, stop_at_trimmed: false }, self.clone()),
            Draft::Release => (Step::Release, self.clone()),
            Draft::Commit(draft) => {
                let commit = self.commit(draft, sight);
                let mut after = self.clone();
                (after.sequence, after.position, after.processed) =
                    (commit.leads_to, commit.position, commit.processed);
                after.handled += usize::from(commit.entry.is_some());
                (Step::Commit(commit), after)
            }
        }
    }

    fn commit(&self, draft: &CommitDraft, sight: &Sight) -> Commit {
        let entry = self.read.get(self.handled).filter(|_| draft.handles).map(|entry| entry.id);
        let position = draft.position.map_or(entry.unwrap_or(self.position), |place| self.place(place, sight));
        let follows = self.sequence.saturating_add_signed(draft.off.into());
        let named = |chosen: [bool; 3]| FIELDS.into_iter().zip(chosen).filter(|(_, is)| *is).map(|(name, _)| name);
        let output = |number: &usize| match STREAMS.get(*number) {
            Some(stream) => (*stream).to_owned(),
            None => subscription().record().to_owned(),
        };
        let publish = |(number, check): &(usize, bool)| Operation::Publish {
            stream: output(number),
            fields: fields(self.sequence as u8),
            check: *check,
        };
        let trim = |(number, keep): &(usize, u64)| Operation::Trim {
            stream: output(number),
            trim: Trim::max_len(*keep).exact(),
        };
        let mut commit = Commit {
            follows,
            leads_to: follows + 1,
            entry,
            entries: u64::from(entry.is_some()),
            position,
            processed: self.processed + u64::from(entry.is_some()),
            entries_read: draft.entries_read,
            proof: self.proof(draft.proof, sight),
            fields: named(draft.set).map(|name| (name, format!("{name} of {follows}").into_bytes())).collect(),
            deleted: named(draft.deleted).map(str::to_owned).collect(),
            collections: draft.collection.iter().map(|draft| collection(draft, sight)).collect(),
            operations: draft.publishes.iter().map(publish).chain(draft.trims.iter().map(trim)).collect(),
            size_bytes: 0,
        };
        commit.size_bytes = commit.measure();
        commit
    }

    fn proof(&self, draft: ProofDraft, sight: &Sight) -> Option<Proof> {
        let read = match draft {
            ProofDraft::None => return None,
            ProofDraft::Whole => &sight.streams[0].entries,
            ProofDraft::Right | ProofDraft::OtherDigest => &self.read,
        };
        let (first, last) = (read.first()?, read.last()?);
        let digest = if let ProofDraft::OtherDigest = draft { "other".to_owned() } else { digest(last) };
        Some(Proof { first: first.id, last: last.id, digest })
    }
}

/// An ID that no worker needs to know of.
pub fn place_in(place: Where, sight: &Sight) -> EntryId {
    let position = || sight.record.as_ref()?.get("@position").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    match place {
        Where::Start | Where::Read => EntryId::MIN,
        Where::Entry(nth) => nth_of(&sight.streams[0].entries, nth).map_or(EntryId::MIN, |entry| entry.id),
        Where::Position => position().unwrap_or_default(),
        Where::Id(ms) => EntryId::new(ms, 0),
    }
}

pub fn nth_of(entries: &[Entry], nth: usize) -> Option<&Entry> {
    entries.get(nth % entries.len().max(1))
}

pub fn fields(kind: u8) -> Fields {
    let mut fields = Fields::new();
    match kind % 6 {
        0 => fields.push("f", "1"),
        1 => fields.push("f", "2"),
        2 => [("f", "1"), ("f", "1"), ("", "")].into_iter().for_each(|(name, value)| fields.push(name, value)),
        3 => fields.push([0xff, 0x00, b'\n'], [0xfe, 0xff]),
        4 => (0..20).for_each(|n| fields.push(format!("field {n}"), "x".repeat(n))),
        _ => fields.push("@fields", "0"),
    }
    fields
}

fn collection(draft: &CollectionDraft, sight: &Sight) -> CollectionChanges {
    let nth = usize::from(draft.is_set);
    let (kind, field) = COLLECTIONS[nth];
    let held = &sight.collections[nth];
    let key = |key: &u8| vec![b'k', b'0' + *key];
    let mut after: BTreeSet<Vec<u8>> = if draft.cleared { BTreeSet::new() } else { held.keys().cloned().collect() };
    after.extend(draft.set.iter().map(key));
    for removed in &draft.removed {
        after.remove(&key(removed));
    }
    CollectionChanges {
        kind,
        field: field.into(),
        changes: EntryChanges {
            cleared: draft.cleared,
            set: draft.set.iter().map(|each| (key(each), vec![*each, 0xff])).collect(),
            removed: draft.removed.iter().map(key).collect(),
        },
        before: draft.before.map(|is_right| held.len() as u64 + u64::from(!is_right)),
        after: draft.says_after.then_some(after.len() as u64),
    }
}

/// A reply without what servers put in words of their own.
pub fn in_short(reply: StepReply) -> StepReply {
    let code = |words: String| words.split(' ').next().unwrap_or_default().to_owned();
    match reply {
        StepReply::Committed { cursor_trouble, trim_trouble } => {
            StepReply::Committed { cursor_trouble: cursor_trouble.map(code), trim_trouble: trim_trouble.map(code) }
        }
        StepReply::Refused { key, why } => StepReply::Refused { key, why: code(why) },
        StepReply::Renewed(mut renewed) => {
            renewed.cursor_trouble = renewed.cursor_trouble.map(code);
            // Two servers, two clocks.
            renewed.lag.waited_ms = renewed.lag.waited_ms.map(|_| 0);
            StepReply::Renewed(renewed)
        }
        other => other,
    }
}
