//! The sending half of a stream: data that the driver took from its box and QUIC has no room for yet.

use std::sync::Arc;

use bytes::Bytes;
use quic_core::Priority;

use crate::{
    error::WebTransportError,
    mailbox::{Pieces, Rank, SendBox, SendEnd, StreamCounts},
};

/// The sending half of a stream.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) shared: Arc<SendBox>,
    /// Data from the box that QUIC has not taken.
    pub(crate) pending: Pieces<Bytes>,
    /// Bytes that QUIC took.
    pub(crate) accepted: u64,
    /// How many bytes must arrive even if the stream is reset. QUIC hears of them once it has taken them.
    pub(crate) commit: Option<u64>,
    /// Reset the stream once QUIC has what was committed.
    pub(crate) reset: Option<u32>,
    pub(crate) rank: Rank,
    /// The application has finished the stream, so a close of the session waits for its data.
    pub(crate) finishing: bool,
    /// QUIC knows its end.
    pub(crate) finished: bool,
}

impl Sending {
    pub(crate) fn new(shared: Arc<SendBox>) -> Self {
        Self {
            shared,
            pending: Pieces::default(),
            accepted: 0,
            commit: None,
            reset: None,
            rank: Rank::default(),
            finishing: false,
            finished: false,
        }
    }

    /// The sending half of a stream that has this priority from the start.
    pub(crate) fn ranked(shared: Arc<SendBox>, rank: Rank) -> Self {
        Self { rank, ..Self::new(shared) }
    }

    /// Its priority within its session.
    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    /// Whether the application has finished it, even if the driver has not taken that in.
    pub(crate) fn is_finished(&self) -> bool {
        self.shared.is_finished()
    }

    /// The stream is lost with its connection, and nothing more will be known of it.
    pub(crate) fn fail(self, error: &WebTransportError) {
        let counts = StreamCounts { written: self.shared.counts().written, ..StreamCounts::default() };
        self.shared.end(SendEnd::Failed(error.clone()), counts);
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Bytes::len).sum()
    }

    /// How many bytes lie before the next commit.
    pub(crate) fn uncommitted(&self) -> usize {
        let left = self.commit.map_or(u64::MAX, |commit| commit.saturating_sub(self.accepted));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Drops what was not committed.
    pub(crate) fn give_up(&mut self, code: u32) {
        let mut keep = self.commit.map_or(0, |_| self.uncommitted());
        self.pending.retain_mut(|chunk| {
            chunk.truncate(keep);
            keep -= chunk.len();
            !chunk.is_empty()
        });
        self.reset = Some(code);
    }
}

/// The priority of what a session sends. The urgency is the one that its client asked for (RFC 9218 §4.1);
/// sessions of the same urgency share the connection equally.
pub(crate) fn priority(key: u32, urgency: u8, Rank { group, order }: Rank) -> Priority {
    Priority::new().urgency(urgency).bundle(key).group(group).order(order)
}
