//! The interface of a simulated host.

use std::net::SocketAddr;

/// A UDP datagram that an endpoint sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a datagram in UDP and IP")]
pub struct Datagram {
    /// The sender's own address.
    pub from: SocketAddr,
    /// The receiver's address.
    pub to: SocketAddr,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
    /// The contents.
    pub payload: Vec<u8>,
}

/// A protocol stack that does no I/O and reads no clock. `now` is in nanoseconds and never goes back.
pub trait Endpoint {
    /// Handles a received datagram.
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]);

    /// Handles the timeout of [`Self::poll_timeout`].
    fn handle_timeout(&mut self, now: u64);

    /// The next datagram to send; called until it returns `None`.
    fn poll_transmit(&mut self, now: u64) -> Option<Datagram>;

    /// When to call [`Self::handle_timeout`], in nanoseconds.
    fn poll_timeout(&self) -> Option<u64>;
}

impl<E: Endpoint + ?Sized> Endpoint for Box<E> {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        (**self).handle_datagram(now, from, to, ecn, data);
    }
    fn handle_timeout(&mut self, now: u64) {
        (**self).handle_timeout(now);
    }
    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        (**self).poll_transmit(now)
    }
    fn poll_timeout(&self) -> Option<u64> {
        (**self).poll_timeout()
    }
}
