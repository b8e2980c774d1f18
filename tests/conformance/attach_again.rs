//! Who may attach to a record that is there.

use atomic_streams::internals::{AttachReply, AttachRequest, Step, StepReply};
use support::eventually;

use crate::bench::Bench;
use crate::kit::{LEASE_MS, RENEW, STREAM, Session, ask, connect, fields, id, own, request};

conformance! {
    the_same_instance_attaches_anew_at_once,
    a_late_attach_of_the_same_instance_is_stale,
    another_instance_stands_by_while_the_lease_lives,
    a_lease_seen_unchanged_for_its_length_is_dead,
    a_lease_that_ended_is_taken_over,
    a_renewed_lease_lives_on,
    a_released_lease_is_taken_over_at_once,
    another_schema_stops_the_attach_before_anybody_is_fenced,
    an_accepted_schema_attaches_and_stays_stored,
    reasons_are_looked_for_in_their_order,
}

async fn the_same_instance_attaches_anew_at_once(bench: Bench) {
    let at = bench.add(STREAM, fields("x")).await;
    let mut session = Session::start(&bench).await;
    session.done(session.commit(1, at)).await;
    let again = own(&bench, &request("a", 2)).await;
    assert_eq!((again.epoch, again.created, again.released), (2, false, false));
    assert_eq!((again.head.sequence, again.position, again.processed), (1, at, 1));
    assert_ne!(again.head.token, session.owned.head.token);
    assert_eq!(bench.recorded("@epoch").await.as_deref(), Some("2"));
    assert_eq!(bench.recorded("@head").await, Some(again.head.to_string()));
    let next = session.send(Step::Commit(session.commit(2, at))).await;
    assert_eq!(next, StepReply::Fenced { owner: "host of a".into() });
    let third = own(&bench, &request("a", 7)).await;
    assert_eq!(third.epoch, 3);
    assert_ne!(third.head.token, again.head.token);
}

async fn a_late_attach_of_the_same_instance_is_stale(bench: Bench) {
    own(&bench, &request("a", 5)).await;
    let before = bench.picture(&[STREAM]).await;
    for attempt in [5, 4, 1] {
        assert_eq!(ask(&bench, &request("a", attempt)).await, AttachReply::Stale { attempt: 5 });
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
    own(&bench, &request("a", 6)).await;
}

async fn another_instance_stands_by_while_the_lease_lives(bench: Bench) {
    own(&bench, &request("a", 5)).await;
    let before = bench.picture(&[STREAM]).await;
    // An instance whose name begins alike, too.
    for instance in ["b", "aa"] {
        let AttachReply::Standby { owner, left_ms, lease } = ask(&bench, &request(instance, 1)).await else { panic!() };
        assert_eq!(owner, "host of a");
        assert_eq!(Some(lease), bench.recorded("@lease").await);
        assert!(left_ms > 0 && left_ms <= LEASE_MS, "{left_ms}");
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn a_lease_seen_unchanged_for_its_length_is_dead(bench: Bench) {
    own(&bench, &request("a", 1)).await;
    let seen = |lease: &str| AttachRequest { expired_lease: Some(lease.into()), ..request("b", 1) };
    assert!(matches!(ask(&bench, &seen("1")).await, AttachReply::Standby { .. }), "another lease than this one");
    let lease = bench.recorded("@lease").await.unwrap();
    let owned = own(&bench, &seen(&lease)).await;
    assert_eq!((owned.epoch, owned.released), (2, false));
}

async fn a_lease_that_ended_is_taken_over(bench: Bench) {
    own(&bench, &AttachRequest { lease_ms: 1, ..request("a", 1) }).await;
    let mut link = connect(&bench).await;
    let owned = eventually("the lease ends", async || match link.attach(&request("b", 1)).await.unwrap() {
        AttachReply::Owned(owned) => Some(owned),
        AttachReply::Standby { .. } => None,
        other => panic!("{other:?}"),
    });
    assert!(!owned.await.released);
    assert_eq!(bench.recorded("@owner").await.as_deref(), Some("host of b"));
}

async fn a_renewed_lease_lives_on(bench: Bench) {
    let mut session = Session::attach(&bench, &AttachRequest { lease_ms: 0, ..request("a", 1) }).await;
    assert!(matches!(session.send(RENEW).await, StepReply::Renewed(_)));
    assert!(matches!(ask(&bench, &request("b", 1)).await, AttachReply::Standby { .. }));
}

async fn a_released_lease_is_taken_over_at_once(bench: Bench) {
    let mut session = Session::start(&bench).await;
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: true });
    let owned = own(&bench, &request("b", 1)).await;
    assert_eq!((owned.epoch, owned.created, owned.released), (2, false, true));
}

async fn another_schema_stops_the_attach_before_anybody_is_fenced(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let before = bench.picture(&[STREAM]).await;
    let refused = AttachReply::Schema { stored: "schema".into() };
    // A newer version beside a living owner, the owner itself and its late attach: the schema comes first.
    for (instance, attempt) in [("b", 1), ("a", 2), ("a", 1)] {
        let newer = AttachRequest { accepted_schema: "newer".into(), ..request(instance, attempt) };
        assert_eq!(ask(&bench, &newer).await, refused);
    }
    assert_eq!(bench.picture(&[STREAM]).await, before);
    let at = bench.add(STREAM, fields("x")).await;
    session.done(session.commit(1, at)).await;
}

async fn an_accepted_schema_attaches_and_stays_stored(bench: Bench) {
    own(&bench, &request("a", 1)).await;
    own(&bench, &AttachRequest { new_schema: "newer".into(), ..request("a", 2) }).await;
    assert_eq!(bench.recorded("@schema").await.as_deref(), Some("schema"));
}

/// Everything is wrong at once, and is put right bit by bit.
async fn reasons_are_looked_for_in_their_order(bench: Bench) {
    let mut session = Session::start(&bench).await;
    session.done(session.commit(1, id(5))).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(2), fields("x")).await;
    for (name, value) in [("@stream", "other"), ("@format", "2"), ("@schema", "other")] {
        bench.set_recorded(name, value).await;
    }
    let late = request("a", 1);
    assert!(matches!(ask(&bench, &late).await, AttachReply::Foreign { .. }));
    bench.set_recorded("@stream", STREAM).await;
    assert!(matches!(ask(&bench, &late).await, AttachReply::Format { .. }));
    bench.set_recorded("@format", "1").await;
    assert!(matches!(ask(&bench, &late).await, AttachReply::Schema { .. }));
    bench.set_recorded("@schema", "schema").await;
    assert!(matches!(ask(&bench, &late).await, AttachReply::Stale { .. }));
    assert!(matches!(ask(&bench, &request("b", 1)).await, AttachReply::Standby { .. }));
    bench.set_recorded("@lease", "0").await;
    assert!(matches!(ask(&bench, &request("b", 1)).await, AttachReply::Behind(_)));
    bench.add_with_id(STREAM, id(5), fields("x")).await;
    assert_eq!(own(&bench, &request("b", 1)).await.position, id(5));
}
