//! Random fixed bits (RFC 9287): each packet draws a bit once the peer has said that it accepts both values.

use crate::base::Entropy;

/// How many bytes one draw takes. The system's generator is then called once in 256 packets, because each
/// call costs a system call.
const DRAW: usize = 32;

/// Random bits, one for each packet.
#[derive(Debug, Default)]
pub(super) struct FixedBits {
    bits: [u8; DRAW],
    /// How many bits of the draw are left.
    left: u16,
}

impl FixedBits {
    /// Whether the next packet has a zero fixed bit.
    pub(super) fn next_is_zero(&mut self, entropy: &mut dyn Entropy) -> bool {
        if self.left == 0 {
            entropy.fill(&mut self.bits);
            self.left = DRAW as u16 * 8;
        }
        self.left -= 1;
        self.bits[usize::from(self.left / 8)] >> (self.left % 8) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    #[test]
    fn about_half_of_them_are_zero_and_no_two_draws_are_alike() {
        let (mut bits, mut entropy) = (FixedBits::default(), SeededEntropy::new(5));
        let drawn: Vec<bool> = (0..256 * 40).map(|_| bits.next_is_zero(&mut entropy)).collect();
        let zeros = drawn.iter().filter(|zero| **zero).count();
        assert!((4600..5600).contains(&zeros), "{zeros}");
        for draws in drawn.chunks(256).collect::<Vec<_>>().windows(2) {
            assert_ne!(draws[0], draws[1]);
        }
    }
}
