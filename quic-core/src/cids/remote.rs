//! The connection IDs that the peer issued.

use std::collections::VecDeque;

use super::{ACTIVE_LIMIT, CidChange};
use crate::{
    buf::RangeSet,
    error::Violation,
    frame::{Frame, FrameWriter, Receipt, ResetToken},
    ids::ConnectionId,
};

/// A peer with more retirements than this in flight is flooding (RFC 9000 §5.1.2 recommends at least twice
/// the limit).
const MAX_RETIRING: usize = 8 * ACTIVE_LIMIT as usize;

/// The most ranges of given-back numbers that are kept apart. Peers number their IDs without gaps, so the
/// numbers between the ranges are in use or on their way. Beyond this many ranges, the numbers of the lowest
/// gap count as given back, too.
const MAX_GAPS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    sequence: u64,
    id: ConnectionId,
    token: Option<ResetToken>,
    /// Whether packets were sent to it. If so, no second path gets it (RFC 9000 §9.5).
    used: bool,
}

#[derive(Debug)]
struct Retiring {
    sequence: u64,
    pending: bool,
}

/// The IDs by which this end may address the peer.
#[derive(Debug)]
pub(crate) struct RemoteCids {
    /// Starts with the ID that the path in use sends to.
    active: VecDeque<Known>,
    /// The sequence number of that ID, until it is retired.
    in_use: u64,
    /// Every sequence number below this one is retired.
    retire_prior_to: u64,
    /// The sequence numbers from `retire_prior_to` on that were given back: frames with them may arrive
    /// again, late.
    given_back: RangeSet,
    /// Retirements that the peer has not acknowledged yet.
    retiring: Vec<Retiring>,
    /// The reset token that the endpoint listens for: that of the ID in use and no other (RFC 9000 §10.3.1).
    announced: Option<ResetToken>,
}

impl RemoteCids {
    /// Starts with the ID of the first packets. The handshake may replace it once.
    pub(crate) fn new(first: ConnectionId) -> Self {
        let active = VecDeque::from([Known { sequence: 0, id: first, token: None, used: true }]);
        Self {
            active,
            in_use: 0,
            retire_prior_to: 0,
            given_back: RangeSet::default(),
            retiring: Vec::new(),
            announced: None,
        }
    }

    /// The ID to send to.
    pub(crate) fn current(&self) -> ConnectionId {
        self.active.front().map_or(ConnectionId::EMPTY, |known| known.id)
    }

    /// The sequence number of the ID to send to.
    pub(crate) fn sequence(&self) -> u64 {
        self.active.front().map_or(0, |known| known.sequence)
    }

    /// The ID with a sequence number, unless it was retired.
    pub(crate) fn id(&self, sequence: u64) -> Option<ConnectionId> {
        self.active.iter().find(|known| known.sequence == sequence).map(|known| known.id)
    }

    /// Whether there is an ID that no path has used. A peer with a zero-length ID always has one.
    pub(crate) fn has_spare(&self) -> bool {
        self.active.iter().any(|known| !known.used)
    }

    /// Takes an ID that no path has used, for another path (RFC 9000 §9.5), and returns its sequence number.
    /// A peer with a zero-length ID has the same ID on every path (§5.1.1).
    pub(crate) fn take_spare(&mut self) -> Option<u64> {
        if self.current().is_empty() {
            return Some(self.sequence());
        }
        let spare = self.active.iter_mut().find(|known| !known.used)?;
        spare.used = true;
        Some(spare.sequence)
    }

    /// Makes this the ID to send to from now on.
    pub(crate) fn set_current(&mut self, sequence: u64, out: &mut Vec<CidChange>) {
        if let Some(index) = self.active.iter().position(|known| known.sequence == sequence) {
            self.active.swap(0, index);
            self.in_use = sequence;
            self.announce(out);
        }
    }

    /// No path uses this ID any more: it is given back (RFC 9000 §5.1.2), unless it is the ID to send to.
    pub(crate) fn give_back(&mut self, sequence: u64) {
        let index = self.active.iter().position(|known| known.sequence == sequence);
        if let Some(index) = index.filter(|index| *index > 0)
            && self.retire(sequence).is_ok()
        {
            self.active.remove(index);
            self.given_back.insert_one(sequence);
            if self.given_back.len() > MAX_GAPS
                && let (Some(lowest), Some(next)) = (self.given_back.pop_min(), self.given_back.first())
            {
                self.given_back.insert(lowest.start..next.end);
            }
        }
    }

    /// The number of ranges of given-back numbers, for tests of the bound.
    #[cfg(test)]
    pub(super) fn gaps(&self) -> usize {
        self.given_back.len()
    }

    /// The server's preferred address came with an ID of sequence number 1 (RFC 9000 §5.1.1).
    pub(crate) fn add_preferred(&mut self, id: ConnectionId, token: ResetToken) {
        self.active.push_back(Known { sequence: 1, id, token: Some(token), used: false });
    }

    /// The peer chose its own ID in its first packet or in a Retry (RFC 9000 §7.2).
    pub(crate) fn replace_first(&mut self, id: ConnectionId) {
        if let Some(first) = self.active.front_mut() {
            first.id = id;
        }
    }

    /// The reset token of the handshake's ID arrived in the transport parameters (RFC 9000 §18.2).
    pub(crate) fn set_first_token(&mut self, token: ResetToken, out: &mut Vec<CidChange>) {
        if let Some(first) = self.active.iter_mut().find(|known| known.sequence == 0) {
            first.token = Some(token);
        }
        self.announce(out);
    }

    /// Tells the endpoint when the token that it listens for has changed.
    fn announce(&mut self, out: &mut Vec<CidChange>) {
        let token = self.current_token();
        if token != self.announced {
            out.extend(self.announced.map(CidChange::ResetTokenRemoved));
            out.extend(token.map(CidChange::ResetTokenAdded));
            self.announced = token;
        }
    }

    /// The reset token of the ID in use.
    pub(crate) fn current_token(&self) -> Option<ResetToken> {
        self.active.front().and_then(|known| known.token)
    }

    /// NEW_CONNECTION_ID arrived.
    pub(crate) fn on_new(
        &mut self,
        sequence: u64,
        retire_prior_to: u64,
        id: ConnectionId,
        token: ResetToken,
        out: &mut Vec<CidChange>,
    ) -> Result<(), Violation> {
        // RFC 9000 §19.15: an endpoint with a zero-length ID must not receive this frame.
        if self.current().is_empty() {
            return Err(Violation::CidWhileEmpty);
        }
        let new = Known { sequence, id, token: Some(token), used: false };
        for known in &self.active {
            let same_token = known.token.is_none_or(|known| known == token);
            if known.sequence == sequence && (known.id != id || !same_token) {
                return Err(Violation::CidReused);
            }
            if known.sequence != sequence && (known.id == id || known.token == Some(token)) {
                return Err(Violation::CidReused);
            }
        }
        if self.active.iter().any(|known| known.sequence == sequence) || self.given_back.contains(sequence) {
            return Ok(());
        }
        self.retire_below(retire_prior_to)?;
        if sequence < self.retire_prior_to {
            // RFC 9000 §19.15: an ID that is already retired is given back at once.
            return self.retire(sequence);
        }
        // RFC 9000 §5.1.1: after retirement there may be no more IDs than the limit.
        if self.active.len() as u64 >= ACTIVE_LIMIT {
            return Err(Violation::CidLimit);
        }
        self.active.push_back(new);
        self.choose_current();
        self.announce(out);
        Ok(())
    }

    /// If the ID in use was retired, another takes its place: preferably one that no path has used.
    fn choose_current(&mut self) {
        if self.active.front().is_some_and(|known| !known.used || known.sequence == self.in_use) {
            // Nothing was retired, or the next ID is unused.
        } else if let Some(index) = self.active.iter().position(|known| !known.used) {
            self.active.swap(0, index);
        }
        if let Some(first) = self.active.front_mut() {
            first.used = true;
            self.in_use = first.sequence;
        }
    }

    fn retire_below(&mut self, prior_to: u64) -> Result<(), Violation> {
        if prior_to <= self.retire_prior_to {
            return Ok(());
        }
        // Nothing changes before this may fail: the CONNECTION_CLOSE must still have an ID to go to.
        let leaving = self.active.iter().filter(|known| known.sequence < prior_to).count();
        if self.retiring.len() + leaving > MAX_RETIRING {
            return Err(Violation::CidRetireBacklog);
        }
        self.retire_prior_to = prior_to;
        self.given_back.remove(0..prior_to);
        let sequences =
            self.active.iter().map(|known| known.sequence).filter(|sequence| *sequence < prior_to);
        self.retiring.extend(sequences.map(|sequence| Retiring { sequence, pending: true }));
        self.active.retain(|known| known.sequence >= prior_to);
        Ok(())
    }

    fn retire(&mut self, sequence: u64) -> Result<(), Violation> {
        if self.retiring.iter().any(|retiring| retiring.sequence == sequence) {
            return Ok(());
        }
        if self.retiring.len() >= MAX_RETIRING {
            return Err(Violation::CidRetireBacklog);
        }
        self.retiring.push(Retiring { sequence, pending: true });
        Ok(())
    }

    pub(crate) fn wants(&self) -> bool {
        self.retiring.iter().any(|retiring| retiring.pending)
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        for retiring in self.retiring.iter_mut().filter(|retiring| retiring.pending) {
            let frame = Frame::RetireConnectionId(retiring.sequence);
            if !w.frame(&frame, Receipt::RetireConnectionId(retiring.sequence)) {
                return;
            }
            retiring.pending = false;
        }
    }

    pub(crate) fn on_lost(&mut self, sequence: u64) {
        if let Some(retiring) = self.retiring.iter_mut().find(|retiring| retiring.sequence == sequence) {
            retiring.pending = true;
        }
    }

    pub(crate) fn on_acked(&mut self, sequence: u64) {
        self.retiring.retain(|retiring| retiring.sequence != sequence);
    }
}
