//! Queues: what is written, and what is taken back.

use super::super::{Collection, StateDeque};
use super::{Kept, ignore, written};

type Queue = StateDeque<i64>;

fn queue() -> Kept<Queue> {
    let mut kept = Kept::new();
    kept.commit(|queue: &mut Queue| queue.extend([1, 2, 3]));
    kept
}

fn holds(kept: &mut Kept<Queue>, entries: &[i64]) {
    assert!(kept.held.iter().eq(entries), "{:?} is not {entries:?}", kept.held);
    kept.restart();
    assert!(kept.held.iter().eq(entries), "{:?} is not {entries:?} after a restart", kept.held);
}

#[test]
fn only_the_ends_that_moved_are_written() {
    let mut kept = queue();
    assert_eq!(written(&kept.fail_and_commit(|queue| queue.push_back(4))), (1, 0, false));
    assert_eq!(written(&kept.fail_and_commit(|queue| queue.push_front(0))), (1, 0, false));
    holds(&mut kept, &[0, 1, 2, 3, 4]);
    assert_eq!(written(&kept.fail_and_commit(Queue::pop_front)), (0, 1, false));
    assert_eq!(written(&kept.fail_and_commit(Queue::pop_back)), (0, 1, false));
    assert_eq!(written(&kept.fail_and_commit(|queue| *queue.get_mut(1).unwrap() = 9)), (1, 0, false));
    holds(&mut kept, &[1, 9, 3]);
}

#[test]
fn changes_back_and_forth_write_nothing() {
    let mut kept = queue();
    for change in [
        |queue: &mut Queue| ignore(queue.get_mut(1)),
        |queue: &mut Queue| ignore(queue.get_mut(3)),
        |queue: &mut Queue| {
            queue.push_back(4);
            queue.pop_back();
        },
        |queue: &mut Queue| {
            let first = queue.pop_front().unwrap();
            queue.push_front(first);
        },
        |queue: &mut Queue| {
            let last = queue.pop_back().unwrap();
            queue.push_back(last);
        },
        |queue: &mut Queue| *queue.get_mut(2).unwrap() = 3,
    ] {
        assert_eq!(written(&kept.fail_and_commit(change)), (0, 0, false));
    }
    holds(&mut kept, &[1, 2, 3]);
}

#[test]
fn emptied_from_either_end_and_filled_at_either_end() {
    let empty: [fn(&mut Queue) -> Option<i64>; 2] = [Queue::pop_front, Queue::pop_back];
    let fill: [fn(&mut Queue, i64); 2] = [Queue::push_front, Queue::push_back];
    for take in empty {
        for add in fill {
            for (more, again) in [(0, 0), (1, 0), (3, 0), (5, 0), (5, 2), (5, 5)] {
                let mut kept = queue();
                kept.fail_and_commit(|queue| {
                    while take(queue).is_some() {}
                    (0..more).for_each(|n| add(queue, 10 + n));
                    (0..again).for_each(|_| ignore(take(queue)));
                });
                let entries: Vec<i64> = kept.held.iter().copied().collect();
                assert_eq!(entries.len(), (more - again) as usize);
                holds(&mut kept, &entries);
                kept.fail_and_commit(|queue| add(queue, 7));
            }
        }
    }
}

#[test]
fn everything_may_go_at_once() {
    let mut kept = queue();
    let change = |queue: &mut Queue| {
        queue.push_front(0);
        queue.pop_back();
        queue.clear();
        queue.push_front(8);
        queue.push_back(9);
        queue.pop_front();
    };
    assert_eq!(written(&kept.fail_and_commit(change)), (1, 0, true));
    holds(&mut kept, &[9]);
    assert_eq!(written(&kept.fail_and_commit(Queue::clear)), (0, 0, true));
    assert_eq!(written(&kept.fail_and_commit(Queue::clear)), (0, 0, false), "nothing was there to go");
}

#[test]
fn a_gap_or_a_missing_part_is_found_when_it_is_read_back() {
    let mut kept = queue();
    let middle = kept.hash.keys().nth(1).unwrap().clone();
    let value = kept.hash.remove(&middle).unwrap();
    let put = |queue: &mut Queue, kept: &Kept<Queue>| {
        kept.hash.iter().for_each(|(key, value)| queue.put(key, value).unwrap());
    };
    let mut queue = Queue::new();
    put(&mut queue, &kept);
    assert!(queue.complete(2).unwrap_err().to_string().contains("missing between number 0 and number 2"));

    // Fewer than there are: whoever reads counts. Some twice: they count once.
    let mut queue = Queue::new();
    put(&mut queue, &kept);
    queue.complete(3).unwrap();
    assert_eq!(queue.stored_len(), 2);
    kept.hash.insert(middle, value);
    let mut queue = Queue::new();
    put(&mut queue, &kept);
    put(&mut queue, &kept);
    queue.complete(3).unwrap();
    assert!(queue.iter().eq(&[1, 2, 3]));
}
