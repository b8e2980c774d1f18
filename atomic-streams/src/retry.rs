//! How long to wait before the next try.

use std::time::Duration;

/// Pauses that double with every failure, up to a longest one, each drawn between half and the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// Between tries of one entry.
    pub const HANDLER: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(30) };

    /// Between attaches after a failure.
    pub const ATTACH: Self = Self { first: Duration::from_millis(20), longest: Duration::from_secs(2) };

    /// The pause after failure number `failures`, counted from 1. `random` spreads those who failed together.
    pub fn pause(self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let whole = |failures| Backoff::HANDLER.pause(failures, u64::MAX).as_secs_f64().mul_add(1_000.0, 0.5) as u64;
        assert_eq!([whole(1), whole(2), whole(3)], [100, 200, 400]);
        assert_eq!([whole(60), whole(u32::MAX)], [30_000, 30_000]);
    }

    #[test]
    fn no_pause_is_below_half() {
        assert_eq!(Backoff::HANDLER.pause(1, 0), Duration::from_millis(50));
        assert!(Backoff::HANDLER.pause(u32::MAX, 0) >= Duration::from_secs(15));
    }
}
