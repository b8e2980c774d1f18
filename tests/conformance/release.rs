//! Releases, and who hears of them.

use atomic_streams::internals::{Step, StepReply};
use support::eventually;

use crate::bench::Bench;
use crate::kit::{STREAM, Session, id, own, request, subscription};

conformance! {
    the_owner_ends_its_lease_and_nothing_else,
    another_owner_s_lease_stays,
    no_record_is_nobodys,
    a_commit_after_the_release_is_still_the_owner_s,
    a_release_wakes_those_who_wait_for_it,
}

async fn the_owner_ends_its_lease_and_nothing_else(bench: Bench) {
    let mut session = Session::start(&bench).await;
    let mut before = bench.record().await.unwrap();
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: true });
    before.insert("@lease".into(), b"0".to_vec());
    assert_eq!(bench.record().await.unwrap(), before);
}

async fn another_owner_s_lease_stays(bench: Bench) {
    let mut session = Session::start(&bench).await;
    own(&bench, &request("a", 2)).await;
    let before = bench.picture(&[STREAM]).await;
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: false });
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

async fn no_record_is_nobodys(bench: Bench) {
    let mut session = Session::start(&bench).await;
    bench.delete_record().await;
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: false });
    assert_eq!(bench.record().await, None);
}

async fn a_commit_after_the_release_is_still_the_owner_s(bench: Bench) {
    let mut session = Session::start(&bench).await;
    session.send(Step::Release).await;
    session.done(session.commit(1, id(1))).await;
    assert_eq!(bench.recorded("@lease").await.as_deref(), Some("0"));
}

async fn a_release_wakes_those_who_wait_for_it(bench: Bench) {
    let store = bench.another_store();
    let waiting = tokio::spawn(async move { store.released(&subscription()).await });
    let mut session = Session::start(&bench).await;
    // Nobody can tell when the other one has begun to listen.
    eventually("it wakes", async || {
        session.send(Step::Release).await;
        waiting.is_finished()
    })
    .await;
}
