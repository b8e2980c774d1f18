//! Which operations are drawn, and how often: most of what is drawn must reach something.

use support::Rng;

use super::operation::{
    Attach, BY_HAND, CollectionDraft, CommitDraft, Draft, INSTANCES, NewId, Operation, ProofDraft, Where,
};

pub fn draw(rng: &mut Rng, restarts: bool) -> Vec<Operation> {
    let mut operations = Vec::new();
    for _ in 0..rng.below(4) {
        operations.push(Operation::Add { stream: 0, id: NewId::Above(1 + rng.below(2)), fields: rng.below(4) as u8 });
    }
    let length = 10 + rng.below(25) as usize;
    while operations.len() < length {
        match rng.below(40) {
            0 => replaced(rng, &mut operations),
            1 => lost(rng, &mut operations),
            2 => read_and_proved(rng, &mut operations),
            3 => ended(rng, &mut operations),
            _ => operations.push(any(rng)),
        }
    }
    if restarts {
        let at = rng.below(operations.len() as u64) as usize;
        operations.insert(at, Operation::Restart);
    }
    operations
}

fn any(rng: &mut Rng) -> Operation {
    let small = |rng: &mut Rng| rng.below(4) as usize;
    let worker = rng.below(INSTANCES as u64) as usize;
    // Most of the time, the first one works.
    let worker = if rng.percent(60) { 0 } else { worker };
    let stream = if rng.percent(60) { 0 } else { rng.below(4) as usize };
    match rng.below(200) {
        0..26 => Operation::Add { stream, id: new_id(rng), fields: rng.below(6) as u8 },
        26..31 => Operation::DeleteEntry { stream, nth: small(rng) },
        31..35 => Operation::TrimLength { stream, keep: rng.below(4) },
        35..38 => Operation::TrimIds { stream, nth: small(rng) },
        38..42 => Operation::DeleteKey { key: rng.below(7) as usize },
        42..44 => Operation::WrongType { key: rng.below(7) as usize },
        44..45 => Operation::FlushAll,
        45..48 => Operation::ForeignGroup { cursor: place(rng), pending: rng.below(3) },
        48..51 => Operation::DestroyGroup,
        51..53 => Operation::MoveCursor { cursor: place(rng) },
        53..58 => Operation::SetField { nth: rng.below(BY_HAND.len() as u64) as usize },
        58..61 => Operation::Letter { fields: rng.below(6) as u8, foreign: rng.percent(20) },
        61..65 => Operation::Requeue { nth: small(rng) },
        65..66 => Operation::RemoveLetter { nth: small(rng) },
        66..90 => Operation::Attach(attach(rng, worker)),
        90..108 => Operation::Read { worker, after: place(rng), count: rng.below(4) as usize },
        108..111 => Operation::Load,
        111..113 => Operation::Scan,
        113..184 => {
            let steps = (0..1 + rng.below(3)).map(|_| draft(rng)).collect();
            Operation::Send { worker, stale: rng.percent(8), full: rng.percent(3), steps }
        }
        184..188 => Operation::SendUnheard { worker, step: draft(rng) },
        188..194 => Operation::Mark,
        _ => Operation::RollBack { marks: rng.below(2) as usize },
    }
}

/// The stream is deleted, and perhaps made anew with lower IDs.
fn replaced(rng: &mut Rng, operations: &mut Vec<Operation>) {
    operations.push(Operation::DeleteKey { key: 0 });
    for _ in 0..rng.below(3) {
        operations.push(Operation::Add { stream: 0, id: NewId::Above(1), fields: 0 });
    }
    operations.push(Operation::Send { worker: 0, stale: false, full: false, steps: vec![Draft::Renew] });
    operations.push(Operation::Attach(attach(rng, 0)));
}

/// The record is lost, the group is not.
fn lost(rng: &mut Rng, operations: &mut Vec<Operation>) {
    let key = 4;
    operations.extend([
        Operation::DeleteKey { key },
        Operation::Attach(attach(rng, 0)),
        Operation::Attach(attach(rng, 1)),
    ]);
}

/// An owner goes, whatever has been written into the record before.
fn ended(rng: &mut Rng, operations: &mut Vec<Operation>) {
    operations.push(Operation::Attach(attach(rng, 0)));
    operations.push(Operation::SetField { nth: rng.below(BY_HAND.len() as u64) as usize });
    operations.push(Operation::Send { worker: 0, stale: false, full: false, steps: vec![Draft::Release] });
    operations.push(Operation::Attach(attach(rng, 1)));
}

/// A read from anywhere is proved, after what may happen meanwhile.
fn read_and_proved(rng: &mut Rng, operations: &mut Vec<Operation>) {
    operations.push(Operation::Read { worker: 0, after: place(rng), count: rng.below(4) as usize });
    if rng.percent(50) {
        operations.push(any(rng));
    }
    let commit = CommitDraft { off: 0, proof: ProofDraft::Right, ..commit(rng) };
    let steps = vec![Draft::Commit(commit)];
    operations.push(Operation::Send { worker: 0, stale: false, full: false, steps });
}

fn new_id(rng: &mut Rng) -> NewId {
    match rng.below(20) {
        0..4 => NewId::Auto,
        4..18 => NewId::Above(1 + rng.below(3)),
        18 => NewId::Low(rng.below(5)),
        _ if rng.percent(20) => NewId::Top,
        _ => NewId::Auto,
    }
}

fn place(rng: &mut Rng) -> Where {
    match rng.below(10) {
        0 => Where::Start,
        1..3 => Where::Entry(rng.below(5) as usize),
        3..6 => Where::Position,
        6..9 => Where::Read,
        _ => Where::Id(rng.below(12)),
    }
}

fn attach(rng: &mut Rng, worker: usize) -> Attach {
    Attach {
        worker,
        repeated: rng.percent(8),
        start: if rng.percent(30) { None } else { Some(if rng.percent(60) { Where::Start } else { place(rng) }) },
        permissions: [0; 5].map(|_: u8| rng.percent(25)),
        expired: rng.percent(70),
        other_schema: rng.percent(8),
        full: rng.percent(3),
    }
}

fn draft(rng: &mut Rng) -> Draft {
    match rng.below(20) {
        0..3 => Draft::Renew,
        3 => Draft::Release,
        _ => Draft::Commit(commit(rng)),
    }
}

fn commit(rng: &mut Rng) -> CommitDraft {
    let is_plain = rng.percent(40);
    let few = |rng: &mut Rng| if is_plain { 0 } else { [0, 0, 1, 1, 2][rng.below(5) as usize] };
    CommitDraft {
        off: if rng.percent(6) { rng.below(3) as i8 - 1 } else { 0 },
        handles: rng.percent(85),
        position: rng.percent(8).then(|| place(rng)),
        proof: match rng.below(20) {
            0 => ProofDraft::OtherDigest,
            1 | 2 => ProofDraft::Whole,
            3..9 => ProofDraft::Right,
            _ => ProofDraft::None,
        },
        entries_read: rng.percent(50).then(|| rng.below(9)),
        set: [rng.percent(60), rng.percent(30), !is_plain && rng.percent(20)],
        deleted: [0; 3].map(|_: u8| !is_plain && rng.percent(10)),
        collection: (!is_plain && rng.percent(35)).then(|| CollectionDraft {
            is_set: rng.percent(20),
            before: if rng.percent(30) { None } else { Some(rng.percent(85)) },
            says_after: rng.percent(80),
            cleared: rng.percent(10),
            set: (0..rng.below(3)).map(|_| rng.below(6) as u8).collect(),
            removed: (0..rng.below(3)).map(|_| rng.below(6) as u8).collect(),
        }),
        publishes: (0..few(rng)).map(|_| (output(rng), rng.percent(60))).collect(),
        trims: (0..few(rng)).map(|_| (output(rng), rng.below(3))).collect(),
    }
}

fn output(rng: &mut Rng) -> usize {
    [1, 1, 1, 1, 2, 2, 2, 0, 3, 4][rng.below(10) as usize]
}
