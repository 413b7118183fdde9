//! The ring behind the ledgers: packets in order of their numbers, each with its receipts.
//!
//! Finding a packet number is a binary search, once per ACK range; within a range the walk is linear in the
//! packets that are still live, because settled stretches are remembered and jumped. Nothing is allocated per
//! packet once both rings have grown to the size of a flight; the owner says when that room is given back.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Acked,
    Lost,
}

#[derive(Debug)]
struct Entry<T> {
    pn: u64,
    value: T,
    /// Where its receipts begin, counted (modulo 2^32) from the first receipt ever.
    receipts_at: u32,
    receipts: u16,
    state: State,
    /// For a settled packet: how many entries from here on are known to be settled, at least itself.
    settled: u32,
}

/// Packets with values `T` and receipts `R`; settled ones leave as soon as all before them are settled.
#[derive(Debug)]
pub(super) struct Ring<T, R> {
    entries: VecDeque<Entry<T>>,
    receipts: VecDeque<R>,
    /// The position of the first receipt held.
    receipts_base: u32,
    /// The highest acknowledged packet number among those that have left.
    acked_gone: Option<u64>,
}

/// Places that stay whatever is in them: a flight as most connections have it.
const KEPT: usize = 128;

/// Whether the queue has room for far more than is in it.
fn has_spare<T>(queue: &VecDeque<T>) -> bool {
    queue.capacity() > KEPT && queue.len() < queue.capacity() / 8
}

fn release_spare<T>(queue: &mut VecDeque<T>) {
    if has_spare(queue) {
        queue.shrink_to((2 * queue.len()).max(KEPT));
    }
}

impl<T, R: Copy> Ring<T, R> {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), receipts: VecDeque::new(), receipts_base: 0, acked_gone: None }
    }

    /// Appends a packet; `pn` must be above all before it.
    pub(super) fn push(&mut self, pn: u64, value: T, receipts: impl IntoIterator<Item = R>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.pn < pn), "packet number {pn} out of order");
        let before = self.receipts.len();
        // One or two, as a rule.
        for receipt in receipts.into_iter().take(usize::from(u16::MAX)) {
            self.receipts.push_back(receipt);
        }
        self.entries.push_back(Entry {
            pn,
            value,
            receipts_at: self.receipts_base.wrapping_add(before as u32),
            receipts: (self.receipts.len() - before) as u16,
            state: State::Live,
            settled: 0,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the packets held and their receipts take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.entries.len() * size_of::<Entry<T>>() + self.receipts.len() * size_of::<R>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The index of the first packet numbered `pn` or higher.
    pub(super) fn position(&self, pn: u64) -> usize {
        match self.entries.front() {
            Some(front) if front.pn < pn => self.entries.partition_point(|entry| entry.pn < pn),
            _ => 0,
        }
    }

    /// The index, number and value of the first live packet at `index` or after it.
    pub(super) fn next_live(&mut self, index: usize) -> Option<(usize, u64, &mut T)> {
        let (mut at, mut hops) = (index, 0);
        while let Some(entry) = self.entries.get(at) {
            if entry.state == State::Live {
                break;
            }
            at += entry.settled.max(1) as usize;
            hops += 1;
        }
        if hops > 1 {
            // The next walk takes this stretch in one step.
            if let Some(first) = self.entries.get_mut(index) {
                first.settled = u32::try_from(at - index).unwrap_or(1);
            }
        }
        self.entries.get_mut(at).map(|entry| (at, entry.pn, &mut entry.value))
    }

    /// The value of the packet at `index`.
    pub(super) fn value_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index).map(|entry| &mut entry.value)
    }

    /// Marks the packet at `index` as settled.
    pub(super) fn settle(&mut self, index: usize, acked: bool) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = if acked { State::Acked } else { State::Lost };
            entry.settled = 1;
        }
    }

    /// The receipts of the packet at `index`.
    pub(super) fn receipts(&self, index: usize) -> impl Iterator<Item = R> + '_ {
        let (start, count) = self.entries.get(index).map_or((0, 0), |entry| {
            (entry.receipts_at.wrapping_sub(self.receipts_base) as usize, usize::from(entry.receipts))
        });
        self.receipts.iter().skip(start).take(count).copied()
    }

    /// Whether a packet numbered above `after` and right before the one at `index` was acknowledged. All below
    /// `index` must be settled, and none lost that is numbered above `after`.
    pub(super) fn acked_between(&self, after: u64, index: usize) -> bool {
        let before = match index.checked_sub(1) {
            Some(before) => self.entries.get(before).filter(|e| e.state == State::Acked).map(|e| e.pn),
            None => self.acked_gone,
        };
        before.is_some_and(|pn| pn > after)
    }

    /// Lets the settled packets at the front go.
    pub(super) fn trim(&mut self) {
        while self.entries.front().is_some_and(|front| front.state != State::Live) {
            self.pop_front();
        }
    }

    /// Whether a large flight has left room for far more packets than are held.
    pub(super) fn has_spare(&self) -> bool {
        has_spare(&self.entries) || has_spare(&self.receipts)
    }

    /// Gives that room back. What is left may move, so this is for a flight that does not come back soon.
    pub(super) fn release_spare(&mut self) {
        release_spare(&mut self.entries);
        release_spare(&mut self.receipts);
    }

    /// Lets the first packet go, settled or not.
    pub(super) fn pop_front(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        if entry.state == State::Acked {
            self.acked_gone = Some(entry.pn);
        }
        self.receipts.drain(..usize::from(entry.receipts).min(self.receipts.len()));
        self.receipts_base = self.receipts_base.wrapping_add(u32::from(entry.receipts));
    }

    /// The first packet's number and value.
    pub(super) fn front(&self) -> Option<(u64, &T)> {
        self.entries.front().map(|entry| (entry.pn, &entry.value))
    }

    /// The last packet's number.
    pub(super) fn last(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.pn)
    }

    /// Packets that the ring has places for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity()
    }

    pub(super) fn clear(&mut self) {
        while !self.entries.is_empty() {
            self.pop_front();
        }
        (self.entries, self.receipts) = (VecDeque::new(), VecDeque::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Ring<(), u64> {
        let mut ring = Ring::new();
        for pn in 0..count {
            ring.push(pn, (), [pn * 10, pn * 10 + 1]);
        }
        ring
    }

    #[test]
    fn receipts_stay_with_their_packets_while_others_leave() {
        let mut ring = filled(5);
        ring.receipts_base = 0;
        ring.settle(1, true);
        ring.trim();
        assert_eq!(ring.len(), 5, "the first packet is still live");
        ring.settle(0, true);
        ring.trim();
        assert_eq!(ring.front().map(|(pn, ())| pn), Some(2));
        assert_eq!(ring.receipts(1).collect::<Vec<_>>(), [30, 31]);
        assert_eq!(ring.receipts(9).count(), 0);
    }

    #[test]
    fn the_room_of_a_large_flight_is_given_back_when_asked_for() {
        let mut ring = filled(10_000);
        for _ in 0..9_900 {
            assert!(!ring.has_spare() || ring.len() < ring.entries.capacity() / 8);
            ring.settle(0, true);
            ring.trim();
        }
        assert!(ring.has_spare() && ring.entries.capacity() >= 10_000, "until it is asked for");
        ring.release_spare();
        assert!(!ring.has_spare() && ring.entries.capacity() <= 200 && ring.receipts.capacity() <= 400);
        assert_eq!(
            ring.receipts(0).collect::<Vec<_>>(),
            [99_000, 99_001],
            "receipts stay with their packets"
        );
        ring.clear();
        assert_eq!((ring.entries.capacity(), ring.receipts.capacity()), (0, 0));
    }

    #[test]
    fn settled_stretches_are_jumped() {
        let mut ring = filled(1_000);
        for index in 1..999 {
            ring.settle(index, true);
        }
        assert_eq!(ring.next_live(1).map(|(index, ..)| index), Some(999));
        assert_eq!(ring.entries[1].settled, 998);
        ring.settle(999, true);
        assert_eq!(ring.next_live(1).map(|(index, ..)| index), None);
        assert_eq!(ring.entries[1].settled, 999);
    }

    #[test]
    fn an_acknowledgment_between_is_seen_even_after_it_left() {
        let mut ring = filled(6);
        ring.settle(0, false);
        ring.settle(1, true);
        assert!(ring.acked_between(0, 2));
        ring.trim();
        assert!(ring.acked_between(0, 0) && !ring.acked_between(1, 0));
        ring.settle(0, false);
        assert!(!ring.acked_between(2, 1));
    }

    #[test]
    fn positions_survive_the_wrap_of_the_receipt_count() {
        let mut ring: Ring<(), u64> = Ring::new();
        ring.receipts_base = u32::MAX - 1;
        for pn in 0..4 {
            ring.push(pn, (), [pn * 10, pn * 10 + 1]);
        }
        assert_eq!(ring.receipts(2).collect::<Vec<_>>(), [20, 21]);
        ring.settle(0, true);
        ring.settle(1, true);
        ring.trim();
        assert_eq!(ring.receipts(1).collect::<Vec<_>>(), [30, 31]);
    }
}
