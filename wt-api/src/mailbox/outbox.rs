//! What the application wrote on all streams of a connection and QUIC has not taken.
//!
//! A peer that takes nothing makes the boxes of all streams together hold no more than the limit, and a little for each
//! stream beyond. Streams share what there is: as many as write hold equal parts.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most that one stream holds, in bytes.
pub(super) const STREAM_LIMIT: usize = 256 << 10;
/// What a stream may hold however much the others do, in bytes: none starves, and each can fill some packets.
const SHARE: usize = 16 << 10;
/// Less room than this, in bytes, is none: pieces cost more than what is in them.
const LEAST: usize = 4 << 10;

/// The sum over all streams of a connection.
///
/// The figures stand alone: nothing else is published with them. Two writers at once may both find the same room.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: AtomicUsize,
    /// Streams that hold something.
    streams: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for Outbox {
    fn default() -> Self {
        // Until the driver says what the connection may hold.
        Self {
            bytes: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            limit: AtomicUsize::new(4 * STREAM_LIMIT),
        }
    }
}

impl Outbox {
    /// What all streams hold, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// The driver's side: what the streams may hold together.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// A stream that held `before` bytes holds `after` now.
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

    /// An equal part for each stream that holds something, one with `own` bytes among them.
    fn part(&self, own: usize) -> usize {
        let streams = self.streams.load(Relaxed) + usize::from(own == 0);
        (self.limit.load(Relaxed) / streams.max(1)).clamp(SHARE, STREAM_LIMIT)
    }

    /// What a stream that holds `own` bytes may add.
    pub(super) fn room(&self, own: usize) -> usize {
        let free = self.limit.load(Relaxed).saturating_sub(self.bytes());
        let fair = self.part(own).saturating_sub(own).min(free);
        if fair < LEAST { SHARE.saturating_sub(own) } else { fair }
    }

    /// Whether a writer that waited is to be told, its stream holding `own` bytes now: it should find room for much at once.
    /// Whoever waits has something in its box, so this is asked again until it is so.
    pub(super) fn wakes(&self, own: usize) -> bool {
        own <= SHARE / 2 || 2 * self.room(own) >= self.part(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as much as there is room for, round after round, while nobody takes anything.
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
    fn whoever_waits_is_told_at_the_latest_when_little_is_left() {
        let outbox = Outbox::default();
        outbox.set_limit(1 << 20);
        let mut held = vec![0; 100];
        fill(&outbox, &mut held);
        assert_eq!(held[99], SHARE, "it came last");
        assert!(!outbox.wakes(SHARE), "it is full");
        outbox.change(SHARE, SHARE / 2);
        assert!(outbox.wakes(SHARE / 2) && outbox.room(SHARE / 2) >= SHARE / 2);
        // The others are gone: a stream that waits has more room than it had.
        held[..98].iter().for_each(|own| outbox.change(*own, 0));
        assert!(outbox.wakes(held[98]) && outbox.room(held[98]) == STREAM_LIMIT - SHARE);
    }

    #[test]
    fn a_stream_alone_has_a_quarter_of_a_megabyte_and_is_told_at_half() {
        let outbox = Outbox::default();
        assert_eq!(outbox.room(0), STREAM_LIMIT);
        outbox.change(0, STREAM_LIMIT);
        assert_eq!(outbox.room(STREAM_LIMIT), 0);
        assert!(!outbox.wakes(STREAM_LIMIT / 2 + 1));
        assert!(outbox.wakes(STREAM_LIMIT / 2));
    }
}
