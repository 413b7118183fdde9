//! A client that moves to another address of its host (RFC 9000 §9.2).

use std::net::SocketAddr;

use quic_core::base::Timestamp;

use super::{outgoing::Sender, shard::Shard, state::conn::Conn};
use crate::socket::DatagramSocket;

impl Shard {
    /// Replaces the socket by one at another address, to which all connections move. Datagrams that the old
    /// socket has not accepted, or that wait in it, are lost.
    pub(super) fn rebind(&mut self, socket: Box<dyn DatagramSocket>, now: Timestamp) {
        let buffer = std::mem::take(&mut self.sender.buffer);
        self.sender = Sender { buffer, ..Sender::new(&*socket) };
        self.receiver.on_working();
        self.receiver.again_at = None;
        self.bound = socket.local_address().ok();
        self.socket = socket;
        let bound = self.bound;
        for index in 0..self.connections.len() {
            self.enter(index, now, |connection| connection.rebind(bound));
            self.touch(index);
        }
    }
}

impl Conn {
    /// Moves the connection to the shard's new socket, which is bound to this address.
    fn rebind(&mut self, bound: Option<SocketAddr>) {
        self.bound = bound;
        let local_ip = bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified());
        if let Err(error) = self.stack.quic.rebind(self.stack.now, local_ip) {
            tracing::debug!(%error, "the connection continues from the new socket as if a NAT had moved it");
        }
        self.boxes().about().set_addresses(self.addresses());
    }
}
