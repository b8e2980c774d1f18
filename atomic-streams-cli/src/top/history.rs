//! What successive looks say together: rates, a plot of the lag, how long nothing has moved. All from the times given.

use std::collections::VecDeque;
use std::time::Duration;

use super::snapshot::{Record, Standing};

/// A rate is that of this time, or of the last two looks where they are further apart.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// More looks in that time are thinned out.
const MAX_POINTS: usize = 64;

/// The plot's resolution, and how far it goes back.
pub(crate) const SLOT: Duration = Duration::from_secs(5);
pub(crate) const SLOTS: usize = 120;

/// What was seen of one subscription so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    points: VecDeque<Point>,
    /// The highest lag by slot, with the slot's number since the start; those without a look are missing.
    slots: VecDeque<(u64, u64)>,
    /// Since when the position stays where it is although entries wait and somebody is to handle them.
    still_since: Option<Duration>,
    last: Option<Last>,
    /// The most entries that were passed over, under the present epoch.
    most_passed: Option<i64>,
    trimmed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at: Duration,
    processed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Last {
    at: Duration,
    position: atomic_streams::EntryId,
    epoch: u64,
}

impl History {
    /// Takes a look in. One that is not later than the last is left out.
    pub fn see(&mut self, at: Duration, record: &Record) {
        if self.last.is_some_and(|last| at <= last.at) {
            return;
        }
        self.note_progress(at, record);
        self.note_trimmed(record);
        self.note_processed(at, record.processed);
        if let Some(lag) = record.lag {
            self.note_lag(at, lag);
        }
        self.last = Some(Last { at, position: record.position, epoch: record.epoch });
    }

    fn note_progress(&mut self, at: Duration, record: &Record) {
        let is_due = record.standing() == Standing::Active && record.lag_ms.is_some();
        let has_moved = self.last.is_none_or(|last| last.position != record.position);
        if !is_due {
            self.still_since = None;
        } else if has_moved || self.still_since.is_none() {
            self.still_since = Some(at);
        }
    }

    fn note_trimmed(&mut self, record: &Record) {
        // What a change of owner finds passed over may have been left out on purpose, by a seek.
        if self.last.is_some_and(|last| last.epoch != record.epoch) {
            self.most_passed = None;
        }
        let Some(now) = record.passed_over else { return };
        let most = *self.most_passed.get_or_insert(now);
        if now > most {
            self.trimmed = self.trimmed.saturating_add(now.abs_diff(most));
            self.most_passed = Some(now);
        } else if record.tells_passed_over() {
            // The same, or the stream was made anew.
            self.most_passed = Some(now);
        }
    }

    fn note_processed(&mut self, at: Duration, processed: u64) {
        // Less than before: the record was made anew, or put back.
        if self.points.back().is_some_and(|point| processed < point.processed) {
            self.points.clear();
        }
        self.points.push_back(Point { at, processed });
        while self.points.get(1).is_some_and(|second| second.at + RATE_WINDOW <= at) {
            self.points.pop_front();
        }
        if self.points.len() > MAX_POINTS {
            // The ends give the rate; of those between, one is as good as another.
            self.points.remove(MAX_POINTS / 2);
        }
    }

    fn note_lag(&mut self, at: Duration, lag: u64) {
        let number = slot(at);
        match self.slots.back_mut() {
            Some((last, highest)) if *last == number => *highest = lag.max(*highest),
            _ => self.slots.push_back((number, lag)),
        }
        while self.slots.front().is_some_and(|(first, _)| first + SLOTS as u64 <= number) {
            self.slots.pop_front();
        }
    }

    /// Entries per second; `None` before the second look.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.points.front()?, self.points.back()?);
        let seconds = last.at.saturating_sub(first.at).as_secs_f64();
        (seconds > 0.0).then(|| (last.processed - first.processed) as f64 / seconds)
    }

    /// How long the position has stayed where it is although entries wait, as of the last look.
    pub fn still(&self) -> Option<Duration> {
        Some(self.last?.at.saturating_sub(self.still_since?))
    }

    /// Entries that went unread since the first look; `None` before the counters told.
    pub fn trimmed(&self) -> Option<u64> {
        self.most_passed.map(|_| self.trimmed)
    }

    /// The highest lag in each of `cells` equal parts of the `span` before `until`, from the oldest on; `None` where there was no look.
    pub fn plot(&self, cells: usize, span: Duration, until: Duration) -> Vec<Option<u64>> {
        let mut plot = vec![None; cells];
        let slots = (span.as_secs() / SLOT.as_secs()).max(1);
        let end = slot(until) + 1;
        let begin = end.saturating_sub(slots);
        // Before the start there was nothing: what is first goes that far to the right.
        let missing = slots - (end - begin);
        for (number, lag) in self.slots.iter().filter(|(number, _)| (begin..end).contains(number)) {
            let from = (number - begin + missing) as usize * cells / slots as usize;
            let to = ((number - begin + missing + 1) as usize * cells).div_ceil(slots as usize);
            for cell in plot.iter_mut().take(to.max(from + 1)).skip(from) {
                *cell = Some(cell.map_or(*lag, |highest: u64| highest.max(*lag)));
            }
        }
        plot
    }
}

fn slot(at: Duration) -> u64 {
    at.as_secs() / SLOT.as_secs()
}

#[cfg(test)]
mod tests {
    use atomic_streams::EntryId;
    use atomic_streams::admin::Lease;

    use super::*;
    use crate::top::sample::record;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seen(looks: impl IntoIterator<Item = (u64, Record)>) -> History {
        let mut history = History::default();
        looks.into_iter().for_each(|(seconds, record)| history.see(at(seconds), &record));
        history
    }

    fn processed(processed: u64) -> Record {
        Record { processed, ..record() }
    }

    #[test]
    fn a_rate_takes_two_looks_and_is_that_of_the_last_ten_seconds() {
        assert_eq!(seen([]).rate(), None);
        assert_eq!(seen([(1, processed(100))]).rate(), None);
        assert_eq!(seen([(1, processed(100)), (3, processed(300))]).rate(), Some(100.0));
        let slowing =
            seen([(0, processed(0)), (5, processed(50_000)), (10, processed(50_010)), (15, processed(50_020))]);
        assert_eq!(slowing.rate(), Some(2.0), "what was before is forgotten");
        assert_eq!(seen([(0, processed(0)), (60, processed(6))]).rate(), Some(0.1), "however far apart");
        assert_eq!(seen([(0, processed(9)), (1, processed(9))]).rate(), Some(0.0));
    }

    #[test]
    fn a_rate_begins_anew_where_less_is_processed_than_before() {
        let reset = [(1, processed(500)), (2, processed(600)), (3, processed(10))];
        assert_eq!(seen(reset.clone()).rate(), None);
        assert_eq!(seen(reset.into_iter().chain([(4, processed(30))])).rate(), Some(20.0));
    }

    #[test]
    fn a_look_that_is_no_later_changes_nothing() {
        let once = seen([(1, processed(100)), (3, processed(300))]);
        let mut twice = once.clone();
        twice.see(at(3), &processed(900));
        twice.see(at(2), &processed(900));
        assert_eq!(twice, once);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rate_right_all_the_same() {
        let mut history = History::default();
        for ms in 0..100_000_u64 {
            history.see(Duration::from_millis(ms * 10), &Record { processed: ms, lag: Some(ms), ..record() });
        }
        assert!(history.points.len() <= MAX_POINTS, "{}", history.points.len());
        assert_eq!(history.slots.len(), SLOTS);
        let rate = history.rate().unwrap();
        assert!((99.9..100.1).contains(&rate), "{rate}");
    }

    #[test]
    fn the_plot_has_the_highest_lag_of_each_part_at_its_time() {
        let lag = |lag| Record { lag: Some(lag), ..record() };
        let history = seen([(0, lag(1)), (1, lag(9)), (2, lag(3)), (7, lag(4)), (16, lag(5))]);
        assert_eq!(history.plot(4, at(20), at(16)), [Some(9), Some(4), None, Some(5)]);
        assert_eq!(history.plot(4, at(20), at(21)), [Some(4), None, Some(5), None]);
        assert_eq!(history.plot(2, at(20), at(16)), [Some(9), Some(5)]);
        assert_eq!(history.plot(4, at(40), at(16)), [None, None, Some(9), Some(5)], "nothing before the start");
        assert_eq!(history.plot(8, at(20), at(16))[..4], [Some(9), Some(9), Some(4), Some(4)], "one slot, two cells");
        assert_eq!(history.plot(0, at(20), at(16)), []);
        let unknown = seen([(0, Record { lag: None, ..record() })]);
        assert_eq!(unknown.plot(1, at(5), at(0)), [None]);
    }

    #[test]
    fn it_is_still_while_entries_wait_and_an_owner_leaves_them() {
        let waiting = |position| Record { position: EntryId::new(position, 0), lag_ms: Some(1), ..record() };
        assert_eq!(seen([(1, waiting(5)), (9, waiting(5))]).still(), Some(at(8)));
        assert_eq!(seen([(1, waiting(5)), (9, waiting(6)), (10, waiting(6))]).still(), Some(at(1)));
        let idle = Record { lag_ms: None, ..waiting(5) };
        assert_eq!(seen([(1, waiting(5)), (9, idle)]).still(), None, "nothing waits");
        let released = Record { lease: Lease::Released, ..waiting(5) };
        assert_eq!(seen([(1, waiting(5)), (9, released)]).still(), None, "nobody is to handle it");
    }

    #[test]
    fn what_goes_unread_is_counted_from_the_first_look_on() {
        let passed = |epoch, passed_over| Record { epoch, passed_over, ..record() };
        assert_eq!(seen([(1, passed(1, None))]).trimmed(), None);
        assert_eq!(seen([(1, passed(1, Some(1_000)))]).trimmed(), Some(0), "what was before is not its own");
        assert_eq!(seen([(1, passed(1, Some(7))), (2, passed(1, Some(9)))]).trimmed(), Some(2));
        let unsure = [(1, passed(1, Some(7))), (2, passed(1, None)), (3, passed(1, Some(9)))];
        assert_eq!(seen(unsure).trimmed(), Some(2), "what the counters did not tell for a while");
        let moved = [(1, passed(1, Some(7))), (2, passed(2, Some(900))), (3, passed(2, Some(901)))];
        assert_eq!(seen(moved).trimmed(), Some(1), "a seek leaves entries out on purpose");
        let anew = [(1, passed(1, Some(7))), (2, passed(1, Some(-90))), (3, passed(1, Some(-89)))];
        assert_eq!(seen(anew).trimmed(), Some(1), "a stream that was made anew counts from there");
        let too_low = Record { lag_ms: Some(1), first_id: Some(EntryId::MIN), ..passed(1, Some(4)) };
        let amid = [(1, passed(1, Some(7))), (2, too_low.clone()), (3, passed(1, Some(7)))];
        assert_eq!(seen(amid).trimmed(), Some(0), "nothing is counted twice");
        assert_eq!(seen([(1, too_low), (2, passed(1, Some(7)))]).trimmed(), Some(3));
    }
}
