//! A count of received bytes that the application has not taken yet.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Received bytes in some boxes, and how few of them the driver waits for.
#[derive(Debug, Default)]
pub(crate) struct UnreadBytes {
    bytes: AtomicUsize,
    /// The driver is to be woken when fewer than this are left; 0: not at all.
    wake_below: AtomicUsize,
}

impl UnreadBytes {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many were taken. True: the driver wants to know.
    pub(super) fn sub(&self, bytes: usize) -> bool {
        // Sequentially consistent, as below: of reader and driver at least one sees what the other wrote.
        let left = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        let wake_below = self.wake_below.load(Ordering::SeqCst);
        left < wake_below && self.wake_below.swap(0, Ordering::SeqCst) > 0
    }

    /// The driver's side: it is to be woken once, when at most `bytes` are left. False if that is so already.
    pub(crate) fn wake_when_left(&self, bytes: usize) -> bool {
        self.wake_below.store(bytes.saturating_add(1), Ordering::SeqCst);
        self.bytes.load(Ordering::SeqCst) > bytes || self.wake_below.swap(0, Ordering::SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_woken_once_and_when_few_enough_are_left() {
        for most in [0, 10] {
            let held = UnreadBytes::default();
            held.add(100);
            assert!(!held.sub(10), "nobody waits");
            assert!(held.wake_when_left(most));
            assert!(!held.sub(89 - most));
            assert!(held.sub(1));
            held.add(5);
            assert!(!held.sub(5), "once");
            assert_eq!(held.bytes(), most);
            assert!(!held.wake_when_left(most), "it is so already");
            held.add(1);
            assert!(!held.sub(1));
        }
    }
}
