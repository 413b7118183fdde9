//! What travels is counted in segments.

/// Bytes of data in a full segment.
pub const SEGMENT: u64 = 1_448;
