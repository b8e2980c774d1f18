//! What an attach says of an owner that ended uncleanly, and of the entry that it tried.

use atomic_streams::EntryId;
use atomic_streams::internals::{AttachReply, AttachRequest, Commit, Step, Trying};

use crate::bench::Bench;
use crate::kit::{DONE, STREAM, Session, ask, id, own, request};

conformance! {
    another_owner_that_did_not_release_has_abandoned_it,
    one_s_own_lease_is_not_abandoned,
    a_noted_entry_is_found_by_the_next_attach_until_it_is_cleared,
    a_release_clears_what_was_noted,
    what_cannot_be_read_is_damage,
}

/// An attach by another instance, which has seen the lease unchanged for long enough.
async fn take_over(bench: &Bench, instance: &str) -> AttachRequest {
    AttachRequest { expired_lease: bench.recorded("@lease").await, ..request(instance, 1) }
}

fn note(session: &Session, n: u64, text: &str) -> Step {
    let fields = vec![("@trying", text.as_bytes().to_vec())];
    let commit = session.commit(n, id(3));
    Step::Commit(Commit { entry: None, entries: 0, processed: session.owned.processed, fields, ..commit })
}

async fn another_owner_that_did_not_release_has_abandoned_it(bench: Bench) {
    let mut session = Session::start(&bench).await;
    assert_eq!((session.owned.abandoned, session.owned.trying), (false, None), "it is new");
    let owned = own(&bench, &take_over(&bench, "b").await).await;
    assert_eq!((owned.abandoned, owned.released), (true, false));

    session = Session::attach(&bench, &take_over(&bench, "c").await).await;
    session.send(Step::Release).await;
    let owned = own(&bench, &request("d", 1)).await;
    assert_eq!((owned.abandoned, owned.released), (false, true));
}

async fn one_s_own_lease_is_not_abandoned(bench: Bench) {
    Session::start(&bench).await;
    let owned = own(&bench, &request("a", 2)).await;
    assert_eq!((owned.abandoned, owned.released), (false, false));
}

async fn a_noted_entry_is_found_by_the_next_attach_until_it_is_cleared(bench: Bench) {
    let mut session = Session::start(&bench).await;
    assert_eq!(session.send(note(&session, 1, "4-7 2")).await, DONE);
    assert_eq!(bench.recorded("@trying").await.as_deref(), Some("4-7 2"));
    let mut session = Session::attach(&bench, &take_over(&bench, "b").await).await;
    let found = Trying { entry: EntryId::new(4, 7), crashes: 2 };
    assert_eq!((session.owned.abandoned, session.owned.trying), (true, Some(found)));

    session.done(Commit { deleted: vec!["@trying".into()], ..session.commit(1, id(4)) }).await;
    assert_eq!(bench.recorded("@trying").await, None);
    assert_eq!(own(&bench, &take_over(&bench, "c").await).await.trying, None);
}

async fn a_release_clears_what_was_noted(bench: Bench) {
    let mut session = Session::start(&bench).await;
    assert_eq!(session.send(note(&session, 1, "4-7 2")).await, DONE);
    session.send(Step::Release).await;
    assert_eq!(bench.recorded("@trying").await, None);
    assert_eq!(own(&bench, &request("b", 1)).await.trying, None);
}

async fn what_cannot_be_read_is_damage(bench: Bench) {
    for text in ["", "4-7", "x 2", "4-7 many", "4-7 2 3"] {
        let mut session = Session::start(&bench).await;
        assert_eq!(session.send(note(&session, 1, text)).await, DONE);
        let damaged = AttachReply::Damaged { field: "@trying".into(), found: text.into() };
        assert_eq!(ask(&bench, &take_over(&bench, "b").await).await, damaged);
        bench.delete_record().await;
        bench.delete_key(STREAM).await;
    }
}
