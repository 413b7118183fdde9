use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::*;
use crate::{
    base::{Ecn, SeededEntropy},
    cids::CidFactory,
    config::{EndpointConfig, ServerConfig},
    error::{CloseReason, ConnectionError, TransportErrorCode, call::Read},
    event::Event,
    ids::{Dir, StreamId},
    testing::{tls_client_config, tls_server_config},
};

const ALPN: &[u8] = b"test";
const DELAY: Duration = Duration::from_millis(5);

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 4433))
}

fn driver(host: u8, server: Option<Arc<ServerConfig>>) -> Driver {
    let config = EndpointConfig::new(CidFactory::new(8, 0, &[host; 32]));
    Driver::new(Endpoint::new(config, server, Box::new(SeededEntropy::new(host.into()))))
}

fn meta(remote: SocketAddr, datagram: &[u8]) -> DatagramMeta {
    DatagramMeta { remote, local_ip: None, ecn: Ecn::NotEct, allocation: datagram.len() }
}

/// Two drivers that hand each other datagrams.
struct World {
    now: Timestamp,
    client: Driver,
    server: Driver,
    config: ClientConfig,
}

impl World {
    fn new() -> Self {
        let (tls, certificate) = tls_server_config(ALPN);
        let server = ServerConfig::new(tls, [7; 32]);
        let config = ClientConfig::new(tls_client_config(&certificate, ALPN));
        Self {
            now: Timestamp::ORIGIN + Duration::from_secs(1),
            client: driver(1, None),
            server: driver(2, Some(Arc::new(server))),
            config,
        }
    }

    fn connect(&mut self) -> ConnectionHandle {
        self.client.connect(self.now, &self.config, address(2)).expect("a usable configuration")
    }

    /// One exchange in each direction; the server accepts everybody. Then the timers that are due fire.
    fn round(&mut self) {
        let arrival = self.now + DELAY;
        let server = &mut self.server;
        self.client.transmit(self.now, |_, datagram| {
            let received = server.receive(arrival, &meta(address(1), datagram), BytesMut::from(datagram));
            if let Received::Incoming(incoming) = received {
                server.accept(arrival, incoming).expect("the client is genuine");
            }
        });
        self.now = arrival;
        let client = &mut self.client;
        self.server.transmit(self.now, |_, datagram| {
            let received = client.receive(arrival, &meta(address(2), datagram), BytesMut::from(datagram));
            assert!(matches!(received, Received::Connection(_)), "{received:?}");
        });
        self.client.handle_timeouts(self.now);
        self.server.handle_timeouts(self.now);
    }

    fn established() -> Self {
        let mut world = Self::new();
        world.connect();
        for _ in 0..10 {
            world.round();
        }
        let confirmed = |event| event == Event::HandshakeConfirmed;
        assert!(events(world.client.first_mut()).any(confirmed));
        world
    }
}

fn events(connection: &mut Connection) -> impl Iterator<Item = Event> {
    std::iter::from_fn(|| connection.poll_event())
}

/// The bytes of a stream that have come.
fn read(connection: &mut Connection, now: Timestamp, stream: StreamId) -> usize {
    let mut bytes = 0;
    while let Ok(Read::Data(data)) = connection.read(now, stream, usize::MAX) {
        bytes += data.len();
    }
    bytes
}

#[test]
fn connections_of_two_drivers_shake_hands_and_transfer() {
    let mut world = World::established();
    // The second connection has a place of its own at both ends.
    let second = world.connect();
    assert_eq!((world.client.connections.len(), second), (2, ConnectionHandle(1)));
    for _ in 0..10 {
        world.round();
    }
    assert_eq!((world.server.connections.len(), world.server.endpoint.connections()), (2, 2));
    let mut expected = BTreeMap::new();
    for (handle, connection) in &mut world.client.connections {
        let stream = connection.open(Dir::Uni).expect("credit");
        let size = 100_000 * (1 + handle.0);
        assert_eq!(connection.write(stream, &mut Bytes::from(vec![7; size])), Ok(size));
        expected.insert(*handle, (stream, size));
    }
    let mut got = BTreeMap::new();
    for _ in 0..200 {
        world.round();
        for (handle, connection) in &mut world.server.connections {
            *got.entry(*handle).or_insert(0) += read(connection, world.now, expected[handle].0);
        }
    }
    assert!(expected.iter().all(|(handle, (_, size))| got[handle] == *size), "{got:?} of {expected:?}");
}

#[test]
fn a_train_is_no_longer_than_the_caller_permits() {
    for longest in [1, 3] {
        let mut world = World::established();
        world.client = world.client.with_longest_train(longest);
        let client = world.client.first_mut();
        let stream = client.open(Dir::Uni).expect("credit");
        client.write(stream, &mut Bytes::from(vec![7; 50_000])).expect("it is open");
        let mut most = 0;
        world.client.transmit(world.now, |train, datagram| {
            assert!(datagram.len() <= train.segment_size);
            most = most.max(train.size.div_ceil(train.segment_size));
        });
        assert_eq!(most, longest);
    }
}

#[test]
fn a_client_that_the_caller_refuses_hears_of_it() {
    let mut world = World::new();
    world.connect();
    let mut answers = Vec::new();
    let (now, server) = (world.now, &mut world.server);
    let sent = world.client.transmit(now, |_, datagram| {
        match server.receive(now, &meta(address(1), datagram), BytesMut::from(datagram)) {
            Received::Incoming(incoming) => answers.push(server.endpoint.refuse(&incoming)),
            other => panic!("{other:?}"),
        }
    });
    assert!(sent && server.connections.is_empty() && server.next_timeout().is_none());
    assert_eq!(server.endpoint.connections(), 0);
    assert!(!server.transmit(now, |_, _| panic!("there is no connection")));
    for answer in answers {
        let _ =
            world.client.receive(now, &meta(address(2), &answer.bytes), BytesMut::from(&answer.bytes[..]));
    }
    let refused = |event| {
        matches!(event, Event::Closed(ConnectionError::PeerClosed(CloseReason::Transport { code, .. }))
            if code == TransportErrorCode::CONNECTION_REFUSED)
    };
    assert!(events(world.client.first_mut()).any(refused));
}

#[test]
fn the_caller_sends_answers_that_belong_to_no_connection() {
    let mut world = World::established();
    // A datagram of a connection that the server has forgotten.
    let handle = *world.server.connections.keys().next().expect("a connection");
    world.server.endpoint.forget(handle);
    world.client.first_mut().ping();
    let (now, mut datagrams) = (world.now, Vec::new());
    world.client.transmit(now, |_, datagram| datagrams.push(BytesMut::from(datagram)));
    let datagram = datagrams.pop().expect("a ping");
    // Greasing may have cleared the fixed bit; without it, an endpoint ignores a datagram without a connection.
    let mut datagram = datagram;
    datagram[0] |= 0x40;
    let response = match world.server.receive(now, &meta(address(1), &datagram), datagram) {
        Received::Response(response) => response,
        other => panic!("{other:?}"),
    };
    assert_eq!(response.remote, address(1));
    let reset = BytesMut::from(&response.bytes[..]);
    let received = world.client.receive(now, &meta(address(2), &reset), reset);
    assert!(matches!(received, Received::StatelessReset(ConnectionHandle(0))), "{received:?}");
    assert!(world.client.first().is_closed());
}

#[test]
fn the_timers_that_are_due_fire_and_no_others() {
    let mut world = World::new();
    assert_eq!(world.client.next_timeout(), None);
    world.connect();
    let mut first = 0;
    assert!(world.client.transmit(world.now, |_, _| first += 1));
    let due = world.client.next_timeout().expect("a client that hears nothing asks again");
    assert!(due > world.now);
    // A later connection is not due yet when the first one is.
    let early = Timestamp::from_nanos(due.as_nanos() - 1_000_000);
    world.now = early;
    let second = world.connect();
    assert!(world.client.transmit(early, |_, _| {}));
    let due_of_second = world.client.connections[&second].poll_timeout();
    world.client.handle_timeouts(early);
    assert!(!world.client.transmit(early, |_, _| panic!("nothing is due")));
    assert_eq!(world.client.next_timeout(), Some(due));
    world.client.handle_timeouts(due);
    assert!(world.client.transmit(due, |_, _| {}), "the first connection asks again");
    assert_eq!(world.client.connections[&second].poll_timeout(), due_of_second);
}

#[test]
fn drained_connections_are_forgotten_and_given_back() {
    let mut world = World::established();
    let now = world.now;
    world.client.first_mut().close(now, 7, b"");
    assert!(world.client.forget_drained().is_empty(), "a closed connection lingers");
    for _ in 0..1_000 {
        world.round();
    }
    for driver in [&mut world.client, &mut world.server] {
        assert_eq!((driver.connections.len(), driver.endpoint.connections()), (1, 1));
        let gone = driver.forget_drained();
        assert!(gone.len() == 1 && gone[0].is_drained());
        assert!(driver.connections.is_empty());
        assert_eq!(driver.endpoint.connections(), 0);
    }
}

#[test]
fn a_connection_that_the_caller_removed_gets_nothing() {
    let mut world = World::established();
    world.client.first_mut().ping();
    world.server.connections.clear();
    let (now, server) = (world.now, &mut world.server);
    assert!(world.client.transmit(now, |_, datagram| {
        let received = server.receive(now, &meta(address(1), datagram), BytesMut::from(datagram));
        assert!(matches!(received, Received::Connection(ConnectionHandle(0))), "{received:?}");
    }));
    assert!(!server.transmit(now, |_, _| panic!("nobody is there to answer")));
}
