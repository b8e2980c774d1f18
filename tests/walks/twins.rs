//! The store in memory does what a real server does: the same operations on both, compared after each one.
//!
//! Compared are every reply, the record with all its fields, the streams with their entries and counters, the group's cursor
//! (with its lag, where the server is a Redis 7.0), and the collections. Times, and what is made of them, are compared by
//! name ([`plain`]).

mod draft;
mod drawing;
mod operation;
mod plain;
mod side;

use support::{Product, Rng, Server, seed};

use self::operation::Operation;
use self::side::Side;
use crate::place::Place;
use crate::walking::{Course, all_well, walks};

#[tokio::test]
async fn both_stores_answer_alike_and_hold_the_same() {
    all_well(&mut Twins::new(Server::start().await, false).await, seed(), walks(600)).await;
}

#[tokio::test]
async fn both_stores_hold_the_same_after_a_restart() {
    let server = Server::builder().append_only("always").start().await;
    all_well(&mut Twins::new(server, true).await, seed(), walks(20)).await;
}

struct Twins {
    memory: Side,
    real: Side,
    /// Every walk has a restart in it.
    restarts: bool,
    with_lag: bool,
}

impl Twins {
    async fn new(server: Server, restarts: bool) -> Self {
        // Later servers count in other ways what nobody has read, and each in its own.
        let version = server.version().await;
        let with_lag = version.product == Product::Redis && version.number < (7, 1, 0);
        let memory = Side::new(Place::memory(), with_lag).await;
        let real = Side::new(Place::on(server, |store| store).await, with_lag).await;
        Self { memory, real, restarts, with_lag }
    }
}

impl Course for Twins {
    type Operation = Operation;

    fn draw(&self, rng: &mut Rng) -> Vec<Operation> {
        drawing::draw(rng, self.restarts)
    }

    fn simpler(&self, operation: &Operation) -> Vec<Operation> {
        operation.simpler()
    }

    async fn walk(&mut self, operations: &[Operation]) -> Result<(), String> {
        // What it remembers of a walk must not be more than it can keep.
        self.memory = Side::new(Place::memory(), self.with_lag).await;
        self.memory.begin().await;
        self.real.begin().await;
        for operation in operations {
            let (memory, real) = (self.memory.one(operation).await, self.real.one(operation).await);
            if memory != real {
                return Err(format!("after {operation:?}:\n{}", difference(&memory, &real)));
            }
        }
        Ok(())
    }
}

/// The lines that only one side has.
fn difference(memory: &[String], real: &[String]) -> String {
    let only = |side: &str, lines: &[String], others: &[String]| -> String {
        lines.iter().filter(|line| !others.contains(line)).map(|line| format!("  {side}: {line}\n")).collect()
    };
    only("in memory", memory, real) + &only("on a server", real, memory)
}
