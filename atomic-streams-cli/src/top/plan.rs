//! What is asked next, and when: bounded, whatever the server holds.

use std::collections::BTreeSet;
use std::time::Duration;

use super::model::{Model, Place};
use super::snapshot::Name;

/// Subscriptions that a round looks at beyond those on the screen.
pub(crate) const EXTRA: usize = 64;

/// The keys are gone through this often at most.
pub(crate) const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// The pause after going through the keys, in times of what that took.
const SEARCH_PAUSE: u32 = 20;

/// The pause after a search that failed.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);

/// What a round asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    pub names: Vec<Name>,
    /// Whose state is wanted; it is among the names.
    pub state_of: Option<Name>,
}

/// Goes round the subscriptions that are not on the screen.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    last: Option<Name>,
}

impl Rounds {
    /// What is on the screen, and the next of the others.
    pub fn next(&mut self, model: &Model) -> Ask {
        let state_of = match &model.place {
            Place::One(name, _) => Some(name.clone()),
            Place::List => None,
        };
        let (rows, _) = model.visible();
        let shown: BTreeSet<&Name> = rows.iter().map(|(name, _)| *name).chain(&state_of).collect();
        let is_behind = |name: &&Name| self.last.as_ref().is_some_and(|last| *name > last);
        let others: Vec<&Name> = model
            .names()
            .filter(is_behind)
            .chain(model.names().filter(|name| !is_behind(name)))
            .filter(|name| !shown.contains(name))
            .take(EXTRA)
            .collect();
        let last = others.last().map(|name| (*name).clone());
        let names = shown.into_iter().chain(others).cloned().collect();
        self.last = last;
        Ask { names, state_of }
    }
}

/// When rounds and searches begin.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    round: Turn,
    search: Turn,
}

/// One kind of question, of which one at a time is asked.
#[derive(Debug, Default)]
struct Turn {
    next: Duration,
    asked: Option<Duration>,
}

impl Turn {
    fn is_due(&self, now: Duration) -> bool {
        self.asked.is_none() && now >= self.next
    }

    /// How long it took.
    fn answered(&mut self, now: Duration) -> Duration {
        now.saturating_sub(self.asked.take().unwrap_or(now))
    }
}

impl Schedule {
    /// Whether a round is to begin now; it counts as begun then.
    pub fn begins_round(&mut self, now: Duration) -> bool {
        let is_due = self.round.is_due(now);
        if is_due {
            self.round.asked = Some(now);
        }
        is_due
    }

    /// Whether the keys are to be gone through now; it counts as begun then.
    pub fn begins_search(&mut self, now: Duration) -> bool {
        let is_due = self.search.is_due(now);
        if is_due {
            self.search.asked = Some(now);
        }
        is_due
    }

    /// A round has ended. A server that is slow gets half of the interval as a rest.
    pub fn round_ended(&mut self, now: Duration, every: Duration) {
        let took = self.round.answered(now);
        self.round.next = now + every.saturating_sub(took).max(every / 2);
    }

    pub fn search_ended(&mut self, now: Duration, is_ok: bool) {
        let took = self.search.answered(now);
        let pause = if is_ok { SEARCH_EVERY.max(took * SEARCH_PAUSE) } else { SEARCH_AGAIN.max(took) };
        self.search.next = now + pause;
    }

    /// The next round begins as soon as it may.
    pub fn hurry(&mut self) {
        self.round.next = Duration::ZERO;
    }

    /// When the round that is under way began.
    pub fn asked_at(&self) -> Option<Duration> {
        self.round.asked.or(self.search.asked)
    }

    /// When there is something to begin, where rounds begin at all; `None` while everything is under way.
    pub fn wakes_at(&self, with_rounds: bool) -> Option<Duration> {
        let turns = [Some(&self.search), with_rounds.then_some(&self.round)].into_iter().flatten();
        turns.filter(|turn| turn.asked.is_none()).map(|turn| turn.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::layout::Size;
    use crate::top::order::Sort;
    use crate::top::snapshot::Discovery;

    fn model(count: usize, height: u16) -> Model {
        let mut model = Model::new("here", Duration::from_secs(1), Sort::Name, Size { width: 80, height });
        let names = (0..count).map(|n| Name::new(format!("{n:04}"), "g")).collect();
        model.found(Discovery { names, ..Discovery::default() });
        model
    }

    fn numbers(ask: &Ask) -> Vec<usize> {
        ask.names.iter().map(|name| name.stream.parse().unwrap()).collect()
    }

    #[test]
    fn few_are_all_looked_at_in_every_round() {
        let (model, mut rounds) = (model(30, 10), Rounds::default());
        for _ in 0..3 {
            let mut asked = numbers(&rounds.next(&model));
            asked.sort_unstable();
            assert_eq!(asked, (0..30).collect::<Vec<_>>());
        }
    }

    #[test]
    fn of_many_those_on_the_screen_are_and_the_others_in_turn() {
        let (model, mut rounds) = (model(200, 13), Rounds::default());
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let asked = numbers(&rounds.next(&model));
            assert_eq!(asked.len(), 10 + EXTRA, "bounded");
            assert_eq!(asked[..10], (0..10).collect::<Vec<_>>());
            seen.extend(asked);
        }
        assert_eq!(seen.len(), 200, "all of them after three rounds");
    }

    #[test]
    fn the_one_that_is_open_is_looked_at_with_its_state() {
        let (mut model, mut rounds) = (model(200, 13), Rounds::default());
        let open = Name::new("0199", "g");
        model.place = Place::One(open.clone(), 0);
        let ask = rounds.next(&model);
        assert!(ask.names.contains(&open));
        assert_eq!(ask.state_of, Some(open));
    }

    #[test]
    fn a_round_begins_after_the_interval_and_never_beside_another() {
        let (ms, mut schedule) = (Duration::from_millis, Schedule::default());
        assert!(schedule.begins_round(ms(0)) && !schedule.begins_round(ms(5_000)));
        assert_eq!(schedule.asked_at(), Some(ms(0)));
        schedule.round_ended(ms(10), ms(1_000));
        assert_eq!((schedule.asked_at(), schedule.round.next), (None, ms(1_000)));
        assert!(!schedule.begins_round(ms(999)) && schedule.begins_round(ms(1_000)));
        schedule.round_ended(ms(3_500), ms(1_000));
        assert_eq!(schedule.round.next, ms(4_000), "a slow server rests");
        schedule.hurry();
        assert!(schedule.begins_round(ms(3_501)));
    }

    #[test]
    fn going_through_the_keys_takes_a_small_part_of_the_time() {
        let (s, mut schedule) = (Duration::from_secs, Schedule::default());
        assert!(schedule.begins_search(s(0)) && !schedule.begins_search(s(1)));
        schedule.search_ended(s(1), true);
        assert_eq!(schedule.search.next, s(31));
        assert!(schedule.begins_search(s(31)));
        schedule.search_ended(s(41), true);
        assert_eq!(schedule.search.next, s(241), "it took ten seconds");
        assert!(schedule.begins_search(s(241)));
        schedule.search_ended(s(241), false);
        assert_eq!(schedule.search.next, s(242));
        assert_eq!((schedule.wakes_at(true), schedule.wakes_at(false)), (Some(s(0)), Some(s(242))));
        assert!(schedule.begins_search(s(242)));
        assert_eq!(schedule.wakes_at(false), None);
    }
}
