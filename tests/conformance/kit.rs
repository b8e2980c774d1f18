//! What the tests send, in short.

use atomic_streams::internals::{
    AttachReply, AttachRequest, Commit, Divergence, Entry, Link, Operation, Owned, Permissions, Proof, Start, Step,
    StepReply, Subscription, digest,
};
use atomic_streams::{EntryId, Fields, Trim};

use crate::bench::Bench;

pub const STREAM: &str = "in";
pub const GROUP: &str = "g";
pub const LEASE_MS: u64 = 600_000;

pub const DONE: StepReply = StepReply::Committed { cursor_trouble: None, trim_trouble: None };
pub const RENEW: Step = Step::Renew { lease_ms: LEASE_MS, stop_at_trimmed: false };

pub fn subscription() -> Subscription {
    Subscription::new(STREAM, GROUP).unwrap()
}

pub const fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 0)
}

pub fn fields(value: &str) -> Fields {
    [("f", value)].into_iter().collect()
}

pub fn request(instance: &str, attempt: u64) -> AttachRequest {
    AttachRequest {
        instance: instance.into(),
        attempt,
        owner: format!("host of {instance}"),
        lease_ms: LEASE_MS,
        start: Start::Beginning,
        accepted_schema: "schema".into(),
        new_schema: "schema".into(),
        expired_lease: None,
        permissions: Permissions::default(),
    }
}

pub async fn connect(bench: &Bench) -> Box<dyn Link> {
    bench.store().connect(&subscription()).await.unwrap()
}

pub async fn ask(bench: &Bench, request: &AttachRequest) -> AttachReply {
    connect(bench).await.attach(request).await.unwrap()
}

pub async fn own(bench: &Bench, request: &AttachRequest) -> Owned {
    owned(ask(bench, request).await)
}

pub fn owned(reply: AttachReply) -> Owned {
    match reply {
        AttachReply::Owned(owned) => owned,
        other => panic!("not owned: {other:?}"),
    }
}

/// One attach and what it sends.
pub struct Session {
    pub link: Box<dyn Link>,
    pub owned: Owned,
}

impl Session {
    /// The first attach of "a".
    pub async fn start(bench: &Bench) -> Self {
        Self::attach(bench, &request("a", 1)).await
    }

    pub async fn attach(bench: &Bench, request: &AttachRequest) -> Self {
        let mut link = connect(bench).await;
        let owned = owned(link.attach(request).await.unwrap());
        Self { link, owned }
    }

    /// The commit of the entry `at`, the `n`th since the attach.
    pub fn commit(&self, n: u64, at: EntryId) -> Commit {
        Commit {
            follows: self.owned.head.sequence + n - 1,
            leads_to: self.owned.head.sequence + n,
            entry: Some(at),
            entries: 1,
            position: at,
            processed: self.owned.processed + n,
            entries_read: None,
            proof: None,
            fields: Vec::new(),
            deleted: Vec::new(),
            collections: Vec::new(),
            operations: Vec::new(),
            size_bytes: 0,
        }
    }

    pub async fn send(&mut self, step: Step) -> StepReply {
        let mut replies = self.send_all(&[step]).await;
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    pub async fn send_all(&mut self, steps: &[Step]) -> Vec<StepReply> {
        let replies = self.link.send(self.owned.head.token.as_str(), steps).await;
        replies.into_iter().map(|reply| reply.unwrap()).collect()
    }

    /// Sends a commit that must be applied without trouble.
    pub async fn done(&mut self, commit: Commit) {
        assert_eq!(self.send(Step::Commit(commit)).await, DONE);
    }
}

pub fn publish(stream: &str, value: &str) -> Operation {
    Operation::Publish { stream: stream.into(), fields: fields(value), check: true }
}

/// As later commits of a session publish to an output that one has checked.
pub fn publish_unchecked(stream: &str, value: &str) -> Operation {
    Operation::Publish { stream: stream.into(), fields: fields(value), check: false }
}

pub fn trim(stream: &str, trim: Trim) -> Operation {
    Operation::Trim { stream: stream.into(), trim }
}

pub fn proof(read: &[Entry]) -> Option<Proof> {
    let (first, last) = (read.first().unwrap(), read.last().unwrap());
    Some(Proof { first: first.id, last: last.id, digest: digest(last) })
}

pub fn values(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.fields.get_str("f").unwrap()).collect()
}

pub fn is_diverged(reply: &StepReply, expected: Divergence) -> bool {
    matches!(reply, StepReply::Diverged { why, .. } if *why == expected)
}
