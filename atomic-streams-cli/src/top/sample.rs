//! Subscriptions for the tests of what draws, sorts and counts.

use std::collections::BTreeMap;

use atomic_streams::EntryId;
use atomic_streams::admin::Lease;

use super::snapshot::{Letter, Record};

/// An owner that is alive and has nothing to do.
pub(crate) fn record() -> Record {
    Record {
        key: "atomic-streams:{sales}:stock".into(),
        owner: "till-1/4711".into(),
        epoch: 3,
        head: "4f1c.1.9a:1000".into(),
        lease: Lease::Held { left_ms: 7_400 },
        standbys: Some(0),
        position: EntryId::new(1_795_896_530_000, 2),
        processed: 1_000,
        lag: Some(0),
        lag_ms: None,
        last_id: EntryId::new(1_795_896_530_000, 2),
        first_id: Some(EntryId::new(1_795_896_000_000, 0)),
        length: 1_000,
        passed_over: Some(0),
        parked_keys: 0,
        trying: None,
        schema: r#"{"fields":{"stock":"i64"}}"#.into(),
        fields: vec!["stock".into()],
        collections: BTreeMap::new(),
        created_ms: 1_795_800_000_000,
        memory_bytes: Some(1_416),
    }
}

/// A dead letter whose entry was tried three times.
pub(crate) fn letter(ms: u64, error: &str) -> Letter {
    Letter {
        id: EntryId::new(ms + 5, 0),
        entry: EntryId::new(ms, 1),
        time_ms: ms + 5,
        attempts: 3,
        error: error.into(),
        key: None,
        is_behind: false,
    }
}
