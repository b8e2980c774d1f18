//! Rights: what is enough, what is named when it is missing, and that a commit without them changes nothing.

use std::time::Duration;

use atomic_streams::internals::{
    AttachReply, Commit, Failure, Link, Operation, Permanent, RedisStore, Step, StepReply, Store, StoreError, Timing,
};
use atomic_streams::{EntryId, Trim};

use crate::bench::Bench;
use crate::kit::{
    DONE, GROUP, RENEW, STREAM, Session, fields, id, proof, publish, publish_unchecked, request, subscription, trim,
    values,
};

/// Everything that a consumer needs, with outputs, trimming and deleted fields.
pub const ENOUGH: &str = "~in ~out* ~atomic-streams:* +evalsha +script|load +xread +time +type +exists +hget +hmget +hset \
                      +hdel +persist +xinfo|stream +xinfo|groups +xinfo|consumers +xrange +xadd +xdel +xtrim +xsetid \
                      +xgroup|create +xgroup|createconsumer +xgroup|setid";

const DENIED: Failure = Failure::Permanent(Permanent::Denied);

/// Changes the rights of the user that the store under test is.
async fn allow(bench: &Bench, rights: &str) {
    let words: Vec<&str> = ["ACL", "SETUSER", "consumer"].into_iter().chain(rights.split_whitespace()).collect();
    let () = bench.real().ask(&words).await;
}

/// A server with that user, and a connection as this user.
async fn as_user(rights: &str) -> (Bench, Box<dyn Link>) {
    let bench = Bench::redis().await;
    allow(&bench, &format!("on >secret {rights}")).await;
    let link = bench.link_as("consumer", "secret").await;
    (bench, link)
}

/// A session of that user, on a stream of five entries of which the first is committed, with an entry in "out 1".
async fn session() -> (Bench, Session) {
    let (bench, mut link) = as_user(ENOUGH).await;
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let owned = crate::kit::owned(link.attach(&request("a", 1)).await.unwrap());
    let mut session = Session { link, owned };
    let state = vec![("stock", b"7".to_vec())];
    let operations = vec![publish("out 1", "before")];
    session.done(Commit { fields: state, operations, ..session.commit(1, id(1)) }).await;
    (bench, session)
}

async fn answer(session: &mut Session, step: Step) -> Result<StepReply, StoreError> {
    session.link.send(session.owned.head.token.as_str(), &[step]).await.remove(0)
}

/// Sends a second commit with these operations, and sees that it is refused and that no byte has changed.
async fn refused(bench: &Bench, session: &mut Session, operations: Vec<Operation>) -> (String, String) {
    let before = bench.real().dumps().await;
    let state = vec![("stock", b"8".to_vec())];
    let commit = Commit { operations, fields: state, ..session.commit(2, id(2)) };
    let reply = answer(session, Step::Commit(commit)).await.unwrap();
    assert_eq!(bench.real().dumps().await, before);
    match reply {
        StepReply::Refused { key, why } => {
            let failure = Failure::of_reply(why.split(' ').next().unwrap(), &why);
            assert_eq!(failure, DENIED, "{why}");
            (key, why)
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_smallest_rights_are_enough() {
    let (bench, mut session) = session().await;
    let read = session.link.read(id(1), 9, Duration::from_secs(1)).await.unwrap();
    assert_eq!(read.len(), 4);
    let operations = vec![publish("out 1", "1"), publish("out 2", "2"), trim("out 1", Trim::max_len(1).exact())];
    let commit = Commit {
        proof: proof(&read),
        deleted: vec!["stock".into()],
        entries_read: Some(2),
        operations,
        ..session.commit(2, id(2))
    };
    session.done(commit).await;
    assert_eq!(values(&bench.entries("out 1").await), ["1"]);
    let StepReply::Renewed(renewed) = session.send(RENEW).await else { panic!() };
    assert_eq!((renewed.cursor_repaired, renewed.cursor_trouble), (false, None));
    bench.destroy_group(STREAM, GROUP).await;
    let StepReply::Renewed(renewed) = session.send(RENEW).await else { panic!() };
    assert_eq!((renewed.cursor_repaired, renewed.cursor_trouble), (true, None));
    assert!(session.link.load(&["stock".into()]).await.unwrap().is_some());
    // Without the right to announce it.
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: true });
    assert_eq!(bench.recorded("@lease").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn an_attach_names_the_command_that_it_may_not_use() {
    let (bench, mut link) = as_user(ENOUGH).await;
    bench.add(STREAM, fields("x")).await;
    let before = bench.real().dumps().await;
    let record = subscription().record().to_owned();
    let needed = [
        ("type", "TYPE", record.as_str()),
        ("exists", "EXISTS", &record),
        ("time", "TIME", &record),
        ("hmget", "HMGET", &record),
        ("xinfo|stream", "XINFO STREAM", STREAM),
        ("xinfo|groups", "XINFO GROUPS", STREAM),
        ("xinfo|consumers", "XINFO CONSUMERS", STREAM),
        ("hset", "HSET", &record),
        ("hget", "HGET", &record),
        ("hdel", "HDEL", &record),
        ("persist", "PERSIST", &record),
        ("xrange", "XRANGE", STREAM),
        ("xread", "XREAD", STREAM),
        ("xsetid", "XSETID", STREAM),
        ("xgroup|create", "XGROUP CREATE", STREAM),
        ("xgroup|createconsumer", "XGROUP CREATECONSUMER", STREAM),
        ("xgroup|setid", "XGROUP SETID", STREAM),
    ];
    for (right, command, key) in needed {
        allow(&bench, &format!("-{right}")).await;
        let denied = AttachReply::Denied { command: command.into(), key: key.into() };
        assert_eq!(link.attach(&request("a", 1)).await.unwrap(), denied);
        allow(&bench, &format!("+{right}")).await;
    }
    assert_eq!(bench.real().dumps().await, before);
    crate::kit::owned(link.attach(&request("a", 1)).await.unwrap());
}

#[tokio::test]
async fn an_attach_that_the_server_does_not_let_in_is_denied_all_the_same() {
    let (bench, mut link) = as_user(ENOUGH).await;
    bench.add(STREAM, fields("x")).await;
    let before = bench.real().dumps().await;
    for rights in ["-evalsha", "+evalsha resetkeys ~in", "resetkeys ~atomic-streams:*", "resetkeys ~out"] {
        allow(&bench, rights).await;
        let error = link.attach(&request("a", 1)).await.unwrap_err();
        assert_eq!(error.failure, DENIED, "{rights}: {error}");
    }
    assert_eq!(bench.real().dumps().await, before);
}

#[tokio::test]
async fn loading_and_reading_without_rights_are_denied() {
    let (bench, mut session) = session().await;
    allow(&bench, "-hmget -xread").await;
    assert_eq!(session.link.load(&[]).await.unwrap_err().failure, DENIED);
    let error = session.link.read(EntryId::MIN, 9, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.failure, DENIED, "{error}");
}

#[tokio::test]
async fn a_connection_without_the_right_to_load_scripts_is_denied() {
    let bench = Bench::redis().await;
    allow(&bench, "on >secret +evalsha").await;
    for (user, password) in [("consumer", "secret"), ("consumer", "wrong"), ("nobody", "secret")] {
        let url = format!("redis://{user}:{password}@{}/", bench.real().server.addr());
        let store = RedisStore::new(&redis::Client::open(url).unwrap(), Timing::default()).unwrap();
        let Err(error) = store.connect(&subscription()).await else { panic!("{user} {password} is let in") };
        assert_eq!(error.failure, DENIED, "{user} {password}: {error}");
    }
}

#[tokio::test]
async fn an_output_that_may_not_be_written_is_named_at_its_first_use() {
    let (bench, mut session) = session().await;
    for right in ["xadd", "xdel"] {
        allow(&bench, &format!("-{right}")).await;
        let operations = vec![publish("out 1", "new"), publish("out 2", "new")];
        let (key, why) = refused(&bench, &mut session, operations).await;
        assert_eq!(key, "out 1");
        assert!(why.contains(&right.to_uppercase()), "{why}");
        allow(&bench, &format!("+{right}")).await;
    }
    allow(&bench, "-xtrim").await;
    let operations = vec![publish("out 1", "new"), trim("out 2", Trim::max_len(1))];
    let (key, why) = refused(&bench, &mut session, operations).await;
    assert_eq!(key, "out 2");
    assert!(why.contains("XTRIM"), "{why}");
}

#[tokio::test]
async fn one_output_of_several_that_may_not_be_written_is_named() {
    let (bench, mut session) = session().await;
    // The key is allowed, and XADD is, but not together.
    allow(&bench, "-xadd (~out?1 +xadd)").await;
    let operations = ["out 1", "out 2", "out 3"].map(|output| publish(output, "new")).to_vec();
    assert_eq!(refused(&bench, &mut session, operations).await.0, "out 2");
}

#[tokio::test]
async fn rights_withdrawn_while_running_undo_what_was_published() {
    let (bench, mut session) = session().await;
    let operations: Vec<Operation> = ["out 1", "out 2", "out 3"].map(|output| publish(output, "1")).to_vec();
    session.done(Commit { operations, ..session.commit(2, id(2)) }).await;
    let outputs = [STREAM, "out 1", "out 2", "out 3"];
    let before = bench.picture(&outputs).await.without_counters();
    for (withdrawn, key) in [
        ("-xadd", "out 1"),
        ("clearselectors (~out?1 +xadd)", "out 2"),
        ("clearselectors (~out?1 +xadd) (~out?2 +xadd)", "out 3"),
    ] {
        allow(&bench, withdrawn).await;
        let operations = ["out 1", "out 2", "out 3"].map(|output| publish_unchecked(output, "2")).to_vec();
        let commit = Commit { operations, ..session.commit(3, id(3)) };
        let StepReply::Refused { key: refused, why } = session.send(Step::Commit(commit)).await else { panic!() };
        assert_eq!(refused, key, "{why}");
        assert_eq!(Failure::of_reply(why.split(' ').next().unwrap(), &why), DENIED, "{why}");
        assert_eq!(bench.picture(&outputs).await.without_counters(), before);
    }
    allow(&bench, "+xadd").await;
    session.done(session.commit(3, id(3))).await;
}

#[tokio::test]
async fn a_record_that_may_not_be_written_refuses_the_commit() {
    let (bench, mut session) = session().await;
    allow(&bench, "-hset").await;
    for operations in [vec![publish_unchecked("out 1", "new")], Vec::new()] {
        let (key, why) = refused(&bench, &mut session, operations).await;
        assert_eq!(key, subscription().record());
        assert!(why.to_lowercase().contains("hset") || why.contains("can't run this command"), "{why}");
    }
    allow(&bench, "+hset -hdel").await;
    let before = bench.real().dumps().await;
    let operations = vec![publish("out 1", "new")];
    let commit = Commit { deleted: vec!["stock".into()], operations, ..session.commit(2, id(2)) };
    let StepReply::Refused { key, why } = session.send(Step::Commit(commit)).await else { panic!() };
    assert_eq!(key, subscription().record());
    assert!(why.contains("HDEL"), "{why}");
    assert_eq!(bench.real().dumps().await, before);
}

#[tokio::test]
async fn keys_that_may_not_be_used_are_denied_by_the_server_before_the_script() {
    let (bench, mut session) = session().await;
    let before = bench.real().dumps().await;
    let elsewhere =
        Commit { operations: vec![publish("out 1", "new"), publish("elsewhere", "new")], ..session.commit(2, id(2)) };
    let error = answer(&mut session, Step::Commit(elsewhere)).await.unwrap_err();
    assert_eq!(error.failure, DENIED, "{error}");
    allow(&bench, "resetkeys ~in ~out*").await;
    for step in [Step::Commit(session.commit(2, id(2))), RENEW, Step::Release] {
        assert_eq!(answer(&mut session, step).await.unwrap_err().failure, DENIED);
    }
    assert_eq!(bench.real().dumps().await, before);
}

#[tokio::test]
async fn a_cursor_that_may_not_be_moved_does_not_cost_the_commit() {
    let (bench, mut session) = session().await;
    allow(&bench, "-xgroup|setid").await;
    let commit = Commit { operations: vec![publish("out 1", "new")], ..session.commit(2, id(2)) };
    let StepReply::Committed { cursor_trouble, .. } = session.send(Step::Commit(commit)).await else { panic!() };
    assert!(cursor_trouble.is_some());
    let StepReply::Renewed(renewed) = session.send(RENEW).await else { panic!() };
    assert!(renewed.cursor_repaired && renewed.cursor_trouble.is_some(), "{renewed:?}");
    assert_eq!(bench.recorded("@position").await.as_deref(), Some("2-0"));
    assert_eq!(values(&bench.entries("out 1").await), ["before", "new"]);
    allow(&bench, "+xgroup|setid").await;
    assert_eq!(session.send(Step::Commit(session.commit(3, id(3)))).await, DONE);
}
