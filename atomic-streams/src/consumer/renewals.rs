//! When leases are renewed.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How many instants of a period there are for all consumers of a process.
const INSTANTS: u32 = 32;

/// Ticks once in each period, the first time after a whole one or a little less: together with those of other consumers of this
/// process, since to be woken costs an idle process and its server more than a renewal does.
pub(super) fn every(period: Duration) -> Interval {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let since = now.saturating_duration_since(*BEGINNING.get_or_init(|| now));
    let mut renewals = interval_at(now + first(since, period), period);
    // Other behaviours would leave the others behind for good.
    renewals.set_missed_tick_behavior(MissedTickBehavior::Skip);
    renewals
}

/// How long it is to the first tick, so long after the beginning.
fn first(since: Duration, period: Duration) -> Duration {
    let early = (since + period).as_nanos() % (period / INSTANTS).as_nanos().max(1);
    period - Duration::from_nanos(early as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn consumers_that_begin_at_any_time_renew_at_few_instants_and_never_late() {
        let period = Duration::from_millis(3_333);
        let mut instants = BTreeSet::new();
        for n in 0..10_000 {
            let since = Duration::from_micros(1_237 * n);
            let first = first(since, period);
            assert!(first <= period && first > period - period / INSTANTS, "{since:?}: {first:?}");
            instants.insert((since + first).as_nanos() % period.as_nanos());
        }
        assert!(instants.len() <= INSTANTS as usize + 1, "{instants:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_was_missed_leaves_the_others_where_they_were() {
        let period = Duration::from_millis(320);
        let mut renewals = every(period);
        let first = renewals.tick().await;
        tokio::time::advance(3 * period + period / 2).await;
        renewals.tick().await;
        let next = renewals.tick().await;
        assert_eq!((next - first).as_nanos() % period.as_nanos(), 0);
    }
}
