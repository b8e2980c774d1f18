//! When leases are renewed.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How many instants of a period there are for all consumers of a process.
const INSTANTS: u32 = 32;

/// Ticks once a period, at instants that the consumers of this process share: being woken costs an idle process and its server
/// more than a renewal does. The first tick comes after a period, or up to 1/32 less.
pub(super) fn every(period: Duration) -> Interval {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let since = now.saturating_duration_since(*BEGINNING.get_or_init(|| now));
    let mut renewals = interval_at(now + first(since, period), period);
    // With `Delay`, a tick that came late would move this consumer off the common instants for good.
    renewals.set_missed_tick_behavior(MissedTickBehavior::Skip);
    renewals
}

/// How long it is to the first tick, so long after the beginning.
fn first(since: Duration, period: Duration) -> Duration {
    // Not by the length of the span between two instants: what is lost by rounding it would add up over days.
    let early = (since + period).as_nanos() * u128::from(INSTANTS) % period.as_nanos().max(1) / u128::from(INSTANTS);
    period - Duration::from_nanos(early as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn consumers_that_begin_at_any_time_renew_at_few_instants_and_never_late() {
        let period = Duration::from_secs(10) / 3;
        let mut instants = BTreeSet::new();
        for n in 0..10_000 {
            let since = Duration::from_micros(123_456_789 * n);
            let first = first(since, period);
            assert!(first <= period && first > period - period / INSTANTS, "{since:?}: {first:?}");
            // Rounded, since a 32nd of a period is no whole number of ns.
            instants.insert(((since + first).as_nanos() % period.as_nanos() + 500) / 1_000);
        }
        assert!(instants.len() <= INSTANTS as usize + 1, "{} instants in two weeks", instants.len());
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
