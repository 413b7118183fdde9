//! The connection IDs that this end issued.

use std::collections::VecDeque;

use super::{ACTIVE_LIMIT, CidChange, CidFactory};
use crate::{
    base::Entropy,
    error::Violation,
    frame::{Frame, FrameWriter, Receipt, ResetToken},
    ids::ConnectionId,
};

#[derive(Debug)]
struct Issued {
    sequence: u64,
    id: ConnectionId,
    /// Whether the NEW_CONNECTION_ID frame still has to be sent.
    pending: bool,
}

/// The issued connection IDs that the peer has not retired.
#[derive(Debug)]
pub(crate) struct LocalCids {
    factory: CidFactory,
    handshake: ConnectionId,
    issued: VecDeque<Issued>,
    /// How many of them are pending. It is counted because every packet asks.
    pending: usize,
    next_sequence: u64,
    /// How many IDs the peer stores.
    peer_limit: u64,
}

impl LocalCids {
    /// Starts with the connection ID of the handshake, sequence number 0.
    pub(crate) fn new(factory: CidFactory, first: ConnectionId) -> Self {
        let issued = VecDeque::from([Issued { sequence: 0, id: first, pending: false }]);
        Self { factory, handshake: first, issued, pending: 0, next_sequence: 1, peer_limit: 0 }
    }

    /// The connection ID of the handshake, the source of long headers.
    pub(crate) fn handshake(&self) -> ConnectionId {
        self.handshake
    }

    /// Length of all connection IDs in bytes.
    pub(crate) fn length(&self) -> usize {
        self.factory.length()
    }

    /// Issues the ID that goes with the preferred address, sequence number 1 (RFC 9000 §5.1.1, §18.2). The
    /// caller must do this before any other ID is issued.
    pub(crate) fn issue_preferred(&mut self, entropy: &mut dyn Entropy) -> (ConnectionId, ResetToken) {
        debug_assert_eq!(self.next_sequence, 1, "the second ID");
        let id = self.factory.generate(entropy);
        self.issued.push_back(Issued { sequence: self.next_sequence, id, pending: false });
        self.next_sequence += 1;
        (id, self.factory.reset_token(&id))
    }

    /// The peer stores up to `limit` IDs. Issues as many as are useful (RFC 9000 §5.1.1).
    pub(crate) fn set_peer_limit(&mut self, limit: u64, entropy: &mut dyn Entropy, out: &mut Vec<CidChange>) {
        self.peer_limit = limit.min(ACTIVE_LIMIT);
        self.fill(entropy, out);
    }

    fn fill(&mut self, entropy: &mut dyn Entropy, out: &mut Vec<CidChange>) {
        while (self.issued.len() as u64) < self.peer_limit {
            let id = self.factory.generate(entropy);
            self.issued.push_back(Issued { sequence: self.next_sequence, id, pending: true });
            self.pending += 1;
            self.next_sequence += 1;
            out.push(CidChange::Added(id));
        }
    }

    /// RETIRE_CONNECTION_ID arrived in a packet sent to `packet_dcid`.
    pub(crate) fn on_retire(
        &mut self,
        sequence: u64,
        packet_dcid: &ConnectionId,
        entropy: &mut dyn Entropy,
        out: &mut Vec<CidChange>,
    ) -> Result<(), Violation> {
        // RFC 9000 §19.16: the peer may retire neither an ID that was never issued nor the one that this
        // packet was sent to.
        if sequence >= self.next_sequence {
            return Err(Violation::RetireUnissued);
        }
        let Some(index) = self.issued.iter().position(|issued| issued.sequence == sequence) else {
            return Ok(());
        };
        if self.issued[index].id == *packet_dcid {
            return Err(Violation::RetireCurrent);
        }
        if let Some(retired) = self.issued.remove(index) {
            self.pending -= usize::from(retired.pending);
            out.push(CidChange::Removed(retired.id));
        }
        self.fill(entropy, out);
        Ok(())
    }

    /// Whether there are frames to send.
    pub(crate) fn wants(&self) -> bool {
        debug_assert_eq!(self.pending, self.issued.iter().filter(|issued| issued.pending).count());
        self.pending > 0
    }

    #[inline]
    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        if self.pending > 0 {
            self.write_pending(w);
        }
    }

    fn write_pending(&mut self, w: &mut FrameWriter<'_>) {
        for issued in self.issued.iter_mut().filter(|issued| issued.pending) {
            let frame = Frame::NewConnectionId {
                sequence: issued.sequence,
                retire_prior_to: 0,
                id: issued.id,
                token: self.factory.reset_token(&issued.id),
            };
            if !w.frame(&frame, Receipt::NewConnectionId(issued.sequence)) {
                return;
            }
            issued.pending = false;
            self.pending -= 1;
        }
    }

    pub(crate) fn on_lost(&mut self, sequence: u64) {
        if let Some(issued) = self.issued.iter_mut().find(|issued| issued.sequence == sequence) {
            self.pending += usize::from(!issued.pending);
            issued.pending = true;
        }
    }

    /// All active IDs. The endpoint forgets them when the connection is gone.
    pub(crate) fn active(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.issued.iter().map(|issued| issued.id)
    }
}
