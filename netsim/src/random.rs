//! Random numbers: xoshiro256++, seeded by `SplitMix64`.

/// A generator whose seed decides its whole output. It is not for secrets.
///
/// ```
/// let (mut a, mut b) = (netsim::Random::new(1), netsim::Random::new(1));
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

/// One step of `SplitMix64`: the next state and its output.
fn split_mix(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, z ^ (z >> 31))
}

impl Random {
    /// A generator from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chain = seed;
        let state = std::array::from_fn(|_| {
            let (next, output) = split_mix(chain);
            chain = next;
            output
        });
        Self { state }
    }

    /// The generator of the element `id` of a network. Each element has its own, so that adding one does not
    /// change the others.
    #[must_use]
    pub fn derived(seed: u64, id: u64) -> Self {
        Self::new(split_mix(seed).1 ^ split_mix(id.wrapping_mul(0xd129_0dd4_25f1_90a3)).1)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let output = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        output
    }

    /// A number below `end`, all (nearly) equally likely; zero for an `end` of zero.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A separate generator for a part of an element, so that the part's numbers do not shift the rest.
    #[must_use]
    pub(crate) fn split(&self) -> Self {
        // The seed is drawn from a copy, so that this call does not shift the rest either.
        Self::new(self.clone().next_u64() ^ 0x5851_f42d_4c95_7f2d)
    }

    /// A number from a Poisson distribution with a small mean.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// True with this probability. It draws a number even for 0 and 1, so that one impairment does not shift
    /// another.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the authors' code for the state 1, 2, 3, 4.
    #[test]
    fn published_sequence() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(std::array::from_fn(|_| random.next_u64()), expected);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut random = Random::new(3);
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        let hits = (0..10_000).filter(|_| random.chance(0.3)).count();
        assert!((2_850..3_150).contains(&hits), "{hits}");
    }

    #[test]
    fn derived_generators_differ() {
        let first = |seed, id| Random::derived(seed, id).next_u64();
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }
}
