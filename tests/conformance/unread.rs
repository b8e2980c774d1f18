//! Entries that go from the stream before they are read: how many, how, and that they are counted once.

use atomic_streams::EntryId;
use atomic_streams::internals::{
    AttachReply, AttachRequest, Cause, Commit, Hole, Permissions, Renewed, Start, Step, StepReply,
};

use crate::bench::Bench;
use crate::kit::{GROUP, LEASE_MS, RENEW, STREAM, Session, ask, fields, id, own, request};

conformance! {
    trimmed_entries_are_counted_while_the_first_one_left_is_unread,
    trimmed_entries_are_counted_when_nothing_is_left_to_read,
    a_stream_trimmed_up_to_the_position_has_lost_nothing,
    in_the_midst_no_more_are_counted_than_have_vanished,
    entries_deleted_by_name_are_told_apart,
    an_earlier_deletion_does_not_hide_that_entries_were_trimmed,
    entries_trimmed_and_deleted_are_counted_together,
    what_goes_before_the_base_is_known_is_not_counted,
    an_attach_says_what_a_renewal_will_count,
    an_attach_that_is_to_stop_at_trimmed_entries_takes_nothing,
    an_attach_that_is_to_stop_does_not_stop_at_deleted_ones,
    a_renewal_that_is_to_stop_writes_nothing,
    a_renewal_that_is_to_stop_counts_deleted_ones,
}

async fn add(bench: &Bench, ids: std::ops::RangeInclusive<u64>) {
    for ms in ids {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
}

/// A session on `count` entries, of which the first `committed` are committed.
async fn session(bench: &Bench, count: u64, committed: u64) -> Session {
    add(bench, 1..=count).await;
    let mut session = Session::start(bench).await;
    for n in 1..=committed {
        commit(&mut session, n, n).await;
    }
    session
}

async fn commit(session: &mut Session, n: u64, ms: u64) {
    let base = session.owned.base.unwrap_or(0);
    let read = base.checked_add_unsigned(session.owned.processed + n).unwrap().try_into().unwrap();
    session.done(Commit { entries_read: Some(read), ..session.commit(n, id(ms)) }).await;
}

async fn renewed(session: &mut Session) -> Renewed {
    match session.send(RENEW).await {
        StepReply::Renewed(renewed) => renewed,
        other => panic!("not renewed: {other:?}"),
    }
}

/// What a renewal counts, with its cause and whether these are all.
async fn counted(session: &mut Session) -> (i64, Cause, bool) {
    let renewed = renewed(session).await;
    (renewed.vanished, renewed.cause, renewed.all)
}

async fn lag(bench: &Bench) -> (Option<u64>, Option<i64>) {
    let group = bench.group(STREAM, GROUP).await.unwrap();
    (group.entries_read, group.lag)
}

async fn trimmed_entries_are_counted_while_the_first_one_left_is_unread(bench: Bench) {
    let mut session = session(&bench, 6, 2).await;
    bench.trim(STREAM, 3).await;
    let first = renewed(&mut session).await;
    assert_eq!((first.base, first.vanished, first.cause, first.all), (Some(1), 1, Cause::Trimmed, true));
    assert_eq!(lag(&bench).await, (Some(3), Some(3)));
    assert_eq!(counted(&mut session).await.0, 0, "once");
    bench.trim(STREAM, 1).await;
    assert_eq!(counted(&mut session).await, (2, Cause::Trimmed, true));
    session.owned.base = Some(3);
    commit(&mut session, 3, 6).await;
    assert_eq!(counted(&mut session).await, (0, Cause::Trimmed, true));
    assert_eq!(lag(&bench).await, (Some(6), Some(0)));
}

async fn trimmed_entries_are_counted_when_nothing_is_left_to_read(bench: Bench) {
    let mut session = session(&bench, 5, 2).await;
    bench.trim(STREAM, 0).await;
    assert_eq!(counted(&mut session).await, (3, Cause::Trimmed, true));
    assert_eq!(lag(&bench).await, (Some(5), Some(0)));
    assert_eq!(counted(&mut session).await.0, 0, "once");
    add(&bench, 6..=6).await;
    assert_eq!(counted(&mut session).await.0, 0);
    session.owned.base = Some(3);
    commit(&mut session, 3, 6).await;
    assert_eq!(counted(&mut session).await.0, 0);
    assert_eq!(lag(&bench).await, (Some(6), Some(0)));
}

async fn a_stream_trimmed_up_to_the_position_has_lost_nothing(bench: Bench) {
    let mut session = session(&bench, 5, 2).await;
    for left in [4, 3] {
        bench.trim(STREAM, left).await;
        let renewed = renewed(&mut session).await;
        assert_eq!((renewed.base, renewed.vanished, renewed.all), (Some(0), 0, left == 3), "{left}");
        assert_eq!(lag(&bench).await, (Some(2), Some(3)));
    }
}

async fn in_the_midst_no_more_are_counted_than_have_vanished(bench: Bench) {
    let mut session = session(&bench, 10, 2).await;
    bench.trim(STREAM, 4).await;
    commit(&mut session, 3, 7).await;
    commit(&mut session, 4, 8).await;
    // Four have vanished; of the entries that are left, two were read and one is known to have been.
    let early = renewed(&mut session).await;
    assert_eq!((early.base, early.vanished, early.cause, early.all), (Some(3), 3, Cause::Trimmed, false));
    assert_eq!(counted(&mut session).await, (0, Cause::Trimmed, false));
    session.owned.base = Some(3);
    commit(&mut session, 5, 9).await;
    assert_eq!(counted(&mut session).await.0, 0);
    commit(&mut session, 6, 10).await;
    assert_eq!(counted(&mut session).await, (1, Cause::Trimmed, true));
    assert_eq!(lag(&bench).await, (Some(10), Some(0)));
}

async fn entries_deleted_by_name_are_told_apart(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    assert_eq!(counted(&mut session).await.0, 0);
    add(&bench, 4..=6).await;
    bench.delete_entry(STREAM, id(5)).await;
    commit(&mut session, 4, 4).await;
    assert_eq!(counted(&mut session).await.0, 0, "one that is left might be the one that was read");
    commit(&mut session, 5, 6).await;
    assert_eq!(counted(&mut session).await, (1, Cause::Deleted, true));
    add(&bench, 7..=7).await;
    bench.delete_entry(STREAM, id(7)).await;
    assert_eq!(counted(&mut session).await, (1, Cause::Deleted, true), "the last one");
    assert_eq!(lag(&bench).await.0, Some(7));
}

async fn an_earlier_deletion_does_not_hide_that_entries_were_trimmed(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    bench.delete_entry(STREAM, id(2)).await;
    assert_eq!(counted(&mut session).await.0, 0, "it had been read");
    add(&bench, 4..=8).await;
    bench.trim(STREAM, 2).await;
    assert_eq!(counted(&mut session).await, (3, Cause::Trimmed, true));
}

async fn entries_trimmed_and_deleted_are_counted_together(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    assert_eq!(counted(&mut session).await.0, 0);
    add(&bench, 4..=8).await;
    bench.delete_entry(STREAM, id(7)).await;
    bench.trim(STREAM, 2).await;
    assert_eq!(counted(&mut session).await, (3, Cause::Either, true));
    assert_eq!(lag(&bench).await.0, Some(6));
}

async fn what_goes_before_the_base_is_known_is_not_counted(bench: Bench) {
    add(&bench, 1..=6).await;
    let after = AttachRequest { start: Start::After(id(2)), ..request("a", 1) };
    let mut session = Session::attach(&bench, &after).await;
    assert_eq!(session.owned.base, None);
    assert_eq!(renewed(&mut session).await.base, None);
    bench.trim(STREAM, 2).await;
    let known = renewed(&mut session).await;
    assert_eq!((known.base, known.vanished), (Some(4), 0));
    bench.trim(STREAM, 1).await;
    assert_eq!(counted(&mut session).await, (1, Cause::Trimmed, true));
}

async fn an_attach_says_what_a_renewal_will_count(bench: Bench) {
    session(&bench, 10, 2).await;
    bench.trim(STREAM, 4).await;
    let mut next = Session::attach(&bench, &request("a", 2)).await;
    assert_eq!((next.owned.base, next.owned.vanished), (Some(0), 4));
    assert_eq!(counted(&mut next).await, (4, Cause::Trimmed, true));
    assert_eq!(own(&bench, &request("a", 3)).await.vanished, 0);
}

fn stopping(attempt: u64) -> AttachRequest {
    let permissions = Permissions { stop_at_trimmed: true, ..Permissions::default() };
    AttachRequest { permissions, ..request("a", attempt) }
}

const STOPPING: Step = Step::Renew { lease_ms: LEASE_MS, stop_at_trimmed: true };

async fn an_attach_that_is_to_stop_at_trimmed_entries_takes_nothing(bench: Bench) {
    let mut session = session(&bench, 10, 2).await;
    bench.trim(STREAM, 4).await;
    let mut hole = Hole { entries: 4, all: true, cause: Cause::Trimmed, position: id(2), first: Some(id(7)) };
    let before = bench.picture(&[STREAM]).await;
    for attempt in [2, 2, 3] {
        assert_eq!(ask(&bench, &stopping(attempt)).await, AttachReply::Trimmed(hole));
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
    // Also from the midst, of as many as are known.
    commit(&mut session, 3, 8).await;
    hole = Hole { entries: 4, all: false, position: id(8), ..hole };
    assert_eq!(ask(&bench, &stopping(2)).await, AttachReply::Trimmed(hole));
    bench.trim(STREAM, 0).await;
    hole = Hole { entries: 7, all: true, first: None, ..hole };
    assert_eq!(ask(&bench, &stopping(2)).await, AttachReply::Trimmed(hole));
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!(owned.vanished, 7);
    let mut accepted = Session::attach(&bench, &request("a", 3)).await;
    counted(&mut accepted).await;
    assert_eq!(own(&bench, &stopping(4)).await.vanished, 0, "they were counted");
}

async fn an_attach_that_is_to_stop_does_not_stop_at_deleted_ones(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    counted(&mut session).await;
    add(&bench, 4..=5).await;
    bench.delete_entry(STREAM, id(4)).await;
    bench.delete_entry(STREAM, id(5)).await;
    assert_eq!(own(&bench, &stopping(2)).await.vanished, 2);
}

async fn a_renewal_that_is_to_stop_writes_nothing(bench: Bench) {
    let mut session = session(&bench, 6, 2).await;
    assert!(matches!(session.send(STOPPING).await, StepReply::Renewed(_)));
    bench.trim(STREAM, 1).await;
    let hole = Hole { entries: 3, all: true, cause: Cause::Trimmed, position: id(2), first: Some(id(6)) };
    let before = bench.picture(&[STREAM]).await;
    for _ in 0..2 {
        assert_eq!(session.send(STOPPING).await, StepReply::Trimmed(hole));
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
    assert_eq!(ask(&bench, &stopping(2)).await, AttachReply::Trimmed(hole));
    assert_eq!(bench.recorded("@position").await, Some(id(2).to_string()));
    assert_eq!(bench.recorded("@settled").await, Some(EntryId::MIN.to_string()));
}

async fn a_renewal_that_is_to_stop_counts_deleted_ones(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    counted(&mut session).await;
    add(&bench, 4..=4).await;
    bench.delete_entry(STREAM, id(4)).await;
    let StepReply::Renewed(renewed) = session.send(STOPPING).await else { panic!() };
    assert_eq!((renewed.vanished, renewed.cause), (1, Cause::Deleted));
    assert_eq!(counted(&mut session).await.0, 0);
}
