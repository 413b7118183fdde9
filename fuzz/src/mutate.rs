//! Mutations of inputs: a pure function of a generator's state.

/// SplitMix64: one seed, one sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose output depends only on `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next_u64() % bound as u64) as usize }
    }
}

/// Bytes at which parsers branch: limits of variable-length integers, prefixes, types.
const EDGES: &[&[u8]] = &[
    &[0],
    &[1],
    &[0x1f],
    &[0x3f],
    &[0x40, 0x40],
    &[0x40],
    &[0x7f],
    &[0x7f, 0xff],
    &[0x80],
    &[0xbf, 0xff, 0xff, 0xff],
    &[0xc0, 0, 0, 0, 0, 0, 0, 0],
    &[0xff],
    &[0xff; 8],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
];

/// Changes `input` in one to four places. It never exceeds `max` bytes. Parts of `other` may be inserted.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], max: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(8) {
            0 if !input.is_empty() => {
                let at = at.min(input.len() - 1);
                input[at] ^= 1 << random.below(8);
            }
            1 if !input.is_empty() => {
                let at = at.min(input.len() - 1);
                input[at] = random.next_u64() as u8;
            }
            2 => drop(input.drain(at..(at + 1 + random.below(8)).min(input.len()))),
            3 => insert(input, at, EDGES[random.below(EDGES.len())]),
            4 => {
                let edge = EDGES[random.below(EDGES.len())];
                let end = (at + edge.len()).min(input.len());
                input.splice(at..end, edge.iter().copied());
            }
            5 => {
                let start = random.below(other.len());
                let end = (start + 1 + random.below(64)).min(other.len());
                insert(input, at, &other[start..end]);
            }
            6 => {
                let end = (at + 1 + random.below(32)).min(input.len());
                let copy = input[at..end].to_vec();
                insert(input, at, &copy);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(max);
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}
