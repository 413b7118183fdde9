//! Request streams that a later stream opened implicitly (RFC 9000 §2.1) and that have received nothing yet.
//!
//! It owns ranges of their indices. The streams that one frame opens make one range, and a stream's first
//! frame splits at most one range. It must never know what arrives on a stream.

use std::collections::BTreeMap;

/// Disjoint ranges of indices: the first index of each, and the one past its last.
#[derive(Debug, Default)]
pub(super) struct ImplicitStreams(BTreeMap<u64, u64>);

impl ImplicitStreams {
    /// Adds the streams from `first` up to and without `end`.
    pub(super) fn add(&mut self, first: u64, end: u64) {
        if first < end {
            self.0.insert(first, end);
        }
    }

    /// The stream received its first frame.
    pub(super) fn remove(&mut self, index: u64) {
        let Some((first, end)) = self.range_of(index) else { return };
        self.0.remove(&first);
        self.add(first, index);
        self.add(index + 1, end);
    }

    /// Whether the stream is open implicitly and has received nothing.
    pub(super) fn contains(&self, index: u64) -> bool {
        self.range_of(index).is_some()
    }

    fn range_of(&self, index: u64) -> Option<(u64, u64)> {
        let (first, end) = self.0.range(..=index).next_back()?;
        (index < *end).then_some((*first, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_frame_splits_a_range() {
        let mut implicit = ImplicitStreams::default();
        implicit.add(0, 60_000);
        assert_eq!(implicit.0.len(), 1);
        implicit.add(60_001, 60_001);
        [0, 59_999, 7, 8, 60_000].into_iter().for_each(|index| implicit.remove(index));
        assert_eq!(implicit.0, BTreeMap::from([(1, 7), (9, 59_999)]));
        let waiting = [0, 1, 6, 7, 8, 9, 59_998, 59_999, 60_000].map(|index| implicit.contains(index));
        assert_eq!(waiting, [false, true, true, false, false, true, true, false, false]);
        (0..60_000).for_each(|index| implicit.remove(index));
        assert!(implicit.0.is_empty());
    }
}
