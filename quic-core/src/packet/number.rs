//! Packet number encoding (RFC 9000 §17.1, Appendices A.2 and A.3).

use crate::base::varint;

/// How many bytes (1 to 4) of `number` the receiver needs to recover it, given the largest packet number that
/// the peer acknowledged in this space. They cover more than twice the unacknowledged range.
#[must_use]
pub fn encoded_length(number: u64, largest_acked: Option<u64>) -> usize {
    let unacked = match largest_acked {
        Some(acked) => number.saturating_sub(acked),
        None => number.saturating_add(1),
    };
    match unacked.saturating_mul(2) {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    }
}

/// Among the full packet numbers whose low `length` bytes are `truncated`, the one closest to the next
/// expected number.
#[must_use]
pub fn decode(truncated: u64, length: usize, expected: u64) -> u64 {
    let window = 1u64 << (8 * length.min(4));
    let half = window / 2;
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + half <= expected && candidate < varint::MAX + 1 - window {
        candidate + window
    } else if candidate > expected + half && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}
