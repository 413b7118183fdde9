//! The sending half of a stream: what was taken from its box and QUIC has not taken yet.

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
    /// Taken from the box, not by QUIC yet.
    pub(crate) pending: Pieces<Bytes>,
    /// Bytes that QUIC took.
    pub(crate) accepted: u64,
    /// Bytes that are to arrive even if the stream is reset; told to QUIC once it took them.
    pub(crate) commit: Option<u64>,
    /// Give the stream up once what was committed is with QUIC.
    pub(crate) reset: Option<u32>,
    pub(crate) rank: Rank,
    /// The application has finished it: a close of the session waits for it.
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

    /// The sending half of a stream that ranks so from the first.
    pub(crate) fn ranked(shared: Arc<SendBox>, rank: Rank) -> Self {
        Self { rank, ..Self::new(shared) }
    }

    /// How it ranks in its session.
    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    /// The application has finished it, whether that was taken in or not.
    pub(crate) fn is_finished(&self) -> bool {
        self.shared.is_finished()
    }

    /// The stream is lost with its connection, of which nothing can be learnt any more.
    pub(crate) fn fail(self, error: &WebTransportError) {
        let counts = StreamCounts { written: self.shared.counts().written, ..StreamCounts::default() };
        self.shared.end(SendEnd::Failed(error.clone()), counts);
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Bytes::len).sum()
    }

    /// Bytes up to the next commit.
    pub(crate) fn uncommitted(&self) -> usize {
        let left = self.commit.map_or(u64::MAX, |commit| commit.saturating_sub(self.accepted));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Keeps what was committed alone.
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

/// How the connection ranks what a session sends: by the urgency that its client asked for (RFC 9218 §4.1); sessions of
/// the same one share the connection equally.
pub(crate) fn priority(key: u32, urgency: u8, Rank { group, order }: Rank) -> Priority {
    Priority::new().urgency(urgency).bundle(key).group(group).order(order)
}
