//! Collections beside the record: what a step does to them, what refuses it, and how they are read back.

use std::collections::{BTreeMap, BTreeSet};

use atomic_streams::internals::{
    CollectionChanges, CollectionKind, Commit, Divergence, EntryChanges, Failure, Permanent, Step, StepReply, Transient,
};

use crate::bench::{Bench, Picture};
use crate::kit::{GROUP, STREAM, Session, connect, fields, id, is_diverged, publish, request, subscription, trim};

conformance! {
    entries_come_and_go_and_are_counted,
    a_collection_is_dropped_before_it_is_filled,
    a_collection_may_become_empty,
    many_entries_in_one_step,
    several_collections_in_one_step_with_everything_else,
    a_key_of_another_type_refuses_the_step,
    another_count_refuses_the_step,
    a_step_of_another_head_changes_no_collection,
    a_full_server_changes_no_collection,
    all_entries_are_read_in_parts,
    what_is_not_there_is_read_as_nothing,
    a_part_names_the_head_of_its_moment,
    a_part_of_another_type_is_an_error,
}

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

fn key() -> String {
    subscription().collection(CollectionKind::Map, "stock")
}

fn bytes(text: impl ToString) -> Vec<u8> {
    text.to_string().into_bytes()
}

fn hash<const N: usize>(entries: [(&str, &str); N]) -> Hash {
    entries.into_iter().map(|(key, value)| (bytes(key), bytes(value))).collect()
}

/// Changes to the map `stock`.
fn stock(set: &[(&str, &str)], removed: &[&str], before: Option<u64>, after: Option<u64>) -> CollectionChanges {
    CollectionChanges {
        kind: CollectionKind::Map,
        field: "stock".into(),
        changes: EntryChanges {
            cleared: false,
            set: set.iter().map(|(key, value)| (bytes(key), bytes(value))).collect(),
            removed: removed.iter().map(bytes).collect(),
        },
        before,
        after,
    }
}

fn cleared(mut changes: CollectionChanges) -> CollectionChanges {
    changes.changes.cleared = true;
    changes
}

fn changing(session: &Session, n: u64, collections: Vec<CollectionChanges>) -> Commit {
    Commit { collections, ..session.commit(n, id(n)) }
}

/// A session on five entries whose first commit has written two entries of `stock`.
async fn session(bench: &Bench) -> Session {
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(bench).await;
    let two = cleared(stock(&[("a", "1"), ("b", "2")], &[], None, Some(2)));
    let operations = vec![publish("out", "before")];
    session.done(Commit { operations, ..changing(&session, 1, vec![two]) }).await;
    session
}

/// Everything that a step may change.
async fn all(bench: &Bench) -> (Picture, Hash) {
    (bench.picture(&[STREAM, "out"]).await, bench.hash(&key()).await)
}

/// A second commit that would change everything there is.
fn everything(session: &Session, change: CollectionChanges) -> Commit {
    Commit {
        fields: vec![("plain", b"new".to_vec())],
        deleted: vec!["old".into()],
        operations: vec![publish("out", "new"), trim("out", atomic_streams::Trim::max_len(1).exact())],
        ..changing(session, 2, vec![change])
    }
}

async fn entries_come_and_go_and_are_counted(bench: Bench) {
    let mut session = session(&bench).await;
    assert_eq!(key(), format!("{}@map:stock", subscription().record()));
    assert_eq!(bench.hash(&key()).await, hash([("a", "1"), ("b", "2")]));
    assert_eq!(bench.recorded("@size:stock").await.as_deref(), Some("2"));

    let change = stock(&[("c", "3"), ("a", "")], &["b"], Some(2), None);
    session.done(changing(&session, 2, vec![change])).await;
    assert_eq!(bench.hash(&key()).await, hash([("a", ""), ("c", "3")]));
    assert_eq!(bench.recorded("@size:stock").await.as_deref(), Some("2"));

    let change = stock(&[("d", "4")], &[], Some(2), Some(3));
    session.done(changing(&session, 3, vec![change])).await;
    assert_eq!(bench.hash(&key()).await, hash([("a", ""), ("c", "3"), ("d", "4")]));
    assert_eq!(bench.recorded("@size:stock").await.as_deref(), Some("3"));
}

async fn a_collection_is_dropped_before_it_is_filled(bench: Bench) {
    let mut session = session(&bench).await;
    let change = cleared(stock(&[("b", "3"), ("c", "4")], &[], Some(2), None));
    session.done(changing(&session, 2, vec![change])).await;
    assert_eq!(bench.hash(&key()).await, hash([("b", "3"), ("c", "4")]));
}

async fn a_collection_may_become_empty(bench: Bench) {
    let mut session = session(&bench).await;
    session.done(changing(&session, 2, vec![stock(&[], &["a", "b"], Some(2), Some(0))])).await;
    assert_eq!(bench.hash(&key()).await, Hash::new());
    assert_eq!(bench.recorded("@size:stock").await.as_deref(), Some("0"));
    session.done(changing(&session, 3, vec![cleared(stock(&[], &[], Some(0), None))])).await;
    session.done(changing(&session, 4, vec![stock(&[("a", "1")], &[], Some(0), Some(1))])).await;
    assert_eq!(bench.hash(&key()).await, hash([("a", "1")]));
    session.done(changing(&session, 5, vec![cleared(stock(&[], &[], Some(1), Some(0)))])).await;
    assert_eq!(bench.hash(&key()).await, Hash::new());
}

/// Around the number of values that one command of a script carries.
async fn many_entries_in_one_step(bench: Bench) {
    let mut session = session(&bench).await;
    let (mut n, mut before) = (1, 2);
    for count in [3_499_u64, 3_500, 3_501, 7_000, 7_001, 20_000] {
        n += 1;
        let entries = |from: u64| (from..from + count).map(|n| (bytes(n), bytes(n * 2)));
        let mut change = cleared(stock(&[], &[], Some(before), Some(count)));
        change.changes.set = entries(0).collect();
        session.done(changing(&session, n, vec![change])).await;
        assert!(bench.hash(&key()).await == entries(0).collect(), "{count} entries are set");

        n += 1;
        let mut change = stock(&[], &[], Some(count), None);
        change.changes.set = entries(count).collect();
        change.changes.removed = entries(0).map(|(key, _)| key).collect();
        session.done(changing(&session, n, vec![change])).await;
        assert!(bench.hash(&key()).await == entries(count).collect(), "{count} entries are removed");
        before = count;
    }
}

async fn several_collections_in_one_step_with_everything_else(bench: Bench) {
    let mut session = session(&bench).await;
    let seen = CollectionChanges {
        kind: CollectionKind::Set,
        field: "seen by all".into(),
        ..cleared(stock(&[("x", "")], &[], None, Some(1)))
    };
    let gone =
        CollectionChanges { kind: CollectionKind::Deque, field: "gone".into(), ..cleared(stock(&[], &[], None, None)) };
    let mut commit = everything(&session, stock(&[], &["a"], Some(2), Some(1)));
    commit.collections.extend([seen, gone]);
    session.done(commit).await;
    assert_eq!(bench.hash(&key()).await, hash([("b", "2")]));
    assert_eq!(bench.hash(&subscription().collection(CollectionKind::Set, "seen by all")).await, hash([("x", "")]));
    assert_eq!(bench.recorded("@size:seen by all").await.as_deref(), Some("1"));
    assert_eq!(bench.recorded("@size:gone").await, None);
    assert_eq!(bench.recorded("plain").await.as_deref(), Some("new"));
    assert_eq!(crate::kit::values(&bench.entries("out").await), ["new"]);
}

async fn a_key_of_another_type_refuses_the_step(bench: Bench) {
    let mut session = session(&bench).await;
    bench.delete_key(&key()).await;
    bench.put_wrong_type(&key()).await;
    let before = bench.picture(&[STREAM, "out"]).await;
    for change in [stock(&[("c", "3")], &[], Some(2), Some(3)), cleared(stock(&[], &[], None, Some(0)))] {
        let reply = session.send(Step::Commit(everything(&session, change))).await;
        let StepReply::Refused { key: refused, why } = reply else { panic!("not refused: {reply:?}") };
        assert_eq!((refused, why.as_str()), (key(), "WRONGTYPE the key holds a string, not a hash"));
        assert_eq!(bench.picture(&[STREAM, "out"]).await, before);
    }
}

async fn another_count_refuses_the_step(bench: Bench) {
    let mut session = session(&bench).await;
    let before = all(&bench).await;
    for count in [0, 1, 3] {
        for change in [stock(&[("c", "3")], &["a"], Some(count), Some(9)), cleared(stock(&[], &[], Some(count), None))]
        {
            let reply = session.send(Step::Commit(everything(&session, change))).await;
            assert!(is_diverged(&reply, Divergence::Entries), "{reply:?}");
            assert_eq!(all(&bench).await, before);
        }
    }
    bench.delete_key(&key()).await;
    let before = all(&bench).await;
    let commit = everything(&session, stock(&[("c", "3")], &[], Some(2), Some(3)));
    assert!(is_diverged(&session.send(Step::Commit(commit)).await, Divergence::Entries));
    assert_eq!(all(&bench).await, before);
}

async fn a_step_of_another_head_changes_no_collection(bench: Bench) {
    let mut session = session(&bench).await;
    let change = || vec![stock(&[("c", "3")], &["a"], Some(2), Some(2))];
    let before = all(&bench).await;
    let ahead = session.send(Step::Commit(changing(&session, 3, change()))).await;
    assert!(is_diverged(&ahead, Divergence::Sequence), "{ahead:?}");
    assert_eq!(all(&bench).await, before);

    Session::attach(&bench, &request("a", 2)).await;
    let before = all(&bench).await;
    let late = session.send(Step::Commit(changing(&session, 2, change()))).await;
    assert!(matches!(late, StepReply::Fenced { .. }), "{late:?}");
    assert_eq!(all(&bench).await, before);
}

async fn a_full_server_changes_no_collection(bench: Bench) {
    let mut session = session(&bench).await;
    let before = all(&bench).await;
    bench.set_full(true).await;
    let commit = everything(&session, cleared(stock(&[("c", "3")], &[], Some(2), Some(1))));
    let token = session.owned.head.token.clone();
    let error = session.link.send(token.as_str(), &[Step::Commit(commit.clone())]).await.remove(0).unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::OutOfMemory), "{error}");
    assert_eq!(all(&bench).await, before);
    bench.set_full(false).await;
    session.done(commit).await;
    assert_eq!(bench.hash(&key()).await, hash([("c", "3")]));
}

async fn all_entries_are_read_in_parts(bench: Bench) {
    let mut session = session(&bench).await;
    for (round, count) in [1_u64, 2, 300, 5_000].into_iter().enumerate() {
        let entries: Vec<_> = (0..count).map(|n| (bytes(n), bytes(n * 3))).collect();
        let mut change = cleared(stock(&[], &[], None, Some(count)));
        change.changes.set.clone_from(&entries);
        session.done(changing(&session, round as u64 + 2, vec![change])).await;
        for size in [1_usize, 16, 1_000, 10_000] {
            if count / size as u64 > 400 {
                continue;
            }
            let (mut cursor, mut read, mut parts) = (None, Hash::new(), 0);
            loop {
                let part = session.link.scan(CollectionKind::Map, "stock", cursor.as_deref(), size).await.unwrap();
                assert_eq!((part.total, part.head.unwrap().sequence), (count, round as u64 + 2));
                parts += 1;
                read.extend(part.entries);
                cursor = part.cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert!(read == entries.iter().cloned().collect(), "{count} entries in parts of {size}");
            assert!(count < 5_000 || parts >= 5_000 / (2 * size), "{parts} parts of {size}");
        }
    }
}

async fn what_is_not_there_is_read_as_nothing(bench: Bench) {
    let mut link = connect(&bench).await;
    let part = link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap();
    assert_eq!((part.head, part.total, part.cursor, part.entries.len()), (None, 0, None, 0));
    let mut session = Session::start(&bench).await;
    let part = session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap();
    assert_eq!((part.head, part.total), (Some(session.owned.head.clone()), 0));
}

async fn a_part_names_the_head_of_its_moment(bench: Bench) {
    let mut session = session(&bench).await;
    let mut heads = BTreeSet::new();
    for n in 2..=4 {
        let part = session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap();
        heads.insert(part.head.unwrap().to_string());
        session.done(session.commit(n, id(n))).await;
    }
    let second = Session::attach(&bench, &request("a", 2)).await;
    let part = session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap();
    assert_eq!(part.head, Some(second.owned.head));
    assert_eq!(heads.len(), 3);
}

async fn a_part_of_another_type_is_an_error(bench: Bench) {
    let mut session = session(&bench).await;
    bench.delete_key(&key()).await;
    bench.put_wrong_type(&key()).await;
    let error = session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap_err();
    assert_eq!(error.failure, Failure::Permanent(Permanent::WrongType), "{error}");
}

/// Rights that are enough for everything but collections, given to a session that has one.
async fn as_user() -> (Bench, Session) {
    let bench = Bench::redis().await;
    let mut session = session(&bench).await;
    let rights = crate::acl::ENOUGH;
    let words = format!("ACL SETUSER consumer on >secret {rights} +hlen +hscan +unlink");
    let () = bench.real().ask(&words.split_whitespace().collect::<Vec<_>>()).await;
    session.link = bench.link_as("consumer", "secret").await;
    (bench, session)
}

async fn allow(bench: &Bench, rights: &str) {
    let words: Vec<&str> = ["ACL", "SETUSER", "consumer"].into_iter().chain(rights.split_whitespace()).collect();
    let () = bench.real().ask(&words).await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_nothing_is_changed() {
    let (bench, mut session) = as_user().await;
    let before = bench.real().dumps().await;
    let record = subscription().record().to_owned();
    for (withdrawn, granted, named) in [
        ("-hset", "+hset", "HSET"),
        // For the record, and not for the collection.
        (&*format!("-hset (~{record} +hset)"), "clearselectors +hset", "HSET"),
        ("-hdel", "+hdel", "HDEL"),
        ("-unlink", "+unlink", "UNLINK"),
    ] {
        allow(&bench, withdrawn).await;
        let mut commit = everything(&session, cleared(stock(&[("c", "3")], &["a"], Some(2), Some(2))));
        commit.deleted.clear();
        let reply = session.send(Step::Commit(commit)).await;
        let StepReply::Refused { key: refused, why } = reply else { panic!("{withdrawn}: {reply:?}") };
        assert_eq!((refused, why.contains(named)), (key(), true), "{withdrawn}: {why}");
        assert_eq!(bench.real().dumps().await, before, "{withdrawn}");
        allow(&bench, granted).await;
    }
    for withdrawn in ["-hlen", "-type", &format!("resetkeys ~{STREAM} ~out ~{record}")] {
        allow(&bench, withdrawn).await;
        let commit = everything(&session, stock(&[("c", "3")], &["a"], Some(2), Some(2)));
        let token = session.owned.head.token.clone();
        let error = session.link.send(token.as_str(), &[Step::Commit(commit)]).await.remove(0).unwrap_err();
        assert_eq!(error.failure, Failure::Permanent(Permanent::Denied), "{withdrawn}: {error}");
        assert_eq!(bench.real().dumps().await, before, "{withdrawn}");
        allow(&bench, "+hlen +type ~*").await;
    }
    let change = cleared(stock(&[("c", "3")], &["a"], Some(2), Some(2)));
    session.done(everything(&session, change)).await;
    assert_eq!(bench.group(STREAM, GROUP).await.unwrap().cursor, id(2));
}

#[tokio::test]
async fn reading_needs_rights_too() {
    let (bench, mut session) = as_user().await;
    for right in ["hscan", "hlen", "hget"] {
        allow(&bench, &format!("-{right}")).await;
        let error = session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap_err();
        assert_eq!(error.failure, Failure::Permanent(Permanent::Denied), "{right}: {error}");
        allow(&bench, &format!("+{right}")).await;
    }
    assert_eq!(session.link.scan(CollectionKind::Map, "stock", None, 10).await.unwrap().total, 2);
}
