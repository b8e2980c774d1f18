//! In which order subscriptions are listed, and which of them.

use std::cmp::Ordering;

use clap::ValueEnum;

use super::model::Entry;
use super::snapshot::Name;

/// What the list is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Stream, then group
    #[default]
    Name,
    /// What needs somebody first
    State,
    /// Who holds it
    Owner,
    /// Entries per second, the fastest first
    Rate,
    /// Entries behind, the most first
    Lag,
    /// How long the oldest of them waits, the longest first
    Behind,
    /// How long the position stands still, the longest first
    Trying,
    /// Dead letters, the most first
    Letters,
    /// Parked keys, the most first
    Parked,
    /// Entries trimmed unread, the most first
    Trimmed,
}

const ALL: [Sort; 10] = [
    Sort::Name,
    Sort::State,
    Sort::Owner,
    Sort::Rate,
    Sort::Lag,
    Sort::Behind,
    Sort::Trying,
    Sort::Letters,
    Sort::Parked,
    Sort::Trimmed,
];

impl Sort {
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Owner => "owner",
            Self::Rate => "rate",
            Self::Lag => "lag",
            Self::Behind => "behind",
            Self::Trying => "trying",
            Self::Letters => "letters",
            Self::Parked => "parked",
            Self::Trimmed => "trimmed",
        }
    }

    pub fn next(self) -> Self {
        self.moved(1)
    }

    pub fn previous(self) -> Self {
        self.moved(ALL.len() - 1)
    }

    fn moved(self, by: usize) -> Self {
        let now = ALL.iter().position(|each| *each == self).unwrap_or_default();
        ALL[(now + by) % ALL.len()]
    }

    /// Ties are in the order of the names, also where the order is reversed.
    pub fn compare(self, reversed: bool, (a_name, a): (&Name, &Entry), (b_name, b): (&Name, &Entry)) -> Ordering {
        let by_name = || a_name.cmp(b_name);
        let order = match self {
            Self::Name => by_name(),
            Self::State => (a.seen.is_none(), a.standing()).cmp(&(b.seen.is_none(), b.standing())),
            Self::Owner => (a.owner().is_empty(), a.owner()).cmp(&(b.owner().is_empty(), b.owner())),
            Self::Rate => b.history.rate().unwrap_or(-1.0).total_cmp(&a.history.rate().unwrap_or(-1.0)),
            Self::Lag => lag(b).cmp(&lag(a)),
            Self::Behind => behind(b).cmp(&behind(a)),
            Self::Trying => tried(b).cmp(&tried(a)),
            Self::Letters => letters(b).cmp(&letters(a)),
            Self::Parked => parked(b).cmp(&parked(a)),
            Self::Trimmed => b.history.trimmed().cmp(&a.history.trimmed()),
        };
        if reversed { order.reverse() } else { order }.then_with(by_name)
    }
}

/// Where the counters do not tell how many wait, it may be as many as the stream holds.
fn lag(entry: &Entry) -> Option<u64> {
    entry.record().map(|record| record.lag.unwrap_or(record.length))
}

fn behind(entry: &Entry) -> Option<u64> {
    entry.record()?.lag_ms
}

fn tried(entry: &Entry) -> (Option<std::time::Duration>, u32) {
    (entry.history.still(), entry.record().and_then(|record| record.trying).map_or(0, |(_, tries)| tries))
}

fn letters(entry: &Entry) -> u64 {
    entry.letters.as_ref().map_or(0, |letters| letters.count)
}

fn parked(entry: &Entry) -> u64 {
    entry.record().map_or(0, |record| record.parked_keys)
}

/// Whether every word of `filter` is in the stream, the group, the owner or the state, in capitals or not.
pub(crate) fn matches(filter: &str, name: &Name, entry: &Entry) -> bool {
    let mut words = filter.split_whitespace().peekable();
    if words.peek().is_none() {
        return true;
    }
    let state = entry.standing().map_or("", |standing| standing.word());
    let text = format!("{}\n{}\n{}\n{state}", name.stream, name.group, entry.owner()).to_lowercase();
    words.all(|word| text.contains(&word.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::sample::record;
    use crate::top::snapshot::{Letters, Record, Seen};

    fn entry(record: Record) -> Entry {
        let mut entry = Entry::default();
        entry.history.see(Duration::from_secs(1), &record);
        entry.seen = Some(Seen::Record(Box::new(record)));
        entry
    }

    fn sorted(by: Sort, reversed: bool, entries: &[(&str, Entry)]) -> Vec<String> {
        let mut rows: Vec<(Name, Entry)> =
            entries.iter().map(|(stream, entry)| (Name::new(*stream, "g"), entry.clone())).collect();
        rows.sort_by(|(a_name, a), (b_name, b)| by.compare(reversed, (a_name, a), (b_name, b)));
        rows.into_iter().map(|(name, _)| name.stream).collect()
    }

    #[test]
    fn most_comes_first_then_names_and_last_what_is_unknown() {
        let behind = |lag, lag_ms| entry(Record { lag, lag_ms, length: 50, ..record() });
        let rows = [
            ("d", Entry::default()),
            ("c", behind(Some(7), Some(9))),
            ("b", behind(Some(7), Some(3))),
            ("a", behind(Some(0), None)),
            ("e", behind(None, Some(5))),
        ];
        assert_eq!(sorted(Sort::Name, false, &rows), ["a", "b", "c", "d", "e"]);
        assert_eq!(sorted(Sort::Lag, false, &rows), ["e", "b", "c", "a", "d"]);
        assert_eq!(sorted(Sort::Lag, true, &rows), ["d", "a", "b", "c", "e"], "ties stay in order");
        assert_eq!(sorted(Sort::Behind, false, &rows), ["c", "e", "b", "a", "d"]);
    }

    #[test]
    fn rates_letters_and_states_have_their_order() {
        let mut fast = entry(record());
        fast.history.see(Duration::from_secs(2), &Record { processed: 9_000, ..record() });
        let mut slow = entry(record());
        slow.history.see(Duration::from_secs(2), &record());
        slow.letters = Some(Letters { count: 3, ..Letters::default() });
        let mut gone = Entry::default();
        gone.seen = Some(Seen::Gone);
        let parked = entry(Record { parked_keys: 2, owner: "another".into(), ..record() });
        let rows = [("gone", gone), ("fast", fast), ("parked", parked), ("slow", slow)];
        assert_eq!(sorted(Sort::Rate, false, &rows), ["fast", "slow", "gone", "parked"]);
        assert_eq!(sorted(Sort::Letters, false, &rows), ["slow", "fast", "gone", "parked"]);
        assert_eq!(sorted(Sort::Parked, false, &rows)[0], "parked");
        assert_eq!(sorted(Sort::Owner, false, &rows), ["parked", "fast", "slow", "gone"]);
        let rows = rows.into_iter().chain([("anew", Entry::default())]).collect::<Vec<_>>();
        assert_eq!(sorted(Sort::State, false, &rows), ["gone", "fast", "parked", "slow", "anew"]);
    }

    #[test]
    fn going_on_and_back_leads_through_all_of_them() {
        let mut at = Sort::Name;
        for each in ALL {
            assert_eq!(at, each);
            assert_eq!(at.next().previous(), at);
            at = at.next();
        }
        assert_eq!(at, Sort::Name);
    }

    #[test]
    fn a_filter_matches_where_each_word_is_somewhere() {
        let name = Name::new("Sales", "stock");
        let found = |filter| matches(filter, &name, &entry(record()));
        assert!(found("") && found("  ") && found("sal") && found("STOCK") && found("till-1") && found("active"));
        assert!(found("stock sales"));
        assert!(!found("sales stuck") && !found("salesstock") && !found("lost"));
        assert!(matches("sales", &name, &Entry::default()) && !matches("active", &name, &Entry::default()));
    }
}
