//! What another program that had the group has left undone.

use std::collections::BTreeSet;

use crate::id::EntryId;

/// How many pending entries of another program can be taken over.
pub const MAX_ADOPTED: u64 = 10_000;

/// Of the entries up to one, those that were taken and not acknowledged: the others are done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Adopted {
    up_to: EntryId,
    pending: BTreeSet<EntryId>,
}

impl Adopted {
    /// From `@adopted` and `@pending`; `None` where there is nothing of that kind.
    pub fn parse(up_to: &str, pending: &str) -> Option<Self> {
        let pending = pending.split_ascii_whitespace().map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Self { up_to: up_to.parse().ok()?, pending })
    }

    /// Of the entries up to `up_to`, these are left.
    pub fn new(up_to: EntryId, pending: impl IntoIterator<Item = EntryId>) -> Self {
        Self { up_to, pending: pending.into_iter().collect() }
    }

    /// The last entry that the other program has taken.
    pub fn up_to(&self) -> EntryId {
        self.up_to
    }

    /// The pending entries, as the record has them.
    pub fn pending_text(&self) -> String {
        let ids: Vec<String> = self.pending.iter().map(EntryId::to_string).collect();
        ids.join(" ")
    }

    /// Whether the other program has done this entry.
    pub fn has_done(&self, entry: EntryId) -> bool {
        entry <= self.up_to && !self.pending.contains(&entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_not_done_and_what_lies_between_is() {
        let adopted = Adopted::parse("9-1", "3-1 7-2").unwrap();
        let done = |text: &str| adopted.has_done(text.parse().unwrap());
        assert_eq!(["3-1", "7-2", "9-2", "10-0"].map(done), [false; 4]);
        assert_eq!(["0-1", "3-0", "3-2", "7-1", "9-1"].map(done), [true; 5]);
        assert_eq!(Adopted::parse("", ""), None);
        assert_eq!(Adopted::parse("9-1", "3-1 x"), None);
    }
}
