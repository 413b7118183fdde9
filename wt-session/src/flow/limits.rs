//! The limits of one session, what may be said of them, and how a peer breaks them.

use quic_core::{Dir, base::varint};

/// The most streams that a limit may name (§5.6.2): their IDs have 62 bits.
pub(crate) const MAX_STREAMS: u64 = 1 << 60;

/// The limits of one session that one side grants, as SETTINGS carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) data: u64,
    /// Streams, by `Dir`.
    pub(crate) streams: [u64; 2],
}

/// What a later capsule may say about a limit, by dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RaiseRule {
    /// Anything; only what is higher counts.
    Any,
    /// Not less than before.
    NoDecrease,
    /// More than before.
    Increase,
}

/// What of a session is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limited {
    /// The bytes of all its streams.
    Data,
    /// The streams of one kind.
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
    /// It sent or opened more than it was granted.
    #[error("the limit of {limit} {what} was exceeded")]
    Exceeded {
        /// Of what.
        what: Limited,
        /// The limit that this side had granted.
        limit: u64,
    },
    /// It granted no more than before, where its draft permits only more.
    #[error("the limit of {what} went from {before} to {now}")]
    NotRaised {
        /// Of what.
        what: Limited,
        /// What it had granted before.
        before: u64,
        /// What it granted then.
        now: u64,
    },
    /// It named more streams than can exist.
    #[error("a limit of {value} {what}, where 2^60 are possible")]
    TooMany {
        /// Of what.
        what: Limited,
        /// The value it named.
        value: u64,
    },
}

/// What a capsule of flow control says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The sum may reach so many.
    Max(Limited, u64),
    /// More is wanted than this limit permits.
    Blocked(Limited, u64),
}

/// What a note of the peer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    /// Nothing that anybody waits for.
    Nothing,
    /// Somebody was held back by this limit and can go on.
    Awaited(Limited),
}

/// The largest value that a limit of this kind can have.
pub(super) fn greatest(what: Limited) -> u64 {
    if what == Limited::Data { varint::MAX } else { MAX_STREAMS }
}

pub(super) const ALL: [Limited; 3] = [Limited::Data, Limited::Streams(Dir::Bidi), Limited::Streams(Dir::Uni)];

/// Its place in a table of all three.
pub(super) fn place(what: Limited) -> usize {
    match what {
        Limited::Data => 0,
        Limited::Streams(Dir::Bidi) => 1,
        Limited::Streams(Dir::Uni) => 2,
    }
}
