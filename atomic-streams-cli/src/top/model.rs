//! What is shown: the last figures of every subscription, and where the viewer is.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::History;
use super::layout::{Lines, Size};
use super::order::{Sort, matches};
use super::snapshot::{Discovery, Letters, Name, Record, Seen, Snapshot, Standing, State};

/// Subscriptions that are shown at most.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 5_000;

/// How long one that has no record any more is still shown.
const GONE_FOR: Duration = Duration::from_secs(60);

/// Intervals that `+` and `-` go through.
const STEPS: [Duration; 9] = {
    let ms = Duration::from_millis;
    [ms(200), ms(500), ms(1_000), ms(2_000), ms(5_000), ms(10_000), ms(30_000), ms(60_000), ms(300_000)]
};

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// What the last look showed; `None` before the first.
    pub seen: Option<Seen>,
    pub history: History,
    pub letters: Option<Letters>,
    gone_since: Option<Duration>,
}

impl Entry {
    pub fn record(&self) -> Option<&Record> {
        self.seen.as_ref()?.record()
    }

    pub fn standing(&self) -> Option<Standing> {
        self.seen.as_ref().map(Seen::standing)
    }

    pub fn owner(&self) -> &str {
        self.record().map_or("", |record| &record.owner)
    }
}

/// What time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the start.
    pub at: Duration,
    /// By the calendar, in ms.
    pub ms: u64,
}

/// Since when and why there are no new figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub since: Now,
    pub why: String,
}

/// Where the viewer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    #[default]
    List,
    /// At one subscription, so many lines down.
    One(Name, usize),
}

/// All that a frame depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    /// Which server, without secrets.
    pub server: String,
    pub now: Now,
    pub size: Size,
    pub every: Duration,
    pub is_paused: bool,
    pub sort: Sort,
    pub is_reversed: bool,
    pub filter: String,
    /// The filter is being written.
    pub is_typing: bool,
    pub shows_help: bool,
    pub place: Place,
    pub outage: Option<Outage>,
    /// When what is being waited for was asked, since the start.
    pub asked_at: Option<Duration>,
    pub notes: Vec<String>,
    /// Subscriptions beyond those that are shown.
    pub left_out: usize,
    /// All subscriptions were looked for at least once.
    pub has_looked: bool,
    pub state: Option<(Name, State)>,
    entries: BTreeMap<Name, Entry>,
    selected: Option<Name>,
    /// The row on the first line of the list.
    first: usize,
    discovery_notes: Vec<String>,
}

impl Model {
    pub fn new(server: impl Into<String>, every: Duration, sort: Sort, size: Size) -> Self {
        Self {
            server: server.into(),
            now: Now::default(),
            size,
            every,
            is_paused: false,
            sort,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            shows_help: false,
            place: Place::List,
            outage: None,
            asked_at: None,
            notes: Vec::new(),
            left_out: 0,
            has_looked: false,
            state: None,
            entries: BTreeMap::new(),
            selected: None,
            first: 0,
            discovery_notes: Vec::new(),
        }
    }

    /// Takes the figures of a round in.
    pub fn see(&mut self, snapshot: Snapshot) {
        self.outage = None;
        for look in snapshot.looks {
            let Some(entry) = self.entries.get_mut(&look.name) else { continue };
            if let Seen::Record(record) = &look.seen {
                entry.history.see(look.at, record);
            }
            match look.seen {
                Seen::Gone => {
                    entry.gone_since.get_or_insert(look.at);
                }
                _ => entry.gone_since = None,
            }
            entry.seen = Some(look.seen);
        }
        if let Some(mut letters) = snapshot.letters {
            for (name, entry) in &mut self.entries {
                entry.letters = Some(letters.remove(name).unwrap_or_default());
            }
        }
        if snapshot.state.is_some() {
            self.state = snapshot.state;
        }
        let mut notes = self.discovery_notes.clone();
        notes.extend(snapshot.notes);
        self.notes = notes;
        self.forget_gone();
        self.settle();
    }

    /// Takes in what going through the keys has found: it adds, and only a look removes.
    pub fn found(&mut self, discovery: Discovery) {
        if !self.has_looked {
            self.outage = None;
        }
        self.has_looked = true;
        self.left_out = discovery.left_out;
        for name in discovery.names {
            if self.entries.len() < MAX_SUBSCRIPTIONS || self.entries.contains_key(&name) {
                self.entries.entry(name).or_default();
            } else {
                self.left_out += 1;
            }
        }
        self.discovery_notes = discovery.notes;
        self.settle();
    }

    /// There are no new figures: those that there are stay.
    pub fn fail(&mut self, now: Now, why: String) {
        let since = self.outage.take().map_or(now, |outage| outage.since);
        self.outage = Some(Outage { since, why });
    }

    /// The keys cannot be gone through: a round says better whether the server is there.
    pub fn not_found(&mut self, now: Now, why: String) {
        if self.has_looked {
            self.discovery_notes = vec![format!("new subscriptions cannot be looked for: {why}")];
        } else {
            self.fail(now, why);
        }
    }

    fn forget_gone(&mut self) {
        let now = self.now.at;
        let open = match &self.place {
            Place::One(name, _) => Some(name.clone()),
            Place::List => None,
        };
        self.entries.retain(|name, entry| {
            open.as_ref() == Some(name) || entry.gone_since.is_none_or(|since| now.saturating_sub(since) < GONE_FOR)
        });
    }

    pub fn entry(&self, name: &Name) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// How many stand like this.
    pub fn count_of(&self, standing: Standing) -> usize {
        self.entries.values().filter(|entry| entry.standing() == Some(standing)).count()
    }

    /// The subscriptions that the filter lets through, in their order.
    pub fn rows(&self) -> Vec<(&Name, &Entry)> {
        let mut rows: Vec<_> = self.entries.iter().filter(|(name, entry)| matches(&self.filter, name, entry)).collect();
        rows.sort_by(|a, b| self.sort.compare(self.is_reversed, *a, *b));
        rows
    }

    /// The rows on the screen, and which of them is selected.
    pub fn visible(&self) -> (Vec<(&Name, &Entry)>, Option<usize>) {
        let rows: Vec<_> = self.rows().into_iter().skip(self.first).take(self.lines().body.into()).collect();
        let selected = rows.iter().position(|(name, _)| Some(*name) == self.selected.as_ref());
        (rows, selected)
    }

    /// The lines of the screen.
    pub fn lines(&self) -> Lines {
        Lines::of(self.size.height, self.outage.is_some(), matches!(self.place, Place::List))
    }

    pub fn selected(&self) -> Option<&Name> {
        self.selected.as_ref()
    }

    /// The subscriptions in the order in which looks go round those that are not on the screen.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.entries.keys()
    }

    /// Selects the row that is so many further, or the first or last.
    pub fn select(&mut self, by: isize) {
        let rows: Vec<Name> = self.rows().into_iter().map(|(name, _)| name.clone()).collect();
        let now = rows.iter().position(|name| Some(name) == self.selected.as_ref()).unwrap_or_default();
        let to = now.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.selected = rows.into_iter().nth(to);
        self.settle();
    }

    /// Puts right what the rows and the screen have made wrong: the selected one is among the rows, and on the screen.
    pub fn settle(&mut self) {
        let rows = self.rows();
        let (count, body) = (rows.len(), usize::from(self.lines().body));
        let at = rows.iter().position(|(name, _)| Some(*name) == self.selected.as_ref());
        // The one that was selected is left out now: the row at its place.
        let row = at.unwrap_or(self.first.min(count.saturating_sub(1)));
        let selected = rows.get(row).map(|(name, _)| (*name).clone());
        self.first = self.first.min(count.saturating_sub(body)).min(row).max((row + 1).saturating_sub(body.max(1)));
        self.selected = selected;
    }

    /// The next longer interval, or the next shorter one.
    pub fn change_interval(&mut self, longer: bool) {
        let next = if longer {
            STEPS.iter().find(|step| **step > self.every)
        } else {
            STEPS.iter().rfind(|step| **step < self.every)
        };
        self.every = next.copied().unwrap_or(self.every);
    }
}
