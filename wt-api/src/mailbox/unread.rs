//! Counts received bytes that the application has not taken yet.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The received bytes in some boxes, and at how few of them the driver wants to be woken.
#[derive(Debug, Default)]
pub(crate) struct UnreadBytes {
    bytes: AtomicUsize,
    /// The driver is woken when fewer bytes than this are left; 0 means never.
    wake_below: AtomicUsize,
}

impl UnreadBytes {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `bytes` bytes were taken. Returns whether the driver must be told.
    pub(super) fn sub(&self, bytes: usize) -> bool {
        // Sequentially consistent, as below: either the reader or the driver sees what the other wrote.
        let left = self.bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        let wake_below = self.wake_below.load(Ordering::SeqCst);
        left < wake_below && self.wake_below.swap(0, Ordering::SeqCst) > 0
    }

    /// The driver's side: requests one wake-up when at most `bytes` bytes are left. Returns false if that
    /// already holds.
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
