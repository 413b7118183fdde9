//! Hashes of names and lines.
//!
//! Anybody can compute them, so nothing may cost more than a bounded time because some are equal.

use crate::field::FieldRef;

/// The hashes of a field line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) name: u32,
    pub(super) line: u32,
}

impl Hashes {
    pub(super) fn of(field: FieldRef<'_>) -> Self {
        let name = hash(0, field.name);
        Self { name, line: hash(name, field.value) }
    }
}

/// Eight bytes at a time, each multiplied into the hash of those before.
fn hash(seed: u32, bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (u64::from(seed) << 32 | bytes.len() as u64).wrapping_mul(FACTOR);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(FACTOR);
        hash ^= hash >> 32;
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(last, byte)| *last = *byte);
    ((hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR) >> 32) as u32
}
