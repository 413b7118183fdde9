//! Budgets of whole endpoints: how much peers can make a connection and an endpoint hold, measured on the
//! heap.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use heap_meter::{HeapMeter, Measure};
use netsim::SECOND;
use quic_core::{
    AcceptError, AddressLimits, Admission, AdmissionLimit, CidFactory, ClientConfig, Connection,
    DatagramMeta, Dir, Endpoint, EndpointConfig, Event, Incoming, ServerConfig, TransportConfig,
    base::{Budget, EndpointBudget, SeededEntropy, Timestamp},
    congestion::{Algorithm, CongestionConfig, Controller, ControllerFactory, NewPath, Phase, Snapshot},
    error::ConnectionError,
    testing::{self, Driver, Received},
};
use soak::{ALPN, World, lan, time};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// What the endpoint is charged for a connection; see `EndpointConfig::budget`.
const CONNECTION_COST: usize = 32 << 10;
const NOW: Timestamp = Timestamp::from_nanos(5_000_000_000);

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([198, 18, (n >> 8) as u8, n as u8], 4433))
}

fn meta(from: SocketAddr, size: usize) -> DatagramMeta {
    DatagramMeta::new(from).allocation(size)
}

/// A server endpoint with a test's own settings, and the configuration of clients that reach it.
struct Server {
    driver: Driver,
    client: ClientConfig,
}

impl Server {
    fn new(configure: impl FnOnce(&mut EndpointConfig)) -> Self {
        let (tls, certificate) = testing::tls_server_config(ALPN);
        let server = ServerConfig::new(tls, [9; 32]);
        let client = ClientConfig::new(testing::tls_client_config(&certificate, ALPN));
        let mut config = EndpointConfig::new(CidFactory::new(8, 0, &[3; 32]));
        configure(&mut config);
        let endpoint = Endpoint::new(config, Some(Arc::new(server)), Box::new(SeededEntropy::new(1)));
        Self { driver: Driver::new(endpoint), client }
    }

    /// A client with one connection.
    fn connect(&self, seed: u64) -> Driver {
        let config = EndpointConfig::new(CidFactory::new(8, 0, &[4; 32]));
        let mut client = Driver::new(Endpoint::new(config, None, Box::new(SeededEntropy::new(seed))));
        client.connect(NOW, &self.client, address(0)).expect("a connection");
        client
    }

    /// The first datagram of a client that sends nothing more.
    fn first_flight(&self, seed: u64) -> BytesMut {
        let mut flight = None;
        self.connect(seed).transmit(NOW, |_, datagram| {
            flight.get_or_insert_with(|| BytesMut::from(datagram));
        });
        flight.expect("a first flight")
    }

    fn incoming(&mut self, from: SocketAddr, data: BytesMut) -> Incoming {
        match self.driver.receive(NOW, &meta(from, data.len()), data) {
            Received::Incoming(incoming) => incoming,
            other => panic!("{other:?}"),
        }
    }

    /// Does with a client's first datagram what the endpoint advises. Returns the advice, and the response if
    /// there is one.
    fn admit(&mut self, from: SocketAddr, data: BytesMut) -> (Admission, Option<Vec<u8>>) {
        let incoming = self.incoming(from, data);
        self.judge(incoming)
    }

    fn judge(&mut self, incoming: Incoming) -> (Admission, Option<Vec<u8>>) {
        let admission = self.driver.endpoint.admission(NOW, &incoming);
        let answer = match admission {
            Admission::Accept => {
                self.driver.accept(NOW, incoming).expect("room");
                None
            }
            Admission::Retry => self.driver.endpoint.retry(NOW, &incoming).map(|retry| retry.bytes),
            Admission::Refuse(_) => Some(self.driver.endpoint.refuse(&incoming).bytes),
        };
        (admission, answer)
    }

    /// Lets a client finish its handshake with the server, and answers a Retry. Returns whether the client
    /// succeeded.
    fn serve(&mut self, from: SocketAddr, client: &mut Driver) -> bool {
        for _ in 0..10 {
            let mut answers = Vec::new();
            client.transmit(NOW, |_, datagram| {
                let received = self.driver.receive(NOW, &meta(from, datagram.len()), datagram.into());
                if let Received::Incoming(incoming) = received {
                    answers.extend(self.judge(incoming).1.map(|answer| BytesMut::from(&answer[..])));
                }
            });
            self.driver.transmit(NOW, |train, datagram| {
                if train.remote == from {
                    answers.push(datagram.into());
                }
            });
            for answer in answers {
                let _ = client.receive(NOW, &meta(address(0), answer.len()), answer);
            }
            while let Some(event) = client.first_mut().poll_event() {
                if event == Event::HandshakeConfirmed {
                    return true;
                }
            }
        }
        false
    }

    fn forget_all(&mut self) {
        for (handle, _) in std::mem::take(&mut self.driver.connections) {
            self.driver.endpoint.forget(handle);
        }
    }
}

#[test]
fn an_idle_connection_costs_less_than_it_is_charged() {
    let measure = Measure::start();
    let mut world = World::new(1, &lan());
    world.establish();
    let later = world.sim.now() + SECOND;
    world.sim.run_until(|_| false, later);
    for (name, node) in [("client", world.client), ("server", world.server)] {
        let host = world.sim.endpoint_mut(node);
        let handle = *host.driver.connections.keys().next().expect("a connection");
        let peer = host.driver.connections.remove(&handle).expect("a connection");
        assert_eq!(peer.connection.stats().memory_used, CONNECTION_COST);
        let before = measure.growth();
        drop(peer);
        let heap = (before - measure.growth()).cast_unsigned();
        let whole = heap + size_of::<Connection>();
        println!("{name}: {heap} bytes of heap and {} of its own", whole - heap);
        assert!(whole <= CONNECTION_COST, "{name}: {whole} bytes");
    }
}

#[test]
fn a_pending_handshake_costs_less_than_it_is_charged() {
    let mut server = Server::new(|_| {});
    let flights: Vec<_> = (0..50).map(|n| server.first_flight(n)).collect();
    // The driver allocates its buffer when it first asks a connection for datagrams.
    let first = server.first_flight(50);
    server.admit(address(51), first);
    server.driver.transmit(NOW, |_, _| {});
    let measure = Measure::start();
    for (n, flight) in flights.into_iter().enumerate() {
        let from = address(n + 1);
        assert_eq!(server.admit(from, flight).0, Admission::Accept);
        // The connection's first flight is written and waits for credit or an acknowledgment.
        server.driver.transmit(NOW, |_, _| {});
    }
    let each = measure.growth().cast_unsigned() / 50;
    println!("{each} bytes each");
    assert!(each <= CONNECTION_COST, "{each} bytes");
}

#[test]
fn under_a_flood_of_initials_clients_prove_their_address_and_good_ones_connect() {
    const FLOOD: usize = 20_000;
    let mut server = Server::new(|config| config.retry_threshold = 64);
    // The flood sends a few distinct first flights from ever new addresses. A sender of forged addresses
    // reads no responses.
    let flights: Vec<_> = (0..FLOOD.min(200)).map(|n| server.first_flight(n as u64)).collect();
    let mut accepted = 0;
    let mut measure = Measure::start();
    for n in 0..FLOOD {
        // Each flight has its own connection ID; otherwise the endpoint would take it for the same client.
        let mut flight = flights[n % flights.len()].clone();
        if n >= flights.len() {
            flight[6..10].copy_from_slice(&(n as u32).to_be_bytes());
        }
        let (admission, answer) = server.admit(address(n + 1), flight.clone());
        match admission {
            Admission::Accept => accepted += 1,
            Admission::Retry => {
                let answer = answer.expect("a Retry");
                assert!(answer.len() <= flight.len(), "no amplification");
            }
            Admission::Refuse(limit) => panic!("refused for {limit:?}"),
        }
        if n == FLOOD / 10 {
            measure = Measure::start();
        }
    }
    assert_eq!(accepted, 64);
    assert!(measure.growth() <= 64 << 10, "{} bytes more at the end", measure.growth());
    assert!(measure.peak_growth() <= 1 << 20, "{} bytes more at the peak", measure.peak_growth());
    let mut good = server.connect(77_777);
    assert!(server.serve(address(60_000), &mut good), "a good client connects meanwhile");
    assert_eq!(server.driver.connections.len(), 65);
}

#[test]
fn the_memory_of_an_endpoint_is_filled_and_one_connection_beyond_is_refused() {
    let budget = EndpointBudget::new(10 * CONNECTION_COST);
    let shared = budget.clone();
    let mut server = Server::new(move |config| config.budget = shared);
    let mut accepted = 0;
    loop {
        let flight = server.first_flight(accepted);
        if server.admit(address(1 + accepted as usize), flight).0 != Admission::Accept {
            break;
        }
        accepted += 1;
    }
    // Connections keep up to two steps in reserve, and the last one has room for its handshake.
    assert!((7..=9).contains(&accepted), "{accepted}");
    assert!(budget.used() <= budget.limit() && budget.limit() - budget.used() < 2 * CONNECTION_COST);
    assert_eq!(budget.pending_handshakes(), accepted as usize);
    let flight = server.first_flight(99);
    let (admission, close) = server.admit(address(99), flight);
    assert_eq!(admission, Admission::Refuse(AdmissionLimit::Memory));
    assert!(close.is_some(), "the client is told");
    // A caller that accepts against the advice runs into the hard limit.
    let refused = (100..103).find_map(|n| {
        let flight = server.first_flight(n);
        let incoming = server.incoming(address(n as usize), flight);
        server.driver.accept(NOW, incoming).err()
    });
    assert!(matches!(refused, Some(AcceptError::Memory)), "{refused:?}");
    server.forget_all();
    assert_eq!((budget.used(), budget.pending_handshakes()), (0, 0));
    let flight = server.first_flight(101);
    assert_eq!(server.admit(address(101), flight).0, Admission::Accept);
}

#[test]
fn connections_are_limited_by_number_as_well() {
    let mut server = Server::new(|config| config.max_connections = 3);
    for n in 0..4 {
        let flight = server.first_flight(n as u64);
        let expected = if n < 3 { Admission::Accept } else { Admission::Refuse(AdmissionLimit::Connections) };
        assert_eq!(server.admit(address(n + 1), flight).0, expected);
    }
}

#[test]
fn a_handshake_is_pending_until_it_is_complete() {
    let budget = EndpointBudget::new(1 << 30);
    let shared = budget.clone();
    let mut server = Server::new(move |config| config.budget = shared);
    let mut client = server.connect(5);
    assert_eq!(budget.pending_handshakes(), 0, "clients are not counted");
    assert!(server.serve(address(1), &mut client));
    assert_eq!((budget.pending_handshakes(), server.driver.connections.len()), (0, 1));
}

#[test]
fn data_that_applications_leave_unread_is_charged_and_released() {
    let mut world = World::new(9, &lan());
    world.server_host().idle = true;
    world.establish();
    let idle = world.client().connection.stats().memory_used;
    let client = world.client();
    for _ in 0..20 {
        let id = client.connection.open(Dir::Uni).expect("credit");
        client.send(id, Bytes::from(vec![7; 40_000]), true);
        client
            .connection
            .send_datagram(time(SECOND), Bytes::from(vec![7; 900]), Default::default())
            .expect("room");
    }
    let later = world.sim.now() + 5 * SECOND;
    world.sim.run_until(|_| false, later);
    let stats = world.server().connection.stats();
    assert!(stats.memory_used >= idle + 20 * 40_900, "{stats:?}");
    assert!(stats.memory_used <= stats.memory_limit, "{stats:?}");
    let now = time(world.sim.now());
    world.server().connection.close(now, 0, b"");
    let stats = world.server().connection.stats();
    assert_eq!(stats.memory_used, idle, "the end gives everything back but the connection itself");
}

/// One address is asked for proof and then refused, while others are admitted. Its places become free when it
/// falls silent.
#[test]
fn one_address_does_not_use_up_the_places_of_others() {
    let limits = AddressLimits::new().pending_handshakes(8).connections(20).connections_per_second(1_000);
    let mut server = Server::new(|config| config.per_address = limits);
    let host = |port: usize| SocketAddr::from(([198, 18, 0, 1], 1_000 + port as u16));
    let answers: Vec<_> = (0..10)
        .map(|n| {
            let flight = server.first_flight(n);
            server.admit(host(n as usize), flight).0
        })
        .collect();
    assert_eq!(answers[..4], [Admission::Accept; 4]);
    assert_eq!(answers[4..], [Admission::Retry; 6]);
    let flight = server.first_flight(100);
    assert_eq!(server.admit(address(500), flight).0, Admission::Accept, "another address");
    // Clients that prove the address are admitted, up to as many connections as it may have.
    for n in 0..20 {
        let mut good = server.connect(200 + n);
        assert!(server.serve(host(100 + n as usize), &mut good), "{n}");
    }
    let flight = server.first_flight(300);
    assert_eq!(server.admit(host(300), flight).0, Admission::Refuse(AdmissionLimit::AddressConnections));
    server.forget_all();
    let flight = server.first_flight(301);
    assert_eq!(server.admit(host(301), flight).0, Admission::Accept);
}

/// No client keeps a handshake open beyond its time, whatever it sends, and even without an idle timeout.
#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let patient = TransportConfig::new().idle_timeout(None);
    let setup = soak::Setup { client: patient.clone(), server: patient, back: None };
    let mut world = World::with(1, &lan(), &setup);
    let [_, back] = world.links;
    world.sim.link_mut(back).mtu = 0;
    let start = world.sim.now();
    world.connect();
    // The client receives nothing and keeps retransmitting.
    world.wait("the server's end", 11 * SECOND, |_, server| !server.gone.is_empty());
    assert!(world.sim.now() - start >= 10 * SECOND);
    world.wait("the client's end", SECOND, |client, _| client.driver.connections.is_empty());
    for host in [world.client, world.server] {
        let gone = world.sim.endpoint(host).gone.last().expect("a connection");
        assert_eq!(gone.error, Some(ConnectionError::HandshakeTimeout));
    }
}

/// Streams that this end opened and the peer does not acknowledge are charged to the endpoint, even if little
/// was written.
#[test]
fn own_streams_that_the_peer_keeps_open_are_charged_and_given_back() {
    const STREAMS: usize = 90;
    let budget = EndpointBudget::new(1 << 30);
    let shared = budget.clone();
    let mut server = Server::new(move |config| config.budget = shared);
    let mut client = server.connect(1);
    assert!(server.serve(address(1), &mut client));
    let before = budget.used();
    let connection = server.driver.first_mut();
    let measure = Measure::start();
    for _ in 0..STREAMS {
        let id = connection.open(Dir::Uni).expect("the client permits it");
        let _ = connection.write(id, &mut Bytes::from_static(b"x"));
        let _ = connection.finish(id);
    }
    let (charged, heap) = (budget.used() - before, measure.growth());
    assert!(charged >= (STREAMS - 8) * 1024, "{charged} bytes are charged");
    assert!(heap <= 3 * charged as isize, "{heap} bytes of heap for {charged}");
    server.serve(address(1), &mut client);
    // The last acknowledgment may have been delayed.
    client.handle_timeouts(client.next_timeout().expect("it waits"));
    server.serve(address(1), &mut client);
    assert!(budget.used() <= before + (8 << 10), "{} bytes are charged, and {before} before", budget.used());
}

/// A controller whose window has this many bytes.
#[derive(Debug)]
struct Window(u64);

impl Controller for Window {
    fn on_mtu_changed(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        self.0
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new("fixed", self.0, Phase::CongestionAvoidance)
    }
}

impl ControllerFactory for Window {
    fn build(&self, _: &NewPath) -> Box<dyn Controller> {
        Box::new(Self(self.0))
    }
}

/// How much a connection takes from an application that writes without end on `streams` streams, while
/// nothing is acknowledged.
fn taken(connection: &mut Connection, streams: usize) -> usize {
    let data = Bytes::from(vec![7; 1 << 20]);
    (0..streams)
        .map(|_| {
            let id = connection.open(Dir::Uni).expect("the peer permits it");
            connection.write(id, &mut data.clone()).expect("it is open")
        })
        .sum()
}

/// Unacknowledged data is limited to two congestion windows within bounds, and to little if memory runs
/// short.
#[test]
fn unacknowledged_data_is_bounded_by_the_congestion_window_and_by_memory() {
    const STREAMS: usize = 200;
    let within = |taken: usize, bound: usize| (bound..=bound + STREAMS * (4 << 10)).contains(&taken);
    for (window, bound) in [(12_000, 1 << 20), (3 << 20, 6 << 20), (1 << 40, 16 << 20)] {
        let mut server = Server::new(|_| {});
        let congestion = CongestionConfig::new(Algorithm::Custom(Arc::new(Window(window))));
        server.client.transport = Arc::new(TransportConfig::new().congestion(congestion));
        let mut client = server.connect(1);
        assert!(server.serve(address(1), &mut client));
        client.transmit(NOW, |_, _| {});
        let taken = taken(client.first_mut(), STREAMS);
        assert!(within(taken, bound), "{taken} bytes with a window of {window}");
    }
    // Other connections have used three quarters of the endpoint's memory.
    for (others, bound) in [(700 << 20, 1 << 20), (769 << 20, 64 << 10)] {
        let budget = EndpointBudget::new(1 << 30);
        let shared = budget.clone();
        let mut server = Server::new(move |config| config.budget = shared);
        let mut spent = Budget::new(usize::MAX, budget);
        spent.charge(others).expect("it is there");
        let mut client = server.connect(1);
        assert!(server.serve(address(1), &mut client));
        let connection = server.driver.first_mut();
        let taken = taken(connection, STREAMS);
        assert!(within(taken, bound), "{taken} bytes while others hold {others}");
    }
}
