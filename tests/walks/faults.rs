//! Two workers made of the library's own decisions, and everything that a network and a server do to them.
//!
//! After every operation, the state must be the fold of the entries up to the position, and the outputs exactly theirs; in
//! the end, when faults have ceased, everything must be handled.

mod mutants;
mod operation;
mod session;
mod truth;

use std::time::Duration;

use atomic_streams::internals::{AttachNext, AttachRequest, Attaching, Link, Permissions, Start, Timing};
use atomic_streams::{EntryId, Fields, Trim};
use support::{Rng, seed};

use self::operation::Operation;
use self::session::Session;
use self::truth::{Added, Results, Truth};
use crate::place::{GROUP, Mark, OUTPUT, Place, STREAM, Sight};
use crate::walking::{Course, all_well, walks};

const WORKERS: usize = 2;

/// Marks that a rollback can lead to.
const MAX_MARKS: usize = 4;

#[tokio::test(start_paused = true)]
async fn results_are_exact_in_memory_whatever_happens() {
    all_well(&mut Faults::new(Place::memory()).await, seed(), walks(2_000)).await;
}

#[tokio::test]
async fn results_are_exact_on_a_server_whatever_happens() {
    all_well(&mut Faults::new(Place::real().await).await, seed(), walks(600)).await;
}

struct Faults {
    place: Place,
    link: Box<dyn Link>,
}

impl Faults {
    async fn new(place: Place) -> Self {
        let link = place.connect().await;
        Self { place, link }
    }
}

impl Course for Faults {
    type Operation = Operation;

    fn draw(&self, rng: &mut Rng) -> Vec<Operation> {
        operation::draw(rng)
    }

    async fn walk(&mut self, operations: &[Operation]) -> Result<(), String> {
        if let Place::Memory(_) = self.place {
            // What it remembers of a walk must not be more than it can keep.
            self.place = Place::memory();
            self.link = self.place.connect().await;
        }
        self.place.clear().await;
        let mut walk = Walk::new(&mut self.place, &mut *self.link);
        for operation in operations {
            walk.one(*operation).await.map_err(|why| format!("at {operation:?}: {why}"))?;
            if operation.reaches_results() {
                walk.check().await.map_err(|why| format!("after {operation:?}: {why}"))?;
            }
        }
        walk.end().await.map_err(|why| format!("in the end: {why}"))
    }
}

struct Worker {
    attaching: Attaching,
    /// By its own clock.
    now: Duration,
    last_request: Option<AttachRequest>,
    session: Option<Session>,
}

struct Walk<'a> {
    place: &'a mut Place,
    link: &'a mut dyn Link,
    workers: [Worker; WORKERS],
    /// Sessions that are over; what they have sent may still arrive.
    over: Vec<Session>,
    sessions: usize,
    truth: Truth,
    contents: u64,
    /// What the last rollback took.
    lost: Vec<Added>,
    marks: Vec<(Mark, Truth)>,
}

impl<'a> Walk<'a> {
    fn new(place: &'a mut Place, link: &'a mut dyn Link) -> Self {
        let worker = |name: &str| {
            let (start, permissions) = (Start::Beginning, Permissions::default());
            Worker {
                attaching: Attaching::new(
                    name.into(),
                    name.into(),
                    Timing::default(),
                    start,
                    permissions,
                    String::new(),
                ),
                now: Duration::ZERO,
                last_request: None,
                session: None,
            }
        };
        Self {
            place,
            link,
            workers: [worker("a"), worker("b")],
            over: Vec::new(),
            sessions: 0,
            truth: Truth::default(),
            contents: 0,
            lost: Vec::new(),
            marks: Vec::new(),
        }
    }

    async fn one(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Add { skip } => {
                self.contents += 1;
                self.add(self.truth.last() + skip, self.contents).await;
            }
            Operation::AddBack => {
                for Added { id, contents, .. } in std::mem::take(&mut self.lost) {
                    if id > self.truth.last() && !self.is_past_proving((id, contents)) {
                        self.add(id, contents).await;
                    }
                }
            }
            Operation::Trim { keep } => {
                self.place.trim(STREAM, Trim::max_len(keep).exact(), ["MAXLEN".into(), keep.to_string()]).await;
                self.truth.trim(keep);
            }
            Operation::DestroyGroup => drop(self.place.destroy_group(STREAM, GROUP).await),
            Operation::Attach { worker } => self.attach(worker, true).await?,
            Operation::AttachUnheard { worker } => self.attach(worker, false).await?,
            Operation::AttachRepeated { worker } => {
                if let Some(request) = &self.workers[worker].last_request {
                    self.link.attach(request).await.map_err(|error| error.to_string())?;
                }
            }
            Operation::Mark => {
                self.marks.push((self.place.mark().await, self.truth.clone()));
                if self.marks.len() > MAX_MARKS {
                    self.marks.remove(0);
                }
            }
            Operation::RollBack { marks } => {
                if let Some(at) = self.marks.len().checked_sub(1 + marks) {
                    // The mark itself stays: a server may lose its newest writes again and again.
                    self.marks.truncate(at + 1);
                    let (mark, truth) = &self.marks[at];
                    self.place.roll_back(mark).await;
                    self.lost = self.truth.without(truth);
                    self.truth = truth.clone();
                }
            }
            Operation::DeliverLate { session, steps } => {
                if let Some(at) = self.over.len().checked_sub(1 + session) {
                    self.over[at].deliver(steps, false, self.link).await?;
                }
            }
            Operation::Read { worker, .. }
            | Operation::Handle { worker, .. }
            | Operation::Prove { worker }
            | Operation::Renew { worker }
            | Operation::Release { worker }
            | Operation::Deliver { worker, .. }
            | Operation::DeliverRepeated { worker }
            | Operation::Hear { worker }
            | Operation::Cut { worker } => self.of_session(worker, operation).await?,
        }
        Ok(())
    }

    async fn of_session(&mut self, worker: usize, operation: Operation) -> Result<(), String> {
        let place = &mut self.workers[worker].session;
        let Some(session) = place else { return Ok(()) };
        match operation {
            // Nothing would come: a read would wait.
            Operation::Read { .. } if session.read_to() >= self.truth.last_there() => {}
            Operation::Read { count, .. } => session.read(count, self.link).await?,
            Operation::Handle { entries, .. } => (0..entries).for_each(|_| session.handle()),
            Operation::Prove { .. } => session.prove(),
            Operation::Renew { .. } => session.renew(),
            Operation::Release { .. } if session.is_settled() => {
                place.take().unwrap().release(self.link).await?;
            }
            Operation::Deliver { steps, folded, .. } => session.deliver(steps, folded, self.link).await?,
            Operation::DeliverRepeated { .. } => session.deliver_again(self.link).await?,
            Operation::Hear { .. } if !session.hear() => self.over.extend(place.take()),
            Operation::Cut { .. } => self.over.extend(place.take()),
            _ => {}
        }
        Ok(())
    }

    async fn add(&mut self, id: u64, contents: u64) {
        let fields: Fields = [("n", contents.to_string())].into_iter().collect();
        assert!(self.place.add(STREAM, Some(EntryId::new(id, 0)), &fields).await.is_some(), "{id}");
        self.truth.add(id, contents);
    }

    /// Whether the entry's coming back would prove a read of which something else, before its last entry, has not come back or
    /// has come in between: a proof holds only the last entry, and what comes before the first, against the server.
    fn is_past_proving(&self, entry: (u64, u64)) -> bool {
        let live = self.workers.iter().filter_map(|worker| worker.session.as_ref());
        self.over.iter().chain(live).any(|session| session.has_read_otherwise(entry, self.truth.added()))
    }

    /// The worker attaches, and is the owner in the end.
    async fn attach(&mut self, worker: usize, is_heard: bool) -> Result<(), String> {
        let Worker { attaching, now, last_request, session } = &mut self.workers[worker];
        self.over.extend(session.take());
        for _ in 0..8 {
            let request = attaching.request(*now);
            *last_request = Some(request.clone());
            let reply = self.link.attach(&request).await.map_err(|error| error.to_string())?;
            if !is_heard && matches!(reply, atomic_streams::internals::AttachReply::Owned(_)) {
                return Ok(());
            }
            match attaching.reply(*now, reply) {
                AttachNext::Own(owned) => {
                    self.sessions += 1;
                    *session = Session::begin(self.sessions, &owned, self.link).await?;
                    return Ok(());
                }
                AttachNext::Again => {}
                AttachNext::Rename => attaching.rename(format!("{worker} renamed after {}", self.sessions)),
                AttachNext::StandBy { .. } => *now += Timing::default().lease,
                other => return Err(format!("{other:?}")),
            }
        }
        Err("the worker cannot attach".into())
    }

    async fn results(&mut self) -> Results {
        let (record, outputs) = self.place.results(OUTPUT).await;
        Results::of(record.as_ref(), &outputs)
    }

    async fn check(&mut self) -> Result<(), String> {
        let results = self.results().await;
        self.truth.check(&results)
    }

    /// Everything that is on its way arrives, and the workers go on until everything is handled.
    async fn end(&mut self) -> Result<(), String> {
        for session in &mut self.over {
            session.deliver(usize::MAX, false, self.link).await?;
        }
        for _ in 0..6 {
            for worker in 0..WORKERS {
                for operation in [
                    Operation::Renew { worker },
                    Operation::Deliver { worker, steps: 99, folded: false },
                    Operation::Hear { worker },
                ] {
                    self.one(operation).await?;
                }
            }
            self.check().await?;
            let results = self.results().await;
            let live = (0..WORKERS).find(|worker| self.workers[*worker].session.is_some());
            if live.is_some() && self.truth.is_done(&results) {
                return self.check_group().await;
            }
            let worker = live.unwrap_or(0);
            if live.is_none() {
                self.one(Operation::Attach { worker }).await?;
            }
            for operation in [
                Operation::Handle { worker, entries: 99 },
                Operation::Read { worker, count: 99 },
                Operation::Handle { worker, entries: 99 },
                Operation::Deliver { worker, steps: 99, folded: false },
                Operation::Hear { worker },
            ] {
                self.one(operation).await?;
            }
            self.check().await?;
        }
        Err(format!("nobody goes on\n  {:?}\n  {:?}", self.results().await, self.truth))
    }

    /// The group shows what the record says.
    async fn check_group(&mut self) -> Result<(), String> {
        let Sight { record, streams, .. } = self.place.sight().await;
        let (Some(record), Some(group), Some(stream)) = (record, streams[0].group, streams[0].info) else {
            return Err("there is no record, no group or no stream".into());
        };
        // What was trimmed unread at the stream's end is counted when a later entry is handled.
        let lag = if group.cursor == stream.last_id { Some(0) } else { group.lag };
        if group.cursor.to_string().as_bytes() != record["@position"] || group.lag != lag {
            return Err(format!("the group is elsewhere than the record: {group:?} {stream:?} {record:?}"));
        }
        Ok(())
    }
}
