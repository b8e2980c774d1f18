//! Entries with a time to live: their time is that of the messages.

use std::time::Duration;

use super::super::{Collection, StateMap, StateSet};
use super::{Kept, ignore, written};

type Seen = StateSet<u32>;

const SECOND: Duration = Duration::from_secs(1);

/// A message at this time.
fn at(ms: u64, change: impl Fn(&mut Seen)) -> impl Fn(&mut Seen) {
    move |set| {
        set.begin(ms);
        change(set);
    }
}

#[test]
fn an_entry_goes_with_the_first_message_at_its_time_and_no_sooner() {
    let mut kept = Kept::<Seen>::new();
    kept.fail_and_commit(at(5_000, |set| assert!(set.insert_with_ttl(1, SECOND))));
    kept.restart();
    assert_eq!(written(&kept.fail_and_commit(at(5_999, |set| assert!(set.contains(&1))))), (0, 0, false));
    assert_eq!(written(&kept.fail_and_commit(at(6_000, |set| assert!(!set.contains(&1))))), (0, 1, false));
}

#[test]
fn a_renewed_time_counts_and_no_other() {
    let mut kept = Kept::<Seen>::new();
    kept.commit(at(1_000, |set| ignore(set.insert_with_ttl(1, SECOND))));
    assert_eq!(
        written(&kept.fail_and_commit(at(1_500, |set| assert!(!set.insert_with_ttl(1, SECOND))))),
        (1, 0, false)
    );
    kept.fail_and_commit(at(2_400, |set| {
        assert_eq!(set.ttl(&1), Some(Duration::from_millis(100)));
        assert!(set.contains(&1));
    }));
    assert_eq!(written(&kept.fail_and_commit(at(2_400, |set| assert!(!set.insert(1))))), (1, 0, false));
    kept.restart();
    kept.fail_and_commit(at(9_000_000, |set| assert!(set.contains(&1) && set.ttl(&1).is_none())));
}

#[test]
fn a_removal_that_is_taken_back_brings_the_time_back() {
    let mut kept = Kept::<Seen>::new();
    kept.commit(at(1_000, |set| ignore(set.insert_with_ttl(1, SECOND))));
    for change in [
        |set: &mut Seen| assert!(set.remove(&1)),
        |set: &mut Seen| set.clear(),
        |set: &mut Seen| assert!(!set.insert(1)),
        |set: &mut Seen| ignore(set.insert_with_ttl(1, 100 * SECOND)),
    ] {
        kept.fail(at(1_500, change));
        assert_eq!(kept.held.ttl(&1), Some(Duration::from_millis(500)));
    }
    // Not only shown: it goes when it must.
    assert_eq!(written(&kept.fail_and_commit(at(2_000, |set| assert!(set.is_empty())))), (0, 1, false));
}

#[test]
fn a_thousand_go_with_each_message_the_oldest_first_and_the_rest_is_not_seen() {
    let mut kept = Kept::<Seen>::new();
    kept.commit(at(1_000, |set| {
        (0..2_500).for_each(|n| ignore(set.insert_with_ttl(n, Duration::from_millis(u64::from(n)) + SECOND)));
        set.insert(9_999);
    }));
    let late = at(60_000, |set| {
        assert_eq!((set.len(), set.iter().collect::<Vec<_>>()), (1, vec![&9_999]));
        assert!(!set.contains(&2_499) && set.ttl(&2_499).is_none());
    });
    let gone = kept.fail_and_commit(&late).removed;
    assert_eq!(gone.len(), 1_000);
    let last: u32 = gone.iter().map(|key| super::super::stored::decode(key).unwrap()).max().unwrap();
    assert_eq!(last, 999);
    kept.restart();
    assert_eq!(kept.fail_and_commit(&late).removed.len(), 1_000);
    assert_eq!(kept.fail_and_commit(&late).removed.len(), 500);
    assert_eq!(kept.fail_and_commit(&late).removed.len(), 0);
    assert_eq!(kept.hash.len(), 1);
}

#[test]
fn an_expired_entry_that_waits_to_go_is_as_good_as_gone() {
    type Map = StateMap<u32, u32>;
    let mut kept = Kept::<Map>::new();
    kept.commit(|map| {
        map.begin(1_000);
        (0..1_500).for_each(|n| ignore(map.insert_with_ttl(n, n, Duration::from_millis(u64::from(n)))));
    });
    // Number 1,400 is not among the thousand that go first.
    let late = |change: fn(&mut Map)| {
        move |map: &mut Map| {
            map.begin(60_000);
            assert!(map.get(&1_400).is_none() && map.get_mut(&1_400).is_none() && map.is_empty());
            change(map);
        }
    };
    kept.fail(late(|map| assert_eq!(map.insert(1_400, 7), None)));
    kept.fail(late(|map| assert_eq!(map.remove(&1_400), None)));
    kept.fail(late(|map| assert_eq!(map.insert_with_ttl(1_400, 7, SECOND), None)));
    kept.fail_and_commit(late(|map| {
        assert_eq!(*map.get_or_insert_with(1_400, || 8), 8);
        assert_eq!((map.ttl(&1_400), map.len()), (None, 1));
    }));
}

#[test]
fn a_clock_that_goes_back_brings_nothing_to_life() {
    let mut kept = Kept::<Seen>::new();
    kept.commit(at(1_000, |set| (0..1_500).for_each(|n| ignore(set.insert_with_ttl(n, SECOND)))));
    kept.commit(at(2_000, |set| assert!(set.is_empty())));
    kept.commit(at(1_500, |set| assert!(set.is_empty())));
    assert!(kept.hash.is_empty());
    kept.commit(at(1_500, |set| {
        set.insert_with_ttl(1, SECOND);
        assert_eq!(set.ttl(&1), Some(SECOND));
    }));
    kept.commit(at(2_999, |set| assert!(set.contains(&1))));
}

#[test]
fn a_time_beyond_all_times_never_comes() {
    let mut kept = Kept::<Seen>::new();
    kept.fail_and_commit(at(1_000, |set| ignore(set.insert_with_ttl(1, Duration::MAX))));
    kept.restart();
    kept.commit(at(u64::MAX - 1, |set| assert!(set.contains(&1))));
    kept.fail_and_commit(at(u64::MAX - 1, |set| assert!(set.insert_with_ttl(2, Duration::ZERO), "gone at once")));
}
