//! The application's decision about clients before their handshake.

use std::{fmt, net::SocketAddr};

use quic_core::Incoming;

/// How to handle a client that requests a connection; returned by the hook of
/// [`ServerBuilder::admission`](crate::ServerBuilder::admission).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// Admit it, unless a limit of the server forbids it.
    #[default]
    Accept,
    /// Make it prove its address with a Retry, which costs a round trip (RFC 9000 §8.1.2). A client that has
    /// already done so is admitted.
    Retry,
    /// Refuse it with `CONNECTION_REFUSED` (RFC 9000 §5.2.2).
    Refuse,
    /// Do not answer. The client retries as long as it likes, and only gets a timeout.
    Ignore,
}

/// The present load of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLoad {
    /// Handshakes in progress, on all sockets of the server.
    pub pending_handshakes: usize,
    /// Connections, including those in their handshake.
    pub connections: usize,
    /// Memory that clients make connections hold, in bytes.
    pub memory_used: usize,
    /// The limit of that memory, in bytes.
    pub memory_limit: usize,
}

/// A client that requests a connection, as its first datagram shows it. Nothing about it is proved, except
/// its address if [`is_validated`](Self::is_validated) is true.
pub struct ConnectionAttempt<'a> {
    incoming: &'a Incoming,
    local: Option<SocketAddr>,
    load: ServerLoad,
}

impl<'a> ConnectionAttempt<'a> {
    pub(crate) fn new(incoming: &'a Incoming, local: Option<SocketAddr>, load: ServerLoad) -> Self {
        Self { incoming, local, load }
    }
}

impl ConnectionAttempt<'_> {
    /// The source address of the datagram, which anybody can forge.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// The address of this host to which the datagram was sent. `None` if the system does not tell.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether the client has proved, by a Retry, that it receives at its address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.is_validated()
    }

    /// The server name that the client sends in TLS, in lower case, if the first datagram contains it. `None`
    /// says nothing: clients with large first messages, including browsers, sometimes send it in the second
    /// datagram, and clients that connect to an address send none. To find the name, the datagram is
    /// decrypted, which takes some microseconds, so do not call this to decide by the address.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.incoming.server_name()
    }

    /// The present load of the server.
    #[must_use]
    pub fn load(&self) -> ServerLoad {
        self.load
    }
}

impl fmt::Debug for ConnectionAttempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionAttempt")
            .field("remote", &self.remote_address())
            .field("validated", &self.is_validated())
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

/// The application's hook.
pub(crate) type Hook = Box<dyn Fn(&ConnectionAttempt<'_>) -> Admission + Send + Sync>;
