//! Finding the entry that kills the process.
//!
//! After an owner that ended uncleanly, entries are handled one at a time, each when the one before is committed, for as many
//! entries as may have been on their way: if one of them kills the process too, it is the one behind the position. The first
//! one after an attach is therefore noted in the record before each try, with the number of tries that did not come back.
//! Attaches are never counted, so that a process that is killed while it waits for entries blames none.

use crate::id::EntryId;

use super::messages::{Owned, Trying};

/// Whether entries are handled one at a time, and which one is under suspicion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Careful {
    /// How many entries are still handled one at a time.
    left: usize,
    /// The entry behind the position has not been passed since the attach.
    is_first: bool,
    /// The entry whose tries did not come back.
    suspect: Option<Trying>,
    /// The record names one.
    is_noted: bool,
}

impl Careful {
    /// A session begins. `is_new`: this process has had no session before; `window`: how many entries an owner may have handled
    /// and not yet committed.
    pub fn attached(&mut self, owned: &Owned, is_new: bool, window: usize) {
        self.is_noted = owned.trying.is_some();
        self.is_first = true;
        if owned.created || owned.released {
            (self.left, self.suspect) = (0, None);
        } else if owned.abandoned || is_new {
            (self.left, self.suspect) = (window.saturating_add(1), owned.trying);
        }
        // Else a living process goes on by itself: what it tried came back.
    }

    /// Whether an entry is handled only when the one before is committed.
    pub fn is_on(&self) -> bool {
        self.left > 0
    }

    /// How many tries of this entry did not come back.
    pub fn crashes(&self, entry: EntryId) -> u32 {
        self.suspect.filter(|suspect| suspect.entry == entry).map_or(0, |suspect| suspect.crashes)
    }

    /// The suspect is given up for its crashes. It is no suspect any more: its dead letter may be handled one day.
    pub fn given_up(&mut self) {
        self.suspect = None;
    }

    /// What is to be noted in the record before the entry is tried.
    pub fn before_try(&mut self, entry: EntryId) -> Option<Trying> {
        if !self.is_on() || !self.is_first {
            return None;
        }
        self.is_noted = true;
        Some(Trying { entry, crashes: self.crashes(entry).saturating_add(1) })
    }

    /// The try came back with an error. What is to be noted in place of [`before_try`](Self::before_try); `Some(None)`: nothing.
    pub fn after_failure(&mut self, entry: EntryId) -> Option<Option<Trying>> {
        if !self.is_noted {
            return None;
        }
        let crashes = self.crashes(entry);
        self.is_noted = crashes > 0;
        Some(self.is_noted.then_some(Trying { entry, crashes }))
    }

    /// The entry at hand is passed: handled or given up. Whether its step is to clear what is noted.
    pub fn passed(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.is_first = false;
        std::mem::take(&mut self.is_noted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn owned(abandoned: bool, trying: Option<(u64, u32)>) -> Owned {
        Owned {
            head: Head::parse("t:5").unwrap(),
            epoch: 2,
            created: false,
            released: false,
            abandoned,
            trying: trying.map(|(entry, crashes)| Trying { entry: id(entry), crashes }),
            position: id(3),
            processed: 4,
            base: None,
            last_id: id(9),
            length: 6,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        }
    }

    fn attached(owned: &Owned) -> Careful {
        let mut careful = Careful::default();
        careful.attached(owned, true, 2);
        careful
    }

    #[test]
    fn after_an_unclean_end_as_many_entries_as_may_have_been_on_their_way_go_one_at_a_time() {
        let mut careful = attached(&owned(true, None));
        assert_eq!(careful.before_try(id(4)), Some(Trying { entry: id(4), crashes: 1 }));
        assert!(careful.passed(), "its own step clears what is noted");
        for entry in [5, 6] {
            assert!(careful.is_on());
            assert_eq!(careful.before_try(id(entry)), None, "whoever dies now dies behind the position");
            assert!(!careful.passed());
        }
        assert!(!careful.is_on());
    }

    #[test]
    fn a_clean_end_and_a_new_subscription_ask_for_no_care() {
        for owned in [Owned { released: true, ..owned(false, None) }, Owned { created: true, ..owned(false, None) }] {
            let mut careful = attached(&owned);
            assert!(!careful.is_on());
            assert_eq!(
                (careful.before_try(id(4)), careful.after_failure(id(4)), careful.passed()),
                (None, None, false)
            );
        }
    }

    #[test]
    fn tries_of_the_same_entry_are_counted_and_attaches_are_not() {
        for crashes in 0..3 {
            let mut careful = attached(&owned(true, (crashes > 0).then_some((4, crashes))));
            // Killed while it waits, again and again.
            for _ in 0..10 {
                careful.attached(&owned(true, (crashes > 0).then_some((4, crashes))), true, 2);
            }
            assert_eq!(careful.crashes(id(4)), crashes);
            assert_eq!(careful.before_try(id(4)), Some(Trying { entry: id(4), crashes: crashes + 1 }));
        }
        let mut careful = attached(&owned(true, Some((4, 7))));
        assert_eq!(careful.crashes(id(5)), 0);
        assert_eq!(careful.before_try(id(5)), Some(Trying { entry: id(5), crashes: 1 }), "another entry");
    }

    #[test]
    fn a_try_that_comes_back_is_not_counted() {
        let mut careful = attached(&owned(true, None));
        careful.before_try(id(4));
        assert_eq!(careful.after_failure(id(4)), Some(None));
        assert_eq!(careful.after_failure(id(4)), None);
        let mut careful = attached(&owned(true, Some((4, 2))));
        let (two, three) = (Trying { entry: id(4), crashes: 2 }, Trying { entry: id(4), crashes: 3 });
        for _ in 0..5 {
            assert_eq!(careful.before_try(id(4)), Some(three));
            assert_eq!(careful.after_failure(id(4)), Some(Some(two)));
        }
    }

    #[test]
    fn who_is_given_up_is_no_suspect_any_more() {
        let mut careful = attached(&owned(true, Some((4, 7))));
        careful.given_up();
        assert_eq!(careful.crashes(id(4)), 0);
        assert!(careful.passed(), "what the record says of it goes with its step");
    }

    #[test]
    fn a_living_process_that_attaches_again_goes_on_as_before() {
        let mut careful = attached(&owned(true, Some((4, 1))));
        careful.before_try(id(4));
        // Its connection was lost meanwhile: the note in the record is its own.
        careful.attached(&owned(false, Some((4, 2))), false, 2);
        assert_eq!(careful.crashes(id(4)), 1);
        assert_eq!(careful.before_try(id(4)), Some(Trying { entry: id(4), crashes: 2 }));
        assert!(careful.passed());
        for _ in 0..2 {
            assert!(careful.is_on());
            careful.passed();
        }
        careful.attached(&owned(false, None), false, 2);
        assert!(!careful.is_on());
    }

    #[test]
    fn a_first_attach_whose_reply_was_lost_is_careful_all_the_same() {
        assert!(attached(&owned(false, None)).is_on());
    }
}
