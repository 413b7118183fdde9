//! Variable-length integers (RFC 9000 §16): 1, 2, 4 or 8 bytes, values up to 2^62-1.

use bytes::BufMut;

/// The largest value that a variable-length integer can carry, 2^62-1.
pub const MAX: u64 = (1 << 62) - 1;

/// Bytes that the shortest encoding of `value` takes: 1, 2, 4 or 8.
///
/// A value above [`MAX`] has no encoding; it counts as 8 bytes so that a size estimate stays an upper bound.
#[must_use]
pub const fn size(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// The length in bytes announced by the first byte of an encoding.
#[must_use]
pub const fn length_from_first_byte(first: u8) -> usize {
    1 << (first >> 6)
}

/// Decodes from the start of `bytes`. Returns the value and how many bytes it took, or `None` if `bytes` ends
/// too early.
///
/// ```
/// use quic_core::base::varint;
/// assert_eq!(varint::decode(&[0x7b, 0xbd, 0xff]), Some((15_293, 2)));
/// assert_eq!(varint::decode(&[0x7b]), None);
/// ```
#[must_use]
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = length_from_first_byte(first);
    let encoded = bytes.get(..length)?;
    let mut value = u64::from(first & 0x3f);
    for &byte in &encoded[1..] {
        value = value << 8 | u64::from(byte);
    }
    Some((value, length))
}

/// Appends the shortest encoding of `value`.
///
/// Values above [`MAX`] cannot be represented: they are clamped to it, and a debug build panics.
pub fn put(buf: &mut impl BufMut, value: u64) {
    debug_assert!(value <= MAX, "{value} has no variable-length encoding");
    let value = value.min(MAX);
    match size(value) {
        1 => buf.put_u8(value as u8),
        2 => buf.put_u16(0x4000 | value as u16),
        4 => buf.put_u32(0x8000_0000 | value as u32),
        _ => buf.put_u64(0xc000_0000_0000_0000 | value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9000 Appendix A.1.
    #[test]
    fn published_vectors() {
        let vectors: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in vectors {
            assert_eq!(decode(bytes), Some((value, bytes.len())));
        }
    }

    proptest! {
        #[test]
        fn encode_then_decode(value in 0..=MAX) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            prop_assert_eq!(bytes.len(), size(value));
            prop_assert_eq!(decode(&bytes), Some((value, bytes.len())));
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }
}
