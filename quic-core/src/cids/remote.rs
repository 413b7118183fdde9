//! Connection IDs that the peer issued.

use std::collections::VecDeque;

use super::{ACTIVE_LIMIT, CidChange};
use crate::{
    buf::RangeSet,
    error::Violation,
    frame::{Frame, FrameWriter, Receipt, ResetToken},
    ids::ConnectionId,
};

/// More retirements than this in flight, and the peer is flooding (RFC 9000 §5.1.2 recommends at least twice the limit).
const MAX_RETIRING: usize = 8 * ACTIVE_LIMIT as usize;

/// Ranges of numbers given back with others between them: peers number their IDs without gaps, and so the others are in use, or
/// under way. Beyond so many those in the lowest gap count as given back, too.
const MAX_GAPS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    sequence: u64,
    id: ConnectionId,
    token: Option<ResetToken>,
    /// Whether packets were sent to it: no second path gets it (RFC 9000 §9.5).
    used: bool,
}

#[derive(Debug)]
struct Retiring {
    sequence: u64,
    pending: bool,
}

/// What this end may address the peer with.
#[derive(Debug)]
pub(crate) struct RemoteCids {
    /// The one to send to on the path in use first.
    active: VecDeque<Known>,
    /// The sequence number of that one, as long as it is not retired.
    in_use: u64,
    /// Everything below is retired.
    retire_prior_to: u64,
    /// Sequence numbers from there on that were given back: frames with them may come again, late.
    given_back: RangeSet,
    /// Retirements not acknowledged yet.
    retiring: Vec<Retiring>,
    /// The reset token that the endpoint listens for: that of the ID in use, and no other (RFC 9000 §10.3.1).
    announced: Option<ResetToken>,
}

impl RemoteCids {
    /// Starts with the ID of the first packets; the handshake may replace it once.
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

    /// Whether there is an ID that no path has used. Where the peer is addressed without, there is always none to use.
    pub(crate) fn has_spare(&self) -> bool {
        self.active.iter().any(|known| !known.used)
    }

    /// The sequence number of an ID for another path, which no path has used (RFC 9000 §9.5). A peer that is addressed without
    /// an ID is so on every path (§5.1.1).
    pub(crate) fn take_spare(&mut self) -> Option<u64> {
        if self.current().is_empty() {
            return Some(self.sequence());
        }
        let spare = self.active.iter_mut().find(|known| !known.used)?;
        spare.used = true;
        Some(spare.sequence)
    }

    /// From now on this is the ID to send to.
    pub(crate) fn set_current(&mut self, sequence: u64, out: &mut Vec<CidChange>) {
        if let Some(index) = self.active.iter().position(|known| known.sequence == sequence) {
            self.active.swap(0, index);
            self.in_use = sequence;
            self.announce(out);
        }
    }

    /// No path uses this ID any more: it is given back (RFC 9000 §5.1.2), unless it is the one to send to.
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

    /// Ranges of numbers given back, for tests of the bound.
    #[cfg(test)]
    pub(super) fn gaps(&self) -> usize {
        self.given_back.len()
    }

    /// The server's preferred address came with an ID, whose sequence number is 1 (RFC 9000 §5.1.1).
    pub(crate) fn add_preferred(&mut self, id: ConnectionId, token: ResetToken) {
        self.active.push_back(Known { sequence: 1, id, token: Some(token), used: false });
    }

    /// The peer chose its ID in its first packet or in a Retry (RFC 9000 §7.2).
    pub(crate) fn replace_first(&mut self, id: ConnectionId) {
        if let Some(first) = self.active.front_mut() {
            first.id = id;
        }
    }

    /// The token for the handshake's ID, from the transport parameters (RFC 9000 §18.2).
    pub(crate) fn set_first_token(&mut self, token: ResetToken, out: &mut Vec<CidChange>) {
        if let Some(first) = self.active.iter_mut().find(|known| known.sequence == 0) {
            first.token = Some(token);
        }
        self.announce(out);
    }

    /// Tells the endpoint when the token to listen for changes.
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
        // RFC 9000 §19.15: not to an endpoint that is addressed without an ID.
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
            // RFC 9000 §19.15: an ID that is retired already is given back at once.
            return self.retire(sequence);
        }
        // RFC 9000 §5.1.1: after retiring, no more than the limit.
        if self.active.len() as u64 >= ACTIVE_LIMIT {
            return Err(Violation::CidLimit);
        }
        self.active.push_back(new);
        self.choose_current();
        self.announce(out);
        Ok(())
    }

    /// Where the ID in use was retired, another one takes its place: one that no path has used, if there is.
    fn choose_current(&mut self) {
        if self.active.front().is_some_and(|known| !known.used || known.sequence == self.in_use) {
            // Nothing was retired, or what comes next is unused.
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
        // Nothing changes on the way to a failure: the close has to go to an ID that there still is.
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
