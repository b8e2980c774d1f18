//! Trims of one output that are put off until everything is published.

use std::collections::HashMap;

use super::super::messages::Operation;
use crate::id::EntryId;
use crate::staged::{Bound, Trim};

/// What is left of an output by trims and publishes in turn, as trims that come last.
///
/// Every trim leaves the newest part of an output, so together they leave the smallest of these parts: at most one bound of
/// each kind is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    max_len: Bounds<u64>,
    min_id: Bounds<EntryId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds<T> {
    rough: Option<T>,
    exact: Option<T>,
}

impl Cut {
    /// The cuts of one commit, by output.
    pub fn each(operations: &[Operation]) -> HashMap<&str, Self> {
        let mut cuts: HashMap<&str, Self> = HashMap::new();
        for operation in operations {
            if let Operation::Trim { stream, trim } = operation {
                cuts.entry(stream).or_default().trim(*trim);
            }
        }
        cuts
    }

    /// One more entry is published after the trims so far, which spare it.
    pub fn publish(&mut self) {
        for bound in [&mut self.max_len.rough, &mut self.max_len.exact].into_iter().flatten() {
            *bound = bound.saturating_add(1);
        }
    }

    pub fn trim(&mut self, trim: Trim) {
        match trim.bound {
            Bound::MaxLen(entries) => {
                let bound = self.max_len.of(trim.exact);
                *bound = Some(bound.map_or(entries, |before| before.min(entries)));
            }
            Bound::MinId(id) => {
                let bound = self.min_id.of(trim.exact);
                *bound = Some(bound.map_or(id, |before| before.max(id)));
            }
        }
    }

    /// Whether entries that are published after these trims, and before those of `later`, may as well be published before
    /// both: a trim by ID takes what is below it whenever it came.
    pub fn may_come_after(&self, later: Option<&Self>) -> bool {
        let later = later.map(|later| later.min_id).unwrap_or_default();
        self.min_id.exact <= later.exact && self.min_id.rough <= later.rough.max(later.exact)
    }

    pub fn trims(self) -> impl Iterator<Item = Trim> {
        let exact = |trim: Trim| trim.exact();
        let rough = [self.max_len.rough.map(Trim::max_len), self.min_id.rough.map(Trim::min_id)];
        let exactly = [self.max_len.exact.map(Trim::max_len), self.min_id.exact.map(Trim::min_id)];
        rough.into_iter().flatten().chain(exactly.into_iter().flatten().map(exact))
    }
}

impl<T> Bounds<T> {
    fn of(&mut self, exact: bool) -> &mut Option<T> {
        if exact { &mut self.exact } else { &mut self.rough }
    }
}
