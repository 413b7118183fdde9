//! Request streams that are open only because a later one is (RFC 9000 §2.1): nothing has come for them yet, and all may.
//!
//! Owns ranges of their indices. However many streams one frame opens, they make one range; each that is heard of splits
//! one at most. Must never know what comes on a stream.

use std::collections::BTreeMap;

/// Disjoint ranges of indices: the first of each, and the one past its last.
#[derive(Debug, Default)]
pub(super) struct Unheard(BTreeMap<u64, u64>);

impl Unheard {
    /// A stream was opened that is the first beyond `opened` to be heard of: those between wait.
    pub(super) fn skip(&mut self, opened: u64, heard: u64) {
        if opened < heard {
            self.0.insert(opened, heard);
        }
    }

    /// Something came for this stream.
    pub(super) fn hear(&mut self, index: u64) {
        let Some((first, end)) = self.range_of(index) else { return };
        self.0.remove(&first);
        self.skip(first, index);
        self.skip(index + 1, end);
    }

    /// Whether the stream is open, and nothing came for it.
    pub(super) fn holds(&self, index: u64) -> bool {
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
    fn what_is_heard_of_splits_a_range_and_the_rest_waits_on() {
        let mut unheard = Unheard::default();
        unheard.skip(0, 60_000);
        assert_eq!(unheard.0.len(), 1);
        unheard.skip(60_001, 60_001);
        [0, 59_999, 7, 8, 60_000].into_iter().for_each(|index| unheard.hear(index));
        assert_eq!(unheard.0, BTreeMap::from([(1, 7), (9, 59_999)]));
        let waiting = [0, 1, 6, 7, 8, 9, 59_998, 59_999, 60_000].map(|index| unheard.holds(index));
        assert_eq!(waiting, [false, true, true, false, false, true, true, false, false]);
        (0..60_000).for_each(|index| unheard.hear(index));
        assert!(unheard.0.is_empty());
    }
}
