//! One subscription, as several commands show it.

use atomic_streams::admin::{Inspection, Lease};
use serde::Serialize;

use super::table::{Cell, Hue};
use super::time;

/// Where a subscription stands.
#[derive(Debug, Serialize)]
pub struct Standing {
    pub stream: String,
    pub group: String,
    pub owner: String,
    /// `held`, `expired` or `released`.
    pub lease: &'static str,
    /// How long it is still held.
    pub lease_left_ms: Option<u64>,
    /// How long ago it has expired.
    pub lease_expired_ms: Option<u64>,
    pub position: String,
    pub processed: u64,
    /// Entries behind the position; `null` where the server's counters do not tell.
    pub lag: Option<u64>,
    /// How long the oldest of them waits; `null` where none does.
    pub lag_ms: Option<u64>,
    /// Entries that the stream holds: never fewer than the lag.
    pub stream_length: u64,
    pub parked_keys: u64,
}

impl Standing {
    pub fn of(found: &Inspection) -> Self {
        let (lease, lease_left_ms, lease_expired_ms) = match found.lease {
            Lease::Held { left_ms } => ("held", Some(left_ms), None),
            Lease::Expired { since_ms } => ("expired", None, Some(since_ms)),
            _ => ("released", None, None),
        };
        Self {
            stream: found.stream.clone(),
            group: found.group.clone(),
            owner: found.owner.clone(),
            lease,
            lease_left_ms,
            lease_expired_ms,
            position: found.position.to_string(),
            processed: found.processed,
            lag: found.lag,
            lag_ms: found.lag_ms,
            stream_length: found.length,
            parked_keys: found.parked_keys,
        }
    }

    pub fn lease_cell(&self) -> Cell {
        match self.lease_expired_ms {
            Some(ms) => Cell::in_color(format!("expired {} ago", time::span(ms)), Hue::Bad),
            None if self.lease == "held" => Cell::in_color(self.lease, Hue::Good),
            None => Cell::in_color(self.lease, Hue::Dim),
        }
    }

    /// With how long it goes on.
    pub fn lease_in_full(&self) -> Cell {
        match self.lease_left_ms {
            Some(ms) => Cell::in_color(format!("held, for {} more unless it is renewed", time::span(ms)), Hue::Good),
            None if self.lease == "released" => Cell::plain("released: nobody works on it"),
            None => self.lease_cell(),
        }
    }

    pub fn lag_cell(&self) -> Cell {
        match self.lag {
            Some(0) => Cell::number(0),
            Some(lag) => Cell::number(lag).hue(Hue::Notable),
            None => Cell::number(format!("≤ {}", self.stream_length)).hue(Hue::Notable),
        }
    }

    pub fn behind_cell(&self) -> Cell {
        Cell::plain(self.lag_ms.map_or_else(|| "-".to_owned(), time::span))
    }
}
