//! Whole endpoints on simulated networks: an echo server and a client, no sockets, virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use netsim::{Datagram, LinkConfig, LinkId, MILLISECOND, NodeId, SECOND, Simulation};
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, DatagramEvent, DatagramMeta, Dir, Endpoint,
    EndpointConfig, Event, ServerConfig, StreamId, TransportConfig,
    base::{Ecn, SeededEntropy, Timestamp},
    error::{ConnectionError, call::Read},
    testing,
};

pub const ALPN: &[u8] = b"test";

/// What a server does with new connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Accept,
    Retry,
    Refuse,
}

/// One connection and what its application knows.
pub struct Peer {
    pub connection: Connection,
    pub events: Vec<Event>,
    pub received: BTreeMap<StreamId, Vec<u8>>,
    pub finished: BTreeSet<StreamId>,
    pub reset: BTreeMap<StreamId, u64>,
    pub datagrams: Vec<Bytes>,
    pub error: Option<ConnectionError>,
    sending: BTreeMap<StreamId, (VecDeque<Bytes>, bool)>,
    /// Unidirectional streams that are answered, and on which stream.
    answers: BTreeMap<StreamId, StreamId>,
    waiting_answers: Vec<StreamId>,
    echo: bool,
}

impl Peer {
    fn new(connection: Connection, echo: bool) -> Self {
        Self {
            connection,
            events: Vec::new(),
            received: BTreeMap::new(),
            finished: BTreeSet::new(),
            reset: BTreeMap::new(),
            datagrams: Vec::new(),
            error: None,
            sending: BTreeMap::new(),
            answers: BTreeMap::new(),
            waiting_answers: Vec::new(),
            echo,
        }
    }

    pub fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    /// Queues data on a stream.
    pub fn send(&mut self, id: StreamId, data: Bytes, fin: bool) {
        let (queue, ends) = self.sending.entry(id).or_default();
        queue.push_back(data);
        *ends |= fin;
        self.pump(id);
    }

    fn pump(&mut self, id: StreamId) {
        let Some((queue, fin)) = self.sending.get_mut(&id) else { return };
        while let Some(data) = queue.front_mut() {
            if self.connection.write(id, data).is_err() {
                self.sending.remove(&id);
                return;
            }
            if !data.is_empty() {
                return;
            }
            queue.pop_front();
        }
        if *fin {
            let _ = self.connection.finish(id);
            self.sending.remove(&id);
        }
    }

    fn read(&mut self, id: StreamId, now: Timestamp) {
        loop {
            match self.connection.read(now, id, 64 << 10) {
                Ok(Read::Data(data)) => {
                    if self.echo {
                        self.answer(id, data, false);
                    } else {
                        self.received.entry(id).or_default().extend_from_slice(&data);
                    }
                }
                Ok(Read::Finished) => {
                    self.finished.insert(id);
                    if self.echo {
                        self.answer(id, Bytes::new(), true);
                    }
                    return;
                }
                Ok(Read::Blocked) => return,
                Err(quic_core::error::call::ReadError::Reset(code)) => {
                    self.reset.insert(id, code);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn answer(&mut self, id: StreamId, data: Bytes, fin: bool) {
        let on = match id.dir() {
            Dir::Bidi => Some(id),
            Dir::Uni => self.answers.get(&id).copied().or_else(|| {
                let opened = self.connection.open(Dir::Uni)?;
                self.answers.insert(id, opened);
                Some(opened)
            }),
        };
        if let Some(on) = on {
            self.send(on, data, fin);
        }
    }

    fn drain(&mut self, now: Timestamp) {
        while let Some(event) = self.connection.poll_event() {
            match &event {
                Event::StreamOpened(id) | Event::StreamReadable(id, _) => self.read(*id, now),
                Event::StreamWritable(id, _) => self.pump(*id),
                Event::DatagramReadable => {
                    while let Some(data) = self.connection.receive_datagram(now) {
                        if self.echo {
                            let _ = self.connection.send_datagram(now, data);
                        } else {
                            self.datagrams.push(data);
                        }
                    }
                }
                Event::Closed(error) => self.error = Some(error.clone()),
                _ => {}
            }
            self.events.push(event);
        }
    }
}

/// An endpoint with its connections, as a node of a simulated network.
pub struct Host {
    pub endpoint: Endpoint,
    pub peers: BTreeMap<ConnectionHandle, Peer>,
    pub policy: Policy,
    /// Peers that are gone.
    pub gone: Vec<Peer>,
    /// Datagrams sent and received before an address was validated, per remote: (received, sent).
    pub traffic: BTreeMap<SocketAddr, (u64, u64)>,
    /// The application does not look at what comes.
    pub idle: bool,
    address: SocketAddr,
    out: VecDeque<Datagram>,
    buffer: Vec<u8>,
}

pub fn time(now: u64) -> Timestamp {
    Timestamp::from_nanos(now + SECOND)
}

impl Host {
    pub fn new(seed: u64, address: SocketAddr, server: Option<Arc<ServerConfig>>) -> Self {
        let cids = CidFactory::new(8, 0, &[seed as u8; 32]);
        let endpoint = Endpoint::new(EndpointConfig::new(cids), server, Box::new(SeededEntropy::new(seed)));
        Self {
            endpoint,
            peers: BTreeMap::new(),
            policy: Policy::Accept,
            gone: Vec::new(),
            traffic: BTreeMap::new(),
            idle: false,
            address,
            out: VecDeque::new(),
            buffer: vec![0; 64 << 10],
        }
    }

    pub fn connect(&mut self, now: u64, config: &ClientConfig, remote: SocketAddr) -> ConnectionHandle {
        let (handle, connection) =
            self.endpoint.connect(time(now), config, "localhost", remote).expect("a connection");
        self.peers.insert(handle, Peer::new(connection, false));
        handle
    }

    /// The only connection.
    pub fn peer(&self) -> &Peer {
        self.peers.values().next().expect("a connection")
    }

    pub fn peer_mut(&mut self) -> &mut Peer {
        self.peers.values_mut().next().expect("a connection")
    }

    fn respond(&mut self, response: quic_core::Response) {
        self.out.push_back(Datagram {
            from: self.address,
            to: response.remote,
            ecn: 0,
            payload: response.bytes,
        });
    }

    fn settle(&mut self, now: Timestamp) {
        let mut drained = Vec::new();
        for (handle, peer) in &mut self.peers {
            if !self.idle {
                peer.drain(now);
            }
            while let Some(change) = peer.connection.poll_cid_change() {
                self.endpoint.handle_cid_change(*handle, change);
            }
            if peer.connection.is_drained() {
                drained.push(*handle);
            }
        }
        for handle in drained {
            self.endpoint.forget(handle);
            self.gone.extend(self.peers.remove(&handle));
        }
    }
}

impl netsim::Endpoint for Host {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        let now = time(now);
        self.traffic.entry(from).or_default().0 += data.len() as u64;
        let meta = DatagramMeta {
            remote: from,
            local_ip: Some(to.ip()),
            ecn: Ecn::from_bits(ecn),
            allocation: data.len(),
        };
        match self.endpoint.handle_datagram(now, &meta, BytesMut::from(data)) {
            DatagramEvent::Connection(handle, data) => {
                if let Some(peer) = self.peers.get_mut(&handle) {
                    peer.connection.handle_datagram(now, &meta, data);
                }
            }
            DatagramEvent::StatelessReset(handle) => {
                if let Some(peer) = self.peers.get_mut(&handle) {
                    peer.connection.handle_stateless_reset(now);
                }
            }
            DatagramEvent::Incoming(incoming) => match self.policy {
                Policy::Retry if !incoming.is_validated() => {
                    let retry = self.endpoint.retry(now, &incoming).expect("not validated yet");
                    self.respond(retry);
                }
                Policy::Refuse => {
                    let refusal = self.endpoint.refuse(&incoming);
                    self.respond(refusal);
                }
                _ => {
                    if let Ok((handle, connection)) = self.endpoint.accept(now, incoming) {
                        self.peers.insert(handle, Peer::new(connection, true));
                    }
                }
            },
            DatagramEvent::Respond(response) => self.respond(response),
            DatagramEvent::Dropped(_) => {}
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: u64) {
        for peer in self.peers.values_mut() {
            if peer.connection.poll_timeout().is_some_and(|at| at <= time(now)) {
                peer.connection.handle_timeout(time(now));
            }
        }
        self.settle(time(now));
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        if self.out.is_empty() {
            for peer in self.peers.values_mut() {
                if !self.idle {
                    peer.drain(time(now));
                }
                while let Some(transmit) = peer.connection.poll_transmit(time(now), &mut self.buffer) {
                    for segment in self.buffer[..transmit.size].chunks(transmit.segment_size) {
                        self.out.push_back(Datagram {
                            from: self.address,
                            to: transmit.remote,
                            ecn: transmit.ecn as u8,
                            payload: segment.to_vec(),
                        });
                    }
                }
            }
        }
        self.settle(time(now));
        let datagram = self.out.pop_front()?;
        self.traffic.entry(datagram.to).or_default().1 += datagram.payload.len() as u64;
        Some(datagram)
    }

    fn poll_timeout(&self) -> Option<u64> {
        let earliest = self.peers.values().filter_map(|peer| peer.connection.poll_timeout()).min()?;
        Some(earliest.as_nanos().saturating_sub(SECOND))
    }
}

/// A client and an echo server on a network.
pub struct World {
    pub sim: Simulation<Host>,
    pub client: NodeId,
    pub server: NodeId,
    pub links: [LinkId; 2],
    pub client_config: ClientConfig,
    pub server_address: SocketAddr,
}

/// How a world differs from the default.
#[derive(Clone, Default)]
pub struct Setup {
    pub client: TransportConfig,
    pub server: TransportConfig,
}

pub fn lan() -> LinkConfig {
    LinkConfig::new().rate(100_000_000 / 8).delay(5 * MILLISECOND)
}

impl World {
    pub fn new(seed: u64, link: &LinkConfig) -> Self {
        Self::with(seed, link, &Setup::default())
    }

    pub fn with(seed: u64, link: &LinkConfig, setup: &Setup) -> Self {
        let (tls, certificate) = testing::tls_server_config(ALPN);
        let server = ServerConfig {
            tls,
            transport: Arc::new(setup.server.clone()),
            token_key: [seed as u8 ^ 0x55; 32],
        };
        let client_config = ClientConfig {
            tls: testing::tls_client_config(&certificate, ALPN),
            transport: Arc::new(setup.client.clone()),
        };
        let client_address: SocketAddr = "192.0.2.1:50000".parse().expect("an address");
        let server_address: SocketAddr = "192.0.2.2:443".parse().expect("an address");
        let mut sim = Simulation::new(seed);
        let client = sim.add_node(Host::new(seed ^ 1, client_address, None), client_address);
        let server =
            sim.add_node(Host::new(seed ^ 2, server_address, Some(Arc::new(server))), server_address);
        let (there, back) = sim.connect(client, server, link);
        Self { sim, client, server, links: [there, back], client_config, server_address }
    }

    /// From now on both directions carry at most `mtu` bytes of payload.
    pub fn shrink(&mut self, mtu: usize) {
        for link in self.links {
            self.sim.link_mut(link).mtu = mtu;
        }
    }

    pub fn connect(&mut self) -> ConnectionHandle {
        let (now, config, remote) = (self.sim.now(), self.client_config.clone(), self.server_address);
        self.client_host().connect(now, &config, remote)
    }

    pub fn client_host(&mut self) -> &mut Host {
        self.sim.endpoint_mut(self.client)
    }

    pub fn server_host(&mut self) -> &mut Host {
        self.sim.endpoint_mut(self.server)
    }

    /// The client's only connection.
    pub fn client(&mut self) -> &mut Peer {
        self.client_host().peer_mut()
    }

    /// The server's only connection.
    pub fn server(&mut self) -> &mut Peer {
        self.server_host().peer_mut()
    }

    /// Connects and waits for the confirmed handshake.
    pub fn establish(&mut self) {
        self.connect();
        let client = self.client;
        let done = |sim: &Simulation<Host>| sim.endpoint(client).peer().has(&Event::HandshakeConfirmed);
        self.sim.expect_until("a confirmed handshake", done, 60 * SECOND);
    }

    pub fn wait(&mut self, what: &str, limit: u64, condition: impl Fn(&Host, &Host) -> bool) {
        let (client, server) = (self.client, self.server);
        let limit = self.sim.now() + limit;
        self.sim.expect_until(what, |sim| condition(sim.endpoint(client), sim.endpoint(server)), limit);
    }
}

/// Bytes that tell their offset.
pub fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| (i % 251) as u8 ^ (i >> 8) as u8).collect::<Vec<u8>>().into()
}
