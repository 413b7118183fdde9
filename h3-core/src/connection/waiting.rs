//! How long a request may take to begin (server, RFC 9114 §10.5): streams of the peer whose head is not whole, in the order of
//! their deadlines.
//!
//! Owns the queue alone. Whether a stream still waits is up to the connection: one that does not leaves the queue at once if it
//! came last, which is the rule, and else when its time has come or when such entries outnumber the others.

use std::collections::VecDeque;

use quic_core::{StreamId, base::Timestamp};

/// Entries that may stay allocated while none waits, and that are too few to look through.
const FEW: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<(Timestamp, StreamId)>,
    /// Entries that were left when the queue was looked through last.
    left: usize,
}

impl Waiting {
    /// The next deadline; nothing may wait for it any more.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// The stream has time until `at`, which is not before any deadline that was given earlier. `waits` tells which entries
    /// still count.
    pub(super) fn add(&mut self, at: Timestamp, id: StreamId, waits: impl Fn(Timestamp, StreamId) -> bool) {
        if self.queue.len() >= 2 * self.left + FEW {
            self.queue.retain(|(at, id)| waits(*at, *id));
            self.left = self.queue.len();
            self.queue.shrink_to(2 * self.left + FEW);
        }
        self.queue.push_back((at, id));
    }

    /// Whether the stream is the one that was added last.
    pub(super) fn is_last(&self, id: StreamId) -> bool {
        self.queue.back().is_some_and(|(_, last)| *last == id)
    }

    /// The one that was added last does not wait any more.
    pub(super) fn remove_last(&mut self) {
        self.queue.pop_back();
        self.slim();
    }

    /// The next entry whose time has come.
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
    fn who_waits_stays_and_the_others_do_not_pile_up() {
        let stream = |index| StreamId::new(Side::Client, Dir::Bidi, index);
        let at = |millis| Timestamp::ORIGIN + Duration::from_millis(millis);
        let mut waiting = Waiting::default();
        // One of a hundred still waits, the first among them.
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
        // The last one leaves at once, and an empty queue holds little.
        waiting.add(at(100_000), stream(7), waits);
        assert!(waiting.is_last(stream(7)) && !waiting.is_last(stream(100)));
        waiting.remove_last();
        while waiting.pop_due(at(100_000)).is_some() {}
        assert_eq!((waiting.deadline(), waiting.queue.capacity()), (None, 0));
    }
}
