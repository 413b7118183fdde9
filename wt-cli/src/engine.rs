//! Drives `quic-core` by hand: a socket, an endpoint, its connections, and an application on top.
//!
//! Owns the loop on the caller's thread: receive, handle timeouts, run the application, send trains, wait.

mod sending;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use bytes::BytesMut;
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, DatagramEvent, DatagramMeta, Endpoint,
    EndpointConfig, Response, ServerConfig,
    base::{Ecn, Entropy, SystemEntropy, Timestamp},
};
use quinn_udp::RecvMeta;
use tokio::io::Interest;
use wt_api::udp::{SocketOptions, Train, Trains, UdpSocket};

/// How many messages one receive call takes.
const BATCH: usize = 4;
/// The largest message: a train that the kernel joined, in bytes.
const MESSAGE: usize = 64 << 10;
/// How many receive calls are made before the application has its turn.
const RECEIVES: usize = 16;
/// After how many QUIC datagrams a connection has its turn at once: a quarter of its receive queue.
const DATAGRAMS: u64 = 256;

/// An endpoint that cannot continue: what failed, and why.
#[derive(Debug)]
pub struct EngineError(String);

impl EngineError {
    fn new(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EngineError {}

impl From<EngineError> for String {
    fn from(error: EngineError) -> Self {
        error.0
    }
}

/// The application over the connections.
pub trait Application {
    /// A connection has events to poll.
    fn on_events(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection);

    /// How many further connections to open now, to the same peer as the first one.
    fn wanted(&mut self) -> usize {
        0
    }

    /// One of these connections was started.
    fn on_connecting(&mut self, _handle: ConnectionHandle) {}

    /// A connection has ended.
    fn on_closed(&mut self, handle: ConnectionHandle, connection: &Connection);

    /// When [`on_time`](Self::on_time) should be called.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn on_time(&mut self) {}

    /// The network reports that nothing listens at the server's port. Only clients are told, and only before
    /// they heard from the server.
    fn on_refused(&mut self) {}

    /// Whether to close the connections and end the engine.
    fn is_done(&self) -> bool {
        false
    }

    /// The application error code to close them with; 0 means success.
    fn close_code(&self) -> u64 {
        0
    }
}

/// How to make an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen. An IPv6 address takes IPv4 as well. A client's address is unspecified.
    pub address: SocketAddr,
    /// The size of each socket buffer to ask for, in bytes; the system may give less.
    pub socket_buffer: usize,
    /// Whether every client without a token is answered with a Retry packet (RFC 9000 §8.1.2).
    pub retry: bool,
}

/// A connection, and its entry in the set of deadlines.
struct Driven {
    connection: Connection,
    deadline: Option<Timestamp>,
    /// How many QUIC datagrams had arrived when the application last had its turn.
    datagrams: u64,
}

/// An endpoint on a socket, and its connections.
pub struct Engine {
    socket: UdpSocket,
    trains: Trains,
    endpoint: Endpoint,
    retry: bool,
    /// In boxes: a map of large values leaves half of its memory unused.
    connections: BTreeMap<usize, Box<Driven>>,
    /// Connections with work: something arrived or is due, or the socket was full.
    active: BTreeSet<usize>,
    deadlines: BTreeSet<(Timestamp, usize)>,
    /// The peer to which connections are opened.
    peer: Option<(ClientConfig, String, SocketAddr)>,
    origin: Instant,
    receive: Vec<BytesMut>,
    send: Vec<u8>,
    /// A train that the socket did not take, and the index of its connection.
    blocked: Option<(usize, Train)>,
    /// When to retry after the system had no memory for it.
    again_at: Option<Timestamp>,
    responses: Vec<Response>,
    /// Whether this is a client that has not heard from its server yet. Only then do the network's reports
    /// about the server count; later anybody could forge them.
    connecting: bool,
}

#[expect(clippy::disallowed_methods, reason = "the outermost layer reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Binds a socket. With `server` it accepts connections.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn bind(options: Options, server: Option<Arc<ServerConfig>>) -> Result<Self, EngineError> {
        let connecting = server.is_none();
        let socket = UdpSocket::bind(&SocketOptions {
            address: options.address,
            only_v6: false,
            transport_errors: connecting,
            buffer: options.socket_buffer,
        });
        let socket = socket.map_err(|error| EngineError::new(options.address, error))?;
        let mut entropy = SystemEntropy::new();
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let config = EndpointConfig::new(CidFactory::new(8, 0, &key));
        Ok(Self {
            trains: Trains::new(socket.max_gso_segments()),
            socket,
            endpoint: Endpoint::new(config, server, Box::new(entropy)),
            retry: options.retry,
            connections: BTreeMap::new(),
            active: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            peer: None,
            connecting,
            origin: clock(),
            receive: vec![BytesMut::new(); BATCH],
            send: vec![0; MESSAGE],
            blocked: None,
            again_at: None,
            responses: Vec::new(),
        })
    }

    /// The local address.
    ///
    /// # Errors
    /// The system does not tell it.
    pub fn local_address(&self) -> Result<SocketAddr, EngineError> {
        self.socket.local_address().map_err(|error| EngineError::new("socket", error))
    }

    /// Opens a connection to a server of this name.
    ///
    /// # Errors
    /// TLS rejects the configuration or the name.
    pub fn connect(
        &mut self,
        config: &ClientConfig,
        name: &str,
        remote: SocketAddr,
    ) -> Result<(), EngineError> {
        self.peer = Some((config.clone(), name.to_owned(), remote));
        self.open()?;
        Ok(())
    }

    /// Opens a connection to the peer, if there is one.
    fn open(&mut self) -> Result<Option<ConnectionHandle>, EngineError> {
        let now = self.now();
        let Some((config, name, remote)) = &self.peer else { return Ok(None) };
        let connected = self.endpoint.connect(now, config, name, *remote);
        let (handle, connection) = connected.map_err(|error| EngineError::new("TLS", error))?;
        self.insert(handle, connection);
        Ok(Some(handle))
    }

    fn insert(&mut self, handle: ConnectionHandle, connection: Connection) {
        let driven = Driven { connection, deadline: None, datagrams: 0 };
        self.connections.insert(handle.0, Box::new(driven));
        self.active.insert(handle.0);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000) + self.origin.elapsed()
    }

    /// Drives everything until the application is done, then closes all connections.
    ///
    /// # Errors
    /// Waiting for the socket fails.
    pub async fn run(&mut self, application: &mut impl Application) -> Result<(), EngineError> {
        loop {
            if self.receive(application) {
                application.on_refused();
            }
            self.expire();
            if application.deadline().is_some_and(|deadline| deadline <= clock()) {
                self.active.extend(self.connections.keys());
            }
            self.work(application);
            if application.deadline().is_some_and(|deadline| deadline <= clock()) {
                application.on_time();
            }
            for _ in 0..application.wanted() {
                self.open()?.into_iter().for_each(|handle| application.on_connecting(handle));
            }
            if application.is_done() {
                let (now, code) = (self.now(), application.close_code());
                self.active.extend(self.connections.keys());
                self.connections.values_mut().for_each(|driven| driven.connection.close(now, code, b""));
            }
            self.transmit();
            if application.is_done() && self.blocked.is_none() {
                return Ok(());
            }
            if !self.active.is_empty() && self.blocked.is_none() {
                continue;
            }
            let waited = self.wait(application.deadline()).await;
            waited.map_err(|error| EngineError::new("socket", error))?;
        }
    }

    async fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        let timer = self.deadlines.first().map(|(at, _)| *at);
        let timer = timer
            .into_iter()
            .chain(self.again_at)
            .min()
            .map(|at| self.origin + (at - Timestamp::from_nanos(1_000_000_000)));
        let until = timer.into_iter().chain(deadline).min();
        let blocked = self.blocked.is_some() && self.again_at.is_none();
        let interest = if blocked || !self.responses.is_empty() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = self.socket.ready(interest);
        match until {
            Some(until) => {
                if let Ok(ready) = tokio::time::timeout_at(until.into(), ready).await {
                    ready?;
                }
            }
            None => {
                ready.await?;
            }
        }
        Ok(())
    }

    /// Handles arrived datagrams. Returns whether the network refused a client without an answer so far.
    fn receive(&mut self, application: &mut impl Application) -> bool {
        let mut metas = [RecvMeta::default(); BATCH];
        for _ in 0..RECEIVES {
            for buffer in &mut self.receive {
                if buffer.len() < MESSAGE {
                    *buffer = BytesMut::zeroed(4 * MESSAGE);
                }
            }
            let mut slices: Vec<_> =
                self.receive.iter_mut().map(|buffer| IoSliceMut::new(&mut buffer[..MESSAGE])).collect();
            let count = match self.socket.try_recv(&mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.connecting => return false,
                Err(error) => return self.on_socket_error(&error),
            };
            self.connecting = false;
            let now = self.now();
            for (position, meta) in metas.iter().enumerate().take(count) {
                let message = self.receive[position].split_to(meta.len);
                self.on_message(now, meta, message, application);
            }
        }
        false
    }

    /// Whether the network refused a client that has not heard from its server yet.
    fn on_socket_error(&self, error: &io::Error) -> bool {
        let mut refused = error.kind() == io::ErrorKind::ConnectionRefused;
        // Reports that are not taken would keep the socket "ready".
        while let Some(report) = self.socket.take_report() {
            refused |= report.error.kind() == io::ErrorKind::ConnectionRefused;
        }
        self.connecting && refused
    }

    fn on_message(
        &mut self,
        now: Timestamp,
        meta: &RecvMeta,
        mut message: BytesMut,
        application: &mut impl Application,
    ) {
        let about = DatagramMeta::new(meta.addr)
            .local_ip(meta.dst_ip)
            .ecn(meta.ecn.map_or(Ecn::NotEct, |ecn| Ecn::from_bits(ecn as u8)))
            .allocation(4 * MESSAGE);
        while !message.is_empty() {
            let datagram = message.split_to(meta.stride.clamp(1, message.len()));
            match self.endpoint.handle_datagram(now, &about, datagram) {
                DatagramEvent::Connection(handle, data) => {
                    if let Some(driven) = self.connections.get_mut(&handle.0) {
                        driven.connection.handle_datagram(now, &about, data);
                        self.active.insert(handle.0);
                        let came = driven.connection.datagrams_received();
                        let its_turn = driven.connection.should_poll_events();
                        if its_turn || came - driven.datagrams >= DATAGRAMS {
                            driven.datagrams = came;
                            application.on_events(now, handle, &mut driven.connection);
                        }
                        if its_turn {
                            self.send_first(handle);
                        }
                    }
                }
                DatagramEvent::Incoming(incoming) if self.retry && !incoming.is_validated() => {
                    self.responses.extend(self.endpoint.retry(now, &incoming));
                }
                DatagramEvent::Incoming(incoming) => {
                    if let Ok((handle, connection)) = self.endpoint.accept(now, incoming) {
                        self.insert(handle, connection);
                        self.send_first(handle);
                    }
                }
                DatagramEvent::Respond(response) => self.responses.push(response),
                DatagramEvent::StatelessReset(handle) => {
                    if let Some(driven) = self.connections.get_mut(&handle.0) {
                        driven.connection.handle_stateless_reset(now);
                        self.active.insert(handle.0);
                    }
                }
                // The engine has one socket.
                DatagramEvent::Sibling(..) => {}
                DatagramEvent::Dropped(reason) => tracing::debug!(?reason, "datagram dropped"),
            }
        }
    }

    fn expire(&mut self) {
        let now = self.now();
        while let Some((at, index)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, index));
            if let Some(driven) = self.connections.get_mut(&index) {
                driven.deadline = None;
                driven.connection.handle_timeout(now);
                self.active.insert(index);
            }
        }
    }

    fn work(&mut self, application: &mut impl Application) {
        let now = self.now();
        let mut gone = Vec::new();
        for &index in &self.active {
            let Some(driven) = self.connections.get_mut(&index) else { continue };
            let Driven { connection, datagrams, .. } = &mut **driven;
            let handle = ConnectionHandle(index);
            application.on_events(now, handle, connection);
            *datagrams = connection.datagrams_received();
            while let Some(change) = connection.poll_cid_change() {
                self.endpoint.handle_cid_change(handle, change);
            }
            if connection.is_drained() {
                application.on_closed(handle, connection);
                self.endpoint.forget(handle);
                gone.push(index);
            }
        }
        for index in gone {
            self.active.remove(&index);
            if let Some(at) = self.connections.remove(&index).and_then(|driven| driven.deadline) {
                self.deadlines.remove(&(at, index));
            }
        }
    }
}
