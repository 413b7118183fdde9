//! Prefix integers (RFC 7541 §5.1) of up to 62 bits (RFC 9204 §4.1.1).

use bytes::BufMut;

use crate::error::IntegerTooLarge;

/// The largest integer that is accepted, 2^62-1.
pub(crate) const MAX: u64 = (1 << 62) - 1;

/// The longest encoding that is read, in bytes: the prefix byte and ten more. No valid integer needs as many;
/// the bound ends an encoding that is padded with empty continuation bytes.
pub(crate) const MAX_LENGTH: usize = 11;

/// Decodes the integer that starts in the `prefix` low bits (1 to 8) of the first byte. Returns the value and
/// its length in bytes, or `None` if `bytes` ends too early.
#[inline]
pub(crate) fn decode(bytes: &[u8], prefix: u32) -> Result<Option<(u64, usize)>, IntegerTooLarge> {
    let mask = 0xff_u8 >> (8 - prefix);
    let Some(first) = bytes.first().map(|byte| byte & mask) else { return Ok(None) };
    if first < mask {
        return Ok(Some((u64::from(first), 1)));
    }
    let mut value = u128::from(mask);
    for (position, byte) in bytes.iter().enumerate().skip(1) {
        if position >= MAX_LENGTH {
            return Err(IntegerTooLarge);
        }
        // At most 7 bits shifted by 63: far inside 128 bits.
        value += u128::from(byte & 0x7f) << (7 * (position - 1));
        if value > u128::from(MAX) {
            return Err(IntegerTooLarge);
        }
        if byte & 0x80 == 0 {
            return Ok(Some((value as u64, position + 1)));
        }
    }
    if bytes.len() >= MAX_LENGTH { Err(IntegerTooLarge) } else { Ok(None) }
}

/// Appends `value` with the bits of `pattern` above its prefix.
#[inline]
pub(crate) fn encode(value: u64, prefix: u32, pattern: u8, out: &mut impl BufMut) {
    let mask = 0xff_u8 >> (8 - prefix);
    if value < u64::from(mask) {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | mask);
    let mut rest = value - u64::from(mask);
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7541 Appendix C.1.1 to C.1.3.
    #[test]
    fn published_vectors() {
        for (value, prefix, bytes) in [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])]
        {
            assert_eq!(decode(bytes, prefix), Ok(Some((value, bytes.len()))));
            let mut out = Vec::new();
            encode(value, prefix, 0, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn the_largest_and_one_beyond() {
        let mut bytes = Vec::new();
        encode(MAX, 7, 0x80, &mut bytes);
        assert_eq!(decode(&bytes, 7), Ok(Some((MAX, bytes.len()))));
        bytes.clear();
        encode(MAX + 1, 7, 0x80, &mut bytes);
        assert_eq!(decode(&bytes, 7), Err(IntegerTooLarge));
    }

    /// Conformance row Q12: endless continuation bytes, even when they add nothing.
    #[test]
    fn q12_continuation_bytes_end() {
        let mut bytes = vec![0x7f];
        bytes.extend([0x80; 10]);
        assert_eq!(decode(&bytes[..10], 7), Ok(None));
        assert_eq!(decode(&bytes, 7), Err(IntegerTooLarge));
        bytes.push(0);
        assert_eq!(decode(&bytes, 7), Err(IntegerTooLarge));
    }

    proptest! {
        #[test]
        fn encode_then_decode(value in 0..=MAX, prefix in 1_u32..=8) {
            let mut bytes = Vec::new();
            encode(value, prefix, 0, &mut bytes);
            prop_assert_eq!(decode(&bytes, prefix), Ok(Some((value, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut], prefix), Ok(None));
            }
        }
    }
}
