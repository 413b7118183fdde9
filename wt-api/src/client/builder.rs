//! The configuration of a client.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use quic_core::{base::EndpointBudget, crypto::SessionCache};

use super::handle::Client;
use crate::{
    connect::{MEMORY, Means, Resolver, Sockets, bind},
    error::ClientError,
    options::WebTransportOptions,
    runtime::{self, MissingDriver, RuntimeHandle},
    socket::{DatagramSocket, families},
};

/// Where a socket comes from.
enum Source {
    Address(SocketAddr),
    Socket(std::net::UdpSocket),
}

/// Configures a [`Client`].
#[must_use]
pub struct ClientBuilder {
    sources: Vec<Source>,
    resolver: Option<Resolver>,
    options: WebTransportOptions,
    sessions: SessionCache,
    memory: usize,
    /// Set for a server's client, which uses the server's sockets.
    server: Option<(RuntimeHandle, Arc<Sockets>, Arc<[SocketAddr]>)>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    /// Configures a new client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

/// Servers that are remembered, unless the application has a cache of its own.
const REMEMBERED: usize = 64;

/// A socket, and the families that it reaches.
type Bound = (Box<dyn DatagramSocket>, [bool; 2]);

impl ClientBuilder {
    fn new() -> Self {
        let options = WebTransportOptions::new();
        let sessions = SessionCache::new(REMEMBERED);
        Self { sources: Vec::new(), resolver: None, options, sessions, memory: MEMORY, server: None }
    }

    /// A client that uses a server's sockets, which are bound to these addresses.
    pub(crate) fn of_server(
        runtime: RuntimeHandle,
        sockets: Arc<Sockets>,
        addresses: Arc<[SocketAddr]>,
    ) -> Self {
        Self { server: Some((runtime, sockets, addresses)), ..Self::new() }
    }

    /// Binds a socket to this address; port 0 lets the system choose. Call this once for each address family:
    /// an IPv6 address, even `[::]`, is only for IPv6. A family without an address is then not used
    /// ([`ErrorCause::NoSocket`](crate::ErrorCause::NoSocket)). Without any call of this or of
    /// [`socket`](Self::socket), each family gets a socket on all addresses of this host with its first
    /// connection, with a port that the system chooses.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.sources.push(Source::Address(address));
        self
    }

    /// Uses this socket instead of an [address](Self::bind) of its family. It must be bound, not connected,
    /// and not used otherwise. Datagrams that do not belong to this client's connections are dropped. Its
    /// buffer sizes stay; the client sets the options that QUIC needs (no fragmentation, ECN marks, reports
    /// of the network). A socket on `[::]` that also takes IPv4 is used for both families. Only for a client
    /// on tokio.
    pub fn socket(mut self, socket: std::net::UdpSocket) -> Self {
        self.sources.push(Source::Socket(socket));
        self
    }

    /// Calls `resolve` with a host name and a port for the addresses, best first, instead of the system's
    /// resolver. It may return other ports too. It is not called for `localhost` and literal addresses. At
    /// most eight addresses are tried, each once, with alternating families (RFC 8305 §4). It must finish
    /// within the connect timeout, or is dropped. An error, or an empty list, becomes
    /// [`ErrorCause::NameResolution`](crate::ErrorCause::NameResolution). A panic only ends the session that
    /// asked, with [`ErrorCause::CallbackPanicked`](crate::ErrorCause::CallbackPanicked). Certificates must
    /// be valid for the URL's host in any case.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use wt_api::Client;
    /// let client = Client::builder().resolver(|_host, port| async move { Ok(vec![([192, 0, 2, 7], port).into()]) }).build()?;
    /// let session = client.connect("https://staging.example.org/")?;
    /// # drop(session);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolver<F, R>(mut self, resolve: F) -> Self
    where
        F: Fn(String, u16) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.resolver = Some(Resolver(Arc::new(move |host, port| Box::pin(resolve(host, port)))));
        self
    }

    /// Sets the options of [`connect`](Client::connect) and [`get`](Client::get). Default:
    /// [`WebTransportOptions::new`].
    pub fn options(mut self, options: WebTransportOptions) -> Self {
        self.options = options;
        self
    }

    /// What the client remembers of servers: TLS sessions, with which a new connection to the same server needs
    /// no certificate (RFC 8446 §2.2), and address tokens, which save a round trip if a server asks for proof
    /// of the address (RFC 9000 §8.1.3). Default: a cache of this client for 64 servers.
    ///
    /// Several clients may share a cache for its tokens. A session resumes only for the client that made it,
    /// and a client that takes out the session of another one uses it up. A program can keep the tokens in a
    /// file ([`SessionCache::to_bytes`]). Servers can recognize a client by both; `SessionCache::new(0)`
    /// remembers nothing. The cache is not used with a [rustls
    /// configuration](WebTransportOptions::rustls_config) of the application, which says itself how sessions
    /// resume. The client sends no 0-RTT.
    pub fn session_cache(mut self, sessions: SessionCache) -> Self {
        self.sessions = sessions;
        self
    }

    /// Limits the memory that servers can make all connections together hold, in bytes. When it is used up,
    /// connections that need more end. An idle connection counts as 32 KiB. Default 1 GiB. A [server's
    /// client](crate::Server::client) uses its server's budget.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Builds the client, on the runtime around the call.
    ///
    /// # Errors
    /// An address cannot be bound, a socket cannot be used, two are of the same address family, or there is
    /// no runtime around the call that has timers and sockets.
    pub fn build(self) -> Result<Client, ClientError> {
        let Self { sources, resolver, options, sessions, memory, server } = self;
        let options = Arc::new(options);
        if let Some((runtime, sockets, addresses)) = server {
            if let Some(source) = sources.first() {
                return Err(ClientError::SecondSocket { address: source.address()? });
            }
            let means = Means::of_client(runtime, sockets, resolver, sessions);
            let addresses = Arc::new(Mutex::new(addresses.to_vec()));
            return Ok(Client { means, options, addresses });
        }
        let runtime = runtime::current().ok_or(ClientError::NoRuntime)?;
        runtime.check().map_err(|MissingDriver(missing)| ClientError::RuntimeDriver { missing })?;
        let (mut bound, mut addresses) = (Vec::<Bound>::new(), Vec::new());
        for source in sources {
            let socket = source.open(&runtime)?;
            let address = socket.local_address().map_err(unusable)?;
            let reaches = families(&*socket);
            let own = usize::from(address.is_ipv6());
            if bound.iter().any(|(other, _)| {
                other.local_address().is_ok_and(|other| other.is_ipv6() == address.is_ipv6())
            }) {
                return Err(ClientError::SecondSocket { address });
            }
            // A socket of both families leaves a family to that family's own socket, in whichever order they
            // were given.
            for (_, others) in &mut bound {
                others[own] = false;
            }
            let free = |family: usize| family == own || bound.iter().all(|(_, others)| !others[family]);
            bound.push((socket, [reaches[0] && free(0), reaches[1] && free(1)]));
            addresses.push(address);
        }
        let sockets = Sockets::of_client(&runtime, bound, EndpointBudget::new(memory));
        let means = Means::of_client(runtime, sockets, resolver, sessions);
        Ok(Client { means, options, addresses: Arc::new(Mutex::new(addresses)) })
    }
}

impl Source {
    fn address(&self) -> Result<SocketAddr, ClientError> {
        match self {
            Self::Address(address) => Ok(*address),
            Self::Socket(socket) => socket.local_addr().map_err(unusable),
        }
    }

    fn open(self, runtime: &RuntimeHandle) -> Result<Box<dyn DatagramSocket>, ClientError> {
        match self {
            Self::Address(address) => {
                bind(runtime, address).map_err(|error| ClientError::Bind { address, error: Arc::new(error) })
            }
            Self::Socket(socket) => runtime.adopt(socket).map_err(unusable),
        }
    }
}

fn unusable(error: io::Error) -> ClientError {
    ClientError::Socket(Arc::new(error))
}
