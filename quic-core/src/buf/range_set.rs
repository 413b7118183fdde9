//! `RangeSet`: a set of u64, kept as sorted ranges. It holds packet numbers (RFC 9000 §13.2.3), acknowledged
//! and lost ranges of streams (§13.3), and streams not seen yet (§3.2).

use std::{collections::VecDeque, ops::Range};

/// Ranges held without a heap allocation.
const INLINE: usize = 3;

/// A set of u64 below `u64::MAX`, kept as disjoint, non-adjacent, ascending half-open ranges.
///
/// Growing the last range and appending behind it are O(1). Everything else is a binary search and, in the
/// worst case, a move of the ranges behind. The first three ranges need no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    inline: [(u64, u64); INLINE],
    inline_len: u8,
    /// All ranges, once there are more than fit inline. When the set is empty, it uses the inline ranges
    /// again.
    spill: VecDeque<(u64, u64)>,
}

impl RangeSet {
    /// The empty set.
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        Self { inline: [(0, 0); INLINE], inline_len: 0, spill: VecDeque::new() }
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        if self.spill.is_empty() { usize::from(self.inline_len) } else { self.spill.len() }
    }

    /// True if the set has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.inline_len == 0 && self.spill.is_empty()
    }

    /// The smallest member.
    pub(crate) fn min(&self) -> Option<u64> {
        self.first().map(|range| range.start)
    }

    /// The largest member.
    #[cfg(test)]
    pub(crate) fn max(&self) -> Option<u64> {
        self.get(self.len().checked_sub(1)?).map(|(_, end)| end - 1)
    }

    /// The lowest range.
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.get(0).map(|(start, end)| start..end)
    }

    /// True if `value` is a member.
    pub(crate) fn contains(&self, value: u64) -> bool {
        self.get(self.first_ending_after(value)).is_some_and(|(start, _)| start <= value)
    }

    /// The ranges, ascending; `.rev()` gives them descending.
    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| {
            let (start, end) = self.get(index).unwrap_or_default();
            start..end
        })
    }

    /// Adds one value; true if it was not a member before.
    pub(crate) fn insert_one(&mut self, value: u64) -> bool {
        self.insert(value..value.saturating_add(1)) == 1
    }

    /// Adds `range`; returns how many of its values were not members before.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Range { start, end } = range;
        let len = self.len();
        // The common case, in order: `range` continues the last range.
        if let Some(last) = len.checked_sub(1).and_then(|last| self.get_mut(last))
            && last.1 == start
        {
            last.1 = end;
            return end - start;
        }
        let from = self.partition_point(|&(_, other_end)| other_end < start);
        let to = self.partition_point(|&(other_start, _)| other_start <= end);
        if from >= to {
            self.insert_at(from, (start, end));
            return end - start;
        }
        let (mut merged_start, mut merged_end, mut covered) = (start, end, 0);
        for index in from..to {
            let (other_start, other_end) = self.get(index).unwrap_or_default();
            merged_start = merged_start.min(other_start);
            merged_end = merged_end.max(other_end);
            covered += other_end.min(end).saturating_sub(other_start.max(start));
        }
        if let Some(slot) = self.get_mut(from) {
            *slot = (merged_start, merged_end);
        }
        self.remove_at(from + 1..to);
        (end - start) - covered
    }

    /// Removes `range`; returns how many of its values were members.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Range { start, end } = range;
        let from = self.first_ending_after(start);
        let to = self.partition_point(|&(other_start, _)| other_start < end);
        if from >= to {
            return 0;
        }
        let (first_start, first_end) = self.get(from).unwrap_or_default();
        if first_start < start && end < first_end {
            // The removal leaves a hole in one range.
            if let Some(slot) = self.get_mut(from) {
                slot.1 = start;
            }
            self.insert_at(from + 1, (end, first_end));
            return end - start;
        }
        let (mut removed, mut gone) = (0, from..to);
        for index in from..to {
            let Some(slot) = self.get_mut(index) else { break };
            removed += slot.1.min(end) - slot.0.max(start);
            if slot.0 < start {
                slot.1 = start;
                gone.start = index + 1;
            } else if end < slot.1 {
                slot.0 = end;
                gone.end = index;
            }
        }
        self.remove_at(gone);
        removed
    }

    /// Removes the lowest range and returns it.
    pub(crate) fn pop_min(&mut self) -> Option<Range<u64>> {
        let first = self.first()?;
        self.remove_at(0..1);
        Some(first)
    }

    /// Keeps only the `count` highest ranges; returns how many ranges were dropped.
    pub(crate) fn limit(&mut self, count: usize) -> usize {
        let excess = self.len().saturating_sub(count);
        self.remove_at(0..excess);
        excess
    }

    fn first_ending_after(&self, value: u64) -> usize {
        self.partition_point(|&(_, end)| end <= value)
    }

    fn get(&self, index: usize) -> Option<(u64, u64)> {
        if self.spill.is_empty() {
            self.inline[..usize::from(self.inline_len)].get(index).copied()
        } else {
            self.spill.get(index).copied()
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut (u64, u64)> {
        if self.spill.is_empty() {
            self.inline[..usize::from(self.inline_len)].get_mut(index)
        } else {
            self.spill.get_mut(index)
        }
    }

    fn partition_point(&self, before: impl FnMut(&(u64, u64)) -> bool) -> usize {
        if self.spill.is_empty() {
            self.inline[..usize::from(self.inline_len)].partition_point(before)
        } else {
            self.spill.partition_point(before)
        }
    }

    fn insert_at(&mut self, index: usize, range: (u64, u64)) {
        let len = usize::from(self.inline_len);
        if !self.spill.is_empty() {
            self.spill.insert(index, range);
        } else if len < INLINE {
            self.inline[index..=len].rotate_right(1);
            self.inline[index] = range;
            self.inline_len += 1;
        } else {
            self.spill.extend(self.inline);
            self.inline_len = 0;
            self.spill.insert(index, range);
        }
    }

    fn remove_at(&mut self, gone: Range<usize>) {
        if gone.is_empty() {
            return;
        }
        if self.spill.is_empty() {
            let len = usize::from(self.inline_len);
            self.inline.copy_within(gone.end..len, gone.start);
            self.inline_len -= gone.len() as u8;
        } else if gone == (0..1) {
            self.spill.pop_front();
        } else {
            self.spill.drain(gone);
        }
    }
}
