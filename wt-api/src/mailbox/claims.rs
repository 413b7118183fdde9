//! Streams that handles open without waiting for the driver's task, within the credit that the driver has
//! shown.
//!
//! A claim takes the next stream ID of a connection, and the driver opens the streams in the order of their
//! IDs. No ID may be skipped, because a peer takes a higher ID as the opening of all lower ones (RFC 9000
//! §3.2). All sessions of a connection claim from the same credit, as they need it, and none reserves any.
//!
//! Owns the next IDs. It must never know limits of the peer except for the credit that the driver shows.

use std::sync::Arc;

use quic_core::{Dir, StreamId};

use super::{Rank, RecvBox, RecvEnd, SendBox, SendEnd, SessionBox, StreamCounts};
use crate::error::WebTransportError;

/// A stream that a handle has claimed and QUIC has not opened yet.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: StreamId,
    /// The session of the stream, and the session's key at the connection.
    pub(crate) session: Arc<SessionBox>,
    pub(crate) key: u32,
    pub(crate) rank: Rank,
    /// The boxes of the stream, until they were told that the stream will not exist.
    pub(crate) send: Option<Arc<SendBox>>,
    pub(crate) recv: Option<Arc<RecvBox>>,
    /// Whether the driver may have looked into the boxes already.
    pub(crate) late: bool,
}

impl Claimed {
    /// The stream will not exist: fails its boxes.
    pub(crate) fn fail(&mut self, error: &WebTransportError) {
        if let Some(send) = self.send.take() {
            let counts = StreamCounts { written: send.counts().written, ..StreamCounts::default() };
            send.end(SendEnd::Failed(error.clone()), counts);
        }
        if let Some(recv) = self.recv.take() {
            recv.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
        }
    }
}

/// The credit for claims by kind of stream, and the claimed streams.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The next ID, and the index at which the credit ends.
    shown: [Option<(StreamId, u64)>; 2],
    /// The claimed streams in the order of their IDs.
    pub(super) claimed: Vec<Claimed>,
}

impl Claims {
    /// Takes the next ID of a kind, if there is credit for it.
    pub(super) fn next(&mut self, dir: Dir) -> Option<StreamId> {
        let (next, end) = self.shown[dir as usize].as_mut()?;
        if next.index() >= *end {
            return None;
        }
        let id = *next;
        *next = StreamId::new(id.initiator(), dir, id.index() + 1);
        Some(id)
    }

    /// Permits claims up to index `end`. `next` is the first ID, if no claims were possible before.
    pub(super) fn show(&mut self, next: StreamId, end: u64) {
        let shown = &mut self.shown[next.dir() as usize];
        *shown = Some((shown.map_or(next, |(next, _)| next), end));
    }

    /// Permits no further claims.
    pub(super) fn withdraw(&mut self) {
        self.shown = [None; 2];
    }
}

#[cfg(test)]
mod tests {
    use quic_core::Side;

    use super::*;

    #[test]
    fn ids_are_given_in_order_within_the_shown_credit() {
        let mut claims = Claims::default();
        assert_eq!(claims.next(Dir::Bidi), None, "nothing was shown");
        let id = |index| StreamId::new(Side::Client, Dir::Uni, index);
        claims.show(id(3), 5);
        assert_eq!([(); 3].map(|()| claims.next(Dir::Uni)), [Some(id(3)), Some(id(4)), None]);
        assert_eq!(claims.next(Dir::Bidi), None, "another kind");
        // The driver has opened none of them yet.
        claims.show(id(3), 6);
        assert_eq!([(); 2].map(|()| claims.next(Dir::Uni)), [Some(id(5)), None]);
        claims.withdraw();
        claims.show(id(7), 7);
        assert_eq!(claims.next(Dir::Uni), None);
        claims.show(id(7), 8);
        assert_eq!(claims.next(Dir::Uni), Some(id(7)));
    }
}
