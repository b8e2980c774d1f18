//! What a consumer tells a recorder of the [`metrics`](https://docs.rs/metrics) facade: names, units and labels.
//!
//! With the feature `metrics`, every consumer feeds the figures of [`Stats`](crate::Stats) to the recorder that is installed when it
//! is spawned. Without a recorder nothing is recorded, and nothing costs more than a comparison. The meaning of each, and the
//! alerts worth setting, are in [docs/metrics.md](https://github.com/atomic-streams/atomic-streams/blob/main/docs/metrics.md).
//!
//! Exporters that count histograms in buckets are best told `COMMIT_LATENCY_BUCKETS` and `COMMIT_BATCH_BUCKETS`: the example `prometheus`
//! shows how, and serves all of it.

/// Entries whose effects are committed.
pub const PROCESSED: &str = "atomic_streams_processed_total";
/// Entries published by those commits.
pub const PUBLISHED: &str = "atomic_streams_published_total";
/// Tries of entries that failed.
pub const FAILED: &str = "atomic_streams_failed_total";
/// Failed tries after which the entry is tried again.
pub const RETRIED: &str = "atomic_streams_retried_total";
/// Entries that became dead letters.
pub const DEAD_LETTERED: &str = "atomic_streams_dead_lettered_total";
/// Entries that could not be handled and were left out.
pub const SKIPPED: &str = "atomic_streams_skipped_total";
/// Dead letters of parked keys that were handled after all.
pub const UNPARKED: &str = "atomic_streams_unparked_total";
/// Entries that went from the stream before they were read; by [`REASON`]: `trimmed`, `deleted`, `unknown`.
pub const VANISHED: &str = "atomic_streams_vanished_total";
/// Sessions that another process ended by taking the subscription over.
pub const FENCED: &str = "atomic_streams_fenced_total";
/// Sessions that ended without being asked to; by [`REASON`]: the names of [`RecoveryCause`](crate::RecoveryCause).
pub const RECOVERIES: &str = "atomic_streams_recoveries_total";
/// From sending commits until their replies are there, seconds.
pub const COMMIT_LATENCY: &str = "atomic_streams_commit_latency_seconds";
/// Entries committed by one round trip.
pub const COMMIT_BATCH: &str = "atomic_streams_commit_batch_entries";
/// Commits that wait for the server's reply.
pub const COMMITS_IN_FLIGHT: &str = "atomic_streams_in_flight_commits";
/// Entries in the stream behind the position. Not a number where it is not known.
pub const LAG_ENTRIES: &str = "atomic_streams_lag_entries";
/// How long the first of them has waited, seconds. Not a number where it is not known.
pub const LAG_TIME: &str = "atomic_streams_lag_seconds";
/// Bytes of the handler's plain fields as they are stored.
pub const STATE_BYTES: &str = "atomic_streams_state_bytes";
/// Entries of the handler's collections.
pub const STATE_ENTRIES: &str = "atomic_streams_state_entries";
/// The time in the ID of the last committed entry, in seconds since 1970. Not a number before the first attach.
pub const POSITION: &str = "atomic_streams_position_timestamp_seconds";
/// 1 where the consumer owns the subscription, else 0.
pub const ACTIVE: &str = "atomic_streams_active";

#[cfg(feature = "metrics")]
mod described {
    use std::sync::Once;

    use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    use super::*;

    /// The label with the name of the input stream.
    pub const STREAM: &str = "stream";
    /// The label with the name of the group.
    pub const GROUP: &str = "group";
    /// The label that tells figures of one name apart, where there are several.
    pub const REASON: &str = "reason";

    /// Upper bounds for [`COMMIT_LATENCY`], seconds, for exporters that count in buckets: 100 µs to 10 s.
    pub const COMMIT_LATENCY_BUCKETS: [f64; 16] =
        [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    /// Upper bounds for [`COMMIT_BATCH`], entries.
    pub const COMMIT_BATCH_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

    /// What kind of figure a metric is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Kind {
        /// It goes up, from 0 when the consumer is spawned.
        Counter,
        /// It goes up and down.
        Gauge,
        /// It has many values.
        Histogram,
    }

    /// A metric, as it is described to a recorder.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Metric {
        /// Its name.
        pub name: &'static str,
        /// Its kind.
        pub kind: Kind,
        /// Its unit.
        pub unit: Unit,
        /// What it means, in a sentence.
        pub meaning: &'static str,
    }

    const fn metric(name: &'static str, kind: Kind, unit: Unit, meaning: &'static str) -> Metric {
        Metric { name, kind, unit, meaning }
    }

    /// All metrics of this library. Each has the labels [`STREAM`] and [`GROUP`]; [`VANISHED`] and [`RECOVERIES`] have a
    /// [`REASON`] besides.
    pub const ALL: [Metric; 19] = [
        metric(PROCESSED, Kind::Counter, Unit::Count, "Entries whose effects are committed."),
        metric(PUBLISHED, Kind::Counter, Unit::Count, "Entries published by those commits."),
        metric(FAILED, Kind::Counter, Unit::Count, "Tries of entries that failed."),
        metric(RETRIED, Kind::Counter, Unit::Count, "Failed tries after which the entry is tried again."),
        metric(DEAD_LETTERED, Kind::Counter, Unit::Count, "Entries that became dead letters."),
        metric(SKIPPED, Kind::Counter, Unit::Count, "Entries that could not be handled and were left out."),
        metric(UNPARKED, Kind::Counter, Unit::Count, "Dead letters of parked keys that were handled after all."),
        metric(VANISHED, Kind::Counter, Unit::Count, "Entries that went from the stream before they were read."),
        metric(FENCED, Kind::Counter, Unit::Count, "Sessions ended by another process that took over."),
        metric(RECOVERIES, Kind::Counter, Unit::Count, "Sessions that ended without being asked to."),
        metric(COMMIT_LATENCY, Kind::Histogram, Unit::Seconds, "From sending commits until their replies are there."),
        metric(COMMIT_BATCH, Kind::Histogram, Unit::Count, "Entries committed by one round trip."),
        metric(COMMITS_IN_FLIGHT, Kind::Gauge, Unit::Count, "Commits that wait for the server's reply."),
        metric(LAG_ENTRIES, Kind::Gauge, Unit::Count, "Entries in the stream behind the position."),
        metric(LAG_TIME, Kind::Gauge, Unit::Seconds, "How long the first entry behind the position has waited."),
        metric(STATE_BYTES, Kind::Gauge, Unit::Bytes, "Bytes of the handler's plain fields as they are stored."),
        metric(STATE_ENTRIES, Kind::Gauge, Unit::Count, "Entries of the handler's collections."),
        metric(POSITION, Kind::Gauge, Unit::Seconds, "The time in the ID of the last committed entry."),
        metric(ACTIVE, Kind::Gauge, Unit::Count, "1 where the consumer owns the subscription, else 0."),
    ];

    /// Tells the recorder the unit and the meaning of each metric.
    ///
    /// The first consumer of a process does this. It is for applications that install their recorder later, or several.
    pub fn describe() {
        for Metric { name, kind, unit, meaning } in ALL {
            match kind {
                Kind::Counter => describe_counter!(name, unit, meaning),
                Kind::Gauge => describe_gauge!(name, unit, meaning),
                Kind::Histogram => describe_histogram!(name, unit, meaning),
            }
        }
    }

    pub(crate) fn describe_once() {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
    }
}

#[cfg(feature = "metrics")]
pub(crate) use described::describe_once;
#[cfg(feature = "metrics")]
pub use described::{ALL, COMMIT_BATCH_BUCKETS, COMMIT_LATENCY_BUCKETS, GROUP, Kind, Metric, REASON, STREAM, describe};
