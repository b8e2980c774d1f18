//! What no real server does on demand: faults, lost writes and the clock. The rest is in the conformance tests.

use std::time::Duration;

use super::MemoryStore;
use crate::entry::Fields;
use crate::id::EntryId;
use crate::protocol::{
    AttachReply, AttachRequest, Commit, Divergence, Failure, Head, Operation, Owned, Permanent, Permissions, Start,
    Step, StepReply, Subscription, Transient,
};
use crate::store::{Link, Store, StoreError};

const DONE: StepReply = StepReply::Committed { cursor_trouble: None, trim_trouble: None };
const LOST: Failure = Failure::Transient(Transient::ConnectionLost);

fn subscription() -> Subscription {
    Subscription::new("in", "g").unwrap()
}

fn fields(value: &str) -> Fields {
    [("f", value)].into_iter().collect()
}

fn request(instance: &str, attempt: u64) -> AttachRequest {
    AttachRequest {
        instance: instance.into(),
        attempt,
        owner: format!("{instance}'s host"),
        lease_ms: 60_000,
        start: Start::Beginning,
        accepted_schema: "s".into(),
        new_schema: "s".into(),
        expired_lease: None,
        permissions: Permissions::default(),
    }
}

async fn attach(link: &mut Box<dyn Link>, instance: &str, attempt: u64) -> Owned {
    match link.attach(&request(instance, attempt)).await.unwrap() {
        AttachReply::Owned(owned) => owned,
        other => panic!("{other:?}"),
    }
}

/// The commit that follows `follows`, publishing one entry.
fn commit(follows: u64, position: EntryId) -> Step {
    Step::Commit(Commit {
        follows,
        leads_to: follows + 1,
        entry: Some(position),
        entries: 1,
        position,
        processed: follows + 1,
        entries_read: None,
        proof: None,
        fields: vec![("count", follows.to_string().into_bytes())],
        deleted: Vec::new(),
        collections: Vec::new(),
        operations: vec![Operation::Publish { stream: "out".into(), fields: fields("x"), check: true }],
        size_bytes: 0,
    })
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Failure {
    outcome.unwrap_err().failure
}

async fn send(link: &mut Box<dyn Link>, head: &Head, steps: &[Step]) -> Vec<Result<StepReply, Failure>> {
    let replies = link.send(head.token.as_str(), steps).await;
    replies.into_iter().map(|reply| reply.map_err(|error| error.failure)).collect()
}

#[tokio::test]
async fn lost_writes_are_gone_from_all_keys_and_the_connection_stays() {
    let store = MemoryStore::new();
    let mut link = store.connect(&subscription()).await.unwrap();
    let one = store.add("in", fields("1"));
    let owned = attach(&mut link, "a", 1).await;
    assert_eq!(send(&mut link, &owned.head, &[commit(0, one)]).await, [Ok(DONE)]);
    let (record, group) = (store.record(&subscription()), store.group("in", "g"));
    let two = store.add("in", fields("2"));
    assert_eq!(send(&mut link, &owned.head, &[commit(1, two)]).await, [Ok(DONE)]);
    assert_eq!(store.entries("out").len(), 2);

    assert_eq!(store.lose_newest_writes(2), 2);
    assert_eq!(store.entries("in").len(), 1);
    assert_eq!(store.entries("out").len(), 1);
    assert_eq!((store.record(&subscription()), store.group("in", "g")), (record, group));
    let replies = send(&mut link, &owned.head, &[commit(2, two)]).await;
    assert!(matches!(replies[..], [Ok(StepReply::Diverged { why: Divergence::Sequence, .. })]), "{replies:?}");

    assert_eq!(store.lose_newest_writes(99), 3);
    assert_eq!((store.entries("in"), store.record(&subscription())), (Vec::new(), None));
    assert_eq!(store.lose_newest_writes(1), 0);
}

#[tokio::test]
async fn what_changes_nothing_is_no_write() {
    let store = MemoryStore::new();
    let mut link = store.connect(&subscription()).await.unwrap();
    let owned = attach(&mut link, "a", 1).await;
    let before = store.remembered_writes();
    assert!(matches!(send(&mut link, &owned.head, &[commit(7, EntryId::MIN)]).await[..], [Ok(_)]));
    assert!(matches!(link.attach(&request("b", 1)).await, Ok(AttachReply::Standby { .. })));
    assert!(!store.delete_key("nothing") && !store.delete_entry("in", EntryId::MIN));
    assert_eq!(store.remembered_writes(), before);
}

#[tokio::test]
async fn a_refused_commit_changes_nothing_and_those_behind_it_cannot_apply() {
    let store = MemoryStore::new();
    let mut link = store.connect(&subscription()).await.unwrap();
    let one = store.add("in", fields("1"));
    let owned = attach(&mut link, "a", 1).await;
    let steps = [commit(0, one), commit(1, one), commit(2, one)];
    store.lose_next_reply();
    store.fail_next_commit_with(Failure::Permanent(Permanent::Denied));
    assert_eq!(send(&mut link, &owned.head, &steps).await, [Err(LOST)], "no reply follows an error");
    assert_eq!(store.entries("out").len(), 1, "it was applied, and none behind it");
    assert_eq!(failure(link.load(&[]).await), LOST, "a connection that broke stays broken");

    let mut link = store.connect(&subscription()).await.unwrap();
    let owned = attach(&mut link, "a", 2).await;
    assert_eq!(owned.head.sequence, 1);
    let refused = Err(Failure::Permanent(Permanent::Denied));
    assert_eq!(send(&mut link, &owned.head, &[commit(1, one), commit(2, one)]).await, [refused]);
    assert_eq!(store.entries("out").len(), 1);
    assert_eq!(send(&mut link, &owned.head, &[commit(1, one)]).await, [Ok(DONE)], "one fault, one commit");
}

#[tokio::test]
async fn cut_connections_answer_nothing_more_also_those_that_wait() {
    let store = MemoryStore::new();
    let (mut reader, mut idle) =
        (store.connect(&subscription()).await.unwrap(), store.connect(&subscription()).await.unwrap());
    let reading = tokio::spawn(async move {
        let read = reader.read(EntryId::MIN, 9, Duration::from_secs(3600)).await;
        (failure(read), failure(reader.read(EntryId::MIN, 9, Duration::from_secs(3600)).await))
    });
    tokio::task::yield_now().await;
    store.cut_connections();
    assert_eq!(reading.await.unwrap(), (LOST, LOST));
    assert_eq!(failure(idle.attach(&request("a", 1)).await), LOST);
    attach(&mut store.connect(&subscription()).await.unwrap(), "a", 1).await;
}

#[tokio::test]
async fn an_unavailable_server_breaks_what_calls_it() {
    let store = MemoryStore::new();
    let (mut used, mut idle) =
        (store.connect(&subscription()).await.unwrap(), store.connect(&subscription()).await.unwrap());
    store.set_unavailable(true);
    assert_eq!(failure(store.connect(&subscription()).await.map(drop)), LOST);
    assert_eq!(failure(used.load(&[]).await), LOST);
    assert_eq!(failure(store.publish("in", &fields("1"))), LOST);
    store.set_unavailable(false);
    assert_eq!(failure(used.load(&[]).await), LOST);
    assert_eq!(idle.load(&[]).await.unwrap(), None);
}

#[tokio::test]
async fn a_full_server_lets_the_owner_keep_its_lease() {
    let store = MemoryStore::new();
    let mut link = store.connect(&subscription()).await.unwrap();
    let owned = attach(&mut link, "a", 1).await;
    store.set_out_of_memory(true);
    let full = Failure::Transient(Transient::OutOfMemory);
    let steps = [Step::Renew { lease_ms: 9, stop_at_trimmed: false }, commit(0, EntryId::new(1, 0)), Step::Release];
    let replies = send(&mut link, &owned.head, &steps).await;
    assert!(matches!(replies[0], Ok(StepReply::Renewed(_))));
    assert_eq!(replies[1..], [Err(full)]);
    assert_eq!(failure(link.attach(&request("a", 2)).await), full);
    assert_eq!(failure(store.publish("in", &fields("1"))), full);
    let lease = store.record(&subscription()).unwrap()["@lease"].clone();
    assert_eq!(lease, b"0", "what is behind an error reply is carried out");
}

#[tokio::test]
async fn the_clock_ends_leases_and_never_takes_ids_back() {
    let store = MemoryStore::new();
    let mut link = store.connect(&subscription()).await.unwrap();
    attach(&mut link, "a", 1).await;
    assert!(matches!(link.attach(&request("b", 1)).await, Ok(AttachReply::Standby { .. })));
    let before = store.add("in", fields("1"));
    store.advance_clock(Duration::from_secs(61));
    attach(&mut link, "b", 2).await;
    let ahead = store.add("in", fields("2"));
    assert!(ahead.ms > before.ms + 60_000);
    store.set_clock_offset(-3_600_000);
    assert_eq!(store.add("in", fields("3")), EntryId::new(ahead.ms, 1));
}
