//! Named points: bytes that stay in the proxy until a test lets them go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::settings::{Shared, Side};
use crate::wait::Patience;

#[derive(Debug)]
pub(super) struct HoldPoint {
    side: Side,
    needle: Vec<u8>,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// Grows with each [`Hold::step`]: what was held before it may go.
    steps: u64,
    /// How many connections stand here since the last step.
    held: usize,
}

impl HoldPoint {
    pub(super) fn new(side: Side, needle: &[u8]) -> Self {
        assert!(!needle.is_empty(), "an empty needle is in every request: name what to hold");
        Self { side, needle: needle.to_vec(), standing: Mutex::default() }
    }

    pub(super) fn wants(&self, side: Side, request: &[u8]) -> bool {
        side == self.side && request.windows(self.needle.len()).any(|window| window == self.needle)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stay of one connection at a point; it counts while it lives.
#[derive(Debug)]
pub(super) struct Stay {
    point: Arc<HoldPoint>,
    since: u64,
}

impl Stay {
    pub(super) fn at(point: Arc<HoldPoint>) -> Self {
        let mut standing = point.standing();
        standing.held += 1;
        let since = standing.steps;
        drop(standing);
        Self { point, since }
    }

    /// Whether a step or the end of the hold has let it go.
    pub(super) fn is_over(&self, holds: &[Arc<HoldPoint>]) -> bool {
        self.point.standing().steps > self.since || !holds.iter().any(|hold| Arc::ptr_eq(hold, &self.point))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut standing = self.point.standing();
        // A step has set the count to zero already.
        if standing.steps == self.since {
            standing.held -= 1;
        }
    }
}

/// Requests or replies held in a [`Proxy`](super::Proxy); all are let go when it is dropped.
#[derive(Debug)]
#[must_use = "what is held is let go when this is dropped"]
pub struct Hold {
    point: Arc<HoldPoint>,
    shared: Arc<Shared>,
}

impl Hold {
    pub(super) fn new(point: Arc<HoldPoint>, shared: Arc<Shared>) -> Self {
        Self { point, shared }
    }

    /// Waits until something is held; panics if nothing is within 20 seconds.
    pub async fn wait_until_held(&self) {
        self.wait_until_held_on(1).await;
    }

    /// Waits until this many connections have something held.
    pub async fn wait_until_held_on(&self, connections: usize) {
        let patience = Patience::new(Duration::from_secs(20));
        let needle = String::from_utf8_lossy(&self.point.needle);
        let what = if self.point.side == Side::Request { "request with" } else { "reply to a request with" };
        while self.held() < connections {
            assert!(patience.lasts().await, "no {what} {needle:?} came to the proxy within 20 s");
        }
    }

    /// On how many connections something is held now.
    pub fn held(&self) -> usize {
        self.point.standing().held
    }

    /// Lets go what is held now, and holds what comes after it.
    pub fn step(&self) {
        self.shared.change(|_| {
            let mut standing = self.point.standing();
            standing.steps += 1;
            // At once rather than when the connections get to it: the next wait is for what comes next.
            standing.held = 0;
        });
    }

    /// Lets everything go, now and from now on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.change(|settings| settings.holds.retain(|point| !Arc::ptr_eq(point, &self.point)));
    }
}
