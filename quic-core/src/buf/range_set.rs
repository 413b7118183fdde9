//! `RangeSet`: a set of u64, kept as sorted ranges. It holds packet numbers (RFC 9000 §13.2.3), acknowledged
//! and lost ranges of streams (§13.3), and streams not seen yet (§3.2).

use std::{collections::VecDeque, ops::Range};

/// Ranges held without a heap allocation. A connection has many sets, and most have one range.
const INLINE: usize = 2;

/// A set of u64 below `u64::MAX`, kept as disjoint, non-adjacent, ascending half-open ranges.
///
/// Growing the last range and appending behind it are O(1). Everything else is a binary search and, in the
/// worst case, a move of the ranges behind. The first two ranges need no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    /// The ranges, while there are no more than fit here. No range is empty, so an empty one is a free place;
    /// free places come last.
    inline: [(u64, u64); INLINE],
    /// All ranges, once there are more than fit inline. When the set is empty, it uses the inline ranges
    /// again.
    #[expect(clippy::box_collection, reason = "sets are many, and few of them ever spill")]
    spill: Option<Box<VecDeque<(u64, u64)>>>,
}

const _: () = assert!(size_of::<RangeSet>() <= 40);

impl RangeSet {
    /// The empty set.
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        Self { inline: [(0, 0); INLINE], spill: None }
    }

    /// The ranges on the heap, if that is where they are.
    fn spilled(&self) -> Option<&VecDeque<(u64, u64)>> {
        self.spill.as_deref().filter(|spill| !spill.is_empty())
    }

    /// As [`Self::spilled`], to change them.
    fn spilled_mut(&mut self) -> Option<&mut VecDeque<(u64, u64)>> {
        self.spill.as_deref_mut().filter(|spill| !spill.is_empty())
    }

    /// How many ranges are inline.
    fn inline_len(&self) -> usize {
        self.inline.iter().take_while(|(start, end)| start < end).count()
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.spilled().map_or_else(|| self.inline_len(), VecDeque::len)
    }

    /// True if the set has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.inline_len() == 0 && self.spilled().is_none()
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
        match self.spilled() {
            Some(spill) => spill.get(index).copied(),
            None => self.inline[..self.inline_len()].get(index).copied(),
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut (u64, u64)> {
        let len = self.inline_len();
        if self.spilled().is_some() {
            return self.spilled_mut()?.get_mut(index);
        }
        self.inline[..len].get_mut(index)
    }

    fn partition_point(&self, before: impl FnMut(&(u64, u64)) -> bool) -> usize {
        match self.spilled() {
            Some(spill) => spill.partition_point(before),
            None => self.inline[..self.inline_len()].partition_point(before),
        }
    }

    fn insert_at(&mut self, index: usize, range: (u64, u64)) {
        let len = self.inline_len();
        if let Some(spill) = self.spilled_mut() {
            spill.insert(index, range);
        } else if len < INLINE {
            self.inline[index..=len].rotate_right(1);
            self.inline[index] = range;
        } else {
            let spill = self.spill.get_or_insert_default();
            spill.extend(std::mem::take(&mut self.inline));
            spill.insert(index, range);
        }
    }

    fn remove_at(&mut self, gone: Range<usize>) {
        if gone.is_empty() {
            return;
        }
        let len = self.inline_len();
        match self.spilled_mut() {
            Some(spill) if gone == (0..1) => drop(spill.pop_front()),
            Some(spill) => drop(spill.drain(gone)),
            None => {
                self.inline.copy_within(gone.end..len, gone.start);
                self.inline[len - gone.len()..len].fill((0, 0));
            }
        }
    }
}
