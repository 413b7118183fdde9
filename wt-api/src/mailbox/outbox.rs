//! Counts the data that the application wrote on all streams of a connection and QUIC has not taken.
//!
//! If a peer accepts nothing, the boxes of all streams together hold at most the limit, plus a little for
//! each stream. Streams share the limit: all that have data get equal parts.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes that one stream may hold.
pub(super) const STREAM_LIMIT: usize = 256 << 10;
/// How many bytes a stream may hold whatever the others hold, so that none starves and each can fill several
/// packets.
const SHARE: usize = 16 << 10;
/// Less room than this, in bytes, counts as none, because small pieces have too much overhead.
const LEAST: usize = 4 << 10;

/// The sum over all streams of a connection.
///
/// The numbers are independent: no other data is published with them. Two concurrent writers may both use the
/// same room.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: AtomicUsize,
    /// How many streams hold data.
    streams: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for Outbox {
    fn default() -> Self {
        // The limit until the driver sets one.
        Self {
            bytes: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            limit: AtomicUsize::new(4 * STREAM_LIMIT),
        }
    }
}

impl Outbox {
    /// How many bytes all streams hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// The driver's side: sets how many bytes the streams may hold together.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// A stream that held `before` bytes now holds `after`.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.bytes.fetch_add(after - before, Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Relaxed);
        }
        match (before, after) {
            (0, 1..) => drop(self.streams.fetch_add(1, Relaxed)),
            (1.., 0) => drop(self.streams.fetch_sub(1, Relaxed)),
            _ => {}
        }
    }

    /// An equal part for each stream with data. A stream with `own` bytes is one of them.
    fn part(&self, own: usize) -> usize {
        let streams = self.streams.load(Relaxed) + usize::from(own == 0);
        (self.limit.load(Relaxed) / streams.max(1)).clamp(SHARE, STREAM_LIMIT)
    }

    /// How many bytes a stream that holds `own` bytes may add.
    pub(super) fn room(&self, own: usize) -> usize {
        let free = self.limit.load(Relaxed).saturating_sub(self.bytes());
        let fair = self.part(own).saturating_sub(own).min(free);
        if fair < LEAST { SHARE.saturating_sub(own) } else { fair }
    }

    /// Whether to wake a waiting writer whose stream now holds `own` bytes: it should find room for much data
    /// at once. A waiting stream has data in its box, so this is asked again until it is true.
    pub(super) fn wakes(&self, own: usize) -> bool {
        own <= SHARE / 2 || 2 * self.room(own) >= self.part(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as much as there is room for, in rounds, while nothing is taken.
    fn fill(outbox: &Outbox, held: &mut [usize]) {
        loop {
            let before = outbox.bytes();
            for own in &mut *held {
                let room = outbox.room(*own);
                outbox.change(*own, *own + room);
                *own += room;
            }
            if outbox.bytes() == before {
                return;
            }
        }
    }

    #[test]
    fn all_streams_together_hold_the_limit_and_a_little_each() {
        for (limit, streams) in [(4 << 20, 1), (4 << 20, 16), (4 << 20, 250), (64 << 10, 250), (0, 3)] {
            let outbox = Outbox::default();
            outbox.set_limit(limit);
            let mut held = vec![0; streams];
            fill(&outbox, &mut held);
            assert_eq!(held.iter().sum::<usize>(), outbox.bytes());
            assert!(outbox.bytes() <= limit + streams * (16 << 10), "{} bytes", outbox.bytes());
            assert!(held.iter().all(|own| (SHARE..=256 << 10).contains(own)), "none starves: {held:?}");
            held.iter().for_each(|own| outbox.change(*own, 0));
            assert_eq!((outbox.bytes(), outbox.streams.load(Relaxed)), (0, 0));
        }
    }

    #[test]
    fn a_waiting_writer_is_woken_at_the_latest_when_little_is_left() {
        let outbox = Outbox::default();
        outbox.set_limit(1 << 20);
        let mut held = vec![0; 100];
        fill(&outbox, &mut held);
        assert_eq!(held[99], SHARE, "it came last");
        assert!(!outbox.wakes(SHARE), "it is full");
        outbox.change(SHARE, SHARE / 2);
        assert!(outbox.wakes(SHARE / 2) && outbox.room(SHARE / 2) >= SHARE / 2);
        // The others are gone, so a waiting stream has more room than before.
        held[..98].iter().for_each(|own| outbox.change(*own, 0));
        assert!(outbox.wakes(held[98]) && outbox.room(held[98]) == STREAM_LIMIT - SHARE);
    }

    #[test]
    fn a_single_stream_has_a_quarter_of_a_megabyte_and_is_woken_at_half() {
        let outbox = Outbox::default();
        assert_eq!(outbox.room(0), STREAM_LIMIT);
        outbox.change(0, STREAM_LIMIT);
        assert_eq!(outbox.room(STREAM_LIMIT), 0);
        assert!(!outbox.wakes(STREAM_LIMIT / 2 + 1));
        assert!(outbox.wakes(STREAM_LIMIT / 2));
    }
}
