//! Packet numbers that are never sent (RFC 9000 §21.4).

use std::collections::VecDeque;

/// How many skipped packet numbers are remembered.
const MAX_SKIPPED: usize = 64;

/// The latest skipped numbers of a space, lowest first.
#[derive(Debug, Default)]
pub(super) struct Skipped(VecDeque<u64>);

impl Skipped {
    pub(super) fn push(&mut self, pn: u64) {
        if self.0.len() >= MAX_SKIPPED {
            self.0.pop_front();
        }
        self.0.push_back(pn);
    }

    /// How many skipped numbers lie in `low..=high`.
    pub(super) fn count_in(&self, low: u64, high: u64) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        self.0.partition_point(|pn| *pn <= high) - self.0.partition_point(|pn| *pn < low)
    }
}
