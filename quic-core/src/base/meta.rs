//! What is known of a datagram that arrived, beside its bytes.

use std::net::{IpAddr, SocketAddr};

use super::ecn::Ecn;

/// Where a datagram came from and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramMeta {
    /// The sender.
    pub remote: SocketAddr,
    /// The local address that it was sent to, if known: answers leave from there.
    pub local_ip: Option<IpAddr>,
    /// The mark it arrived with.
    pub ecn: Ecn,
    /// The size of the buffer that the datagram's bytes keep alive, at least the datagram's own.
    pub allocation: usize,
}
