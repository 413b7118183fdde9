//! Fixed bits that are not fixed (RFC 9287): random ones, a bit a packet, once the peer has said that it takes them.

use crate::base::Entropy;

/// Random bits, 64 from each draw.
#[derive(Debug, Default)]
pub(super) struct FixedBits {
    bits: u64,
    left: u8,
}

impl FixedBits {
    /// Whether the next packet has a zero fixed bit.
    pub(super) fn next_is_zero(&mut self, entropy: &mut dyn Entropy) -> bool {
        if self.left == 0 {
            (self.bits, self.left) = (entropy.next_u64(), 64);
        }
        let zero = self.bits & 1 == 1;
        self.bits >>= 1;
        self.left -= 1;
        zero
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    #[test]
    fn about_half_of_them_are_zero() {
        let (mut bits, mut entropy) = (FixedBits::default(), SeededEntropy::new(5));
        let zeros = (0..10_000).filter(|_| bits.next_is_zero(&mut entropy)).count();
        assert!((4500..5500).contains(&zeros), "{zeros}");
    }
}
