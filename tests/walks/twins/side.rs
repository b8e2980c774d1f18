//! One of the two servers, and all who are connected to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use atomic_streams::internals::{
    AttachReply, AttachRequest, Letters, Link, Permissions, Requeued, Start, Step, StepReply, StoreError,
};
use atomic_streams::{DeadLetter, EntryId, Fields, Trim};

use super::draft::{LEASE_MS, Seat, fields, in_short, nth_of, place_in};
use super::operation::{Attach, BY_HAND, Draft, INSTANCES, NewId, Operation, Where};
use super::plain::Plain;
use crate::place::{COLLECTIONS, GROUP, Mark, Place, STREAM, STREAMS, Sight, subscription};

const DEAD: &str = STREAMS[3];

/// A stream that letters come from, and nobody reads.
const OTHER: &str = "other";

/// Marks that a rollback can lead to.
const MAX_MARKS: usize = 3;

pub struct Side {
    pub place: Place,
    link: Box<dyn Link>,
    letters: Box<dyn Letters>,
    /// As it was after the last operation.
    sight: Sight,
    plain: Plain,
    workers: [Worker; INSTANCES],
    marks: Vec<Mark>,
    /// The group's counters are compared as well.
    with_lag: bool,
}

#[derive(Default)]
struct Worker {
    attempt: u64,
    seat: Option<Seat>,
    /// The one before, which others have taken since, or it itself.
    old: Option<Seat>,
}

/// Text about a stream, in which the two sides are compared line by line.
pub struct Line {
    stream: &'static str,
    text: String,
}

type Lines = Vec<Line>;

/// A line about the input, as most are.
fn line(text: String) -> Line {
    Line { stream: STREAM, text }
}

/// Waits until no ID that a server makes can be one that it has made before.
async fn next_millisecond() {
    let millisecond = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = millisecond();
    while millisecond() == now {
        tokio::task::yield_now().await;
    }
}

impl Side {
    pub async fn new(place: Place, with_lag: bool) -> Self {
        let (link, letters) = (place.connect().await, place.store().letters().await.unwrap());
        let (sight, plain, workers) = Default::default();
        Self { place, link, letters, sight, plain, workers, marks: Vec::new(), with_lag }
    }

    /// Nothing has happened.
    pub async fn begin(&mut self) {
        self.place.clear().await;
        (self.plain, self.workers, self.marks) = Default::default();
        self.sight = self.place.sight().await;
    }

    async fn connect(&mut self) {
        self.link = self.place.connect().await;
        self.letters = self.place.store().letters().await.unwrap();
    }

    /// Does it, and says what came of it and what the server holds then.
    pub async fn one(&mut self, operation: &Operation) -> Vec<String> {
        let mut lines = match operation {
            Operation::Attach(attach) => self.attach(attach).await,
            Operation::Read { worker, after, count } => self.read(*worker, *after, *count).await,
            Operation::Send { worker, stale, full, steps } => self.send(*worker, *stale, *full, steps).await,
            Operation::SendUnheard { worker, step } => self.send_unheard(*worker, step).await,
            Operation::Load => {
                let names = ["f0", "f1", "f2", "@size:m", "@position", "@none"].map(str::to_owned);
                let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).into_owned());
                let loaded = self.link.load(&names).await.map(|loaded| {
                    loaded.map(|loaded| (loaded.head, loaded.values.into_iter().map(text).collect::<Vec<_>>()))
                });
                vec![shown(loaded)]
            }
            Operation::Scan => self.scan().await,
            Operation::Letter { .. } | Operation::Requeue { .. } | Operation::RemoveLetter { .. } => {
                self.letter(operation).await
            }
            Operation::Mark => {
                self.marks.push(self.place.mark().await);
                if self.marks.len() > MAX_MARKS {
                    self.marks.remove(0);
                }
                Vec::new()
            }
            Operation::RollBack { marks } => {
                if let Some(at) = self.marks.len().checked_sub(1 + marks) {
                    self.marks.truncate(at + 1);
                    self.place.roll_back(&self.marks[at]).await;
                }
                Vec::new()
            }
            Operation::Restart => {
                self.place.restart().await;
                self.connect().await;
                Vec::new()
            }
            _ => self.by_hand(operation).await,
        };
        if operation.forgets_ids() {
            next_millisecond().await;
        }
        self.sight = self.place.sight().await;
        lines.extend(self.pictured());
        lines.iter().map(|line| self.plain.text(line.stream, &line.text)).collect()
    }

    async fn by_hand(&mut self, operation: &Operation) -> Lines {
        let Self { place, sight, .. } = self;
        match *operation {
            Operation::Add { stream, id, fields: kind } => {
                let last = sight.streams[stream].info.map_or(0, |info| info.last_id.ms);
                let id = match id {
                    NewId::Auto => None,
                    NewId::Above(by) => Some(EntryId::new(last.saturating_add(by), 0)),
                    NewId::Low(ms) => Some(EntryId::new(ms, 0)),
                    NewId::Top => Some(EntryId::new(u64::MAX, u64::MAX)),
                };
                let added = place.add(STREAMS[stream], id, &fields(kind)).await;
                return vec![Line { stream: STREAMS[stream], text: format!("added {added:?}") }];
            }
            Operation::DeleteEntry { stream, nth } => {
                if let Some(entry) = nth_of(&sight.streams[stream].entries, nth) {
                    place.delete_entry(STREAMS[stream], entry.id).await;
                }
            }
            Operation::TrimLength { stream, keep } => {
                place.trim(STREAMS[stream], Trim::max_len(keep), ["MAXLEN".into(), keep.to_string()]).await;
            }
            Operation::TrimIds { stream, nth } => {
                if let Some(entry) = nth_of(&sight.streams[stream].entries, nth) {
                    place.trim(STREAMS[stream], Trim::min_id(entry.id), ["MINID".into(), entry.id.to_string()]).await;
                }
            }
            Operation::DeleteKey { key } => place.delete_key(&self::key(key)).await,
            Operation::WrongType { key } => place.put_wrong_type(&self::key(key)).await,
            Operation::FlushAll => place.clear().await,
            Operation::ForeignGroup { cursor, pending } => {
                let input = &sight.streams[0];
                if let (Some(_), None) = (input.info, input.group) {
                    let pending = pending.min(input.entries.len() as u64);
                    place.add_foreign_group(place_in(cursor, sight), pending).await;
                }
            }
            Operation::DestroyGroup => drop(place.destroy_group(STREAM, GROUP).await),
            Operation::MoveCursor { cursor } => place.move_cursor(place_in(cursor, sight)).await,
            Operation::SetField { nth } => place.set_recorded(BY_HAND[nth].0, BY_HAND[nth].1).await,
            ref other => unreachable!("{other:?}"),
        }
        Vec::new()
    }

    async fn attach(&mut self, attach: &Attach) -> Lines {
        let Worker { attempt, seat, .. } = &mut self.workers[attach.worker];
        *attempt += u64::from(!attach.repeated);
        let after = |place| match &*seat {
            Some(seat) => seat.place(place, &self.sight),
            None => place_in(place, &self.sight),
        };
        let start = match attach.start {
            None => Start::End,
            Some(Where::Start) => Start::Beginning,
            Some(place) => Start::After(after(place)),
        };
        let lease = self.sight.record.as_ref().and_then(|record| record.get("@lease"));
        let lease = lease.map(|lease| String::from_utf8_lossy(lease).into_owned());
        let [adopt_group, adopt_pending, start_over, read_replaced, skip_replaced] = attach.permissions;
        let schema = if attach.other_schema { "other" } else { "schema" };
        let request = AttachRequest {
            instance: format!("instance{}", attach.worker),
            attempt: *attempt,
            owner: format!("owner {}", attach.worker),
            lease_ms: LEASE_MS,
            start,
            accepted_schema: schema.into(),
            new_schema: schema.into(),
            expired_lease: lease.filter(|_| attach.expired),
            permissions: Permissions {
                adopt_group,
                adopt_pending,
                start_over,
                read_replaced,
                skip_replaced,
                stop_at_trimmed: false,
            },
        };
        if attach.full {
            self.place.set_full(true).await;
        }
        let mut reply = self.link.attach(&request).await;
        if attach.full {
            self.place.set_full(false).await;
        }
        match &mut reply {
            Ok(AttachReply::Owned(owned)) => {
                let worker = &mut self.workers[attach.worker];
                worker.old = worker.seat.replace(Seat {
                    token: owned.head.token.as_str().to_owned(),
                    sequence: owned.head.sequence,
                    position: owned.position,
                    processed: owned.processed,
                    read: Vec::new(),
                    handled: 0,
                });
            }
            // It has been a while since then.
            Ok(AttachReply::Standby { left_ms, .. }) if *left_ms <= LEASE_MS => *left_ms = 0,
            Ok(AttachReply::Standby { left_ms, .. }) => *left_ms = 1,
            _ => {}
        }
        vec![shown(reply)]
    }

    async fn read(&mut self, worker: usize, after: Where, count: usize) -> Lines {
        let Some(seat) = &mut self.workers[worker].seat else { return Vec::new() };
        let after = seat.place(after, &self.sight);
        // A read of nothing would wait.
        if self.sight.streams[0].entries.last().is_none_or(|last| last.id <= after) {
            return Vec::new();
        }
        let read = self.link.read(after, count, Duration::from_millis(1)).await;
        if let Ok(read) = &read {
            (seat.read, seat.handled) = (read.clone(), 0);
        }
        vec![shown(read)]
    }

    async fn send(&mut self, worker: usize, stale: bool, full: bool, drafts: &[Draft]) -> Lines {
        let worker = &mut self.workers[worker];
        let from = if stale { &worker.old } else { &worker.seat };
        let Some(from) = from.clone() else { return Vec::new() };
        let (mut steps, mut seats, mut at): (Vec<Step>, Vec<Seat>, Seat) = (Vec::new(), Vec::new(), from.clone());
        for draft in drafts {
            let (step, after) = at.step(draft, &self.sight);
            steps.push(step);
            seats.push(after.clone());
            at = after;
        }
        if full {
            self.place.set_full(true).await;
        }
        let replies = self.link.send(&from.token, &steps).await;
        if full {
            self.place.set_full(false).await;
        }
        for (reply, seat) in replies.iter().zip(seats) {
            if !stale && matches!(reply, Ok(StepReply::Committed { .. })) {
                worker.seat = Some(seat);
            }
        }
        replies.into_iter().map(|reply| shown(reply.map(in_short))).collect()
    }

    async fn send_unheard(&mut self, worker: usize, draft: &Draft) -> Lines {
        let Some(seat) = self.workers[worker].seat.take() else { return Vec::new() };
        let (step, _) = seat.step(draft, &self.sight);
        if let (Place::Memory(store), Step::Commit(_)) = (&self.place, &step) {
            store.lose_next_reply();
        }
        drop(self.link.send(&seat.token, &[step]).await);
        self.workers[worker].old = Some(seat);
        self.connect().await;
        Vec::new()
    }

    async fn scan(&mut self) -> Lines {
        let mut lines = Vec::new();
        for (kind, field) in COLLECTIONS {
            let mut scanned = self.link.scan(kind, field, None, 1_000).await;
            if let Ok(scanned) = &mut scanned {
                scanned.entries.sort();
            }
            lines.push(shown(scanned));
        }
        lines
    }

    async fn letter(&mut self, operation: &Operation) -> Lines {
        let dead = &self.sight.streams[3].entries;
        match *operation {
            Operation::Letter { fields: kind, foreign } => {
                let letter = letter(&fields(kind), if foreign { OTHER } else { STREAM });
                vec![Line { stream: DEAD, text: format!("{:?}", self.place.add(DEAD, None, &letter).await) }]
            }
            Operation::Requeue { nth } => {
                let letter = nth_of(dead, nth).cloned().and_then(DeadLetter::of);
                let Some(letter) = letter else { return Vec::new() };
                let requeued = self.letters.requeue(DEAD, &letter).await.map(|requeued| match requeued {
                    Requeued::Refused { key, .. } => Requeued::Refused { key, why: String::new() },
                    other => other,
                });
                let stream = if letter.stream == STREAM { STREAM } else { OTHER };
                vec![Line { stream, ..shown(requeued) }]
            }
            Operation::RemoveLetter { nth } => {
                let Some(id) = nth_of(dead, nth).map(|entry| entry.id) else { return Vec::new() };
                vec![shown(self.letters.remove(DEAD, id).await)]
            }
            ref other => unreachable!("{other:?}"),
        }
    }

    /// What the server holds.
    fn pictured(&self) -> Lines {
        let mut lines = Vec::new();
        match &self.sight.record {
            Some(record) => {
                let shown = |(name, value): (&String, &Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
                lines.extend(record.iter().map(shown).map(line));
            }
            None => lines.push(line("no record".into())),
        }
        for (name, held) in STREAMS.into_iter().zip(&self.sight.streams) {
            let about = |text: String| Line { stream: name, text: format!("{name}: {text}") };
            let group = held.group.map(|group| match self.with_lag {
                true => format!("{group:?}"),
                false => format!("{} {}", group.cursor, group.pending),
            });
            lines.push(about(format!("{:?}, {group:?}", held.info)));
            lines.extend(held.entries.iter().map(|entry| about(format!("{} {:?}", entry.id, entry.fields))));
        }
        for ((kind, field), entries) in COLLECTIONS.iter().zip(&self.sight.collections) {
            lines.push(line(format!("{kind} {field}: {entries:?}")));
        }
        lines
    }
}

/// One of the keys that a subscription has to do with.
fn key(number: usize) -> String {
    match number {
        0..4 => STREAMS[number].to_owned(),
        4 => subscription().record().to_owned(),
        _ => subscription().collection(COLLECTIONS[number - 5].0, COLLECTIONS[number - 5].1),
    }
}

/// A letter as a consumer writes it.
fn letter(own: &Fields, source: &str) -> Fields {
    let mut letter = own.clone();
    let count = own.len().to_string();
    let about =
        [("@stream", source), ("@group", "g"), ("@id", "1-2"), ("@time_ms", "5"), ("@attempts", "3"), ("@error", "no")];
    for (name, value) in about.into_iter().chain([("@fields", count.as_str())]) {
        letter.push(name, value);
    }
    letter
}

/// A reply, or the kind of its error: the words are the server's own.
fn shown<T: std::fmt::Debug>(reply: Result<T, StoreError>) -> Line {
    match reply {
        Ok(reply) => line(format!("{reply:?}")),
        Err(error) => line(format!("error {:?}", error.failure)),
    }
}
