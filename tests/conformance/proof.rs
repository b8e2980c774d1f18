//! Proofs: a read counts only in the history in which it happened.

use atomic_streams::internals::{Commit, Divergence, Entry, Failure, Proof, Step, StepReply, Transient, digest};
use atomic_streams::{EntryId, Fields};

use crate::bench::Bench;
use crate::kit::{STREAM, Session, fields, id, is_diverged, proof, publish};

conformance! {
    a_read_that_is_there_is_proved,
    a_read_of_one_entry_is_proved,
    a_read_is_proved_by_its_last_entry_alone,
    a_proof_may_come_with_a_step_of_nothing,
    an_entry_between_the_position_and_the_read_is_a_gap,
    an_entry_that_is_gone_proves_nothing,
    a_read_of_which_nothing_is_left_proves_nothing,
    another_entry_under_the_same_id_proves_nothing,
    a_deleted_stream_proves_nothing,
    nothing_is_read_behind_the_last_id_that_there_can_be,
    fields_cut_elsewhere_are_another_entry,
}

/// A session on a stream with these entries, and what it reads.
async fn reading(bench: &Bench, count: u64) -> (Session, Vec<Entry>) {
    for ms in 1..=count {
        bench.add_with_id(STREAM, id(ms), fields(&format!("value {ms}"))).await;
    }
    let session = Session::start(bench).await;
    (session, bench.entries(STREAM).await)
}

/// A commit of the first entry of a read that must be refused and change nothing.
async fn refused(bench: &Bench, session: &mut Session, proof: Option<Proof>, why: Divergence) {
    let before = bench.picture(&[STREAM, "out"]).await;
    let operations = vec![publish("out", "1")];
    let commit = Commit { proof, operations, ..session.commit(1, id(1)) };
    let reply = session.send(Step::Commit(commit)).await;
    assert!(is_diverged(&reply, why), "{reply:?}");
    let StepReply::Diverged { found, position, .. } = reply else { unreachable!() };
    assert_eq!((found, position.as_str()), (session.owned.head.to_string(), "0-0"));
    assert_eq!(bench.picture(&[STREAM, "out"]).await, before);
}

async fn a_read_that_is_there_is_proved(bench: Bench) {
    let (mut session, read) = reading(&bench, 5).await;
    session.done(Commit { proof: proof(&read[..3]), ..session.commit(1, id(1)) }).await;
    session.done(session.commit(2, id(2))).await;
    session.done(session.commit(3, id(3))).await;
    session.done(Commit { proof: proof(&read[3..]), ..session.commit(4, id(4)) }).await;
}

async fn a_read_of_one_entry_is_proved(bench: Bench) {
    let (mut session, read) = reading(&bench, 2).await;
    session.done(Commit { proof: proof(&read[..1]), ..session.commit(1, id(1)) }).await;
    session.done(Commit { proof: proof(&read[1..]), ..session.commit(2, id(2)) }).await;
}

async fn a_read_is_proved_by_its_last_entry_alone(bench: Bench) {
    let (mut session, read) = reading(&bench, 3).await;
    bench.delete_entry(STREAM, id(1)).await;
    bench.delete_entry(STREAM, id(2)).await;
    session.done(Commit { proof: proof(&read), ..session.commit(1, id(1)) }).await;
}

async fn a_proof_may_come_with_a_step_of_nothing(bench: Bench) {
    let (mut session, read) = reading(&bench, 2).await;
    let position = session.owned.position;
    session.done(Commit { entry: None, proof: proof(&read), processed: 0, ..session.commit(1, position) }).await;
    session.done(Commit { processed: 1, ..session.commit(2, id(1)) }).await;
}

async fn an_entry_between_the_position_and_the_read_is_a_gap(bench: Bench) {
    let (mut session, read) = reading(&bench, 4).await;
    refused(&bench, &mut session, proof(&read[1..2]), Divergence::Gap).await;
    refused(&bench, &mut session, proof(&read[1..]), Divergence::Gap).await;
    // The first one of the read is gone, and one before it is there again.
    bench.delete_entry(STREAM, id(2)).await;
    refused(&bench, &mut session, proof(&read[1..]), Divergence::Gap).await;
}

async fn an_entry_that_is_gone_proves_nothing(bench: Bench) {
    let (mut session, read) = reading(&bench, 3).await;
    bench.delete_entry(STREAM, id(2)).await;
    refused(&bench, &mut session, proof(&read[..2]), Divergence::Gone).await;
    bench.delete_entry(STREAM, id(3)).await;
    refused(&bench, &mut session, proof(&read), Divergence::Gone).await;
    bench.delete_entry(STREAM, id(1)).await;
    refused(&bench, &mut session, proof(&read[..1]), Divergence::Gone).await;
}

async fn a_read_of_which_nothing_is_left_proves_nothing(bench: Bench) {
    let (mut session, read) = reading(&bench, 4).await;
    bench.trim(STREAM, 1).await;
    refused(&bench, &mut session, proof(&read[..2]), Divergence::Gone).await;
    bench.trim(STREAM, 0).await;
    refused(&bench, &mut session, proof(&read), Divergence::Gone).await;
}

async fn another_entry_under_the_same_id_proves_nothing(bench: Bench) {
    let (mut session, read) = reading(&bench, 2).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(1), fields("value 1")).await;
    bench.add_with_id(STREAM, id(2), fields("another")).await;
    refused(&bench, &mut session, proof(&read), Divergence::Gone).await;
    refused(&bench, &mut session, proof(&[read[0].clone(), read[1].clone()]), Divergence::Gone).await;
    bench.delete_key(STREAM).await;
    bench.add_with_id(STREAM, id(1), fields("another")).await;
    refused(&bench, &mut session, proof(&read[..1]), Divergence::Gone).await;
}

async fn a_deleted_stream_proves_nothing(bench: Bench) {
    let (mut session, read) = reading(&bench, 2).await;
    bench.delete_key(STREAM).await;
    refused(&bench, &mut session, proof(&read), Divergence::Gone).await;
}

async fn nothing_is_read_behind_the_last_id_that_there_can_be(bench: Bench) {
    let (mut session, read) = reading(&bench, 1).await;
    let last = EntryId::new(u64::MAX, u64::MAX);
    session.done(session.commit(1, last)).await;
    let before = bench.picture(&[STREAM]).await;
    let step = Step::Commit(Commit { proof: proof(&read), ..session.commit(2, last) });
    let error = session.link.send(session.owned.head.token.as_str(), &[step]).await.remove(0).unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::Other), "{error}");
    assert_eq!(bench.picture(&[STREAM]).await, before);
}

/// Digests of fields that would be one text if they were only joined.
async fn fields_cut_elsewhere_are_another_entry(bench: Bench) {
    let alike: [&[(&[u8], &[u8])]; 5] = [
        &[(b"a", b"bc")],
        &[(b"ab", b"c")],
        &[(b"a:2", b"bc")],
        &[(b"a", b"b"), (b"c", b"")],
        &[(b"a\0b", b"\xff\r\n"), (b"a\0b", b"1:1:1")],
    ];
    let alike: Vec<Fields> =
        alike.iter().map(|pairs| pairs.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect()).collect();
    let mut session = Session::start(&bench).await;
    for there in &alike {
        bench.add_with_id(STREAM, id(1), there.clone()).await;
        for read in alike.iter().filter(|read| *read != there) {
            let read = Entry { id: id(1), fields: read.clone() };
            refused(&bench, &mut session, proof(&[read]), Divergence::Gone).await;
        }
        bench.delete_key(STREAM).await;
    }
    for (n, there) in (1..).zip(&alike) {
        bench.add_with_id(STREAM, id(n), there.clone()).await;
        let digest = digest(&Entry { id: id(n), fields: there.clone() });
        let proof = Some(Proof { first: id(n), last: id(n), digest });
        let commit = Commit { proof, ..session.commit(n, id(n)) };
        let reply = session.send(Step::Commit(commit)).await;
        assert!(matches!(reply, StepReply::Committed { .. }), "{there:?} {reply:?}");
    }
}
