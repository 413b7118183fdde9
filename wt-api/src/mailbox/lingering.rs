//! Counts streams of the peer that have ended in QUIC but not for the application.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quic_core::Dir;

/// The number of such streams, by kind: all their data is in their boxes, and the application has not read it
/// to the end. For the peer they stay open, as if nothing had been read ahead.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    counts: [AtomicU64; 2],
    /// Whether the driver waits for a smaller number.
    awaited: AtomicBool,
}

impl Lingering {
    /// The numbers of bidirectional and unidirectional streams.
    pub(crate) fn counts(&self) -> [u64; 2] {
        self.counts.each_ref().map(|count| count.load(Ordering::SeqCst))
    }

    pub(super) fn add(&self, dir: Dir) {
        self.counts[dir as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// A stream was read to its end, or given up. Returns whether the driver must be told.
    pub(super) fn sub(&self, dir: Dir) -> bool {
        // Sequentially consistent, as in `UnreadBytes`: either the reader or the driver sees what the other
        // wrote.
        self.counts[dir as usize].fetch_sub(1, Ordering::SeqCst);
        self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst)
    }

    /// The driver's side: requests one wake-up when there are fewer than `known`. Returns false if there
    /// already are.
    pub(crate) fn wake_when_fewer(&self, known: [u64; 2]) -> bool {
        self.awaited.store(true, Ordering::SeqCst);
        let fewer = self.counts().iter().zip(known).any(|(now, then)| *now < then);
        !fewer || !self.awaited.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_woken_once_when_there_are_fewer() {
        let lingering = Lingering::default();
        (0..3).for_each(|_| lingering.add(Dir::Uni));
        assert!(!lingering.sub(Dir::Uni), "nobody waits");
        let known = lingering.counts();
        assert_eq!(known, [0, 2]);
        assert!(lingering.wake_when_fewer(known));
        lingering.add(Dir::Bidi);
        assert!(lingering.sub(Dir::Uni));
        assert!(!lingering.sub(Dir::Uni), "once");
        assert!(!lingering.wake_when_fewer(known), "it is so already");
        assert!(!lingering.sub(Dir::Bidi));
    }
}
