//! A pair of addresses: what may be sent there, and what is to be answered (RFC 9000 §8).

use std::net::{IpAddr, SocketAddr};

use crate::{
    frame::{Frame, FrameWriter, Receipt},
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
    validated: bool,
    received: u64,
    sent: u64,
    responses: Vec<[u8; 8]>,
}

impl Route {
    /// `validated` where the peer needs not prove that it receives at `remote`: clients ask no server for that.
    pub(crate) fn new(remote: SocketAddr, local_ip: Option<IpAddr>, validated: bool) -> Self {
        Self { remote, local_ip, validated, received: 0, sent: 0, responses: Vec::new() }
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

    /// Bytes that may be sent before the address is validated (RFC 9000 §8.1); no limit afterwards.
    pub(crate) fn amplification_credit(&self) -> u64 {
        if self.validated {
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

    pub(crate) fn wants(&self) -> bool {
        !self.responses.is_empty()
    }

    /// Writes answers to challenges. Says whether it wrote any: their datagram is to be padded (RFC 9000 §8.2.2).
    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) -> bool {
        let before = self.responses.len();
        self.responses.retain(|data| !w.frame(&Frame::PathResponse(*data), Receipt::Nothing));
        self.responses.len() < before
    }
}
