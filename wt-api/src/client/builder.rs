//! How a client is configured.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc};

use quic_core::base::EndpointBudget;

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
    memory: usize,
    /// Of a server, which has the sockets.
    server: Option<(RuntimeHandle, Arc<Sockets>, Arc<[SocketAddr]>)>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    /// A client to configure.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

/// A socket that was made, and which families it reaches.
type Bound = (Box<dyn DatagramSocket>, [bool; 2]);

impl ClientBuilder {
    fn new() -> Self {
        let options = WebTransportOptions::new();
        Self { sources: Vec::new(), resolver: None, options, memory: MEMORY, server: None }
    }

    /// A client whose sockets are a server's, bound to these addresses.
    pub(crate) fn of_server(
        runtime: RuntimeHandle,
        sockets: Arc<Sockets>,
        addresses: Arc<[SocketAddr]>,
    ) -> Self {
        Self { server: Some((runtime, sockets, addresses)), ..Self::new() }
    }

    /// Sends from this address; port 0 lets the system choose. To be called once for each address family: an IPv6 address, `[::]`
    /// as well, is for IPv6 alone. A family without an address is then not tried
    /// ([`ErrorCause::NoSocket`](crate::ErrorCause::NoSocket)). Without any call, and without
    /// [`socket`](Self::socket): all addresses of this host, and ports that the system chooses, with the first connection of each
    /// family.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.sources.push(Source::Address(address));
        self
    }

    /// Sends and receives by this socket in place of an [address](Self::bind) of its family: bound, connected to nobody, and used
    /// by nobody else. Datagrams that are none of this client's connections' are dropped. The sizes of its buffers stay; the
    /// client sets what QUIC needs (no fragmentation, ECN marks, reports of the network). A socket of `[::]` that takes IPv4, too,
    /// is used for both families. For a client on tokio.
    pub fn socket(mut self, socket: std::net::UdpSocket) -> Self {
        self.sources.push(Source::Socket(socket));
        self
    }

    /// Asks `resolve` for the addresses of a host name and a port, best first, in place of the system's resolver: it may choose
    /// other ports as well. It is not asked for `localhost` and literal addresses. Eight addresses are tried at most, each
    /// once, the families in turn (RFC 8305 §4). It has the connect timeout, and is dropped with it. An error, and no address at all, is
    /// [`ErrorCause::NameResolution`](crate::ErrorCause::NameResolution); a panic ends the one session that asked, with
    /// [`ErrorCause::CallbackPanicked`](crate::ErrorCause::CallbackPanicked). What certificates are valid for is the
    /// URL's host all the same.
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

    /// The options of [`connect`](Client::connect) and [`get`](Client::get). Default: [`WebTransportOptions::new`].
    pub fn options(mut self, options: WebTransportOptions) -> Self {
        self.options = options;
        self
    }

    /// Memory that servers can make all connections together hold, in bytes; when it is spent, connections that need more end.
    /// An idle connection counts as 32 KiB. Default 1 GiB. A [server's client](crate::Server::client) has its server's.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The client, on the runtime around the call.
    ///
    /// # Errors
    /// An address cannot be bound to, a socket cannot be used, two are of one address family, or there is no runtime
    /// around the call that has timers and sockets.
    pub fn build(self) -> Result<Client, ClientError> {
        let Self { sources, resolver, options, memory, server } = self;
        let options = Arc::new(options);
        if let Some((runtime, sockets, addresses)) = server {
            if let Some(source) = sources.first() {
                return Err(ClientError::SecondSocket { address: source.address()? });
            }
            return Ok(Client { means: Means::of_client(runtime, sockets, resolver), options, addresses });
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
            // One of both families leaves the other one to a socket of its own, in whichever order they are given.
            for (_, others) in &mut bound {
                others[own] = false;
            }
            let free = |family: usize| family == own || bound.iter().all(|(_, others)| !others[family]);
            bound.push((socket, [reaches[0] && free(0), reaches[1] && free(1)]));
            addresses.push(address);
        }
        let sockets = Sockets::of_client(&runtime, bound, EndpointBudget::new(memory));
        let means = Means::of_client(runtime, sockets, resolver);
        Ok(Client { means, options, addresses: addresses.into() })
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
