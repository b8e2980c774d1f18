//! The server's newest writes, so that it can lose them.

use std::collections::VecDeque;

use super::keys::{Keys, Write};

/// Writes that are remembered at most.
const MAX_WRITES: usize = 10_000;

/// About how much memory the remembered writes may take.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What each of the newest writes has replaced, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    writes: VecDeque<Write>,
    bytes: usize,
}

impl History {
    /// Remembers a write, and forgets the oldest ones beyond the bounds. The newest one is always kept.
    pub fn push(&mut self, write: Write) {
        self.bytes += write.bytes;
        self.writes.push_back(write);
        while self.writes.len() > MAX_WRITES || (self.bytes > MAX_BYTES && self.writes.len() > 1) {
            if let Some(oldest) = self.writes.pop_front() {
                self.bytes -= oldest.bytes;
            }
        }
    }

    /// Takes the newest `count` writes back, or as many as are remembered. Returns how many that were.
    pub fn take_back(&mut self, count: usize, keys: &mut Keys) -> usize {
        let count = count.min(self.writes.len());
        for write in self.writes.split_off(self.writes.len() - count).into_iter().rev() {
            self.bytes -= write.bytes;
            keys.take_back(write);
        }
        count
    }

    pub fn len(&self) -> usize {
        self.writes.len()
    }
}
