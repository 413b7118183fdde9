//! A pair of addresses: how much may be sent there, and which challenges are to be sent and answered (RFC
//! 9000 §8).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    mtu::BASE,
    validation::{Proof, Validation},
};
use crate::{
    base::Timestamp,
    frame::{Frame, FrameWriter, Receipt},
    ids::ConnectionId,
    packet::MIN_INITIAL_SIZE,
};

/// Before an address is validated, a server sends at most this many times the bytes that it received (RFC
/// 9000 §8.1).
const AMPLIFICATION_FACTOR: u64 = 3;
/// How many PATH_CHALLENGE frames may wait for a response; further ones push out the oldest.
const MAX_RESPONSES: usize = 4;

/// The addresses of a path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) remote: SocketAddr,
    /// The address that the peer sent to; responses leave from there.
    pub(crate) local_ip: Option<IpAddr>,
    /// The sequence number of the peer's connection ID for packets on this route. Without one no packets go
    /// there (RFC 9000 §9.5).
    pub(crate) cid: Option<u64>,
    /// The connection ID to which the peer sent its last packet on this route.
    pub(crate) asked: ConnectionId,
    /// Whether the connection moves here once the route is validated.
    pub(crate) moves: bool,
    /// Until when the route is remembered while another one is in use and validated.
    pub(crate) kept_until: Timestamp,
    validated: bool,
    /// Whether received bytes bound what is sent before the validation.
    limited: bool,
    received: u64,
    sent: u64,
    /// How many bytes had been received when the validation began.
    received_before: u64,
    validation: Option<Validation>,
    /// Whether the peer answered on the route, but no datagram of 1200 bytes is known to have passed.
    small: bool,
    responses: Vec<[u8; 8]>,
}

impl Route {
    /// `validated` is whether the peer need not prove that it receives at `remote`. At first, clients do not
    /// ask a server for that.
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

    /// A route that this end chose itself. No peer made this end send there, so received bytes do not bound
    /// what it sends; it only has to ask first.
    pub(crate) fn chosen(remote: SocketAddr, local_ip: Option<IpAddr>) -> Self {
        Self { limited: false, ..Self::new(remote, local_ip, false) }
    }

    /// Whether a datagram from `remote` that came to `local_ip` belongs to this route.
    pub(crate) fn is(&self, remote: SocketAddr, local_ip: Option<IpAddr>) -> bool {
        self.remote == remote && (self.local_ip.is_none() || local_ip.is_none() || self.local_ip == local_ip)
    }

    /// Whether only the peer's port differs, as after a NAT has rebound the connection (RFC 9000 §9.4).
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

    /// How many bytes may be sent before the address is validated (RFC 9000 §8.1, §9.3.1). There is no limit
    /// afterwards.
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

    /// A PATH_CHALLENGE arrived. It is answered once, on the path on which it came (RFC 9000 §8.2.2).
    pub(crate) fn on_challenge(&mut self, data: [u8; 8]) {
        if self.responses.len() == MAX_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push(data);
    }

    /// Asks the peer whether it receives on this route: at once, then after `period` and ever longer
    /// intervals, until `patience` is over. Replaces a validation in progress.
    pub(crate) fn ask(&mut self, now: Timestamp, period: Duration, patience: Duration) {
        self.validation = Some(Validation::new(now, period, patience));
        self.received_before = self.received;
    }

    /// Whether a datagram came on the route since the peer was last asked.
    pub(crate) fn was_heard(&self) -> bool {
        self.received > self.received_before
    }

    /// A PATH_RESPONSE arrived on any path (RFC 9000 §8.2.3). Returns what it proves about this route, if it
    /// answers one of its challenges.
    pub(crate) fn on_response(&mut self, data: [u8; 8]) -> Option<Proof> {
        let proof = self.validation.as_ref()?.on_response(data)?;
        self.validation = None;
        self.validated = true;
        self.small = proof == Proof::Address;
        Some(proof)
    }

    /// A datagram of this size arrived at the peer. One of 1200 bytes proves what a full challenge would
    /// (RFC 9000 §8.2.3): on a path that loses much, no such challenge may be answered in time.
    pub(crate) fn on_carried(&mut self, size: u16) {
        if size >= BASE {
            self.small = false;
        }
    }

    /// Checks the timer of the validation. Returns true if the validation failed and the route was not
    /// validated before.
    pub(crate) fn gave_up(&mut self, now: Timestamp) -> bool {
        let over = self.validation.as_mut().is_some_and(|validation| !validation.on_timeout(now));
        if over {
            self.validation = None;
        }
        over && (!self.validated || self.small)
    }

    /// Whether the peer was asked, has not answered, and was not given up.
    pub(crate) fn is_asked(&self) -> bool {
        self.validation.is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.validation.as_ref().map(Validation::deadline)
    }

    /// Whether a challenge is to be sent.
    pub(crate) fn wants_challenge(&self) -> bool {
        self.validation.as_ref().is_some_and(Validation::wants)
    }

    /// Whether a response to the peer's challenge is to be sent.
    pub(crate) fn wants_response(&self) -> bool {
        !self.responses.is_empty()
    }

    /// Writes a challenge with this data, if one is due. `full` is whether its datagram has 1200 bytes.
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

    /// Writes the responses to challenges. Returns whether it wrote any.
    pub(crate) fn write_responses(&mut self, w: &mut FrameWriter<'_>) -> bool {
        let before = self.responses.len();
        self.responses.retain(|data| !w.frame(&Frame::PathResponse(*data), Receipt::Nothing));
        self.responses.len() < before
    }
}
