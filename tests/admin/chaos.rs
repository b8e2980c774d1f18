//! Administration at random instants, under consumers that lose connections, replies and ownership all the while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atomic_streams::admin::{Admin, Position, StoredState};
use atomic_streams::{
    Consumer, ConsumerHandle, EntryId, Handler, HandlerResult, Persistable, StateMap, Transaction, async_trait,
};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::Deserialize;
use support::{Fault, Proxy, Rng, Server, eventually, seed};

const STREAM: &str = "steps";
const GROUP: &str = "walk";
const OUTPUT: &str = "seen";
const ROUNDS: usize = 25;

/// Short, so that takeovers belong to the faults.
const LEASE: Duration = Duration::from_millis(600);

#[derive(Deserialize)]
struct Step {
    n: u64,
}

/// Knows whether each entry is the next one.
#[derive(Persistable, Default)]
struct Walk {
    #[persist(default)]
    at: u64,
    #[persist(default)]
    count: u64,
    /// How often an entry was not the next one.
    #[persist(default)]
    jumps: u64,
    #[persist(default)]
    by_remainder: StateMap<u64, u64>,
}

#[async_trait]
impl Handler for Walk {
    type Message = Step;

    async fn handle(&mut self, step: Step, tx: &mut Transaction) -> HandlerResult {
        self.jumps += u64::from(step.n != self.at + 1);
        self.count += 1;
        self.at = step.n;
        *self.by_remainder.get_or_insert_with(step.n % 7, || 0) += 1;
        tx.publish(OUTPUT, &BTreeMap::from([("n", step.n)]))?;
        Ok(())
    }
}

/// What the state must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Expected {
    at: u64,
    count: u64,
    jumps: u64,
    by_remainder: BTreeMap<u64, u64>,
}

impl Expected {
    /// The entries behind `from`, up to `to`, are handled once each.
    fn advance(&mut self, from: u64, to: u64, seen: &mut Vec<u64>) {
        for n in from + 1..=to {
            self.jumps += u64::from(n != self.at + 1);
            self.count += 1;
            self.at = n;
            *self.by_remainder.entry(n % 7).or_default() += 1;
            seen.push(n);
        }
    }

    fn of(state: &StoredState) -> Self {
        let field = |name: &str| state.field::<u64>(name).unwrap().unwrap_or(0);
        let json = state.to_json().unwrap();
        let map = json["by_remainder"].as_object().cloned().unwrap_or_default();
        let by_remainder =
            map.into_iter().map(|(key, value)| (key.parse().unwrap(), value.as_u64().unwrap())).collect();
        Self { at: field("at"), count: field("count"), jumps: field("jumps"), by_remainder }
    }
}

/// What is done from outside, at some instant of a round.
#[derive(Clone, Copy, Debug)]
enum Act {
    Seek(Position),
    Reset(Option<Position>),
    Keep,
    PutBack,
}

fn draw(rng: &mut Rng, last: u64, has_copy: bool) -> Act {
    let somewhere = match rng.below(4) {
        0 => Position::Beginning,
        1 => Position::End,
        _ => Position::After(id(1 + rng.below(last))),
    };
    match rng.below(6) {
        0 | 1 => Act::Seek(somewhere),
        2 => Act::Reset(Some(somewhere)),
        3 => Act::Reset(None),
        4 if has_copy => Act::PutBack,
        _ => Act::Keep,
    }
}

fn id(n: u64) -> EntryId {
    EntryId::new(n, 1)
}

fn consumer(url: &str, name: &str) -> impl Future<Output = ConsumerHandle> {
    let builder =
        Consumer::builder(STREAM, GROUP).redis_url(url).owner_name(name).lease(LEASE).handler(Walk::default());
    async move { builder.spawn().await.unwrap() }
}

/// Disturbs what goes through the proxy until it is told to stop.
async fn disturb(proxy: Arc<Proxy>, stop: Arc<AtomicBool>, mut rng: Rng) {
    while !stop.load(Ordering::Relaxed) {
        match rng.below(5) {
            0 => proxy.set(Fault::CutReplyAfter(rng.below(2_000) as usize)),
            1 => proxy.set(Fault::DropReplies),
            2 => proxy.set(Fault::Latency(Duration::from_millis(rng.below(5)))),
            3 => proxy.set(Fault::Reset),
            _ => proxy.set(Fault::Pass),
        }
        tokio::time::sleep(Duration::from_millis(rng.below(60))).await;
        if rng.percent(30) {
            proxy.cut_all();
        }
    }
    proxy.cut_all();
    proxy.set(Fault::Pass);
}

async fn add(redis: &mut MultiplexedConnection, n: u64) {
    let () = redis.xadd(STREAM, id(n).to_string(), &[("n", n)]).await.unwrap();
}

#[tokio::test]
async fn whatever_is_done_meanwhile_each_entry_counts_once_from_there() {
    let mut rng = Rng::new(seed());
    let server = Server::start().await;
    let proxy = Arc::new(Proxy::start(server.addr()).await);
    let mut redis = server.connection().await;
    let admin = Admin::new(server.url()).unwrap();
    for n in 1..=20 {
        add(&mut redis, n).await;
    }
    let url = proxy.url();
    let consumers = [consumer(&url, "one").await, consumer(&url, "two").await];
    let settled = async |last: u64| {
        eventually(&format!("the position is {last}"), async || {
            admin.inspect(STREAM, GROUP).await.is_ok_and(|found| found.position == id(last))
        })
        .await;
    };
    let (mut last, mut expected, mut seen) = (20, Expected::default(), Vec::new());
    expected.advance(0, last, &mut seen);
    settled(last).await;

    let mut copies: HashMap<usize, (u64, Expected)> = HashMap::new();
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let disturbing = tokio::spawn(disturb(Arc::clone(&proxy), Arc::clone(&stop), Rng::new(rng.next_u64())));
        let (before, mut position) = (last, last);
        last += 1 + rng.below(300);
        let act_at = before + rng.below(last - before + 1);
        let act = draw(&mut rng, before, !copies.is_empty());
        for n in before + 1..=act_at {
            add(&mut redis, n).await;
        }
        match act {
            Act::Seek(to) => {
                let moved = admin.seek(STREAM, GROUP, to).await.unwrap();
                expected.advance(position, moved.from.ms, &mut seen);
                position = moved.to.ms;
            }
            Act::Reset(to) => {
                let moved = admin.reset(STREAM, GROUP, to).await.unwrap();
                expected.advance(position, moved.from.ms, &mut seen);
                (position, expected) = (moved.to.ms, Expected::default());
            }
            Act::Keep => {
                let name = round.to_string();
                admin.keep(STREAM, GROUP, &name).await.unwrap();
                let copy = admin.copied_state(STREAM, GROUP, &name).await.unwrap();
                let mut then = expected.clone();
                then.advance(position, copy.position().ms, &mut Vec::new());
                assert_eq!(Expected::of(&copy), then, "round {round}: a copy of another instant");
                copies.insert(round, (copy.position().ms, then));
            }
            Act::PutBack => {
                let kept: Vec<usize> = copies.keys().copied().collect();
                let name = *kept.iter().min_by_key(|kept| (**kept * 7919) % (round + 1)).unwrap();
                let put_back = admin.put_back(STREAM, GROUP, &name.to_string()).await.unwrap();
                expected.advance(position, put_back.from.unwrap().ms, &mut seen);
                (position, expected) = copies[&name].clone();
                assert_eq!(put_back.to.ms, position);
            }
        }
        for n in act_at + 1..=last {
            add(&mut redis, n).await;
        }
        stop.store(true, Ordering::Relaxed);
        disturbing.await.unwrap();
        expected.advance(position, last, &mut seen);
        settled(last).await;

        let state = admin.state(STREAM, GROUP).await.unwrap();
        assert_eq!(Expected::of(&state), expected, "round {round}, after {act:?}");
        let outputs: StreamRangeReply = redis.xrange_all(OUTPUT).await.unwrap();
        let outputs: Vec<u64> = outputs.ids.iter().map(|entry| entry.get("n").unwrap()).collect();
        assert!(outputs == seen, "round {round}, after {act:?}: what was published is not what was handled");
    }
    let recoveries: u64 = consumers.iter().map(|consumer| consumer.stats().recoveries).sum();
    assert!(recoveries > 0, "nothing was disturbed");
    for consumer in consumers {
        consumer.shutdown().await.unwrap();
    }
}
