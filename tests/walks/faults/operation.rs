//! What two workers, a producer and a bad network may do.

use support::Rng;

use super::WORKERS;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Adds an entry with new contents, so many IDs above the stream's last one.
    Add {
        skip: u64,
    },
    /// Adds what the last rollback has lost once more: the same contents under the same IDs, where the stream still takes them.
    AddBack,
    /// Keeps the newest entries.
    Trim {
        keep: u64,
    },
    /// Somebody deletes the group.
    DestroyGroup,
    /// The worker attaches, and waits for as long as another owner's lease makes it.
    Attach {
        worker: usize,
    },
    /// As [`Attach`](Self::Attach), but the reply is lost.
    AttachUnheard {
        worker: usize,
    },
    /// The worker's last attach arrives once more.
    AttachRepeated {
        worker: usize,
    },
    Read {
        worker: usize,
        count: usize,
    },
    /// Handles the next entries that were read; what is to be committed is on its way.
    Handle {
        worker: usize,
        entries: usize,
    },
    /// A proof that has waited long enough goes alone.
    Prove {
        worker: usize,
    },
    Renew {
        worker: usize,
    },
    Release {
        worker: usize,
    },
    /// The server gets the next steps that are on their way; folded into one, if that is possible.
    Deliver {
        worker: usize,
        steps: usize,
        folded: bool,
    },
    /// The server gets the last steps once more.
    DeliverRepeated {
        worker: usize,
    },
    /// The worker hears of everything that the server has answered.
    Hear {
        worker: usize,
    },
    /// The worker gives its session up. What is on its way may still arrive.
    Cut {
        worker: usize,
    },
    /// The next steps of a session that is over arrive.
    DeliverLate {
        session: usize,
        steps: usize,
    },
    /// A moment to which a rollback may lead.
    Mark,
    /// The server is as it was at one of the last marks. Connections stay.
    RollBack {
        marks: usize,
    },
}

use Operation::*;

impl Operation {
    /// Whether it may change what the server shows of results, or what they are held against.
    pub fn reaches_results(self) -> bool {
        match self {
            Deliver { .. } | DeliverRepeated { .. } | DeliverLate { .. } | RollBack { .. } => true,
            Attach { .. } | AttachUnheard { .. } | AttachRepeated { .. } | Release { .. } => true,
            Add { .. } | AddBack | Trim { .. } | DestroyGroup | Mark => false,
            Read { .. } | Handle { .. } | Prove { .. } | Renew { .. } | Hear { .. } | Cut { .. } => false,
        }
    }
}

pub fn draw(rng: &mut Rng) -> Vec<Operation> {
    let mut operations = vec![Add { skip: 1 }, Attach { worker: 0 }];
    let length = 20 + rng.below(40) as usize;
    while operations.len() < length {
        match rng.below(100) {
            0..12 => rolled_back_under(rng, &mut operations),
            12..18 => both_reach_the_same(rng, &mut operations),
            18..24 => taken_over(rng, &mut operations),
            _ => operations.push(any(rng)),
        }
    }
    if rng.percent(15) {
        rolled_back_while_idle(rng, &mut operations);
    }
    operations
}

fn any(rng: &mut Rng) -> Operation {
    let worker = rng.below(WORKERS as u64) as usize;
    match rng.below(100) {
        0..14 => Add { skip: 1 + rng.below(3) },
        14..17 => AddBack,
        17..20 => Trim { keep: rng.below(4) },
        20..21 => DestroyGroup,
        21..26 => Attach { worker },
        26..28 => AttachUnheard { worker },
        28..30 => AttachRepeated { worker },
        30..43 => Read { worker, count: 1 + rng.below(4) as usize },
        43..58 => Handle { worker, entries: 1 + rng.below(3) as usize },
        58..60 => Prove { worker },
        60..63 => Renew { worker },
        63..64 => Release { worker },
        64..78 => deliver(rng, worker),
        78..81 => DeliverRepeated { worker },
        81..87 => Hear { worker },
        87..89 => Cut { worker },
        89..94 => DeliverLate { session: rng.below(3) as usize, steps: 1 + rng.below(3) as usize },
        94..97 => Mark,
        _ => RollBack { marks: rng.below(3) as usize },
    }
}

fn deliver(rng: &mut Rng, worker: usize) -> Operation {
    Deliver { worker, steps: 1 + rng.below(4) as usize, folded: rng.percent(30) }
}

/// Entries are read, and are not what the server has when their commits arrive.
fn rolled_back_under(rng: &mut Rng, operations: &mut Vec<Operation>) {
    let worker = rng.below(WORKERS as u64) as usize;
    if rng.percent(75) {
        // With nothing left to read.
        operations.extend([Attach { worker }, Read { worker, count: 99 }, Handle { worker, entries: 99 }]);
        if rng.percent(70) {
            operations.push(Deliver { worker, steps: 99, folded: false });
        }
    }
    operations.push(Mark);
    let added: Vec<Operation> = (0..1 + rng.below(3)).map(|_| Add { skip: 1 + rng.below(3) }).collect();
    operations.extend(&added);
    if rng.percent(40) {
        operations.push(Trim { keep: 1 + rng.below(3) });
    }
    operations.push(Read { worker, count: 1 + rng.below(4) as usize });
    if rng.percent(80) {
        operations.push(Handle { worker, entries: 1 + rng.below(4) as usize });
    }
    operations.push(RollBack { marks: 0 });
    match rng.below(4) {
        0 => {}
        // Others come under the same IDs.
        1 => operations.extend(added),
        _ => operations.extend((0..1 + rng.below(2)).map(|_| Add { skip: 1 + rng.below(3) })),
    }
    if rng.percent(50) {
        operations.push(AddBack);
    }
    operations.extend([Handle { worker, entries: 3 }, deliver(rng, worker)]);
}

/// The last commits are lost, their entries are not, and no other entry comes.
fn rolled_back_while_idle(rng: &mut Rng, operations: &mut Vec<Operation>) {
    let worker = rng.below(WORKERS as u64) as usize;
    operations.extend([Attach { worker }, Add { skip: 1 }, Add { skip: 1 }, Mark, Read { worker, count: 99 }]);
    operations.extend([Handle { worker, entries: 99 }, Deliver { worker, steps: 99, folded: rng.percent(50) }]);
    if rng.percent(70) {
        operations.push(Hear { worker });
    }
    operations.push(RollBack { marks: 0 });
}

/// An attach is lost, and another owner comes as far as the first one.
fn both_reach_the_same(rng: &mut Rng, operations: &mut Vec<Operation>) {
    let first = rng.below(WORKERS as u64) as usize;
    let second = WORKERS - 1 - first;
    let entries = 2 + rng.below(3) as usize;
    operations.extend((0..entries).map(|_| Add { skip: 1 }));
    operations.push(Mark);
    for worker in [first, second] {
        let steps = 1 + rng.below(entries as u64 - 1) as usize;
        operations.extend([
            Attach { worker },
            Read { worker, count: 9 },
            Handle { worker, entries },
            Deliver { worker, steps, folded: false },
        ]);
        if worker == first {
            operations.push(RollBack { marks: 0 });
        }
    }
    operations.push(deliver(rng, first));
}

/// Somebody attaches while commits of another are on their way.
fn taken_over(rng: &mut Rng, operations: &mut Vec<Operation>) {
    let first = rng.below(WORKERS as u64) as usize;
    let second = WORKERS - 1 - first;
    operations.extend([Add { skip: 1 }, Add { skip: 2 }, Read { worker: first, count: 4 }]);
    operations.push(Handle { worker: first, entries: 4 });
    if rng.percent(40) {
        operations.push(deliver(rng, first));
    }
    operations.push(Attach { worker: second });
    if rng.percent(50) {
        operations.extend([Read { worker: second, count: 4 }, Handle { worker: second, entries: 2 }]);
        operations.push(deliver(rng, second));
    }
    operations.push(deliver(rng, first));
}
