//! Streams that handles open by themselves, within the credit that the driver has shown: nobody waits for the driver's task.
//!
//! A claim takes the next ID of a connection, and the driver opens the streams in the order of their IDs: none is
//! skipped, for a peer takes a higher ID as the opening of all lower ones (RFC 9000 §3.2). All sessions of a connection
//! claim from one credit, each as it needs, and none keeps any.
//!
//! Owns the next IDs. Must never know limits of the peer but by what the driver shows.

use std::sync::Arc;

use quic_core::{Dir, StreamId};

use super::{Rank, RecvBox, RecvEnd, SendBox, SendEnd, SessionBox, StreamCounts};
use crate::error::WebTransportError;

/// A stream that a handle has, and QUIC does not yet.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: StreamId,
    /// Whose it is, and the session's key at the connection.
    pub(crate) session: Arc<SessionBox>,
    pub(crate) key: u32,
    pub(crate) rank: Rank,
    /// Its boxes, until somebody has heard that there will be no such stream.
    pub(crate) send: Option<Arc<SendBox>>,
    pub(crate) recv: Option<Arc<RecvBox>>,
    /// What was put into the boxes may have been looked for already.
    pub(crate) late: bool,
}

impl Claimed {
    /// There will be no such stream.
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

/// What may be claimed, by kind, and what was.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The next ID, and behind which index the credit ends.
    shown: [Option<(StreamId, u64)>; 2],
    /// In the order of their IDs.
    pub(super) claimed: Vec<Claimed>,
}

impl Claims {
    /// The next ID of a kind, if there is credit for it.
    pub(super) fn next(&mut self, dir: Dir) -> Option<StreamId> {
        let (next, end) = self.shown[dir as usize].as_mut()?;
        if next.index() >= *end {
            return None;
        }
        let id = *next;
        *next = StreamId::new(id.initiator(), dir, id.index() + 1);
        Some(id)
    }

    /// Streams up to index `end` may be claimed. `next`: the first of them, if none could be before.
    pub(super) fn show(&mut self, next: StreamId, end: u64) {
        let shown = &mut self.shown[next.dir() as usize];
        *shown = Some((shown.map_or(next, |(next, _)| next), end));
    }

    /// Nothing may be claimed any more.
    pub(super) fn withdraw(&mut self) {
        self.shown = [None; 2];
    }
}

#[cfg(test)]
mod tests {
    use quic_core::Side;

    use super::*;

    #[test]
    fn ids_are_given_in_their_order_and_as_far_as_credit_is_shown() {
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
