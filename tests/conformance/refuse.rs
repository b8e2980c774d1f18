//! Commits that cannot be applied as they are: nothing of them is.

use atomic_streams::EntryId;
use atomic_streams::internals::{Commit, Divergence, Operation, Step, StepReply};

use crate::bench::Bench;
use crate::kit::{DONE, STREAM, Session, fields, id, is_diverged, publish, publish_unchecked, trim, values};

conformance! {
    an_output_of_another_type_is_found_before_anything_is_written,
    an_output_that_became_another_type_undoes_the_publishes_before_it,
    an_output_that_has_no_more_ids_undoes_the_publishes_before_it,
    steps_behind_a_refused_one_cannot_apply,
    a_refused_commit_may_be_followed_by_another_of_the_same_sequence,
}

const OUTPUTS: [&str; 3] = ["out 1", "out 2", "out 3"];
const ALL: [&str; 4] = [STREAM, "out 1", "out 2", "out 3"];

/// A session that has published to two outputs; the third is not there.
async fn publishing(bench: &Bench) -> Session {
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(bench).await;
    let operations = vec![publish("out 1", "before"), publish("out 2", "before")];
    let state = vec![("stock", b"7".to_vec())];
    session.done(Commit { operations, fields: state, ..session.commit(1, id(1)) }).await;
    session
}

/// The second commit, publishing to all outputs.
fn everywhere(session: &Session, how: impl Fn(&str, &str) -> Operation) -> Commit {
    let mut operations: Vec<Operation> = OUTPUTS.iter().map(|output| how(output, "new")).collect();
    operations.extend(OUTPUTS.iter().map(|output| trim(output, atomic_streams::Trim::max_len(0).exact())));
    let state = vec![("stock", b"8".to_vec()), ("more", b"1".to_vec())];
    Commit { operations, fields: state, deleted: vec!["stock".into()], ..session.commit(2, id(2)) }
}

fn refused_key(reply: StepReply) -> (String, String) {
    match reply {
        StepReply::Refused { key, why } => (key, why),
        other => panic!("not refused: {other:?}"),
    }
}

async fn an_output_of_another_type_is_found_before_anything_is_written(bench: Bench) {
    let mut session = publishing(&bench).await;
    for wrong in OUTPUTS {
        if bench.stream(wrong).await.is_some() {
            bench.delete_key(wrong).await;
        }
        bench.put_wrong_type(wrong).await;
        let before = bench.picture(&ALL).await;
        let commit = everywhere(&session, publish);
        let (key, why) = refused_key(session.send(Step::Commit(commit)).await);
        assert_eq!((key.as_str(), why.as_str()), (wrong, "WRONGTYPE the key holds a string, not a stream"));
        assert_eq!(bench.picture(&ALL).await, before);
        bench.delete_key(wrong).await;
    }
}

async fn an_output_that_became_another_type_undoes_the_publishes_before_it(bench: Bench) {
    let mut session = publishing(&bench).await;
    for wrong in OUTPUTS {
        if bench.stream(wrong).await.is_some() {
            bench.delete_key(wrong).await;
        }
        bench.put_wrong_type(wrong).await;
        let before = bench.picture(&ALL).await.without_counters();
        let commit = everywhere(&session, publish_unchecked);
        let (key, why) = refused_key(session.send(Step::Commit(commit)).await);
        assert_eq!(key, wrong);
        assert!(why.starts_with("WRONGTYPE"), "{why}");
        assert_eq!(bench.picture(&ALL).await.without_counters(), before);
        bench.delete_key(wrong).await;
    }
}

async fn an_output_that_has_no_more_ids_undoes_the_publishes_before_it(bench: Bench) {
    let mut session = publishing(&bench).await;
    bench.add_with_id("out 3", EntryId::new(u64::MAX, u64::MAX), fields("last")).await;
    let before = bench.picture(&ALL).await.without_counters();
    let commit = everywhere(&session, publish);
    let (key, why) = refused_key(session.send(Step::Commit(commit)).await);
    assert_eq!(key, "out 3");
    assert!(why.contains("exhausted"), "{why}");
    assert_eq!(bench.picture(&ALL).await.without_counters(), before);
}

async fn steps_behind_a_refused_one_cannot_apply(bench: Bench) {
    let mut session = publishing(&bench).await;
    bench.put_wrong_type("text").await;
    let step = |n: u64, output: &str| {
        Step::Commit(Commit { operations: vec![publish(output, &n.to_string())], ..session.commit(n, id(n)) })
    };
    let steps = [step(2, "out 1"), step(3, "out 1"), step(4, "text"), step(5, "out 1"), step(6, "out 1")];
    let replies = session.send_all(&steps).await;
    assert_eq!(replies.len(), 5);
    assert_eq!(replies[..2], [DONE, DONE]);
    assert_eq!(refused_key(replies[2].clone()).0, "text");
    assert!(replies[3..].iter().all(|reply| is_diverged(reply, Divergence::Sequence)), "{replies:?}");
    assert_eq!(values(&bench.entries("out 1").await), ["before", "2", "3"]);
    assert_eq!(bench.recorded("@position").await.as_deref(), Some("3-0"));
}

async fn a_refused_commit_may_be_followed_by_another_of_the_same_sequence(bench: Bench) {
    let mut session = publishing(&bench).await;
    bench.put_wrong_type("out 3").await;
    let refused = everywhere(&session, publish_unchecked);
    refused_key(session.send(Step::Commit(refused)).await);
    session.done(Commit { operations: vec![publish("out 1", "instead")], ..session.commit(2, id(2)) }).await;
    assert_eq!(values(&bench.entries("out 1").await), ["before", "instead"]);
}
