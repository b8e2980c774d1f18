//! How many entries to ask for, so that they stay within bounds in bytes: Redis counts them and does not weigh them.

use crate::entry::Entry;

/// How many times as many as the read before a read may take.
const GROWTH: usize = 4;

/// What the reads before tell of the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSize {
    count: usize,
    most: usize,
    budget_bytes: usize,
    /// The largest entry of late: each read forgets an eighth of it.
    large_bytes: usize,
}

impl ReadSize {
    /// The first read takes one entry, none more than `most`; reads of sizes as those before take a quarter of the budget,
    /// and all of it if each entry is as large as the largest.
    pub fn new(most: usize, budget_bytes: usize) -> Self {
        Self { count: 1, most: most.max(1), budget_bytes, large_bytes: 0 }
    }

    /// How many entries the next read may take.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Learns from what a read has brought; returns about how many bytes that is in memory.
    pub fn learn(&mut self, entries: &[Entry]) -> usize {
        let sizes = entries.iter().map(|entry| entry.fields.size_bytes() + 64 * entry.fields.len() + 64);
        let (mut bytes, mut largest) = (0, 1);
        for size in sizes {
            bytes += size;
            largest = largest.max(size);
        }
        self.large_bytes = largest.max(self.large_bytes - self.large_bytes / 8);
        let by_mean = self.budget_bytes / 4 * entries.len() / bytes.max(1);
        // Small entries say little of the next ones: what is asked for grows with what has been seen.
        let most = self.most.min(self.count.saturating_mul(GROWTH));
        self.count = by_mean.min(self.budget_bytes / self.large_bytes).clamp(1, most);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EntryId;

    fn entries(sizes: &[usize]) -> Vec<Entry> {
        let entry = |size: &usize| Entry {
            id: EntryId::MIN,
            fields: [("", vec![0; size.saturating_sub(128)])].into_iter().collect(),
        };
        sizes.iter().map(entry).collect()
    }

    #[test]
    fn it_grows_to_its_most_with_small_entries() {
        let mut size = ReadSize::new(500, 16 << 20);
        let mut counts = Vec::new();
        for _ in 0..6 {
            counts.push(size.count());
            size.learn(&entries(&vec![200; size.count()]));
        }
        assert_eq!(counts, [1, 4, 16, 64, 256, 500]);
    }

    #[test]
    fn one_large_entry_among_small_ones_is_remembered() {
        let mut size = ReadSize::new(500, 16 << 20);
        for _ in 0..9 {
            size.learn(&entries(&[200; 256]));
        }
        size.learn(&entries(&[200, 16 << 20]));
        assert_eq!(size.count(), 1);
        size.learn(&entries(&[200]));
        assert_eq!(size.count(), 1, "the next may be large again");
        let mut reads = 0;
        while size.count() < 500 {
            size.learn(&entries(&vec![200; size.count()]));
            reads += 1;
        }
        assert!((20..100).contains(&reads), "{reads}");
    }

    #[test]
    fn the_budget_holds_whatever_the_sizes() {
        let mut size = ReadSize::new(500, 1 << 20);
        for _ in 0..20 {
            size.learn(&entries(&vec![10_000; size.count()]));
        }
        assert_eq!(size.count(), (1 << 18) / 10_000);
        size.learn(&entries(&[2 << 20]));
        assert_eq!(size.count(), 1);
        assert_eq!(ReadSize::new(0, 0).count(), 1);
        let mut nothing = ReadSize::new(9, 0);
        assert_eq!((nothing.learn(&entries(&[5_000])), nothing.count()), (5_000, 1));
    }
}
