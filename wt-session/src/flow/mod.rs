//! Session flow control (§5): how much each end may send in one session, apart from what QUIC permits.
//!
//! It owns the limits of one session, both ways: what the peer grants (`send`), what this side grants (`receive`). It
//! must never know streams, capsules' bytes or a transport: counts go in, counts and verdicts come out.
//!
//! What counts: the number of streams opened in the session's life, by direction, and the bytes of all its streams
//! together without the bytes that name the session (§5.3, §5.4).

mod receive;
mod send;
#[cfg(test)]
mod tests;

use quic_core::{Dir, base::varint};

pub(crate) use receive::ReceiveSide;
pub(crate) use send::SendSide;

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

/// Both sides of one session's flow control.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) send: SendSide,
    pub(crate) receive: ReceiveSide,
}

impl Flow {
    /// `granted` by the peer, `granting` by this side; `ceiling` bounds the window of data that this side grants.
    pub(crate) fn new(granted: Limits, granting: Limits, ceiling: u64, rule: RaiseRule) -> Self {
        Self { send: SendSide::new(granted, rule), receive: ReceiveSide::new(granting, ceiling) }
    }

    /// The peer said something.
    pub(crate) fn on_note(&mut self, note: Note) -> Result<Raised, FlowViolation> {
        let (Note::Max(what, value) | Note::Blocked(what, value)) = note;
        // §5.6.2, §5.6.3.
        if matches!(what, Limited::Streams(_)) && value > MAX_STREAMS {
            return Err(FlowViolation::TooMany { what, value });
        }
        match note {
            Note::Max(..) => self.send.raise(what, value),
            Note::Blocked(..) => {
                self.receive.on_blocked(what, value);
                Ok(Raised::Nothing)
            }
        }
    }

    /// Whether [`Flow::take_note`] has something.
    pub(crate) fn has_notes(&self) -> bool {
        self.receive.is_due() || self.send.is_due()
    }

    /// The next thing to tell the peer, with the newest values.
    pub(crate) fn take_note(&mut self) -> Option<Note> {
        self.receive.take_note().or_else(|| self.send.take_note())
    }
}

/// The largest value that a limit of this kind can have.
fn greatest(what: Limited) -> u64 {
    if what == Limited::Data { varint::MAX } else { MAX_STREAMS }
}

const ALL: [Limited; 3] = [Limited::Data, Limited::Streams(Dir::Bidi), Limited::Streams(Dir::Uni)];

/// Its place in a table of all three.
fn place(what: Limited) -> usize {
    match what {
        Limited::Data => 0,
        Limited::Streams(Dir::Bidi) => 1,
        Limited::Streams(Dir::Uni) => 2,
    }
}
