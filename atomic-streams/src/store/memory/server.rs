//! The server: its keys, its clock, its newest writes and what is to go wrong; everything that one lock guards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::attach::attach;
use super::commit::commit;
use super::faults::{CommitFault, Faults, is_broken};
use super::history::History;
use super::keys::{ErrorReply, Keys};
use super::record::named;
use super::renew::{release, renew};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::protocol::{AttachReply, AttachRequest, Head, Step, StepReply, Subscription};
use crate::store::{Loaded, Scanned, StoreError};

/// What all handles and connections share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    server: Mutex<Server>,
    /// Wakes reads that wait: keys have changed, or connections.
    pub changed: Notify,
    /// Wakes standbys, by record.
    released: Mutex<HashMap<String, Arc<Notify>>>,
}

/// The state of the server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub keys: Keys,
    pub history: History,
    pub faults: Faults,
    /// How far its clock is ahead of the real one.
    pub clock_offset_us: i64,
    connections: u64,
}

impl Shared {
    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the keys by hand, as one write, and wakes those who wait for it.
    pub fn by_hand<T>(&self, action: impl FnOnce(&mut Server) -> T) -> T {
        let outcome = {
            let mut server = self.server();
            let outcome = action(&mut server);
            server.end_write();
            outcome
        };
        self.changed.notify_waiters();
        outcome
    }

    /// What is told when the record is released.
    pub fn release_of(&self, record: &str) -> Arc<Notify> {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more to those that are held here alone.
        released.retain(|_, notify| Arc::strong_count(notify) > 1);
        Arc::clone(released.entry(record.to_owned()).or_default())
    }

    pub fn tell_release(&self, record: &str) {
        if let Some(notify) = self.released.lock().unwrap_or_else(PoisonError::into_inner).get(record) {
            notify.notify_waiters();
        }
    }
}

impl Server {
    /// Microseconds since the Unix epoch.
    pub fn now_us(&self) -> u64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        real.saturating_add_signed(self.clock_offset_us)
    }

    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// The number of a new connection.
    pub fn connect(&mut self) -> Result<u64, StoreError> {
        self.faults.check_connection(self.connections)?;
        self.connections += 1;
        Ok(self.connections - 1)
    }

    /// Cuts all connections that there are.
    pub fn cut_connections(&mut self) {
        self.faults.cut_below = self.connections;
    }

    pub fn attach(&mut self, subscription: &Subscription, request: &AttachRequest) -> Result<AttachReply, StoreError> {
        self.faults.check_memory()?;
        let now_us = self.now_us();
        self.write(|keys| attach(keys, subscription, request, now_us))
    }

    pub fn load(&self, subscription: &Subscription, names: &[String]) -> Result<Option<Loaded>, StoreError> {
        let Some(record) = self.keys.hash(subscription.record())? else { return Ok(None) };
        let Some(head) = record.get(&b"@head"[..]) else { return Ok(None) };
        let head = std::str::from_utf8(head).ok().and_then(Head::parse);
        let head = head.ok_or_else(|| StoreError::unexpected("@head"))?;
        let values = names.iter().map(|name| record.get(name.as_bytes()).map(|value| value.to_vec())).collect();
        Ok(Some(Loaded { head, values }))
    }

    /// A part of a collection, from the key `cursor` on, which is written in hexadecimal digits.
    pub fn scan(
        &self,
        subscription: &Subscription,
        collection: &str,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Scanned, StoreError> {
        let record = self.keys.hash(subscription.record())?;
        let head = record.and_then(|record| Head::parse(&named(record, "@head")?));
        let entries = self.keys.hash(collection)?.into_iter().flatten();
        let total = entries.clone().count() as u64;
        let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut rest = entries.skip_while(|(key, _)| cursor.is_some_and(|cursor| *hex(key) < *cursor));
        let part = rest.by_ref().take(count).map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        Ok(Scanned { head, total, entries: part, cursor: rest.next().map(|(key, _)| hex(key)) })
    }

    /// Entries after `after`, at most `count` of them.
    pub fn read(&self, stream: &str, after: EntryId, count: usize) -> Result<Vec<Entry>, ErrorReply> {
        // XREAD takes 0 for no limit.
        let count = if count == 0 { usize::MAX } else { count };
        let stream = self.keys.stream(stream)?;
        Ok(stream.map(|stream| stream.entries.after(after).take(count).cloned().collect()).unwrap_or_default())
    }

    /// What comes back for steps that were sent together.
    pub fn steps(
        &mut self,
        subscription: &Subscription,
        token: &str,
        steps: &[Step],
    ) -> Vec<Result<StepReply, StoreError>> {
        let mut replies = Vec::with_capacity(steps.len());
        let mut is_heard = true;
        for step in steps {
            let reply = self.step(subscription, token, step);
            let failed = reply.is_err();
            let broken = reply.as_ref().is_err_and(is_broken);
            if is_heard {
                replies.push(reply);
            }
            if broken {
                break;
            }
            // The server has the steps behind an error reply too; only nobody hears of them.
            is_heard &= !failed;
        }
        replies
    }

    fn step(&mut self, subscription: &Subscription, token: &str, step: &Step) -> Result<StepReply, StoreError> {
        let now_ms = self.now_ms();
        match step {
            Step::Commit(step) => {
                self.faults.check_memory()?;
                let fault = self.faults.commits.pop_front();
                if let Some(fault @ CommitFault::Refuse(_)) = fault {
                    return Err(fault.error());
                }
                let reply = self.write(|keys| commit(keys, subscription, token, step, now_ms));
                fault.map_or(reply, |fault| Err(fault.error()))
            }
            Step::Renew { lease_ms, stop_at_trimmed } => {
                self.write(|keys| renew(keys, subscription, token, *lease_ms, *stop_at_trimmed, now_ms))
            }
            // What is here has no disk and no replica that it could lack.
            Step::Wait { durability, .. } => {
                Ok(StepReply::Waited { on_disk: durability.on_disk(), replicas: durability.replicas().into() })
            }
            Step::Release => {
                self.write(|keys| release(keys, subscription, token)).map(|was_owner| StepReply::Released { was_owner })
            }
        }
    }

    fn write<T>(&mut self, change: impl FnOnce(&mut Keys) -> Result<T, ErrorReply>) -> Result<T, StoreError> {
        let outcome = change(&mut self.keys);
        self.end_write();
        Ok(outcome?)
    }

    /// What was changed since the last call is one write.
    pub fn end_write(&mut self) {
        if let Some(write) = self.keys.end_write() {
            self.history.push(write);
        }
    }
}
