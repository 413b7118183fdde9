//! The choices of an encoder's owner.

use super::policy::Policy;

/// The table that an encoder uses if its owner does not say otherwise, in bytes.
const MAX_TABLE_CAPACITY: u64 = 4096;
/// How many streams it lets wait for the table.
const MAX_BLOCKED_STREAMS: u64 = 128;

/// The choices of an encoder's owner. The peer's settings bound them further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// How much the encoder uses the dynamic table. Default [`Policy::Balanced`].
    pub policy: Policy,
    /// The largest dynamic table, in bytes. Default 4096. The encoder holds about four times as much, and some
    /// 30 KB for sections that are not acknowledged.
    pub max_table_capacity: u64,
    /// The most streams that may be blocked, because their sections refer to insertions that may arrive after
    /// them (RFC 9204 §2.1.2). 0: never, then a new entry is of use only once the peer has acknowledged it.
    /// Default 128.
    pub max_blocked_streams: u64,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl EncoderOptions {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            policy: Policy::Balanced,
            max_table_capacity: MAX_TABLE_CAPACITY,
            max_blocked_streams: MAX_BLOCKED_STREAMS,
        }
    }

    /// Sets [`policy`](Self#structfield.policy).
    #[must_use]
    pub const fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Sets [`max_table_capacity`](Self#structfield.max_table_capacity).
    #[must_use]
    pub const fn max_table_capacity(self, max_table_capacity: u64) -> Self {
        Self { max_table_capacity, ..self }
    }

    /// Sets [`max_blocked_streams`](Self#structfield.max_blocked_streams).
    #[must_use]
    pub const fn max_blocked_streams(self, max_blocked_streams: u64) -> Self {
        Self { max_blocked_streams, ..self }
    }
}
