//! What an endpoint says of a datagram: whose it is, who asks for a connection, what is answered without one.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::{peek, table::ConnectionHandle};
use crate::{base::DatagramMeta, crypto::TlsError, error::DropReason, ids::ConnectionId, version::Version};

/// A datagram to send that belongs to no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a datagram to send is: others make some too")]
pub struct Response {
    /// Where to.
    pub remote: SocketAddr,
    /// The address to send from, if known.
    pub local_ip: Option<IpAddr>,
    /// UDP payload.
    pub bytes: Vec<u8>,
}

/// What to do with a datagram.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum DatagramEvent {
    /// To be handed to [`Connection::handle_datagram`](crate::Connection::handle_datagram).
    Connection(ConnectionHandle, BytesMut),
    /// The connection ID names another of the [endpoints that share the address](crate::EndpointConfig::siblings), by its
    /// shard: that one's [`handle_datagram`](crate::Endpoint::handle_datagram) knows the connection. Where that endpoint is
    /// gone, see [`Endpoint::handle_orphan`](crate::Endpoint::handle_orphan).
    Sibling(u8, BytesMut),
    /// To be told to [`Connection::handle_stateless_reset`](crate::Connection::handle_stateless_reset).
    StatelessReset(ConnectionHandle),
    /// A client asks for a connection: [`accept`](crate::Endpoint::accept), [`retry`](crate::Endpoint::retry) or
    /// [`refuse`](crate::Endpoint::refuse) it, or drop it.
    Incoming(Incoming),
    /// To be sent.
    Respond(Response),
    /// Nothing.
    Dropped(DropReason),
}

/// A client's first datagram.
#[derive(Debug)]
pub struct Incoming {
    pub(super) meta: DatagramMeta,
    pub(super) data: BytesMut,
    pub(super) version: Version,
    pub(super) dcid: ConnectionId,
    pub(super) scid: ConnectionId,
    /// The connection ID before a Retry, if the client brought a valid token.
    pub(super) before_retry: Option<ConnectionId>,
}

impl Incoming {
    /// The client's address.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.meta.remote
    }

    /// The address of this host that it asked, if the caller of
    /// [`Endpoint::handle_datagram`](crate::Endpoint::handle_datagram) told it.
    #[must_use]
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.meta.local_ip
    }

    /// The server name (SNI) in small letters, if the first datagram holds it, which nothing has to: a ClientHello may be
    /// larger than one. Decrypts the datagram, and changes nothing.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        peek::server_name(&self.data, &self.dcid)
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { meta: self.meta, version: self.version, dcid: self.dcid, scid: self.scid }
    }

    /// Whether a Retry has proved that the client receives at its address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.before_retry.is_some()
    }
}

/// Who sent a client's first datagram: what an answer needs when the [`Incoming`] itself is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(super) meta: DatagramMeta,
    pub(super) version: Version,
    pub(super) dcid: ConnectionId,
    pub(super) scid: ConnectionId,
}

impl Caller {
    /// The client's address.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.meta.remote
    }
}

/// Why an incoming connection was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The endpoint has no server configuration.
    #[error("the endpoint is not configured as a server")]
    NoServer,
    /// The first datagram could not be authenticated.
    #[error("the first datagram of the connection is not authentic")]
    NotAuthentic,
    /// The memory budget is spent.
    #[error("the endpoint's memory budget is spent; raise EndpointConfig::budget or serve fewer connections")]
    Memory,
    /// TLS refused its configuration.
    #[error("the TLS configuration cannot be used: {0}")]
    Tls(#[from] TlsError),
}
