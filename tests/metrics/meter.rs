//! What a recorder was told, in the form in which Prometheus gets it.

use atomic_streams::{ConsumerHandle, Histogram, RecoveryCause, Stats, Status, metrics as names};
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use support::eventually;

use crate::shop::{GROUP, STREAM};

/// A recorder of the test's own.
pub(crate) struct Meter(PrometheusRecorder);

impl Meter {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(names::COMMIT_LATENCY.into()), &names::COMMIT_LATENCY_BUCKETS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Full(names::COMMIT_BATCH.into()), &names::COMMIT_BATCH_BUCKETS)
            });
        Self(builder.unwrap().build_recorder())
    }

    /// Consumers that are spawned until this is dropped are recorded. A test's runtime has one thread.
    pub(crate) fn listen(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(&self.0)
    }

    pub(crate) fn text(&self) -> String {
        self.0.handle().render()
    }

    /// A figure of [`GROUP`] on [`STREAM`]; `None` if there is none.
    pub(crate) fn get(&self, name: &str, reason: Option<&str>) -> Option<f64> {
        let labels = format!("{{stream=\"{STREAM}\",group=\"{GROUP}\"");
        let start = match reason {
            Some(reason) => format!("{name}{labels},reason=\"{reason}\"}} "),
            None => format!("{name}{labels}}} "),
        };
        let text = self.text();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(&start));
        let value = values.next().map(|value| value.parse().unwrap());
        assert_eq!(values.next(), None, "{start}");
        value
    }

    pub(crate) fn value(&self, name: &str) -> f64 {
        self.get(name, None).unwrap_or_else(|| panic!("{name} is missing:\n{}", self.text()))
    }

    /// Waits until the recorder shows exactly what `stats()` does.
    pub(crate) async fn agrees_with(&self, consumer: &ConsumerHandle) -> Stats {
        let mut differences = Vec::new();
        let agreed = eventually("stats and metrics agree", async || {
            let before = consumer.stats();
            let is_active = matches!(*consumer.status().borrow(), Status::Active | Status::Retrying { .. });
            differences = self.differences(&before, is_active);
            // What is counted meanwhile is looked at anew.
            let is_quiet = before == consumer.stats();
            assert!(!is_quiet || differences.is_empty(), "{differences:#?}\n{}", self.text());
            is_quiet.then_some(before)
        });
        agreed.await
    }

    fn differences(&self, stats: &Stats, is_active: bool) -> Vec<String> {
        let known = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
        let mut rows = vec![
            (names::PROCESSED, None, stats.processed as f64),
            (names::PUBLISHED, None, stats.published as f64),
            (names::FAILED, None, stats.failed as f64),
            (names::RETRIED, None, stats.retried as f64),
            (names::DEAD_LETTERED, None, stats.dead_lettered as f64),
            (names::SKIPPED, None, stats.skipped as f64),
            (names::UNPARKED, None, stats.unparked as f64),
            (names::VANISHED, Some("trimmed"), stats.trimmed as f64),
            (names::VANISHED, Some("deleted"), stats.deleted as f64),
            (names::VANISHED, Some("unknown"), (stats.vanished - stats.trimmed - stats.deleted) as f64),
            (names::FENCED, None, stats.fenced as f64),
            (names::COMMITS_IN_FLIGHT, None, stats.in_flight as f64),
            (names::LAG_ENTRIES, None, known(stats.lag.map(|lag| lag as f64))),
            (names::LAG_TIME, None, known(stats.lag_time.map(|time| time.as_secs_f64()))),
            (names::STATE_BYTES, None, stats.state_bytes as f64),
            (names::STATE_ENTRIES, None, stats.state_entries as f64),
            (names::POSITION, None, known(stats.position.map(|position| position.ms as f64 / 1e3))),
            (names::ACTIVE, None, if is_active { 1.0 } else { 0.0 }),
        ];
        for cause in RecoveryCause::ALL {
            rows.push((names::RECOVERIES, Some(cause.as_str()), stats.recoveries_by_cause.of(cause) as f64));
        }
        assert_eq!(stats.recoveries, stats.recoveries_by_cause.total());
        let mut differences = Vec::new();
        for (name, reason, expected) in rows {
            let found = self.get(name, reason);
            if !found.is_some_and(|found| is_same(found, expected)) {
                differences.push(format!("{name} {reason:?}: {found:?} for {expected}"));
            }
        }
        for (name, per_unit, expected) in [
            (names::COMMIT_LATENCY, 1e6, stats.commit_latency_us),
            (names::COMMIT_BATCH, 1.0, stats.commit_batch_entries),
        ] {
            let (count, sum) = self.spread(name);
            let right = (count, sum * per_unit);
            if count != expected.count() as f64 || (right.1 - expected.sum() as f64).abs() > 0.5 {
                differences.push(format!("{name}: {right:?} for {expected:?}"));
            }
        }
        differences
    }

    /// How many values a histogram has, and all of them together. One without values may be left out.
    pub(crate) fn spread(&self, name: &str) -> (f64, f64) {
        let part = |part: &str| self.get(&format!("{name}_{part}"), None).unwrap_or(0.0);
        (part("count"), part("sum"))
    }
}

fn is_same(found: f64, expected: f64) -> bool {
    found == expected || (found.is_nan() && expected.is_nan())
}

/// What is told of a spread must be possible.
pub(crate) fn assert_sound(histogram: &Histogram) {
    let [half, most] = [0.5, 1.0].map(|q| histogram.quantile(q).unwrap());
    assert!(half <= most && most == histogram.max() && histogram.max() <= histogram.sum(), "{histogram:?}");
}
