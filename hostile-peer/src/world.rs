//! A real endpoint in memory, with its own clock, and the hostile peer in front of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use heap_meter::{HeapMeter, Measure};
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, ConnectionId, DatagramEvent, DatagramMeta,
    Endpoint, EndpointConfig, Event, ServerConfig, Side, Space, TransportConfig,
    base::{EndpointBudget, SeededEntropy, Timestamp},
    error::DropReason,
    testing,
};

use crate::{
    app::App,
    meter::Meter,
    peer::{EncodeParams, Peer, Tls, encode},
};

/// Every program that links [`World`] counts its heap, so a test cannot forget to.
#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// The ALPN protocol of both ends.
pub const ALPN: &[u8] = b"test";

/// The most timers and flights in one period of time: more would be an endless loop.
const MAX_ROUNDS: u32 = 20_000;

/// How far the handshake is when the test begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The client's first flight arrived, and nothing else. Both ends can send Initial packets.
    Initial,
    /// The server's first flight arrived as well. Both ends can send Handshake packets.
    Handshake,
    /// The handshake is confirmed at both ends.
    Confirmed,
}

/// How a world differs from the default.
pub struct Options {
    /// The endpoint's settings.
    pub transport: TransportConfig,
    /// The peer's transport parameters.
    pub params: EncodeParams,
    /// The peer's ALPN protocol.
    pub alpn: Vec<u8>,
    /// The peer's connection ID.
    pub scid: ConnectionId,
    /// Whether the server under test sends a Retry first.
    pub retry: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: TransportConfig::default(),
            params: Box::new(|honest| encode(&honest)),
            alpn: ALPN.to_vec(),
            scid: ConnectionId::new(b"hostile!").expect("eight bytes"),
            retry: false,
        }
    }
}

/// The endpoint under test and the peer.
///
/// The world drives the endpoint by hand and not with `quic_core::testing::Driver`. The meter has to count
/// each call of the endpoint and of the connection, and nothing that the world does in between.
#[derive(Debug)]
pub struct World {
    /// The virtual time.
    pub now: Timestamp,
    /// The endpoint under test.
    pub endpoint: Endpoint,
    /// Its connection.
    pub connection: Option<(ConnectionHandle, Connection)>,
    /// The application on top of it.
    pub app: App,
    /// The hostile peer.
    pub peer: Peer,
    /// Why the endpoint itself dropped datagrams.
    pub drops: Vec<DropReason>,
    /// The datagrams that the endpoint sent, in order.
    pub sent: Vec<Vec<u8>>,
    /// The destinations of these datagrams.
    pub sent_to: Vec<SocketAddr>,
    /// The stateless datagrams that the endpoint sent.
    pub stateless: Vec<Vec<u8>>,
    /// Bytes that the endpoint received.
    pub bytes_in: u64,
    /// Bytes that the endpoint sent.
    pub bytes_out: u64,
    /// The peer's address.
    pub peer_address: SocketAddr,
    /// Whether the application reads streams.
    pub reads: bool,
    pub(crate) retry: bool,
    pub(crate) next_stream: u64,
    /// The heap before the connection existed.
    pub(crate) baseline: Measure,
    /// The heap of the endpoint and its connection, counted in calls by the world but not by a test.
    pub(crate) meter: Meter,
    /// The memory budget that the endpoint's connections share.
    pub(crate) budget: EndpointBudget,
    /// The datagram buffer of a flood.
    pub(crate) scratch: Vec<u8>,
    /// The buffer for the endpoint's datagrams.
    transmit: Vec<u8>,
}

/// The address of the endpoint under test.
fn endpoint_address() -> SocketAddr {
    "192.0.2.2:443".parse().expect("an address")
}

impl World {
    /// A world with default options.
    #[must_use]
    pub fn at(under_test: Side, stage: Stage) -> Self {
        Self::with(under_test, stage, Options::default())
    }

    /// A world whose handshake has reached `stage`.
    #[must_use]
    pub fn with(under_test: Side, stage: Stage, options: Options) -> Self {
        let mut world = Self::before(under_test, options);
        world.begin();
        if stage == Stage::Initial {
            return world;
        }
        // A server has sent its whole flight by now; a client still waits for it.
        if stage == Stage::Handshake && under_test == Side::Server {
            return world;
        }
        world.step();
        if stage == Stage::Confirmed {
            for _ in 0..3 {
                world.step();
            }
            assert!(world.app.events.contains(&Event::HandshakeConfirmed), "{:?}", world.app);
            world.run(Duration::from_millis(100));
        }
        world
    }

    /// A world before the first datagram.
    #[must_use]
    pub fn before(under_test: Side, options: Options) -> Self {
        let cids = CidFactory::new(8, 0, &[7; 32]);
        let config = EndpointConfig::new(cids);
        let budget = config.budget.clone();
        let mut endpoint = Endpoint::new(config, None, Box::new(SeededEntropy::new(1)));
        let transmit = vec![0; 64 << 10];
        let baseline = Measure::start();
        let (server_tls, certificate) = testing::tls_server_config(ALPN);
        if under_test == Side::Server {
            endpoint.set_server(Some(Arc::new(
                ServerConfig::new(server_tls, [9; 32]).transport(Arc::new(options.transport.clone())),
            )));
        }
        let now = Timestamp::from_nanos(1_000_000_000);
        let peer_address: SocketAddr = "192.0.2.66:4433".parse().expect("an address");
        let meter = Meter::default();
        let (connection, tls) = if under_test == Side::Server {
            (None, Tls::Client(testing::tls_client_config(&certificate, &options.alpn)))
        } else {
            let (tls, certificate) = testing::tls_server_config(&options.alpn);
            let config = ClientConfig::new(testing::tls_client_config(&certificate, ALPN))
                .transport(Arc::new(options.transport));
            let opened = meter.count(|| endpoint.connect(now, &config, "localhost", peer_address));
            (Some(opened.expect("a connection")), Tls::Server(tls))
        };
        Self {
            now,
            endpoint,
            connection,
            app: App::default(),
            peer: Peer::new(tls, options.params, options.scid),
            drops: Vec::new(),
            sent: Vec::new(),
            sent_to: Vec::new(),
            stateless: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
            peer_address,
            reads: true,
            retry: options.retry,
            next_stream: 40,
            baseline,
            meter,
            budget,
            scratch: Vec::new(),
            transmit,
        }
    }

    /// Sends the client's first flight.
    pub fn begin(&mut self) {
        if self.peer.side.is_client() {
            self.peer.start(ConnectionId::new(b"original-dst").expect("twelve bytes"));
            for datagram in self.peer.flight() {
                self.deliver(&datagram);
            }
        } else {
            self.poll();
        }
    }

    /// The side of the endpoint under test.
    #[must_use]
    pub fn side(&self) -> Side {
        self.peer.side.peer()
    }

    /// The connection under test.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("there is a connection").1
    }

    /// Delivers a datagram from the peer's address.
    pub fn deliver(&mut self, datagram: &[u8]) {
        self.deliver_from(self.peer_address, datagram);
    }

    /// Delivers a datagram from any address, and handles everything that the endpoint sends.
    pub fn deliver_from(&mut self, remote: SocketAddr, datagram: &[u8]) {
        self.deliver_quietly(remote, datagram);
        self.poll();
    }

    /// Delivers a datagram from any address. The endpoint's datagrams wait until [`poll`](Self::poll).
    pub fn deliver_quietly(&mut self, remote: SocketAddr, datagram: &[u8]) {
        self.bytes_in += datagram.len() as u64;
        let meta =
            DatagramMeta::new(remote).local_ip(Some(endpoint_address().ip())).allocation(datagram.len());
        let event = self.meter.count(|| {
            let datagram = BytesMut::from(datagram);
            match self.endpoint.handle_datagram(self.now, &meta, datagram) {
                DatagramEvent::Connection(handle, data) => {
                    if let Some((ours, connection)) = &mut self.connection
                        && *ours == handle
                    {
                        connection.handle_datagram(self.now, &meta, data);
                    }
                    None
                }
                other => Some(other),
            }
        });
        if let Some(event) = event {
            self.on_event(event);
        }
    }

    /// Handles the endpoint's event for a datagram that belongs to no connection.
    fn on_event(&mut self, event: DatagramEvent) {
        match event {
            DatagramEvent::StatelessReset(_) => {
                let (_, connection) = self.connection.as_mut().expect("there is a connection");
                self.meter.count(|| connection.handle_stateless_reset(self.now));
            }
            DatagramEvent::Incoming(incoming) => {
                if self.retry && !incoming.is_validated() {
                    let retry =
                        self.meter.count(|| self.endpoint.retry(self.now, &incoming)).expect("not validated");
                    self.bytes_out += retry.bytes.len() as u64;
                    self.keep(retry.bytes);
                } else if self.connection.is_some() {
                    // A world has a single connection.
                    let refusal = self.meter.count(|| self.endpoint.refuse(&incoming));
                    self.keep(refusal.bytes);
                } else if let Ok(accepted) = self.meter.count(|| self.endpoint.accept(self.now, incoming)) {
                    self.connection = Some(accepted);
                }
            }
            DatagramEvent::Respond(response) => {
                self.bytes_out += response.bytes.len() as u64;
                self.keep(response.bytes);
            }
            DatagramEvent::Dropped(reason) => self.drops.push(reason),
            // The endpoint has its address for itself.
            DatagramEvent::Connection(..) | DatagramEvent::Sibling(..) => {}
        }
    }

    /// Keeps a stateless response. The endpoint made it and does not hold it.
    fn keep(&mut self, answer: Vec<u8>) {
        self.stateless.push(answer.clone());
        self.meter.count(|| drop(answer));
    }

    /// Seals `payload` into an honest packet of `space` and delivers it.
    pub fn send(&mut self, space: Space, payload: Vec<u8>) {
        let sealed = self.peer.sealed(space, payload);
        self.deliver(&sealed);
    }

    /// Like [`send`](Self::send) for 1-RTT packets, without a vector for each packet, for floods.
    pub fn send_fast(&mut self, payload: &[u8]) {
        let mut datagram = std::mem::take(&mut self.scratch);
        datagram.clear();
        self.peer.seal_short(payload, &mut datagram);
        self.deliver(&datagram);
        self.scratch = datagram;
    }

    /// Handles everything that the endpoint sends; the peer reads it.
    pub fn poll(&mut self) {
        let Some((handle, connection)) = &mut self.connection else { return };
        let mut buffer = std::mem::take(&mut self.transmit);
        buffer.resize(64 << 10, 0);
        loop {
            self.app.drain(connection, &self.meter, self.now, self.reads);
            let transmit = self.meter.count(|| {
                while let Some(change) = connection.poll_cid_change() {
                    self.endpoint.handle_cid_change(*handle, change);
                }
                connection.poll_transmit(self.now, &mut buffer)
            });
            let Some(transmit) = transmit else { break };
            for segment in buffer[..transmit.size].chunks(transmit.segment_size) {
                self.bytes_out += segment.len() as u64;
                if !self.peer.forgets {
                    self.sent.push(segment.to_vec());
                    self.sent_to.push(transmit.remote);
                }
                self.peer.receive(segment);
            }
        }
        self.app.drain(connection, &self.meter, self.now, self.reads);
        self.transmit = buffer;
    }

    /// Delivers the peer's honest flight, and handles the responses. Returns whether the peer had anything to
    /// send.
    pub fn step(&mut self) -> bool {
        let flight = self.peer.flight();
        for datagram in &flight {
            self.deliver(datagram);
        }
        self.poll();
        !flight.is_empty()
    }

    fn on_timer(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        if let Some((_, connection)) = &mut self.connection {
            self.meter.count(|| connection.handle_timeout(self.now));
        }
    }

    /// Lets time pass and timers fire. The peer responds honestly.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for round in 0.. {
            assert!(round < MAX_ROUNDS, "{round} timers and flights in {time:?}: it hangs");
            if self.step() {
                continue;
            }
            let Some(at) =
                self.connection.as_ref().and_then(|(_, c)| c.poll_timeout()).filter(|at| *at <= end)
            else {
                break;
            };
            self.on_timer(at);
            self.poll();
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass and timers fire. The peer sends nothing.
    pub fn run_silently(&mut self, time: Duration) {
        let end = self.now + time;
        for round in 0.. {
            assert!(round < MAX_ROUNDS, "{round} timers and flights in {time:?}: it hangs");
            self.poll();
            let Some(at) =
                self.connection.as_ref().and_then(|(_, c)| c.poll_timeout()).filter(|at| *at <= end)
            else {
                break;
            };
            self.on_timer(at);
        }
        self.now = self.now.max(end);
    }
}
