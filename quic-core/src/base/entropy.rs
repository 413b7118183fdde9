//! Injected randomness.

use super::algorithms::rand::{SecureRandom, SystemRandom};

/// A source of unpredictable bytes. It supplies connection IDs, challenges, reset tokens and packet-number
/// gaps.
pub trait Entropy: Send {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);

    /// Makes an independent source of the same quality for another owner.
    fn fork(&mut self) -> Box<dyn Entropy>;

    /// A number below 2^64; all are equally likely.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

/// The operating system's generator, for production.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// A handle on the system's generator.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        // The generator fails only on a system without a working getrandom, and no peer can cause that.
        // Predictable identifiers would be worse than a panic.
        self.0.fill(bytes).expect("the operating system's random generator works");
    }

    fn fork(&mut self) -> Box<dyn Entropy> {
        Box::new(Self::new())
    }
}

/// A reproducible generator for simulations and tests. **Not** for production: its output is predictable.
#[derive(Clone, Debug)]
pub struct SeededEntropy(u64);

impl SeededEntropy {
    /// A generator whose output depends on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64: one addition and one mix per output; every seed gives a sequence of full period.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_be_bytes()[..chunk.len()]);
        }
    }

    fn fork(&mut self) -> Box<dyn Entropy> {
        Box::new(Self::new(self.next_u64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let draw = |seed| {
            let mut bytes = [0; 20];
            SeededEntropy::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
