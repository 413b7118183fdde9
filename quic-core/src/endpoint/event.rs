//! What an endpoint makes of a datagram: it belongs to a connection, requests one, or is answered without
//! one.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::{peek, table::ConnectionHandle};
use crate::{base::DatagramMeta, crypto::TlsError, error::DropReason, ids::ConnectionId, version::Version};

/// A datagram to send that belongs to no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a datagram to send is: others make some too")]
pub struct Response {
    /// The destination address.
    pub remote: SocketAddr,
    /// The address to send from, if known.
    pub local_ip: Option<IpAddr>,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// What to do with a datagram.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum DatagramEvent {
    /// Pass it to [`Connection::handle_datagram`](crate::Connection::handle_datagram).
    Connection(ConnectionHandle, BytesMut),
    /// The connection ID names a sibling, one of the [endpoints that share the
    /// address](crate::EndpointConfig::siblings), by its shard. Pass the datagram to that endpoint's
    /// [`handle_datagram`](crate::Endpoint::handle_datagram). If that endpoint is gone, call
    /// [`Endpoint::handle_orphan`](crate::Endpoint::handle_orphan).
    Sibling(u8, BytesMut),
    /// Call [`Connection::handle_stateless_reset`](crate::Connection::handle_stateless_reset).
    StatelessReset(ConnectionHandle),
    /// A client requests a connection: [`accept`](crate::Endpoint::accept), [`retry`](crate::Endpoint::retry)
    /// or [`refuse`](crate::Endpoint::refuse) it, or drop it.
    Incoming(Incoming),
    /// Send this response.
    Respond(Response),
    /// Do nothing.
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
    /// The original destination connection ID from before a Retry, if the client presented a valid token.
    pub(super) before_retry: Option<ConnectionId>,
    /// Whether the client presented a good token of an earlier connection.
    pub(super) is_known: bool,
}

impl Incoming {
    /// The client's address.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.meta.remote
    }

    /// The address of this host that the client sent to, if the caller of
    /// [`Endpoint::handle_datagram`](crate::Endpoint::handle_datagram) gave it.
    #[must_use]
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.meta.local_ip
    }

    /// The server name (SNI) in lower case, if the first datagram contains it. It need not: a ClientHello may
    /// be larger than one datagram. Decrypts the datagram and changes nothing.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        peek::server_name(&self.data, &self.dcid)
    }

    /// The sender of the datagram.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { meta: self.meta, version: self.version, dcid: self.dcid, scid: self.scid }
    }

    /// Whether the client has proved that it receives at its address: by the answer to a Retry, or by a token
    /// of an earlier connection (RFC 9000 §8.1.2, §8.1.3).
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.before_retry.is_some() || self.is_known
    }
}

/// The sender of a client's first datagram: what a response needs when the [`Incoming`] itself is gone.
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
