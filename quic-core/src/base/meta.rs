//! What is known of a received datagram, besides its bytes.

use std::net::{IpAddr, SocketAddr};

use super::{ecn::Ecn, setters::setters};

/// Where a datagram came from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramMeta {
    /// The sender.
    pub remote: SocketAddr,
    /// The local address it was sent to, if known. Answers leave from there.
    pub local_ip: Option<IpAddr>,
    /// The mark it arrived with.
    pub ecn: Ecn,
    /// The size in bytes of the buffer that the datagram's bytes keep alive. A value below the datagram's
    /// size counts as that size.
    pub allocation: usize,
}

impl DatagramMeta {
    /// A datagram from `remote` to an unknown local address, without a mark, in a buffer of its own.
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
