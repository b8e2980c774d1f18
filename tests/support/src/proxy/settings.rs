//! What a proxy's connections are to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::watch;

use super::hold::HoldPoint;
use super::{Existing, Fault};

/// Which bytes a hold is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Reply,
}

/// The epochs count what was asked for, so that a connection sees each order once.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) fault: Fault,
    pub(super) fault_epoch: u64,
    pub(super) target: SocketAddr,
    pub(super) existing: Existing,
    pub(super) target_epoch: u64,
    pub(super) cut_epoch: u64,
    pub(super) holds: Vec<Arc<HoldPoint>>,
}

impl Settings {
    /// The hold that applies to these bytes.
    pub(super) fn hold_on(&self, side: Side, request: &[u8]) -> Option<&Arc<HoldPoint>> {
        self.holds.iter().find(|hold| hold.wants(side, request))
    }
}

/// Between a proxy, its holds and its connections.
#[derive(Debug)]
pub(super) struct Shared {
    settings: watch::Sender<Settings>,
    pub(super) accepted: AtomicUsize,
    pub(super) open: AtomicUsize,
    pub(super) to_server: AtomicU64,
    pub(super) to_clients: AtomicU64,
}

impl Shared {
    pub(super) fn new(target: SocketAddr) -> Self {
        let settings = Settings {
            fault: Fault::Pass,
            fault_epoch: 0,
            target,
            existing: Existing::Stay,
            target_epoch: 0,
            cut_epoch: 0,
            holds: Vec::new(),
        };
        Self {
            settings: watch::Sender::new(settings),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            to_server: AtomicU64::new(0),
            to_clients: AtomicU64::new(0),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(change);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }
}
