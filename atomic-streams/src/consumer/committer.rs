//! Sends what is staged, in order, and settles the replies: the only task that writes.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gathering::Gathering;
use super::in_flight::InFlight;
use super::reader::Progress;
use super::unread::Unread;
use super::{Settings, Shared, cursor, ending, renewals};
use crate::id::EntryId;
use crate::protocol::{
    Commit, Failure, Operation, Outcome, Owned, Permanent, Reconciler, Renewed, SessionEnd, Step, StepReply,
};
use crate::store::{Link, Replies, StoreError};

/// Commits that one pipeline carries at most, where they are not folded.
const MAX_PIPELINE: usize = 256;

/// Pipelines that are on their way at once: the server goes on with the second while the replies to the first are read.
const MAX_SENT: usize = 2;

/// Everything that the committing task needs.
pub(super) struct Committer {
    pub link: Box<dyn Link>,
    pub owned: Owned,
    pub settings: Settings,
    pub staged: mpsc::UnboundedReceiver<Commit>,
    pub in_flight: Arc<InFlight>,
    pub reader: Arc<Progress>,
    pub shared: Arc<Shared>,
    pub unread: Unread,
    /// How often unparking was asked for, as far as renewals have told.
    pub asked: watch::Sender<u64>,
    /// Fired when this task ends.
    pub cancelled: CancellationToken,
    /// Commits up to this position are not folded.
    pub alone_until: Option<EntryId>,
}

/// What there is to send.
#[derive(PartialEq, Eq)]
enum Due {
    Commits,
    /// A renewal, and the commits at hand.
    Renewal,
    /// What is at hand, and then the release: nothing more will be staged.
    End,
}

/// Steps that are on their way, and what is to be known when their replies come.
struct Sent {
    steps: Vec<Step>,
    leaving: Leaving,
    at: Instant,
    /// After which entry the reader waited when they were sent.
    reader_waited: Option<EntryId>,
}

/// The replies to what was sent first; never, if nothing was. May be dropped and called again.
async fn first_replies(sent: &mut VecDeque<(Sent, Replies)>) -> Vec<Result<StepReply, StoreError>> {
    match sent.front_mut() {
        Some((_, replies)) => replies.await,
        None => std::future::pending().await,
    }
}

/// How the committing task ended.
pub(super) enum Settled {
    /// All staged commits are applied and the lease is released.
    Released,
    Lost {
        end: SessionEnd,
        /// The lease was released all the same.
        released: bool,
    },
}

/// Commits that are in flight no more when the replies to their steps have come.
#[derive(Default)]
struct Leaving {
    commits: usize,
    bytes: usize,
}

impl Leaving {
    fn count(&mut self, commit: &Commit) {
        self.commits += 1;
        self.bytes += commit.size_bytes;
    }
}

impl Committer {
    /// Runs until the staging end is dropped and everything is committed, or the session ends.
    pub async fn run(mut self) -> Settled {
        match self.settle_all().await {
            Ok(()) => Settled::Released,
            Err(end) => {
                // Nobody should have to wait for the lease of an owner that has given up, or that shuts down on a connection
                // that stands.
                let mut released = false;
                if ending::is_final(&end) || (ending::is_undurable(&end) && self.cancelled.is_cancelled()) {
                    let replies = self.link.send(self.owned.head.token.as_str(), &[Step::Release]).await;
                    released = matches!(replies.first(), Some(Ok(StepReply::Released { .. })));
                }
                Settled::Lost { end, released }
            }
        }
    }

    async fn settle_all(&mut self) -> Result<(), SessionEnd> {
        let mut reconciler = Reconciler::new(&self.owned);
        let timing = self.settings.timing;
        let mut renewals = renewals::every(timing.renew_every());
        let mut gathering =
            self.settings.coalescing.map(|each| Gathering::new(each, self.alone_until, timing.proof_wait()));
        // What is gathered for a group is better sent as a larger one when the last is settled.
        // So is what is staged during a wait, which holds up the server's side of this connection anyway.
        let durability = self.settings.durability;
        let most_sent = if gathering.is_some() || durability.waits() { 1 } else { MAX_SENT };
        let mut commits = Vec::new();
        let mut sent = VecDeque::new();
        // Before the first commit: the position is still where the attach has found entries missing.
        let mut renew_now = self.owned.vanished > 0;
        loop {
            let may_send = sent.len() < most_sent;
            let due = tokio::select! {
                biased;
                replies = first_replies(&mut sent) => {
                    let Some((first, _)) = sent.pop_front() else { continue };
                    match self.settle(&mut reconciler, first, replies) {
                        Ok(renew) => renew_now |= renew,
                        Err(end) => {
                            self.hear_out(&mut reconciler, sent, &end).await;
                            return Err(end);
                        }
                    }
                    continue;
                }
                () = std::future::ready(()), if renew_now && may_send => Due::Renewal,
                due = self.next(&mut renewals, &mut gathering, &mut commits), if may_send => due,
            };
            renew_now = false;
            // Nothing may be on its way when the lease is released.
            while due == Due::End && !sent.is_empty() {
                let replies = first_replies(&mut sent).await;
                if let Some((first, _)) = sent.pop_front() {
                    self.settle(&mut reconciler, first, replies)?;
                }
            }
            let mut leaving = Leaving::default();
            commits.iter().for_each(|commit| leaving.count(commit));
            let mut steps: Vec<Step> = match &mut gathering {
                None => commits.drain(..).map(Step::Commit).collect(),
                Some(gathering) => {
                    gathering.sent();
                    gathering.fold().fold(commits.drain(..)).into_iter().map(Step::Commit).collect()
                }
            };
            if due == Due::Renewal {
                let stop_at_trimmed = self.settings.permissions.stop_at_trimmed;
                steps.push(Step::Renew { lease_ms: timing.lease.as_millis() as u64, stop_at_trimmed });
            }
            let last = due == Due::End && steps.is_empty();
            if last {
                steps.push(Step::Release);
            }
            if durability.waits() && steps.iter().any(|step| matches!(step, Step::Commit(_))) {
                steps.push(wait(&self.settings));
            }
            for step in &mut steps {
                reconciler.sending(step);
            }
            let reader_waited = self.reader.waits_after();
            let at = Instant::now();
            let replies = self.link.start(self.owned.head.token.as_str(), &steps).await;
            let now_sent = Sent { steps, leaving, at, reader_waited };
            if last {
                return self.settle(&mut reconciler, now_sent, replies.await).map(drop);
            }
            sent.push_back((now_sent, replies));
        }
    }

    /// Before the lease is released at a final end, nothing may be on its way; what was committed still counts.
    async fn hear_out(&mut self, reconciler: &mut Reconciler, sent: VecDeque<(Sent, Replies)>, end: &SessionEnd) {
        if ending::is_final(end) {
            for (steps, replies) in sent {
                let replies = replies.await;
                // How the session ends is known.
                let _ = self.settle(reconciler, steps, replies);
            }
        }
    }

    /// Waits until there is something to send, and for commits to be folded with it, as long as they may be waited for.
    async fn next(
        &mut self,
        renewals: &mut Interval,
        gathering: &mut Option<Gathering>,
        commits: &mut Vec<Commit>,
    ) -> Due {
        // The bound on commits in flight bounds what is folded.
        let gathers = gathering.is_some() || self.settings.durability.waits();
        let most = if gathers { self.settings.max_in_flight.max(MAX_PIPELINE) } else { MAX_PIPELINE };
        let received = tokio::select! {
            biased;
            _ = renewals.tick() => return Due::Renewal,
            received = self.staged.recv_many(commits, most) => received,
        };
        if received == 0 {
            return Due::End;
        }
        let Some(gathering) = gathering else { return Due::Commits };
        let Some(due) = gathering.add(commits, Instant::now()) else { return Due::Commits };
        let mut wait = std::pin::pin!(sleep_until(due));
        loop {
            let known = commits.len();
            let received = tokio::select! {
                biased;
                _ = renewals.tick() => return Due::Renewal,
                received = self.staged.recv_many(commits, most) => received,
                // Shutdown begins, or the session ends.
                () = self.cancelled.cancelled() => return Due::Commits,
                () = self.in_flight.blocked() => return Due::Commits,
                () = &mut wait => return Due::Commits,
            };
            if received == 0 {
                return Due::End;
            }
            match gathering.add(&commits[known..], Instant::now()) {
                None => return Due::Commits,
                Some(earlier) if earlier < wait.deadline() => wait.as_mut().reset(earlier),
                Some(_) => {}
            }
        }
    }

    /// Holds replies against what was sent. Returns whether to renew at once.
    fn settle(
        &mut self,
        reconciler: &mut Reconciler,
        sent: Sent,
        replies: Vec<Result<StepReply, StoreError>>,
    ) -> Result<bool, SessionEnd> {
        let Sent { steps, leaving, at, reader_waited } = sent;
        let still_waiting = self.reader.waits_after().filter(|after| reader_waited == Some(*after));
        let answered = replies.len();
        let counts = is_durable(&steps, &replies);
        let mut renew_now = false;
        let mut entries = 0;
        let mut published = 0;
        let mut unparked = 0;
        let mut end = None;
        let mut replies = steps.iter().zip(replies);
        for (step, reply) in replies.by_ref() {
            let outcome = match reply {
                Ok(reply) => reconciler.reply(step, reply, still_waiting),
                Err(StoreError { failure, words, .. }) => {
                    let words =
                        if failure == Failure::Permanent(Permanent::Denied) { of_keys(step, words) } else { words };
                    Err(reconciler.failed(step, failure, words))
                }
            };
            match outcome {
                Ok(Outcome::Committed { entries: committed, cursor_trouble, trim_trouble }) => {
                    entries += committed;
                    published += publishes(step);
                    unparked += u64::from(removes_letter(step));
                    renew_now |= self.report_trouble(cursor_trouble, trim_trouble);
                }
                Ok(Outcome::Renewed(renewed)) => {
                    let unparking = renewed.unparking;
                    self.asked.send_if_modified(|known| std::mem::replace(known, unparking) != unparking);
                    self.report_renewal(renewed);
                }
                Ok(Outcome::Released | Outcome::Durable) => {}
                Err(ended) => {
                    end = Some(ended);
                    break;
                }
            }
        }
        // A renewal behind the step that ended the session was done all the same, and nobody else will tell what it has counted.
        for (_, reply) in replies {
            if let Ok(StepReply::Renewed(renewed)) = reply {
                self.unread.renewed(&renewed);
            }
        }
        if end.is_none() && answered < steps.len() {
            let error = StoreError::unexpected("fewer replies than commands");
            end = Some(SessionEnd::Failed { failure: error.failure, words: error.words });
        }
        if (entries > 0 || unparked > 0) && counts {
            self.shared.count_committed(entries, published, unparked, at.elapsed());
        }
        if counts {
            self.shared.set_position(reconciler.position());
        }
        // A session that ends lets nobody handle more.
        if end.is_none() {
            self.in_flight.leave(leaving.commits, leaving.bytes);
        }
        end.map_or(Ok(renew_now), Err)
    }

    /// Whether a renewal can cure it.
    fn report_trouble(&self, cursor: Option<String>, trim: Option<String>) -> bool {
        if let Some(why) = trim {
            cursor::tell_of_untrimmed(&self.settings, &why);
        }
        let Some(why) = cursor else { return false };
        cursor::tell_of_behind(&self.settings, &why);
        why.starts_with("NOGROUP") || why.contains("requires the key to exist")
    }

    fn report_renewal(&self, renewed: Renewed) {
        self.shared.mark_progress();
        self.shared.set_lag(renewed.lag);
        self.unread.renewed(&renewed);
        cursor::tell_of_renewal(&self.settings, &renewed);
    }
}

/// The step that waits until what was sent before it is as durable as the user wants it.
pub(super) fn wait(settings: &Settings) -> Step {
    Step::Wait { durability: settings.durability, timeout_ms: settings.timing.durable_wait().as_millis() as u64 }
}

/// Whether commits among these steps count as done: there is no wait behind them, or it was satisfied.
fn is_durable(steps: &[Step], replies: &[Result<StepReply, StoreError>]) -> bool {
    match (steps.last(), replies.get(steps.len().saturating_sub(1))) {
        (Some(Step::Wait { durability, .. }), Some(Ok(StepReply::Waited { on_disk, replicas }))) => {
            durability.is_met(*on_disk, *replicas)
        }
        (Some(Step::Wait { .. }), _) => false,
        _ => true,
    }
}

/// However the task ends, nobody may wait for it.
impl Drop for Committer {
    fn drop(&mut self) {
        self.in_flight.close();
        self.cancelled.cancel();
    }
}

fn publishes(step: &Step) -> u64 {
    let Step::Commit(commit) = step else { return 0 };
    commit.operations.iter().filter(|operation| matches!(operation, Operation::Publish { .. })).count() as u64
}

fn removes_letter(step: &Step) -> bool {
    matches!(step, Step::Commit(commit) if matches!(commit.operations.first(), Some(Operation::Remove { .. })))
}

/// Adds the outputs to the words of a refusal: a server that denies a key does not say which.
fn of_keys(step: &Step, words: String) -> String {
    let Step::Commit(commit) = step else { return words };
    let mut outputs: Vec<&str> = Vec::new();
    for operation in &commit.operations {
        let (Operation::Publish { stream, .. } | Operation::Trim { stream, .. } | Operation::Remove { stream, .. }) =
            operation;
        if outputs.len() < 16 && !outputs.contains(&stream.as_str()) {
            outputs.push(stream);
        }
    }
    if outputs.is_empty() || !words.contains("key") {
        return words;
    }
    format!("{words}; beside its stream and its record, the commit writes to `{}`", outputs.join("`, `"))
}
