//! What is known of a datagram that arrived, beside its bytes.

use std::net::{IpAddr, SocketAddr};

use super::{ecn::Ecn, setters::setters};

/// Where a datagram came from and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramMeta {
    /// The sender.
    pub remote: SocketAddr,
    /// The local address that it was sent to, if known: answers leave from there.
    pub local_ip: Option<IpAddr>,
    /// The mark it arrived with.
    pub ecn: Ecn,
    /// The size of the buffer that the datagram's bytes keep alive, in bytes. Less than the datagram's own counts as that.
    pub allocation: usize,
}

impl DatagramMeta {
    /// From this sender, to an address that is not known, without a mark, in a buffer of its own.
    #[must_use]
    pub const fn new(remote: SocketAddr) -> Self {
        Self { remote, local_ip: None, ecn: Ecn::NotEct, allocation: 0 }
    }

    setters! {
        local_ip: Option<IpAddr>,
        ecn: Ecn,
        allocation: usize,
    }
}
