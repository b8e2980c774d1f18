//! Under the test driver: failures, lost replies, rollbacks, crashes and second owners between the messages.

use atomic_streams::internals::Subscription;
use atomic_streams::{Status, TestDriver};
use support::{Rng, eventually, seed};

use crate::model::{Model, View, Work};
use crate::shelf::{self, Shelf, VIEWS};

const STREAM: &str = "input";

struct Bench {
    driver: TestDriver<Shelf>,
    subscription: Subscription,
    model: Model,
    /// The time of the last message that there ever was.
    now: u64,
    /// Writes that the server remembered when the present process became the owner: it must stay so.
    owned_since: usize,
}

impl Bench {
    async fn start() -> Self {
        let driver = TestDriver::new(Shelf::default).await.unwrap();
        let subscription = Subscription::new(STREAM, "under-test").unwrap();
        Self { driver, subscription, model: Model::default(), now: 1_000, owned_since: 0 }
    }

    fn send(&mut self, work: &Work, later_by: u64) {
        self.now += 1 + later_by;
        self.driver.store().add_with_id(STREAM, shelf::id(self.now), shelf::entry(work)).unwrap();
        self.model.handle(self.now, &work.changes);
    }

    /// The newest writes are gone; what is left of the messages is what counts.
    fn roll_back(&mut self, writes: usize) {
        let possible = self.driver.store().remembered_writes().saturating_sub(self.owned_since);
        self.driver.lose_newest_writes(writes.min(possible));
        self.model = Model::default();
        for entry in self.driver.store().entries(STREAM) {
            self.model.handle(entry.id.ms, &shelf::work(&entry.fields).changes);
        }
    }

    async fn owned(&mut self) {
        if !matches!(self.driver.status(), Status::Active) {
            self.driver.second_owner().await.unwrap();
        }
        self.owned_since = self.driver.store().remembered_writes();
    }

    async fn settle(&mut self) {
        let Self { driver, subscription, .. } = self;
        let last = driver.store().entries(STREAM).last().map(|entry| entry.id);
        eventually("all messages are committed", async || {
            if matches!(driver.status(), Status::Standby { .. }) {
                // On a busy machine an overtaken owner may have come back.
                driver.second_owner().await.unwrap();
            }
            let record = driver.store().record(subscription).unwrap_or_default();
            let position = record.get("@position").and_then(|position| str::from_utf8(position).ok()?.parse().ok());
            driver.status() == Status::Active && (position >= last || last.is_none())
        })
        .await;
    }

    fn check(&self, step: usize) {
        let entries = self.driver.store().entries(VIEWS);
        let last = entries.last().map_or_else(View::default, |entry| shelf::view(&entry.fields));
        assert_eq!(last, self.model.view(), "step {step}: the handler's memory");
        assert_eq!(entries.len() as u64, last.count, "step {step}: each message shows once what it left");
        assert_eq!(self.driver.state().unwrap().view(), last, "step {step}: what is stored");
    }
}

#[tokio::test]
async fn whatever_goes_wrong_they_equal_plain_ones_after_every_step() {
    let mut rng = Rng::new(seed());
    let mut bench = Bench::start().await;
    for step in 0..800 {
        match rng.below(100) {
            0..8 => bench.driver.fail_next_commit(),
            8..16 => bench.driver.lose_next_reply(),
            16..20 => bench.driver.store().cut_connections(),
            20..28 => bench.roll_back(1 + rng.below(6) as usize),
            28..30 => {
                bench.driver.crash_and_restart().await.unwrap();
                bench.owned().await;
            }
            30 => {
                bench.driver.second_owner().await.unwrap();
                bench.owned().await;
            }
            _ => {}
        }
        for _ in 0..=rng.below(3) {
            let work = Work::random(&mut rng);
            bench.send(&work, rng.below(12));
        }
        bench.settle().await;
        bench.check(step);
    }
}
