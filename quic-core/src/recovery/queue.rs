//! The queue behind the ledger: packets in the order of their numbers, each with its receipts.
//!
//! Finding a packet number is a binary search, once per ACK range. Within a range, the walk is linear in the
//! outstanding packets, because it remembers stretches of settled packets and skips them. Nothing is
//! allocated per packet once the queue has grown to the size of a flight; the owner decides when that room is
//! freed.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outstanding,
    Acked,
    Lost,
}

#[derive(Debug)]
struct Entry<T> {
    pn: u64,
    value: T,
    /// Where the packet's receipts begin, counted (modulo 2^32) from the first receipt ever.
    receipts_at: u32,
    receipts: u16,
    state: State,
    /// For a settled packet: how many entries from this one on are known to be settled, at least one.
    settled: u32,
}

/// Packets with values `T` and receipts `R`. A settled packet leaves as soon as all before it are settled.
#[derive(Debug)]
pub(super) struct PacketQueue<T, R> {
    entries: VecDeque<Entry<T>>,
    receipts: VecDeque<R>,
    /// The position of the first receipt in the queue.
    receipts_base: u32,
    /// The highest acknowledged packet number among the packets that have left.
    acked_gone: Option<u64>,
}

/// Room that is never freed, enough for the flight of most connections.
const KEPT: usize = 128;

/// Whether the queue has room for far more than it holds.
fn has_spare<T>(queue: &VecDeque<T>) -> bool {
    queue.capacity() > KEPT && queue.len() < queue.capacity() / 8
}

fn release_spare<T>(queue: &mut VecDeque<T>) {
    if has_spare(queue) {
        queue.shrink_to((2 * queue.len()).max(KEPT));
    }
}

impl<T, R: Copy> PacketQueue<T, R> {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), receipts: VecDeque::new(), receipts_base: 0, acked_gone: None }
    }

    /// Appends a packet. `pn` must be above all numbers before it.
    pub(super) fn push(&mut self, pn: u64, value: T, receipts: impl IntoIterator<Item = R>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.pn < pn), "packet number {pn} out of order");
        let before = self.receipts.len();
        // Most packets have one or two receipts.
        for receipt in receipts.into_iter().take(usize::from(u16::MAX)) {
            self.receipts.push_back(receipt);
        }
        self.entries.push_back(Entry {
            pn,
            value,
            receipts_at: self.receipts_base.wrapping_add(before as u32),
            receipts: (self.receipts.len() - before) as u16,
            state: State::Outstanding,
            settled: 0,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory that the packets and their receipts take, in bytes.
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

    /// The index, number and value of the first outstanding packet at `index` or after it.
    pub(super) fn next_outstanding(&mut self, index: usize) -> Option<(usize, u64, &mut T)> {
        let (mut at, mut hops) = (index, 0);
        while let Some(entry) = self.entries.get(at) {
            if entry.state == State::Outstanding {
                break;
            }
            at += entry.settled.max(1) as usize;
            hops += 1;
        }
        if hops > 1 {
            // The next walk skips this stretch in one step.
            if let Some(first) = self.entries.get_mut(index) {
                first.settled = u32::try_from(at - index).unwrap_or(1);
            }
        }
        self.entries.get_mut(at).map(|entry| (at, entry.pn, &mut entry.value))
    }

    /// Appends the numbers of the outstanding packets in `low..=high`.
    pub(super) fn outstanding(&mut self, low: u64, high: u64, into: &mut Vec<u64>) {
        let mut index = self.position(low);
        while let Some((at, number, _)) =
            self.next_outstanding(index).filter(|(_, number, _)| *number <= high)
        {
            into.push(number);
            index = at + 1;
        }
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

    /// Whether a packet numbered above `after` that was sent right before the one at `index` was
    /// acknowledged. All packets below `index` must be settled, and none of them lost that is numbered above
    /// `after`.
    pub(super) fn acked_between(&self, after: u64, index: usize) -> bool {
        let before = match index.checked_sub(1) {
            Some(before) => self.entries.get(before).filter(|e| e.state == State::Acked).map(|e| e.pn),
            None => self.acked_gone,
        };
        before.is_some_and(|pn| pn > after)
    }

    /// Removes the settled packets at the front.
    pub(super) fn trim(&mut self) {
        while self.entries.front().is_some_and(|front| front.state != State::Outstanding) {
            self.pop_front();
        }
    }

    /// Whether a large flight has left room for far more packets than the queue holds.
    pub(super) fn has_spare(&self) -> bool {
        has_spare(&self.entries) || has_spare(&self.receipts)
    }

    /// Frees that room. The packets left may move, so this is for flights that do not come back soon.
    pub(super) fn release_spare(&mut self) {
        release_spare(&mut self.entries);
        release_spare(&mut self.receipts);
    }

    /// Removes the first packet, settled or not.
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

    /// How many packets the queue has room for.
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

    fn filled(count: u64) -> PacketQueue<(), u64> {
        let mut queue = PacketQueue::new();
        for pn in 0..count {
            queue.push(pn, (), [pn * 10, pn * 10 + 1]);
        }
        queue
    }

    #[test]
    fn receipts_stay_with_their_packets_while_others_leave() {
        let mut queue = filled(5);
        queue.receipts_base = 0;
        queue.settle(1, true);
        queue.trim();
        assert_eq!(queue.len(), 5, "the first packet is still outstanding");
        queue.settle(0, true);
        queue.trim();
        assert_eq!(queue.front().map(|(pn, ())| pn), Some(2));
        assert_eq!(queue.receipts(1).collect::<Vec<_>>(), [30, 31]);
        assert_eq!(queue.receipts(9).count(), 0);
    }

    #[test]
    fn the_room_of_a_large_flight_is_given_back_when_asked_for() {
        let mut queue = filled(10_000);
        for _ in 0..9_900 {
            assert!(!queue.has_spare() || queue.len() < queue.entries.capacity() / 8);
            queue.settle(0, true);
            queue.trim();
        }
        assert!(queue.has_spare() && queue.entries.capacity() >= 10_000, "the room stays until it is freed");
        queue.release_spare();
        assert!(!queue.has_spare() && queue.entries.capacity() <= 200 && queue.receipts.capacity() <= 400);
        assert_eq!(
            queue.receipts(0).collect::<Vec<_>>(),
            [99_000, 99_001],
            "receipts stay with their packets"
        );
        queue.clear();
        assert_eq!((queue.entries.capacity(), queue.receipts.capacity()), (0, 0));
    }

    #[test]
    fn settled_stretches_are_jumped() {
        let mut queue = filled(1_000);
        for index in 1..999 {
            queue.settle(index, true);
        }
        assert_eq!(queue.next_outstanding(1).map(|(index, ..)| index), Some(999));
        assert_eq!(queue.entries[1].settled, 998);
        queue.settle(999, true);
        assert_eq!(queue.next_outstanding(1).map(|(index, ..)| index), None);
        assert_eq!(queue.entries[1].settled, 999);
    }

    #[test]
    fn an_acknowledgment_between_is_seen_even_after_it_left() {
        let mut queue = filled(6);
        queue.settle(0, false);
        queue.settle(1, true);
        assert!(queue.acked_between(0, 2));
        queue.trim();
        assert!(queue.acked_between(0, 0) && !queue.acked_between(1, 0));
        queue.settle(0, false);
        assert!(!queue.acked_between(2, 1));
    }

    #[test]
    fn positions_survive_the_wrap_of_the_receipt_count() {
        let mut queue: PacketQueue<(), u64> = PacketQueue::new();
        queue.receipts_base = u32::MAX - 1;
        for pn in 0..4 {
            queue.push(pn, (), [pn * 10, pn * 10 + 1]);
        }
        assert_eq!(queue.receipts(2).collect::<Vec<_>>(), [20, 21]);
        queue.settle(0, true);
        queue.settle(1, true);
        queue.trim();
        assert_eq!(queue.receipts(1).collect::<Vec<_>>(), [30, 31]);
    }
}
