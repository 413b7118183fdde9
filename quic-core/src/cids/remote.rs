//! Connection IDs that the peer issued.

use std::collections::VecDeque;

use super::{ACTIVE_LIMIT, CidChange};
use crate::{
    error::Violation,
    frame::{Frame, FrameWriter, Receipt, ResetToken},
    ids::ConnectionId,
};

/// More retirements than this in flight, and the peer is flooding (RFC 9000 §5.1.2 recommends at least twice the limit).
const MAX_RETIRING: usize = 8 * ACTIVE_LIMIT as usize;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    sequence: u64,
    id: ConnectionId,
    token: Option<ResetToken>,
}

#[derive(Debug)]
struct Retiring {
    sequence: u64,
    pending: bool,
}

/// What this end may address the peer with.
#[derive(Debug)]
pub(crate) struct RemoteCids {
    /// The one in use first.
    active: VecDeque<Known>,
    /// Everything below is retired.
    retire_prior_to: u64,
    /// Retirements not acknowledged yet.
    retiring: Vec<Retiring>,
}

impl RemoteCids {
    /// Starts with the ID of the first packets; the handshake may replace it once.
    pub(crate) fn new(first: ConnectionId) -> Self {
        let active = VecDeque::from([Known { sequence: 0, id: first, token: None }]);
        Self { active, retire_prior_to: 0, retiring: Vec::new() }
    }

    /// The ID to send to.
    pub(crate) fn current(&self) -> ConnectionId {
        self.active.front().map_or(ConnectionId::EMPTY, |known| known.id)
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
            out.push(CidChange::ResetTokenAdded(token));
        }
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
        let new = Known { sequence, id, token: Some(token) };
        for known in &self.active {
            let same_token = known.token.is_none_or(|known| known == token);
            if known.sequence == sequence && (known.id != id || !same_token) {
                return Err(Violation::CidReused);
            }
            if known.sequence != sequence && (known.id == id || known.token == Some(token)) {
                return Err(Violation::CidReused);
            }
        }
        if self.active.iter().any(|known| known.sequence == sequence) {
            return Ok(());
        }
        self.retire_below(retire_prior_to, out)?;
        if sequence < self.retire_prior_to {
            // RFC 9000 §19.15: an ID that is retired already is given back at once.
            return self.retire(sequence);
        }
        // RFC 9000 §5.1.1: after retiring, no more than the limit.
        if self.active.len() as u64 >= ACTIVE_LIMIT {
            return Err(Violation::CidLimit);
        }
        self.active.push_back(new);
        out.push(CidChange::ResetTokenAdded(token));
        Ok(())
    }

    fn retire_below(&mut self, prior_to: u64, out: &mut Vec<CidChange>) -> Result<(), Violation> {
        if prior_to <= self.retire_prior_to {
            return Ok(());
        }
        self.retire_prior_to = prior_to;
        let mut kept = VecDeque::with_capacity(self.active.len());
        for known in std::mem::take(&mut self.active) {
            if known.sequence >= prior_to {
                kept.push_back(known);
                continue;
            }
            out.extend(known.token.map(CidChange::ResetTokenRemoved));
            self.retire(known.sequence)?;
        }
        self.active = kept;
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

    /// Reset tokens that are valid now, for the endpoint to forget when the connection is gone.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = ResetToken> + '_ {
        self.active.iter().filter_map(|known| known.token)
    }
}
