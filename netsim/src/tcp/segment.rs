//! The size of a segment.

/// Bytes of data in a full segment.
pub const SEGMENT: u64 = 1_448;
