//! Taking ownership: the one path of start, takeover and recovery.

use std::time::Duration;

use crate::id::EntryId;

use super::messages::{AttachReply, AttachRequest, Behind, Hole, Owned, Permissions, Start};
use super::timing::Timing;

/// The attaches of one consumer object, from its first to its last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attaching {
    instance: String,
    attempt: u64,
    /// `STALE` replies in a row.
    stale: u8,
    owner: String,
    timing: Timing,
    start: Start,
    permissions: Permissions,
    own_schema: String,
    accepted_schema: String,
    /// A lease of another owner, and since when this value has been seen.
    seen_lease: Option<(String, Duration)>,
}

/// How to go on after an attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachNext {
    /// Ownership is taken.
    Own(Owned),
    /// Ask again at once.
    Again,
    /// Ask again under a new instance name: two processes seem to share this one.
    Rename,
    /// Another owner's lease is alive: ask again after `wait`, or when woken.
    StandBy { owner: String, wait: Duration },
    /// The record has another schema: accept it with [`Attaching::accept_schema`] and ask again, or stop.
    Compare { stored: String },
    /// Somebody must decide or change something.
    Stop(Stop),
}

/// Why an attach cannot be made without a word from the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    RecordLost { cursor: EntryId },
    GroupInUse { cursor: EntryId, pending: u64, oldest: Option<EntryId> },
    Behind(Behind),
    Trimmed(Hole),
    Foreign { stream: String, group: String },
    Format { format: String },
    Damaged { field: String, found: String },
    WrongType { key: String, holds: String },
    Denied { command: String, key: String },
}

impl Attaching {
    pub fn new(
        instance: String,
        owner: String,
        timing: Timing,
        start: Start,
        permissions: Permissions,
        schema: String,
    ) -> Self {
        Self {
            instance,
            attempt: 0,
            stale: 0,
            owner,
            timing,
            start,
            permissions,
            accepted_schema: schema.clone(),
            own_schema: schema,
            seen_lease: None,
        }
    }

    /// The next request; each is sent once.
    pub fn request(&mut self, now: Duration) -> AttachRequest {
        self.attempt += 1;
        let expired = self.seen_lease.as_ref().filter(|(_, since)| now.saturating_sub(*since) >= self.timing.lease);
        AttachRequest {
            instance: self.instance.clone(),
            attempt: self.attempt,
            owner: self.owner.clone(),
            lease_ms: self.timing.lease.as_millis() as u64,
            start: self.start,
            accepted_schema: self.accepted_schema.clone(),
            new_schema: self.own_schema.clone(),
            expired_lease: expired.map(|(lease, _)| lease.clone()),
            permissions: self.permissions,
        }
    }

    /// What the reply means. `now` is any clock that only goes forward.
    pub fn reply(&mut self, now: Duration, reply: AttachReply) -> AttachNext {
        if !matches!(reply, AttachReply::Stale { .. }) {
            self.stale = 0;
        }
        match reply {
            AttachReply::Owned(owned) => {
                self.seen_lease = None;
                // The end is found once: a later attach of this object must not skip what came since.
                if owned.created && self.start == Start::End {
                    self.start = Start::After(owned.position);
                }
                if owned.created {
                    // A record that is made anew is not the one whose schema was accepted.
                    self.accepted_schema.clone_from(&self.own_schema);
                }
                AttachNext::Own(owned)
            }
            AttachReply::Standby { owner, left_ms, lease } => {
                match &self.seen_lease {
                    Some((seen, _)) if *seen == lease => {}
                    _ => self.seen_lease = Some((lease, now)),
                }
                let left = Duration::from_millis(left_ms.max(1));
                AttachNext::StandBy { owner, wait: self.timing.standby_poll().min(left) }
            }
            AttachReply::Stale { attempt } => {
                self.stale += 1;
                self.attempt = self.attempt.max(attempt);
                if self.stale < 2 { AttachNext::Again } else { AttachNext::Rename }
            }
            AttachReply::Schema { stored } => AttachNext::Compare { stored },
            AttachReply::Lost { cursor } => AttachNext::Stop(Stop::RecordLost { cursor }),
            AttachReply::Adopt { cursor, pending, oldest } => {
                AttachNext::Stop(Stop::GroupInUse { cursor, pending, oldest })
            }
            AttachReply::Behind(behind) => AttachNext::Stop(Stop::Behind(behind)),
            AttachReply::Trimmed(hole) => AttachNext::Stop(Stop::Trimmed(hole)),
            AttachReply::Foreign { stream, group } => AttachNext::Stop(Stop::Foreign { stream, group }),
            AttachReply::Format { format } => AttachNext::Stop(Stop::Format { format }),
            AttachReply::Damaged { field, found } => AttachNext::Stop(Stop::Damaged { field, found }),
            AttachReply::WrongType { key, holds } => AttachNext::Stop(Stop::WrongType { key, holds }),
            AttachReply::Denied { command, key } => AttachNext::Stop(Stop::Denied { command, key }),
        }
    }

    /// The schema that the record has, as far as the next attach knows.
    pub fn accepted_schema(&self) -> &str {
        &self.accepted_schema
    }

    /// The stored schema can be made this handler's.
    pub fn accept_schema(&mut self, stored: String) {
        self.accepted_schema = stored;
    }

    pub fn rename(&mut self, instance: String) {
        self.instance = instance;
        self.attempt = 0;
        self.stale = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::*;

    fn attaching() -> Attaching {
        let timing = Timing { lease: Duration::from_secs(9) };
        Attaching::new("me".into(), "host/1".into(), timing, Start::End, Permissions::default(), "own".into())
    }

    fn standby(lease: &str, left_ms: u64) -> AttachReply {
        AttachReply::Standby { owner: "other".into(), left_ms, lease: lease.into() }
    }

    fn owned(created: bool) -> AttachReply {
        AttachReply::Owned(Owned {
            head: Head::parse("me.1.1.5:0").unwrap(),
            epoch: 1,
            created,
            released: true,
            abandoned: false,
            trying: None,
            position: EntryId::new(7, 0),
            processed: 0,
            base: None,
            last_id: EntryId::new(7, 0),
            length: 1,
            vanished: 0,
            lag: Default::default(),
            adopted: None,
        })
    }

    #[test]
    fn every_request_has_a_new_attempt() {
        let mut attaching = attaching();
        assert_eq!(attaching.request(Duration::ZERO).attempt, 1);
        assert_eq!(attaching.request(Duration::ZERO).attempt, 2);
        attaching.reply(Duration::ZERO, AttachReply::Stale { attempt: 40 });
        assert_eq!(attaching.request(Duration::ZERO).attempt, 41);
    }

    #[test]
    fn two_stale_replies_in_a_row_ask_for_another_name() {
        let mut attaching = attaching();
        assert_eq!(attaching.reply(Duration::ZERO, AttachReply::Stale { attempt: 4 }), AttachNext::Again);
        attaching.reply(Duration::ZERO, standby("5", 5));
        assert_eq!(attaching.reply(Duration::ZERO, AttachReply::Stale { attempt: 4 }), AttachNext::Again);
        assert_eq!(attaching.reply(Duration::ZERO, AttachReply::Stale { attempt: 9 }), AttachNext::Rename);
    }

    #[test]
    fn a_lease_that_does_not_change_for_its_own_length_is_dead_whatever_the_servers_clock_says() {
        let mut attaching = attaching();
        let at = Duration::from_secs;
        attaching.reply(at(0), standby("99", 3_600_000));
        assert_eq!(attaching.request(at(8)).expired_lease, None);
        attaching.reply(at(8), standby("99", 3_600_000));
        assert_eq!(attaching.request(at(9)).expired_lease.as_deref(), Some("99"));
        attaching.reply(at(9), standby("100", 3_600_000));
        assert_eq!(attaching.request(at(12)).expired_lease, None);
    }

    #[test]
    fn a_standby_asks_again_when_the_lease_ends_if_that_is_sooner() {
        let mut attaching = attaching();
        let wait = |next| match next {
            AttachNext::StandBy { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(attaching.reply(Duration::ZERO, standby("1", 7))), Duration::from_millis(7));
        assert_eq!(wait(attaching.reply(Duration::ZERO, standby("1", 8_000))), Duration::from_millis(450));
    }

    #[test]
    fn the_end_of_the_stream_is_found_once() {
        let mut attaching = attaching();
        assert_eq!(attaching.request(Duration::ZERO).start, Start::End);
        attaching.reply(Duration::ZERO, owned(true));
        assert_eq!(attaching.request(Duration::ZERO).start, Start::After(EntryId::new(7, 0)));
    }

    #[test]
    fn an_accepted_schema_is_asked_for() {
        let mut attaching = attaching();
        assert_eq!(attaching.request(Duration::ZERO).accepted_schema, "own");
        let next = attaching.reply(Duration::ZERO, AttachReply::Schema { stored: "old".into() });
        assert_eq!(next, AttachNext::Compare { stored: "old".into() });
        attaching.accept_schema("old".into());
        let request = attaching.request(Duration::ZERO);
        assert_eq!((request.accepted_schema.as_str(), request.new_schema.as_str()), ("old", "own"));
        attaching.reply(Duration::ZERO, owned(false));
        assert_eq!(attaching.accepted_schema(), "old");
        attaching.reply(Duration::ZERO, owned(true));
        assert_eq!(attaching.accepted_schema(), "own", "the new record has nothing of the old one");
    }
}
