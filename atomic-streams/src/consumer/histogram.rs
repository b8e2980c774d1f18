//! How values are spread, in a fixed number of buckets.

/// How the values of a figure are spread: how many there were, and how many of each size.
///
/// Sizes are told apart by powers of two, so a [`quantile`](Self::quantile) is at most twice what it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    pub(super) count: u64,
    pub(super) sum: u64,
    pub(super) max: u64,
    /// Bucket 0 is for 0; bucket n for values of n binary digits; the last one for all that are longer.
    pub(super) buckets: [u64; Self::BUCKETS],
}

impl Histogram {
    pub(super) const BUCKETS: usize = 32;

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The highest value; 0 where there was none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; `None` where there was no value.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// A value that is not exceeded by the share `q` of all values, such as `0.99`; `None` where there was no value.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                let most = if index + 1 < Self::BUCKETS { (1 << index) - 1 } else { u64::MAX };
                return Some(most.min(self.max));
            }
        }
        None
    }

    /// The bucket of a value.
    pub(super) fn bucket(value: u64) -> usize {
        (u64::BITS - value.leading_zeros()).min(Self::BUCKETS as u32 - 1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.count += 1;
            histogram.sum += value;
            histogram.max = histogram.max.max(*value);
            histogram.buckets[Histogram::bucket(*value)] += 1;
        }
        histogram
    }

    #[test]
    fn a_quantile_is_at_most_twice_too_high_and_never_too_low() {
        let mut values: Vec<u64> = (0..1_000).map(|n| n * n % 7_919).collect();
        let histogram = of(&values);
        values.sort_unstable();
        for q in [0.001, 0.25, 0.5, 0.9, 0.99, 1.0] {
            let right = values[((q * 1_000.0) as usize).saturating_sub(1)];
            let found = histogram.quantile(q).unwrap();
            assert!(right <= found && found <= right * 2, "{q}: {found} for {right}");
        }
        assert_eq!(histogram.mean(), Some(values.iter().sum::<u64>() as f64 / 1_000.0));
    }

    #[test]
    fn the_ends_are_right() {
        assert_eq!((Histogram::default().quantile(0.5), Histogram::default().mean()), (None, None));
        assert_eq!(of(&[0]).quantile(1.0), Some(0));
        assert_eq!(of(&[1, 5]).quantile(1.0), Some(5), "no more than there was");
        assert_eq!(of(&[u64::MAX / 2]).quantile(0.0), Some(u64::MAX / 2));
        assert_eq!(of(&[3, 100]).quantile(f64::NAN), Some(3));
    }
}
