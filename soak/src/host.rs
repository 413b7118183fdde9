//! An endpoint of quic-core as a node of a simulated network, and the only adapter between the two.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use bytes::BytesMut;
use netsim::Datagram;
use quic_core::{
    CidFactory, ClientConfig, ConnectionHandle, DatagramMeta, Endpoint, EndpointConfig, ServerConfig,
    base::{Ecn, SeededEntropy, Timestamp},
    testing::{Driver, Received},
};

use crate::{clock::EPOCH, party::Party, peer::Peer, watch::Watch};

/// How a server handles new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Accepts them.
    #[default]
    Accept,
    /// Makes the client prove its address with a Retry first.
    Retry,
    /// Refuses them.
    Refuse,
}

/// Bytes exchanged with one remote address.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Bytes of UDP payload received.
    pub received: u64,
    /// Bytes of UDP payload sent.
    pub sent: u64,
    /// Whether the remote has proved its address.
    validated: bool,
    watch: Option<Arc<Watch>>,
    /// The bytes received and sent when the limit of three times the bytes received was first exceeded,
    /// before the address was validated.
    pub amplified: Option<(u64, u64)>,
}

impl Traffic {
    /// Traffic with a client whose handshake does not prove its address.
    #[cfg(test)]
    pub(crate) fn of_a_handshake() -> Self {
        Self { watch: Some(Arc::default()), ..Self::default() }
    }

    /// Counts sent bytes. `answered` tells whether the peer has answered a challenge at an address where the
    /// connection did not begin.
    fn on_sent(&mut self, bytes: usize, answered: impl FnOnce() -> bool) {
        self.sent += bytes as u64;
        self.validated |= self.watch.as_ref().is_some_and(|watch| watch.saw_handshake_packet());
        if !self.validated && self.sent > 3 * self.received {
            self.validated = self.watch.is_none() && answered();
            if !self.validated {
                self.amplified.get_or_insert((self.sent, self.received));
            }
        }
    }
}

/// An endpoint with its connections, as a node of a simulated network. `P` is the application of a
/// connection.
#[derive(Debug)]
pub struct Host<P: Party = Peer> {
    /// The endpoint and its open connections.
    pub driver: Driver<P>,
    /// How new connections are handled.
    pub policy: Policy,
    /// Connections that are drained and that the endpoint has forgotten.
    pub gone: Vec<P>,
    /// The traffic with each remote address.
    pub traffic: BTreeMap<SocketAddr, Traffic>,
    /// Whether the application ignores events and data.
    pub idle: bool,
    /// How far the endpoint's clock is ahead of the virtual time, in nanoseconds; may be negative.
    pub skew: i64,
    role: P::Role,
    address: SocketAddr,
    is_server: bool,
    out: VecDeque<Datagram>,
}

impl Host {
    /// A host at `address`. With `server` it accepts connections, and echoes.
    #[must_use]
    pub fn new(seed: u64, address: SocketAddr, server: Option<Arc<ServerConfig>>) -> Self {
        Self::with_cids(seed, address, server, cids(seed))
    }

    /// The same with a connection ID factory. A restarted host has the old key and another `seed`.
    #[must_use]
    pub fn with_cids(
        seed: u64,
        address: SocketAddr,
        server: Option<Arc<ServerConfig>>,
        cids: CidFactory,
    ) -> Self {
        let echoes = server.is_some();
        Self::of(seed, address, server, cids, echoes)
    }
}

fn cids(seed: u64) -> CidFactory {
    CidFactory::new(8, 0, &[seed as u8; 32])
}

impl<P: Party> Host<P> {
    /// A host at `address`, with this role for all of its connections. With `server` it accepts connections.
    #[must_use]
    pub fn playing(seed: u64, address: SocketAddr, server: Option<Arc<ServerConfig>>, role: P::Role) -> Self {
        Self::of(seed, address, server, cids(seed), role)
    }

    fn of(
        seed: u64,
        address: SocketAddr,
        server: Option<Arc<ServerConfig>>,
        cids: CidFactory,
        role: P::Role,
    ) -> Self {
        let is_server = server.is_some();
        let endpoint = Endpoint::new(EndpointConfig::new(cids), server, Box::new(SeededEntropy::new(seed)));
        Self {
            driver: Driver::new(endpoint),
            policy: Policy::Accept,
            gone: Vec::new(),
            traffic: BTreeMap::new(),
            idle: false,
            skew: 0,
            role,
            address,
            is_server,
            out: VecDeque::new(),
        }
    }

    /// The endpoint's time at the virtual time `now`.
    #[must_use]
    pub fn clock(&self, now: u64) -> Timestamp {
        Timestamp::from_nanos((now + EPOCH).saturating_add_signed(self.skew))
    }

    /// Opens a connection to `remote`.
    ///
    /// # Panics
    /// If the configuration cannot be used.
    pub fn connect(&mut self, now: u64, config: &ClientConfig, remote: SocketAddr) -> ConnectionHandle {
        let now = self.clock(now);
        let opened = self.driver.endpoint.connect(now, config, "localhost", remote);
        let (handle, connection) = opened.expect("a usable configuration");
        self.driver.connections.insert(handle, P::new(connection, now, &self.role));
        handle
    }

    /// The only connection's application.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn peer(&self) -> &P {
        self.driver.first()
    }

    /// The only connection's application.
    ///
    /// # Panics
    /// If there is none.
    pub fn peer_mut(&mut self) -> &mut P {
        self.driver.first_mut()
    }

    /// The latest connection's application, whether the connection is open or gone.
    #[must_use]
    pub fn last_peer(&self) -> Option<&P> {
        self.driver.connections.values().next_back().or(self.gone.last())
    }

    /// The latest connection's application, if the connection is open.
    pub fn last_peer_mut(&mut self) -> Option<&mut P> {
        self.driver.connections.values_mut().next_back()
    }

    fn respond(&mut self, response: quic_core::Response) {
        let Self { address, .. } = *self;
        self.out.push_back(Datagram { from: address, to: response.remote, ecn: 0, payload: response.bytes });
    }

    fn on_incoming(&mut self, now: Timestamp, incoming: quic_core::Incoming) {
        let remote = incoming.remote_address();
        match self.policy {
            Policy::Retry if !incoming.is_validated() => {
                if let Some(retry) = self.driver.endpoint.retry(now, &incoming) {
                    self.respond(retry);
                }
            }
            Policy::Refuse => {
                let refusal = self.driver.endpoint.refuse(&incoming);
                self.respond(refusal);
            }
            _ => {
                let validated = incoming.is_validated();
                if let Ok((handle, connection)) = self.driver.endpoint.accept(now, incoming) {
                    let peer = P::new(connection, now, &self.role);
                    let traffic = self.traffic.entry(remote).or_default();
                    traffic.validated = validated;
                    traffic.watch = peer.watch();
                    self.driver.connections.insert(handle, peer);
                }
            }
        }
    }

    /// Lets all applications work, and forgets ended connections.
    fn settle(&mut self, now: Timestamp) {
        if !self.idle {
            self.driver.connections.values_mut().for_each(|peer| peer.work(now));
        }
        self.gone.extend(self.driver.forget_drained());
    }

    /// Adds everything that the connections have to send to `out`.
    fn fill(&mut self, now: Timestamp) {
        let Self { driver, out, address, .. } = self;
        driver.transmit(now, |train, datagram| {
            out.push_back(Datagram {
                from: *address,
                to: train.remote,
                ecn: train.ecn as u8,
                payload: datagram.to_vec(),
            });
        });
    }
}

impl<P: Party> netsim::Endpoint for Host<P> {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        let now = self.clock(now);
        self.traffic.entry(from).or_default().received += data.len() as u64;
        let meta =
            DatagramMeta::new(from).local_ip(Some(to.ip())).ecn(Ecn::from_bits(ecn)).allocation(data.len());
        match self.driver.receive(now, &meta, BytesMut::from(data)) {
            Received::Incoming(incoming) => self.on_incoming(now, incoming),
            Received::Response(response) => self.respond(response),
            Received::Connection(_)
            | Received::StatelessReset(_)
            | Received::Sibling(..)
            | Received::Dropped(_) => {}
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: u64) {
        let now = self.clock(now);
        self.driver.handle_timeouts(now);
        self.settle(now);
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        if self.out.is_empty() {
            let now = self.clock(now);
            self.settle(now);
            self.fill(now);
            self.settle(now);
        }
        let datagram = self.out.pop_front()?;
        if self.is_server {
            let Self { driver, traffic, .. } = self;
            let is_validated = |peer: &P| {
                let mut paths = peer.connection().paths();
                paths.any(|path| path.remote == datagram.to && path.validated)
            };
            let answered = || driver.connections.values().any(is_validated);
            traffic.entry(datagram.to).or_default().on_sent(datagram.payload.len(), answered);
        }
        Some(datagram)
    }

    fn poll_timeout(&self) -> Option<u64> {
        let deadline = self.driver.connections.values().filter_map(P::deadline).min();
        let earliest = [self.driver.next_timeout(), deadline].into_iter().flatten().min()?;
        let virtual_time = i128::from(earliest.as_nanos()) - i128::from(EPOCH) - i128::from(self.skew);
        Some(u64::try_from(virtual_time.max(0)).unwrap_or(u64::MAX))
    }
}
