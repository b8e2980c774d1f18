//! What a consumer was built with.

use std::sync::Arc;
use std::time::Duration;

use crate::durability::Durability;
use crate::protocol::{Permissions, Start, Subscription, Timing};
use crate::retry::{Backoff, OnFailure, RetryPolicy};

/// Everything that stays the same for the life of a consumer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub subscription: Subscription,
    pub stream: Arc<str>,
    pub group: Arc<str>,
    pub owner: String,
    pub timing: Timing,
    pub start: Start,
    pub permissions: Permissions,
    /// How long a running handler is waited for when its result is no longer wanted.
    pub grace_period: Duration,
    pub max_in_flight: usize,
    pub coalescing: Option<Coalescing>,
    pub read_ahead_entries: usize,
    pub read_ahead_bytes: usize,
    pub allow_eviction: bool,
    pub durability: Durability,
    pub retry: RetryPolicy,
    pub on_failure: OnFailure,
    pub max_crashes: u32,
}

/// How commits are folded into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coalescing {
    pub max_messages: usize,
    pub longest_wait: Duration,
}

impl Settings {
    /// Bytes of commits that wait for their replies.
    pub const MAX_IN_FLIGHT_BYTES: usize = 16 << 20;

    /// Pauses between attaches, never so long that a lease could be lost meanwhile for no reason.
    pub fn attach_backoff(&self) -> Backoff {
        Backoff { longest: self.timing.lease.min(Backoff::ATTACH.longest), ..Backoff::ATTACH }
    }
}
