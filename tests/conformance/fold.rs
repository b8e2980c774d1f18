//! A folded step leaves what its commits would have left one after the other.

use atomic_streams::internals::{Commit, Divergence, Entry, Fold, Publish, Sequencer, Staged, Step, StepReply};
use atomic_streams::{EntryId, Trim};
use support::{Rng, seed};

use crate::bench::{Bench, Picture};
use crate::kit::{DONE, GROUP, STREAM, Session, fields, id, is_diverged, own, proof, request};

const OUTPUTS: [&str; 3] = ["out 1", "out 2", "out 3"];

conformance! {
    a_fold_leaves_what_its_commits_leave_one_by_one,
    a_fold_follows_and_is_followed,
    nothing_of_a_refused_fold_is_done,
    a_fold_proves_its_read_and_no_other,
}

/// What handlers have done to the entries of a few reads.
fn commits(rng: &mut Rng, sequencer: &mut Sequencer, reads: &[&[Entry]]) -> Vec<Commit> {
    let mut commits = vec![sequencer.nothing(vec![("old", b"1".to_vec()), ("a", b"0".to_vec())].into(), Vec::new())];
    commits.push(sequencer.nothing(Vec::new().into(), vec!["old".into()]));
    for read in reads {
        sequencer.begin_read(proof(read).unwrap());
        if rng.percent(20) {
            commits.push(sequencer.nothing(Vec::new().into(), Vec::new()));
        }
        for entry in *read {
            let mut changed = Vec::new();
            for name in ["a", "b", "old"] {
                if rng.percent(40) {
                    changed.push((name, rng.next_u64().to_string().into_bytes()));
                }
            }
            commits.push(sequencer.entry(entry.id, changed.into(), staged(rng)));
            if rng.percent(10) {
                commits.push(sequencer.nothing(Vec::new().into(), vec![(*rng.pick(&["a", "b"])).into()]));
            }
        }
    }
    commits
}

fn staged(rng: &mut Rng) -> Staged {
    let mut staged = Staged::default();
    for _ in 0..rng.below(4) {
        let stream = (*rng.pick(&OUTPUTS)).into();
        staged.publishes.push(Publish { stream, fields: fields(&rng.next_u64().to_string()) });
    }
    if rng.percent(30) {
        // IDs of outputs are the server's own: below all of them, or above.
        let trim = match rng.below(4) {
            0 => Trim::min_id(id(1)),
            1 => Trim::min_id(id(1 << 60)),
            _ => Trim::max_len(rng.below(6)),
        };
        staged.trims.push(((*rng.pick(&OUTPUTS)).into(), trim.exact()));
    }
    staged
}

/// What is in the record but for the token, the values of the outputs, and the cursor.
async fn outcome(bench: &Bench) -> (Vec<(String, Vec<u8>)>, Vec<Vec<String>>, EntryId) {
    let record = bench.record().await.unwrap();
    let record = record.into_iter().filter_map(|(name, value)| match name.as_str() {
        "@head" => Some((name, value.rsplit(|byte| *byte == b':').next().unwrap().to_vec())),
        "@lease" | "@created" | "@epoch" => None,
        _ => Some((name, value)),
    });
    let record = record.collect();
    let mut outputs = Vec::new();
    for output in OUTPUTS {
        let entries = bench.entries(output).await;
        outputs.push(entries.iter().map(|entry| entry.fields.get_str("f").unwrap().to_owned()).collect());
    }
    (record, outputs, bench.group(STREAM, GROUP).await.unwrap().cursor)
}

async fn a_fold_leaves_what_its_commits_leave_one_by_one(bench: Bench) {
    let mut rng = Rng::new(seed());
    for ms in 1..=30 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    for _ in 0..40 {
        let mut outcomes = Vec::new();
        let made = rng.next_u64();
        let max_entries = 1 + rng.below(40);
        for fold in [false, true] {
            for output in OUTPUTS {
                if bench.stream(output).await.is_some() {
                    bench.delete_key(output).await;
                }
            }
            if bench.record().await.is_some() {
                bench.delete_record().await;
                bench.destroy_group(STREAM, GROUP).await;
            }
            let mut session = Session::start(&bench).await;
            let read = bench.entries(STREAM).await;
            let mut rng = Rng::new(made);
            let (one, rest) = read.split_at(1 + rng.below(9) as usize);
            let (two, three) = rest.split_at(1 + rng.below(15) as usize);
            let mut sequencer = Sequencer::new(&session.owned);
            let mut steps = commits(&mut rng, &mut sequencer, &[one, two, three]);
            if fold {
                let one_by_one = steps.len();
                steps = Fold { max_entries, alone_until: None }.fold(steps);
                assert!(steps.len() < one_by_one);
                assert!(steps.iter().all(|step| step.entries <= max_entries));
            }
            for step in steps {
                session.done(step).await;
            }
            outcomes.push(outcome(&bench).await);
        }
        assert_eq!(outcomes[0], outcomes[1]);
    }
}

async fn a_fold_follows_and_is_followed(bench: Bench) {
    for ms in 1..=9 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(&bench).await;
    let mut sequencer = Sequencer::new(&session.owned);
    let mut commits: Vec<Commit> =
        (1..=9).map(|ms| sequencer.entry(id(ms), vec![("n", vec![ms as u8])].into(), Staged::default())).collect();
    let steps = |commits: Vec<Commit>, max| Fold { max_entries: max, alone_until: None }.fold(commits);
    let late = steps(commits[..4].to_vec(), 4).remove(0);
    let rest = commits.split_off(5);
    session.done(steps(commits, 5).remove(0)).await;
    assert_eq!(bench.recorded("@processed").await.unwrap(), "5");
    // The server has it, or a part of it, already.
    assert!(matches!(session.send(Step::Commit(late)).await, StepReply::Diverged { .. }));
    let replies: Vec<Step> = steps(rest, 2).into_iter().map(Step::Commit).collect();
    assert_eq!(session.send_all(&replies).await, [DONE, DONE]);
    let head = format!("{}:9", session.owned.head.token);
    assert_eq!((bench.recorded("@head").await, bench.recorded("@processed").await), (Some(head), Some("9".into())));
    // Another attach fences a fold as it does a commit.
    let step = sequencer.entry(id(10), Vec::new().into(), Staged::default());
    own(&bench, &request("a", 2)).await;
    assert!(matches!(session.send(Step::Commit(step)).await, StepReply::Fenced { .. }));
}

async fn nothing_of_a_refused_fold_is_done(bench: Bench) {
    for ms in 1..=9 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(&bench).await;
    bench.put_wrong_type("out 3").await;
    let before: Picture = bench.picture(&[STREAM, "out 1"]).await;
    let mut sequencer = Sequencer::new(&session.owned);
    let publish = |stream: &str| Publish { stream: stream.into(), fields: fields("f") };
    let mut entry = |ms, stream| {
        let staged = Staged { publishes: vec![publish(stream)], trims: Vec::new() };
        sequencer.entry(id(ms), vec![("n", vec![ms as u8])].into(), staged)
    };
    let commits = vec![entry(1, "out 1"), entry(2, "out 3"), entry(3, "out 1")];
    let step = Fold { max_entries: 3, alone_until: None }.fold(commits).remove(0);
    let reply = session.send(Step::Commit(step)).await;
    assert!(matches!(&reply, StepReply::Refused { key, .. } if key == "out 3"), "{reply:?}");
    assert_eq!(bench.picture(&[STREAM, "out 1"]).await, before);
}

async fn a_fold_proves_its_read_and_no_other(bench: Bench) {
    for ms in 1..=6 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(&bench).await;
    let read = bench.entries(STREAM).await;
    let mut sequencer = Sequencer::new(&session.owned);
    let mut commits = Vec::new();
    for read in [&read[..3], &read[3..]] {
        sequencer.begin_read(proof(read).unwrap());
        commits.extend(read.iter().map(|entry| sequencer.entry(entry.id, Vec::new().into(), Staged::default())));
    }
    // Before the steps arrive, the second read is not in this history any more.
    bench.delete_entry(STREAM, id(6)).await;
    let steps = Fold { max_entries: 9, alone_until: None }.fold(commits);
    let steps: Vec<Step> = steps.into_iter().map(Step::Commit).collect();
    let replies = session.send_all(&steps).await;
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0], DONE);
    assert!(is_diverged(&replies[1], Divergence::Gone), "{:?}", replies[1]);
    assert_eq!(bench.recorded("@processed").await.unwrap(), "3");
}
