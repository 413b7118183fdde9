//! A count of streams of the peer that are over for QUIC and not for the application.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quic_core::Dir;

/// Streams of the peer of which all is in their boxes and the application has not read to the end, by kind: for the peer
/// they are open, as they would be if nobody read ahead.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    counts: [AtomicU64; 2],
    /// The driver waits for fewer.
    awaited: AtomicBool,
}

impl Lingering {
    /// Bidirectional and unidirectional ones.
    pub(crate) fn counts(&self) -> [u64; 2] {
        self.counts.each_ref().map(|count| count.load(Ordering::SeqCst))
    }

    pub(super) fn add(&self, dir: Dir) {
        self.counts[dir as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// One was read to its end, or given up. True: the driver wants to know.
    pub(super) fn sub(&self, dir: Dir) -> bool {
        // Sequentially consistent, as in `UnreadBytes`: of reader and driver at least one sees what the other wrote.
        self.counts[dir as usize].fetch_sub(1, Ordering::SeqCst);
        self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst)
    }

    /// The driver's side: it is to be woken once, when there are fewer than `known`. False if that is so already.
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
