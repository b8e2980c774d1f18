//! Renewals: they keep the lease and say what the server holds.

use std::time::{SystemTime, UNIX_EPOCH};

use atomic_streams::EntryId;
use atomic_streams::internals::{
    AttachReply, AttachRequest, Commit, Lag, Permissions, Renewed, Start, Step, StepReply,
};

use crate::bench::Bench;
use crate::kit::{GROUP, LEASE_MS, RENEW, STREAM, Session, ask, fields, id, own, request, subscription};

conformance! {
    a_renewal_shows_what_the_server_holds,
    a_renewal_extends_the_lease,
    a_renewal_counts_what_is_left_and_how_long_it_has_waited,
    a_renewal_cannot_count_what_is_left_in_the_midst_of_a_stream,
    an_attach_counts_what_is_left_where_it_can,
    the_base_is_settled_when_everything_was_read,
    a_stream_made_anew_counts_below_nothing,
    a_cursor_moved_by_hand_is_put_back,
    a_destroyed_group_is_made_anew_with_its_mark,
    a_deleted_stream_is_made_anew,
    another_token_cannot_renew,
    a_stream_of_another_type_is_an_error_that_renews_nothing,
}

/// A session that has committed the first `committed` of `count` entries.
async fn session(bench: &Bench, count: u64, committed: u64) -> Session {
    for ms in 1..=count {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(bench).await;
    for n in 1..=committed {
        session.done(Commit { entries_read: Some(n), ..session.commit(n, id(n)) }).await;
    }
    session
}

async fn renewed(session: &mut Session) -> Renewed {
    match session.send(RENEW).await {
        StepReply::Renewed(renewed) => renewed,
        other => panic!("not renewed: {other:?}"),
    }
}

async fn a_renewal_shows_what_the_server_holds(bench: Bench) {
    let mut session = session(&bench, 4, 2).await;
    bench.delete_entry(STREAM, id(4)).await;
    let renewed = renewed(&mut session).await;
    assert_eq!((renewed.head.token, renewed.head.sequence), (session.owned.head.token.clone(), 2));
    assert_eq!((renewed.position, renewed.last_id, renewed.last_entry), (id(2), id(4), Some(id(3))));
    assert_eq!((renewed.base, renewed.vanished), (Some(0), 0));
    assert_eq!((renewed.cursor_repaired, renewed.cursor_trouble), (false, None));
}

async fn a_renewal_extends_the_lease(bench: Bench) {
    let mut session = Session::attach(&bench, &AttachRequest { lease_ms: 1_000, ..request("a", 1) }).await;
    let lease = async || bench.recorded("@lease").await.unwrap().parse::<u64>().unwrap();
    let before = lease().await;
    renewed(&mut session).await;
    assert!(lease().await >= before + LEASE_MS - 1_000);
}

/// Entries that are left, and since when the first of them waits, which `id` gives; as ID 1-0 waits since 1970, roughly.
async fn lag(session: &mut Session) -> (Option<u64>, Option<u64>) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now();
    let Lag { entries, waited_ms } = renewed(session).await.lag;
    let since = waited_ms.filter(|waited| *waited > 0).map(|waited| {
        // The server runs on this machine's clock: the ID lies within what the call took.
        let (first, last) = (before.saturating_sub(waited), now() - waited);
        (1..=9).map(|n| n * HOUR_MS).find(|ms| (first..=last).contains(ms)).unwrap_or(first)
    });
    (entries, since)
}

const HOUR_MS: u64 = 3_600_000;

/// An ID that the clock cannot mistake for its neighbour.
fn hour(n: u64) -> EntryId {
    id(n * HOUR_MS)
}

async fn a_renewal_counts_what_is_left_and_how_long_it_has_waited(bench: Bench) {
    for n in 1..=6 {
        bench.add_with_id(STREAM, hour(n), fields("x")).await;
    }
    let mut session = Session::start(&bench).await;
    assert_eq!(lag(&mut session).await, (Some(6), Some(HOUR_MS)), "before the first");
    session.done(session.commit(1, hour(1))).await;
    assert_eq!(lag(&mut session).await, (Some(5), Some(2 * HOUR_MS)), "in the midst");
    bench.delete_entry(STREAM, hour(2)).await;
    assert_eq!(lag(&mut session).await, (Some(4), Some(3 * HOUR_MS)), "one is deleted");
    bench.trim(STREAM, 2).await;
    assert_eq!(lag(&mut session).await, (Some(2), Some(5 * HOUR_MS)), "two are trimmed");
    session.done(session.commit(2, hour(6))).await;
    assert_eq!(lag(&mut session).await, (Some(0), None), "all are handled");
    assert_eq!(renewed(&mut session).await.lag, Lag { entries: Some(0), waited_ms: Some(0) });
    bench.add_with_id(STREAM, id(u64::MAX), fields("x")).await;
    assert_eq!(renewed(&mut session).await.lag, Lag { entries: Some(1), waited_ms: Some(0) }, "of the future");
    bench.trim(STREAM, 0).await;
    assert_eq!(lag(&mut session).await, (Some(0), None), "none are there");
}

async fn a_renewal_cannot_count_what_is_left_in_the_midst_of_a_stream(bench: Bench) {
    for n in 1..=3 {
        bench.add_with_id(STREAM, hour(n), fields("x")).await;
    }
    let after = AttachRequest { start: Start::After(hour(1)), ..request("a", 1) };
    let mut session = Session::attach(&bench, &after).await;
    assert_eq!(session.owned.lag, Lag::default());
    assert_eq!(lag(&mut session).await, (None, Some(2 * HOUR_MS)));
    session.done(session.commit(1, hour(3))).await;
    assert_eq!(lag(&mut session).await, (Some(0), None));
    bench.add_with_id(STREAM, hour(4), fields("x")).await;
    assert_eq!(lag(&mut session).await, (Some(1), Some(4 * HOUR_MS)));
}

async fn an_attach_counts_what_is_left_where_it_can(bench: Bench) {
    assert_eq!(own(&bench, &request("a", 1)).await.lag, Lag { entries: Some(0), waited_ms: Some(0) }, "no stream");
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::attach(&bench, &request("a", 2)).await;
    assert_eq!(session.owned.lag, Lag { entries: Some(5), waited_ms: None });
    session.done(session.commit(1, id(1))).await;
    assert_eq!(own(&bench, &request("a", 3)).await.lag.entries, Some(4));
    bench.trim(STREAM, 2).await;
    assert_eq!(own(&bench, &request("a", 4)).await.lag.entries, Some(2), "what a renewal will count does not wait");
    bench.trim(STREAM, 0).await;
    assert_eq!(own(&bench, &request("a", 5)).await.lag.entries, Some(0));
    bench.delete_key(STREAM).await;
    for n in 1..=2 {
        bench.add_with_id(STREAM, EntryId::new(0, n), fields("x")).await;
    }
    bench.trim(STREAM, 1).await;
    let permissions = Permissions { read_replaced: true, ..Permissions::default() };
    let mut session = Session::attach(&bench, &AttachRequest { permissions, ..request("a", 6) }).await;
    assert_eq!((session.owned.vanished, session.owned.lag), (-1, Lag::default()), "of a stream made anew");
    assert_eq!(renewed(&mut session).await.lag.entries, Some(1));
}

async fn the_base_is_settled_when_everything_was_read(bench: Bench) {
    for ms in 1..=3 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let after = AttachRequest { start: Start::After(id(1)), ..request("a", 1) };
    let mut session = Session::attach(&bench, &after).await;
    assert_eq!(session.owned.base, None);
    session.done(session.commit(1, id(2))).await;
    assert_eq!(renewed(&mut session).await.base, None);
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().entries_read, None);
    session.done(session.commit(2, id(3))).await;
    let renewed = renewed(&mut session).await;
    assert_eq!((renewed.base, renewed.vanished), (Some(1), 0));
    assert_eq!(bench.recorded("@base").await.as_deref(), Some("1"));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(3), Some(3), Some(0)));
    assert_eq!(own(&bench, &request("a", 2)).await.base, Some(1));
}

async fn a_stream_made_anew_counts_below_nothing(bench: Bench) {
    let mut session = session(&bench, 3, 3).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(3), fields("y")).await;
    let renewed = renewed(&mut session).await;
    assert_eq!((renewed.base, renewed.vanished), (Some(-2), -2));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(3), Some(1), Some(0)));
}

async fn a_cursor_moved_by_hand_is_put_back(bench: Bench) {
    let mut session = session(&bench, 3, 2).await;
    for wrong in [EntryId::MIN, id(3)] {
        bench.move_cursor(STREAM, GROUP, wrong).await;
        let repaired = renewed(&mut session).await;
        assert_eq!((repaired.cursor_repaired, repaired.cursor_trouble), (true, None));
        let group = bench.group(STREAM, GROUP).await.unwrap();
        assert_eq!((group.cursor, group.entries_read, group.lag), (id(2), Some(2), Some(1)));
        assert!(!renewed(&mut session).await.cursor_repaired);
    }
}

async fn a_destroyed_group_is_made_anew_with_its_mark(bench: Bench) {
    let mut session = session(&bench, 3, 2).await;
    bench.destroy_group(STREAM, GROUP).await;
    let repaired = renewed(&mut session).await;
    assert_eq!((repaired.cursor_repaired, repaired.cursor_trouble), (true, None));
    let group = bench.group(STREAM, GROUP).await.unwrap();
    assert_eq!((group.cursor, group.entries_read, group.lag), (id(2), Some(2), Some(1)));
    bench.delete_record().await;
    assert_eq!(ask(&bench, &request("a", 2)).await, AttachReply::Lost { cursor: id(2) });
}

async fn a_deleted_stream_is_made_anew(bench: Bench) {
    let mut session = session(&bench, 3, 2).await;
    bench.delete_key(STREAM).await;
    let repaired = renewed(&mut session).await;
    assert_eq!((repaired.position, repaired.last_id, repaired.last_entry), (id(2), id(2), None));
    assert_eq!((repaired.cursor_repaired, repaired.cursor_trouble), (true, None));
    assert_eq!((repaired.base, repaired.vanished), (Some(-2), -2), "it has counted none of the two");
    let stream = bench.stream(STREAM).await.unwrap();
    assert_eq!((stream.length, stream.last_id, stream.entries_added), (0, id(2), 0));
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, id(2));
    let settled = renewed(&mut session).await;
    assert_eq!((settled.base, settled.vanished), (Some(-2), 0), "once is enough");
}

async fn another_token_cannot_renew(bench: Bench) {
    let mut session = session(&bench, 1, 0).await;
    own(&bench, &request("a", 2)).await;
    let before = bench.picture(&[STREAM]).await;
    assert_eq!(session.send(RENEW).await, StepReply::Fenced { owner: "host of a".into() });
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_stream_of_another_type_is_an_error_that_renews_nothing(bench: Bench) {
    let mut session = session(&bench, 1, 0).await;
    bench.delete_key(STREAM).await;
    bench.put_wrong_type(STREAM).await;
    let before = bench.picture(&[STREAM]).await;
    let renew = Step::Renew { lease_ms: 1, stop_at_trimmed: false };
    let replies = session.link.send(session.owned.head.token.as_str(), &[renew]).await;
    let error = replies.into_iter().next().unwrap().unwrap_err();
    assert!(error.words.contains("WRONGTYPE"), "{error}");
    assert_eq!(bench.picture(&[STREAM]).await, before);
    assert!(bench.record().await.unwrap().contains_key("@head"), "{}", subscription().record());
}
