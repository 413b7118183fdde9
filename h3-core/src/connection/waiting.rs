//! The deadlines of streams of the peer with incomplete heads, in order (server, RFC 9114 §10.5).
//!
//! It owns only the queue; the connection decides whether a deadline still applies. An entry that does not is
//! removed at once if it is the newest, which is the usual case. Otherwise it is removed when its time comes,
//! or when such entries outnumber the others.

use std::collections::VecDeque;

use quic_core::{StreamId, base::Timestamp};

/// The number of entries up to which the queue is not cleaned, and keeps its memory when empty.
const FEW: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<(Timestamp, StreamId)>,
    /// How many entries the last cleaning left.
    left: usize,
}

impl Waiting {
    /// The next deadline. It may be one that no longer applies.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// Adds the deadline `at` of a stream, which is not before any earlier one. `waits` says which entries
    /// still apply.
    pub(super) fn add(&mut self, at: Timestamp, id: StreamId, waits: impl Fn(Timestamp, StreamId) -> bool) {
        if self.queue.len() >= 2 * self.left + FEW {
            self.queue.retain(|(at, id)| waits(*at, *id));
            self.left = self.queue.len();
            self.queue.shrink_to(2 * self.left + FEW);
        }
        self.queue.push_back((at, id));
    }

    /// Whether the newest entry is this stream's.
    pub(super) fn is_last(&self, id: StreamId) -> bool {
        self.queue.back().is_some_and(|(_, last)| *last == id)
    }

    /// Removes the newest entry.
    pub(super) fn remove_last(&mut self) {
        self.queue.pop_back();
        self.slim();
    }

    /// Removes and returns the next entry whose time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, StreamId)> {
        let due = self.deadline().filter(|at| *at <= now).and_then(|_| self.queue.pop_front());
        self.slim();
        due
    }

    fn slim(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > FEW {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quic_core::{Dir, Side};

    use super::*;

    #[test]
    fn stale_entries_do_not_pile_up() {
        let stream = |index| StreamId::new(Side::Client, Dir::Bidi, index);
        let at = |millis| Timestamp::ORIGIN + Duration::from_millis(millis);
        let mut waiting = Waiting::default();
        // One entry in a hundred still applies, including the first.
        let waits = |_: Timestamp, id: StreamId| id.index().is_multiple_of(100);
        for index in 0..100_000 {
            waiting.add(at(index), stream(index), waits);
            assert!(waiting.queue.len() <= 2 * (index as usize / 100 + 1) + FEW + 1);
        }
        assert_eq!(waiting.deadline(), Some(at(0)));
        let mut due = Vec::new();
        while let Some((_, id)) = waiting.pop_due(at(1000)) {
            due.push(id.index());
        }
        assert_eq!(due, (0..=10).map(|n| 100 * n).collect::<Vec<_>>());
        // The newest entry is removed at once, and an empty queue keeps little memory.
        waiting.add(at(100_000), stream(7), waits);
        assert!(waiting.is_last(stream(7)) && !waiting.is_last(stream(100)));
        waiting.remove_last();
        while waiting.pop_due(at(100_000)).is_some() {}
        assert_eq!((waiting.deadline(), waiting.queue.capacity()), (None, 0));
    }
}
