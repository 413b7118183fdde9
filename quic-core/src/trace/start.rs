//! The beginning of a connection.

use std::net::{IpAddr, SocketAddr};

use crate::{
    ids::{ConnectionId, Side},
    version::Version,
};

/// What is known of a connection when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStart {
    /// Which end this is.
    pub side: Side,
    /// The destination connection ID of the client's first Initial packet, also after a Retry. It names the
    /// connection at both ends.
    pub original_destination: ConnectionId,
    /// The connection ID that this end chose for the handshake.
    pub local_cid: ConnectionId,
    /// The connection ID that the first packets go to.
    pub remote_cid: ConnectionId,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The address of this host, if known.
    pub local_ip: Option<IpAddr>,
    /// The version of the first packets.
    pub version: Version,
}

impl ConnectionStart {
    /// A connection whose ends both use the connection ID `id` at first, for tests of observers.
    #[must_use]
    pub const fn new(side: Side, id: ConnectionId, remote: SocketAddr, version: Version) -> Self {
        Self {
            side,
            original_destination: id,
            local_cid: id,
            remote_cid: id,
            remote,
            local_ip: None,
            version,
        }
    }
}
