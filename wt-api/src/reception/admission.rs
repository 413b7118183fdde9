//! The application's word on clients before their handshake.

use std::{fmt, net::SocketAddr};

use quic_core::Incoming;

/// What is done with a client that asks for a connection: the answer of a hook,
/// [`ServerBuilder::admission`](crate::ServerBuilder::admission).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// Let in, unless a limit of the server says otherwise.
    #[default]
    Accept,
    /// Asked to prove its address by a Retry, which costs it a round trip (RFC 9000 §8.1.2). One that has is let in.
    Retry,
    /// Told that it is refused (`CONNECTION_REFUSED`, RFC 9000 §5.2.2).
    Refuse,
    /// Not answered: it tries again for as long as it likes, and hears of nothing but a timeout.
    Ignore,
}

/// What a server has to do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLoad {
    /// Handshakes that go on, at all of the server's sockets.
    pub pending_handshakes: usize,
    /// Connections, those in their handshake included.
    pub connections: usize,
    /// Memory that clients make connections hold, in bytes.
    pub memory_used: usize,
    /// What that may be at most, in bytes.
    pub memory_limit: usize,
}

/// A client that asks for a connection, by its first datagram. Of it nothing is proved but, if
/// [`is_validated`](Self::is_validated), its address.
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
    /// Where the datagram came from. Anybody can write another address than their own there.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// The address of this host that it came to. `None` if the system would not say.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether the client has proved, by a Retry, that it receives at its address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.is_validated()
    }

    /// The server name that the client asks for in TLS, in small letters, if the first datagram holds it. `None` says
    /// nothing: clients with large first messages, browsers among them, send it with the second one now and then, and those
    /// that ask by an address send none. To find it the datagram is decrypted, some microseconds; who decides by the address
    /// does not ask.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.incoming.server_name()
    }

    /// What the server has to do at the moment.
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
