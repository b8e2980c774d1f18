//! One run: everything is started, faults come as planned, the checker goes along, and the rest is drained.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::streams::StreamInfoGroupsReply;
use support::Fault;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::arguments::Options;
use crate::checker::Trouble;
use crate::faults::{Failure, inject};
use crate::producer::{Produced, Producer};
use crate::schedule::schedule;
use crate::subscriptions::{ALL, AUDIT, LEDGER, STOCK};
use crate::verdict::{Outcome, Verdict, keep};
use crate::world::World;

/// How long the rest may take when the faults are over.
const DRAINED_WITHIN: Duration = Duration::from_secs(90);

/// How many faults are on at the same time.
const AT_ONCE: usize = 3;

/// The first failure ends the run.
#[derive(Debug, Default)]
struct Failed {
    first: StdMutex<Option<Failure>>,
    token: CancellationToken,
}

impl Failed {
    fn with(&self, failure: Failure) {
        self.first.lock().expect("no panic while it is held").get_or_insert(failure);
        self.token.cancel();
    }

    fn take(&self, outcome: Result<Result<(), Failure>, JoinError>) {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => self.with(failure),
            Err(panic) => self.with(Failure::Stuck(panic.to_string())),
        }
    }
}

pub async fn run(options: Options) -> Verdict {
    let world = Arc::new(World::start(options).await);
    let server = world.primary().await.version().await.to_string();
    let (failed, produced, end) =
        (Arc::new(Failed::default()), Arc::new(Produced::default()), CancellationToken::new());
    let mut background = JoinSet::new();
    background.spawn(check(world.clone(), end.clone()));
    background.spawn(look_after(world.clone(), end.clone()));
    background.spawn(show(world.clone(), end.clone()));
    let mut producers = JoinSet::new();
    let no_more = CancellationToken::new();
    for (subscription, behind) in [(&LEDGER, &[&LEDGER, &AUDIT][..]), (&STOCK, &[&STOCK])] {
        let producer = Producer {
            stream: subscription.stream,
            behind,
            rate: world.options.rate,
            url: world.url.subscribe(),
            produced: produced.clone(),
            end: no_more.clone(),
        };
        producers.spawn(producer.run());
    }

    let course = async {
        do_faults(&world, &failed).await;
        no_more.cancel();
        while producers.join_next().await.is_some() {}
        drain(&world).await?;
        if let Some(sabotage) = world.options.sabotage {
            sabotage.by_hand(&mut world.redis().await?).await?;
        }
        shut_down(&world).await
    };
    let outcome = {
        tokio::pin!(course);
        loop {
            tokio::select! {
                biased;
                () = failed.token.cancelled() => break Err(None),
                Some(done) = background.join_next() => failed.take(done),
                outcome = &mut course => break outcome.map_err(Some),
            }
        }
    };
    let seconds = world.seconds();
    end.cancel();
    no_more.cancel();
    let first = failed.first.lock().expect("no panic while it is held").take();
    let outcome = match (outcome.err().flatten().or(first), &failed.token) {
        (None, _) => Outcome::Exact,
        (Some(Failure::Wrong(what)), _) => Outcome::Wrong(what),
        (Some(Failure::Stuck(what)), _) => Outcome::Stuck(what),
    };
    background.abort_all();
    while background.join_next().await.is_some() {}
    report(&world, &produced, outcome, server, seconds).await
}

/// Begins each fault at its time, as far as those before it let it.
async fn do_faults(world: &Arc<World>, failed: &Arc<Failed>) {
    let begin = tokio::time::Instant::from_std(world.begin);
    let mut running = JoinSet::new();
    for planned in schedule(world.options.seed, world.options.seconds) {
        sleep_until(begin + planned.at).await;
        while running.len() >= AT_ONCE {
            running.join_next().await.into_iter().for_each(|done| failed.take(done));
        }
        if world.seconds() > world.options.seconds as f64 {
            break;
        }
        running.spawn(inject(world.clone(), planned));
        while let Some(done) = running.try_join_next() {
            failed.take(done);
        }
    }
    while let Some(done) = running.join_next().await {
        failed.take(done);
    }
    sleep_until(begin + Duration::from_secs(world.options.seconds)).await;
    world.all_proxies(Fault::Pass);
}

/// Checks and trims, for as long as the run lasts.
async fn check(world: Arc<World>, end: CancellationToken) -> Result<(), Failure> {
    let mut rounds = 0_u64;
    while !end.is_cancelled() {
        if let Ok(mut redis) = world.redis().await {
            while !end.is_cancelled() {
                let mut checker = world.checker.lock().await;
                match checker.check(&mut redis).await {
                    Ok(()) => {}
                    Err(Trouble::Wrong(what)) => return Err(Failure::Wrong(what)),
                    Err(Trouble::Unavailable(_)) => break,
                }
                rounds += 1;
                if rounds.is_multiple_of(4) && checker.trim(&mut redis).await.is_err() {
                    break;
                }
                drop(checker);
                sleep(Duration::from_millis(250)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Starts workers again that have ended because of a fault.
async fn look_after(world: Arc<World>, end: CancellationToken) -> Result<(), Failure> {
    while !end.is_cancelled() {
        for worker in &world.crew {
            let denied = denied(&world).await;
            worker.look_after(denied).await.map_err(Failure::Wrong)?;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn denied(world: &World) -> Option<Instant> {
    *world.denied.lock().expect("no panic while it is held")
}

async fn show(world: Arc<World>, end: CancellationToken) -> Result<(), Failure> {
    let mut last = (0.0, 0);
    loop {
        tokio::select! {
            () = end.cancelled() => return Ok(()),
            () = sleep(Duration::from_secs(10)) => {}
        }
        let (messages, instants) = {
            let checker = world.checker.lock().await;
            (checker.messages(), checker.instants)
        };
        let now = world.seconds();
        let rate = (messages.saturating_sub(last.1)) as f64 / (now - last.0);
        last = (now, messages);
        let faults = world.done.lock().expect("no panic while it is held").len();
        eprintln!(
            "{now:6.0} s  {messages:>10} messages, {rate:>6.0} a second  {faults:>4} faults  {instants} instants exact"
        );
    }
}

async fn drain(world: &World) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut left = "nobody could be asked".to_owned();
    while begin.elapsed() < DRAINED_WITHIN {
        sleep(Duration::from_millis(200)).await;
        let checker = world.checker.lock().await;
        let Ok(mut redis) = world.redis().await else { continue };
        match checker.left(&mut redis).await {
            Ok(None) => return Ok(()),
            Ok(Some(more)) => left = more,
            Err(error) => left = error.to_string(),
        }
    }
    Err(Failure::Wrong(format!("not all is handled {DRAINED_WITHIN:?} after the last fault: {left}")))
}

/// Ends the workers in good order, and looks at everything once more.
async fn shut_down(world: &World) -> Result<(), Failure> {
    for worker in &world.crew {
        let mut held = worker.hold().await;
        match held.shut_down().await.map_err(Failure::Wrong)? {
            Some(status) if status.success() => {}
            other => return Err(Failure::Wrong(format!("{} ended with {other:?}:\n{}", worker.name, held.output()))),
        }
    }
    let mut checker = world.checker.lock().await;
    let mut redis = world.redis().await?;
    match checker.check(&mut redis).await {
        Ok(()) => {}
        Err(Trouble::Wrong(what)) => return Err(Failure::Wrong(what)),
        Err(Trouble::Unavailable(error)) => return Err(error.into()),
    }
    for subscription in ALL {
        let groups: StreamInfoGroupsReply =
            redis::cmd("XINFO").arg("GROUPS").arg(subscription.stream).query_async(&mut redis).await?;
        let group = groups.groups.iter().find(|group| group.name == subscription.group);
        let lag = group.map(|group| (group.lag, group.pending));
        if lag != Some((Some(0), 0)) {
            let what = format!("the group {} shows (lag, pending) {lag:?} when all is handled", subscription.group);
            return Err(Failure::Wrong(what));
        }
    }
    Ok(())
}

async fn report(world: &Arc<World>, produced: &Produced, outcome: Outcome, server: String, seconds: f64) -> Verdict {
    let mut kept = None;
    if let Outcome::Wrong(what) | Outcome::Stuck(what) = &outcome {
        let keeping = tokio::spawn(keep(world.clone(), what.clone()));
        kept = timeout(Duration::from_secs(60), keeping).await.ok().and_then(Result::ok).and_then(Result::ok);
        for (at, planned) in world.done.lock().expect("no panic while it is held").iter() {
            eprintln!("{at:9.3} s  planned {planned}");
        }
    }
    let mut fenced = 0;
    for worker in &world.crew {
        fenced += worker.fenced().await;
    }
    let mut faults = BTreeMap::new();
    for (_, planned) in world.done.lock().expect("no panic while it is held").iter() {
        *faults.entry(planned.kind.name()).or_insert(0) += 1;
    }
    let impossible = world.impossible.lock().expect("no panic while it is held").clone();
    let checker = world.checker.lock().await;
    let (attaches, takeovers) = checker.attaches();
    Verdict {
        outcome,
        server,
        seconds,
        messages: checker.messages(),
        by_group: checker.by_group(),
        accepted: produced.accepted.load(Ordering::Relaxed),
        uncertain: produced.uncertain.load(Ordering::Relaxed),
        instants: checker.instants,
        attaches,
        takeovers,
        fenced,
        faults,
        impossible: impossible.into_iter().map(|(kind, why)| (kind.name(), why)).collect(),
        seed: world.options.seed,
        planned_seconds: world.options.seconds,
        kept,
    }
}
