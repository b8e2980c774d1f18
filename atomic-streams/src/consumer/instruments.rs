//! One figure each: its value for `stats()`, and the handle that shows the same to a recorder.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;
use super::recorder::{Counter, Gauge, Labels, Samples};

/// A figure that goes up.
#[derive(Debug)]
pub(super) struct Count {
    value: AtomicU64,
    counter: Counter,
}

impl Count {
    pub fn new(of: Labels<'_>, name: &'static str) -> Self {
        Self::counting(of.counter(name, None))
    }

    /// One of several figures of a name, each with a reason of its own.
    pub fn for_reason(of: Labels<'_>, name: &'static str, reason: &'static str) -> Self {
        Self::counting(of.counter(name, Some(reason)))
    }

    fn counting(counter: Counter) -> Self {
        Self { value: AtomicU64::new(0), counter }
    }

    pub fn add(&self, more: u64) {
        if more > 0 {
            self.value.fetch_add(more, Relaxed);
            self.counter.increment(more);
        }
    }

    pub fn get(&self) -> u64 {
        self.value.load(Relaxed)
    }
}

/// A figure that goes up and down, or is unknown: a recorder is told that it is not a number then.
#[derive(Debug)]
pub(super) struct Level {
    value: AtomicU64,
    gauge: Gauge,
    /// How many of what is stored make one of what is shown.
    per_unit: f64,
}

impl Level {
    const UNKNOWN: u64 = u64::MAX;

    pub fn new(of: Labels<'_>, name: &'static str, per_unit: f64, value: Option<u64>) -> Self {
        let level = Self { value: AtomicU64::new(0), gauge: of.gauge(name), per_unit };
        level.set(value);
        level
    }

    pub fn set(&self, value: Option<u64>) {
        self.value.store(value.unwrap_or(Self::UNKNOWN), Relaxed);
        self.gauge.set(value.map_or(f64::NAN, |value| value as f64 / self.per_unit));
    }

    pub fn get(&self) -> Option<u64> {
        Some(self.value.load(Relaxed)).filter(|value| *value != Self::UNKNOWN)
    }
}

/// A figure with many values, of which it matters how they are spread.
#[derive(Debug)]
pub(super) struct Spread {
    sum: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; Histogram::BUCKETS],
    samples: Samples,
    /// How many of what is stored make one of what is shown.
    per_unit: f64,
}

impl Spread {
    pub fn new(of: Labels<'_>, name: &'static str, per_unit: f64) -> Self {
        Self {
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            samples: of.samples(name),
            per_unit,
        }
    }

    pub fn record(&self, value: u64) {
        self.sum.fetch_add(value, Relaxed);
        self.max.fetch_max(value, Relaxed);
        self.buckets[Histogram::bucket(value)].fetch_add(1, Relaxed);
        self.samples.record(value as f64 / self.per_unit);
    }

    pub fn get(&self) -> Histogram {
        let buckets = std::array::from_fn(|index| self.buckets[index].load(Relaxed));
        Histogram { count: buckets.iter().sum(), sum: self.sum.load(Relaxed), max: self.max.load(Relaxed), buckets }
    }
}
