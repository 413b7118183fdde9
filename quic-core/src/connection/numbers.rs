//! Packet numbers to send (RFC 9000 §12.3), with a gap now and then to catch optimistic acknowledgments
//! (§21.4).

use crate::base::{Entropy, varint};

/// One number is skipped in this many packets, at a place that the peer cannot predict.
const SKIP_EVERY: u64 = 512;

/// The packet numbers of one space.
#[derive(Debug)]
pub(super) struct PacketNumbers {
    next: u64,
    skip: u64,
}

impl PacketNumbers {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut numbers = Self { next: 0, skip: 0 };
        numbers.choose_skip(entropy);
        numbers
    }

    fn choose_skip(&mut self, entropy: &mut dyn Entropy) {
        self.skip = self.next + SKIP_EVERY / 4 + entropy.next_u64() % SKIP_EVERY;
    }

    /// The number of the next packet; `None` if the numbers are used up (RFC 9000 §12.3).
    pub(super) fn peek(&self) -> Option<u64> {
        Some(self.next).filter(|next| *next < varint::MAX - 1)
    }

    /// The number was used. Returns the next number if it is to be skipped.
    pub(super) fn advance(&mut self, entropy: &mut dyn Entropy) -> Option<u64> {
        self.next += 1;
        if self.next < self.skip {
            return None;
        }
        let skipped = self.next;
        self.next += 1;
        self.choose_skip(entropy);
        Some(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    #[test]
    fn numbers_rise_and_some_are_skipped() {
        let mut entropy = SeededEntropy::new(3);
        let mut numbers = PacketNumbers::new(&mut entropy);
        let (mut used, mut skipped) = (Vec::new(), Vec::new());
        for _ in 0..10_000 {
            used.push(numbers.peek().expect("far from the end"));
            skipped.extend(numbers.advance(&mut entropy));
        }
        assert!(used.is_sorted() && skipped.len() > 10 && skipped.len() < 100);
        assert!(skipped.iter().all(|number| !used.contains(number)));
    }
}
