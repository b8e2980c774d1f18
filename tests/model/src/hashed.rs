//! Steps of the protocol, told apart by all that they say.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use atomic_streams::internals::{Commit, Operation, Step};

/// A part of the model's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Hashed<T>(pub Arc<T>);

impl Hash for Hashed<Step> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &*self.0 {
            Step::Commit(commit) => hash(commit, state),
            Step::Renew { lease_ms, stop_at_trimmed } => (1_u8, lease_ms, stop_at_trimmed).hash(state),
            Step::Release => 2_u8.hash(state),
            Step::Wait { .. } => unreachable!("the model's owner waits for no disk"),
        }
    }
}

impl Hash for Hashed<Commit> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// Names every field, so that none can be forgotten.
fn hash<H: Hasher>(commit: &Commit, state: &mut H) {
    let Commit {
        follows,
        leads_to,
        entry,
        entries,
        position,
        processed,
        entries_read,
        proof,
        fields,
        deleted,
        collections,
        operations,
        size_bytes,
    } = commit;
    assert!(collections.is_empty(), "the model has no collections");
    (follows, leads_to, entry, entries, position, processed, entries_read).hash(state);
    (proof, fields, deleted, size_bytes).hash(state);
    for operation in operations {
        match operation {
            Operation::Publish { stream, fields, check } => {
                (stream, check).hash(state);
                fields.iter().for_each(|field| field.hash(state));
            }
            Operation::Trim { .. } | Operation::Remove { .. } => {
                unreachable!("the model's handler trims nothing and parks nothing")
            }
        }
    }
}
