//! A pair of addresses: what may be sent there, and what is to be asked and answered (RFC 9000 §8).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::validation::{Proof, Validation};
use crate::{
    base::Timestamp,
    frame::{Frame, FrameWriter, Receipt},
    ids::ConnectionId,
    packet::MIN_INITIAL_SIZE,
};

/// A server sends at most this many times what it received before an address is validated (RFC 9000 §8.1).
const AMPLIFICATION_FACTOR: u64 = 3;
/// PATH_CHALLENGE frames that wait for their answer; more are answered by the newest ones.
const MAX_RESPONSES: usize = 4;

/// The addresses of a path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) remote: SocketAddr,
    /// The address that the peer sent to, from which answers leave.
    pub(crate) local_ip: Option<IpAddr>,
    /// The sequence number of the peer's connection ID for packets that go there; without one none do (RFC 9000 §9.5).
    pub(crate) cid: Option<u64>,
    /// The connection ID to which the peer sent its last packet on this route.
    pub(crate) asked: ConnectionId,
    /// Whether the connection moves here as soon as the route is validated.
    pub(crate) moves: bool,
    /// Until when the route is remembered while another one is in use and validated.
    pub(crate) kept_until: Timestamp,
    validated: bool,
    /// Whether what is sent before the validation is bounded by what came.
    limited: bool,
    received: u64,
    sent: u64,
    /// What was received when the validation began.
    received_before: u64,
    validation: Option<Validation>,
    /// Whether the peer answered on the route, but nothing as large as 1200 bytes is known to have passed.
    small: bool,
    responses: Vec<[u8; 8]>,
}

impl Route {
    /// `validated` where the peer needs not prove that it receives at `remote`: clients ask no server for that at first.
    pub(crate) fn new(remote: SocketAddr, local_ip: Option<IpAddr>, validated: bool) -> Self {
        Self {
            remote,
            local_ip,
            cid: Some(0),
            asked: ConnectionId::EMPTY,
            moves: false,
            kept_until: Timestamp::ORIGIN,
            validated,
            limited: !validated,
            received: 0,
            sent: 0,
            received_before: 0,
            validation: None,
            small: false,
            responses: Vec::new(),
        }
    }

    /// A route that this end chose itself: nobody made it send there, and so nothing bounds what it sends but the rule that it
    /// asks first.
    pub(crate) fn chosen(remote: SocketAddr, local_ip: Option<IpAddr>) -> Self {
        Self { limited: false, ..Self::new(remote, local_ip, false) }
    }

    /// Whether a datagram from `remote` that came to `local_ip` travelled on this route.
    pub(crate) fn is(&self, remote: SocketAddr, local_ip: Option<IpAddr>) -> bool {
        self.remote == remote && (self.local_ip.is_none() || local_ip.is_none() || self.local_ip == local_ip)
    }

    /// Whether no more than the peer's port is another one, as when a NAT has bound the connection anew (RFC 9000 §9.4).
    pub(crate) fn differs_by_port_only(&self, other: &Self) -> bool {
        self.remote.ip() == other.remote.ip() && self.local_ip == other.local_ip
    }

    pub(crate) fn on_datagram_received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    pub(crate) fn on_datagram_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The peer has proved that it receives at its address.
    pub(crate) fn validate(&mut self) {
        self.validated = true;
    }

    pub(crate) fn is_validated(&self) -> bool {
        self.validated
    }

    /// Bytes that may be sent before the address is validated (RFC 9000 §8.1, §9.3.1); no limit afterwards.
    pub(crate) fn amplification_credit(&self) -> u64 {
        if self.validated || !self.limited {
            u64::MAX
        } else {
            (self.received * AMPLIFICATION_FACTOR).saturating_sub(self.sent)
        }
    }

    /// Whether less than a full handshake datagram may be sent.
    pub(crate) fn is_amplification_limited(&self) -> bool {
        self.amplification_credit() < MIN_INITIAL_SIZE as u64
    }

    /// A PATH_CHALLENGE is answered once, on the path that it came on (RFC 9000 §8.2.2).
    pub(crate) fn on_challenge(&mut self, data: [u8; 8]) {
        if self.responses.len() == MAX_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push(data);
    }

    /// Asks the peer whether it receives on this route: at once, again after `period` and with a growing one, until `patience`
    /// is over. A validation that was under way ends.
    pub(crate) fn ask(&mut self, now: Timestamp, period: Duration, patience: Duration) {
        self.validation = Some(Validation::new(now, period, patience));
        self.received_before = self.received;
    }

    /// Whether anything came on the route since the peer was asked last.
    pub(crate) fn was_heard(&self) -> bool {
        self.received > self.received_before
    }

    /// A PATH_RESPONSE came, on whichever path (RFC 9000 §8.2.3). What it proves of this route, if it answers its challenge.
    pub(crate) fn on_response(&mut self, data: [u8; 8]) -> Option<Proof> {
        let proof = self.validation.as_ref()?.on_response(data)?;
        self.validation = None;
        self.validated = true;
        self.small = proof == Proof::Address;
        Some(proof)
    }

    /// Looks at the clock of the validation. True if it came to nothing, and the route is not known to work from before.
    pub(crate) fn gave_up(&mut self, now: Timestamp) -> bool {
        let over = self.validation.as_mut().is_some_and(|validation| !validation.on_timeout(now));
        if over {
            self.validation = None;
        }
        over && (!self.validated || self.small)
    }

    /// Whether the peer was asked and has neither answered nor been given up.
    pub(crate) fn is_asked(&self) -> bool {
        self.validation.is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.validation.as_ref().map(Validation::deadline)
    }

    /// Whether a challenge waits to be sent.
    pub(crate) fn wants_challenge(&self) -> bool {
        self.validation.as_ref().is_some_and(Validation::wants)
    }

    /// Whether a challenge waits for its answer.
    pub(crate) fn wants_response(&self) -> bool {
        !self.responses.is_empty()
    }

    /// Writes a challenge of this data, if one is due, into a datagram that has 1200 bytes or cannot (`full` false).
    pub(crate) fn write_challenge(
        &mut self,
        w: &mut FrameWriter<'_>,
        data: [u8; 8],
        full: bool,
        now: Timestamp,
    ) {
        let Some(validation) = self.validation.as_mut().filter(|validation| validation.wants()) else {
            return;
        };
        if w.frame(&Frame::PathChallenge(data), Receipt::Nothing) {
            validation.on_sent(now, data, full);
        }
    }

    /// Writes answers to challenges. Says whether it wrote any.
    pub(crate) fn write_responses(&mut self, w: &mut FrameWriter<'_>) -> bool {
        let before = self.responses.len();
        self.responses.retain(|data| !w.frame(&Frame::PathResponse(*data), Receipt::Nothing));
        self.responses.len() < before
    }
}
