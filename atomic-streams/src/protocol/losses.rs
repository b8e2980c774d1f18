//! Entries that went from the stream before they were read: each is told of once.

use crate::id::EntryId;

use super::messages::{Cause, Owned, Renewed};

/// What one consumer object has told of, over all its sessions.
///
/// The record's base counts what has vanished, and a renewal that finds more writes it before anybody hears of it. A reply may be
/// lost, and the server may lose that write again: so what was told of is kept here, as the highest base that was seen.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    base: i64,
    /// Nothing behind this ID is counted in it.
    up_to: EntryId,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Entries {
        count: u64,
        cause: Cause,
        /// There are no more of them.
        all: bool,
    },
    /// The stream has counted fewer entries than were read: it was made anew.
    Anew,
}

impl Losses {
    /// What an attach shows: entries that a renewal of this object has counted, whose reply was lost.
    pub fn attached(&mut self, owned: &Owned) -> Option<Loss> {
        let base = owned.base?;
        let known = self.seen.filter(|_| !owned.created && owned.vanished >= 0);
        let Some(seen) = known else {
            self.seen = Some(Seen { base, up_to: owned.position });
            return None;
        };
        if base <= seen.base {
            return None;
        }
        self.seen = Some(Seen { base, up_to: seen.up_to.max(owned.last_id) });
        // Another owner has told of its own.
        let was_ours = !owned.released && !owned.abandoned;
        was_ours.then(|| Loss::Entries {
            count: seen.base.abs_diff(base),
            cause: Cause::Either,
            all: owned.vanished == 0,
        })
    }

    /// What a renewal shows.
    pub fn renewed(&mut self, renewed: &Renewed) -> Option<Loss> {
        let base = renewed.base?;
        let Renewed { vanished, cause, all, .. } = *renewed;
        let up_to = self.seen.map_or(renewed.last_id, |seen| seen.up_to.max(renewed.last_id));
        let seen = self.seen.map_or(base - vanished, |seen| seen.base);
        if vanished < 0 {
            self.seen = Some(Seen { base, up_to: renewed.last_id });
            return Some(Loss::Anew);
        }
        if vanished > 0 && base > seen {
            self.seen = Some(Seen { base, up_to });
            return Some(Loss::Entries { count: seen.abs_diff(base).min(vanished.unsigned_abs()), cause, all });
        }
        // What had vanished has come back in a rollback, and was read: it may vanish no more.
        if all && self.seen.is_some_and(|seen| renewed.position >= seen.up_to) {
            self.seen = Some(Seen { base, up_to });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn owned(base: i64) -> Owned {
        Owned {
            head: Head::parse("t:5").unwrap(),
            epoch: 1,
            created: false,
            released: false,
            abandoned: false,
            trying: None,
            position: id(3),
            processed: 3,
            base: Some(base),
            last_id: id(9),
            length: 6,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        }
    }

    fn renewed(position: u64, base: i64, vanished: i64) -> Renewed {
        Renewed {
            head: Head::parse("t:5").unwrap(),
            position: id(position),
            last_id: id(9),
            last_entry: Some(id(9)),
            base: Some(base),
            vanished,
            cause: Cause::Trimmed,
            all: true,
            cursor_repaired: false,
            cursor_trouble: None,
            unparking: 0,
            lag: Default::default(),
        }
    }

    fn trimmed(count: u64) -> Option<Loss> {
        Some(Loss::Entries { count, cause: Cause::Trimmed, all: true })
    }

    #[test]
    fn what_a_renewal_counts_is_told_once() {
        let mut losses = Losses::default();
        assert_eq!(losses.attached(&owned(2)), None, "an earlier owner has told of these");
        assert_eq!(losses.renewed(&renewed(3, 6, 4)), trimmed(4));
        assert_eq!(losses.renewed(&renewed(4, 6, 0)), None);
        assert_eq!(losses.renewed(&renewed(9, 7, 1)), trimmed(1));
        assert_eq!(losses.attached(&owned(7)), None);
    }

    #[test]
    fn a_renewal_whose_reply_was_lost_is_told_at_the_next_attach() {
        let mut losses = Losses::default();
        losses.attached(&owned(2));
        assert_eq!(losses.attached(&owned(6)), Some(Loss::Entries { count: 4, cause: Cause::Either, all: true }));
        let others = Owned { abandoned: true, ..owned(9) };
        assert_eq!(losses.attached(&others), None, "the other owner has told of its own");
        assert_eq!(losses.renewed(&renewed(9, 9, 0)), None);
    }

    #[test]
    fn a_renewal_that_was_rolled_back_is_not_told_again() {
        let mut losses = Losses::default();
        losses.attached(&owned(2));
        losses.renewed(&renewed(3, 6, 4));
        assert_eq!(losses.attached(&owned(2)), None);
        assert_eq!(losses.renewed(&renewed(3, 6, 4)), None);
        assert_eq!(losses.renewed(&renewed(4, 8, 2)), trimmed(2));
    }

    #[test]
    fn what_vanishes_after_a_trim_that_was_rolled_back_is_told_when_the_old_ones_are_read() {
        let mut losses = Losses::default();
        losses.attached(&owned(2));
        losses.renewed(&renewed(3, 6, 4));
        losses.attached(&owned(2));
        assert_eq!(losses.renewed(&renewed(9, 2, 0)), None, "all of them were read after all");
        assert_eq!(losses.renewed(&renewed(9, 5, 3)), trimmed(3));
    }

    #[test]
    fn a_stream_made_anew_counts_from_there() {
        let mut losses = Losses::default();
        losses.attached(&owned(2));
        losses.renewed(&renewed(3, 6, 4));
        assert_eq!(losses.renewed(&renewed(9, -3, -9)), Some(Loss::Anew));
        assert_eq!(losses.renewed(&renewed(9, -1, 2)), trimmed(2));
        losses.attached(&Owned { vanished: -1, ..owned(-9) });
        assert_eq!(losses.renewed(&renewed(3, -8, 1)), trimmed(1));
        losses.attached(&Owned { created: true, ..owned(-20) });
        assert_eq!(losses.renewed(&renewed(3, -19, 1)), trimmed(1));
    }
}
