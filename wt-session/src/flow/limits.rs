//! The limits of one session, the messages about them, and how a peer breaks them.

use quic_core::{Dir, base::varint};

/// The highest limit of streams (§5.6.2): stream IDs have 62 bits.
pub(crate) const MAX_STREAMS: u64 = 1 << 60;

/// The limits of one session that one side grants in SETTINGS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) data: u64,
    /// Streams, indexed by `Dir`.
    pub(crate) streams: [u64; 2],
}

/// How a later capsule may change a limit; it depends on the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RaiseRule {
    /// To any value; only a higher one has an effect.
    Any,
    /// Not to a lower value.
    NoDecrease,
    /// Only to a higher value.
    Increase,
}

/// A limited resource of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limited {
    /// The bytes of all streams together.
    Data,
    /// The number of streams of one kind.
    Streams(Dir),
}

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data => "bytes of stream data",
            Self::Streams(Dir::Bidi) => "bidirectional streams",
            Self::Streams(Dir::Uni) => "unidirectional streams",
        })
    }
}

/// How a peer broke session flow control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowViolation {
    /// The peer sent or opened more than it was granted.
    #[error("the limit of {limit} {what} was exceeded")]
    Exceeded {
        /// The limited resource.
        what: Limited,
        /// The limit that this side granted.
        limit: u64,
    },
    /// The peer did not raise a limit, although its draft permits only that.
    #[error("the limit of {what} went from {before} to {now}")]
    NotRaised {
        /// The limited resource.
        what: Limited,
        /// The limit before.
        before: u64,
        /// The limit in the capsule.
        now: u64,
    },
    /// The peer named more streams than can exist.
    #[error("a limit of {value} {what}, where 2^60 are possible")]
    TooMany {
        /// The limited resource.
        what: Limited,
        /// The limit in the capsule.
        value: u64,
    },
}

/// A message of flow control; each has its own capsule type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowMessage {
    /// The limit is now this value.
    Max(Limited, u64),
    /// The sender is blocked by this limit.
    Blocked(Limited, u64),
}

/// What a message of the peer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    /// Nothing that this side waits for.
    Nothing,
    /// This limit was raised, and a stream or the opening of one was blocked by it.
    Awaited(Limited),
}

/// The largest value that a limit of this kind can have.
pub(super) fn max_value(what: Limited) -> u64 {
    if what == Limited::Data { varint::MAX } else { MAX_STREAMS }
}

pub(super) const ALL: [Limited; 3] = [Limited::Data, Limited::Streams(Dir::Bidi), Limited::Streams(Dir::Uni)];

/// The index in a table of all three.
pub(super) fn index(what: Limited) -> usize {
    match what {
        Limited::Data => 0,
        Limited::Streams(Dir::Bidi) => 1,
        Limited::Streams(Dir::Uni) => 2,
    }
}
