//! The same cases over UDP on the loopback interface: a real endpoint of this stack on a socket, driven by a
//! thread.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use bytes::BytesMut;
use hostile_peer::{
    cases::{Case, cases},
    ground::play,
    peer::Tls,
    udp::{UdpGround, client_tls, server_tls},
    world::ALPN,
};
use quic_core::{
    CidFactory, ClientConfig, DatagramMeta, Endpoint, EndpointConfig, ServerConfig,
    base::{SystemEntropy, Timestamp},
    testing::{self, Driver, Received},
};

use crate::common::*;

/// How long an endpoint may take to respond. A test only waits this long if there is no response.
const PATIENCE: Duration = Duration::from_millis(400);

enum Order {
    /// Open a connection to this address.
    Connect(SocketAddr, ClientConfig),
    /// Accept no more connections, and end when the existing ones have ended.
    Finish,
}

/// An endpoint on its own socket.
struct Node {
    address: SocketAddr,
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Node {
    fn start(server: Option<ServerConfig>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("an address");
        let (orders, inbox) = channel();
        let cids = CidFactory::new(8, 0, &[7; 32]);
        let endpoint =
            Endpoint::new(EndpointConfig::new(cids), server.map(Arc::new), Box::new(SystemEntropy::new()));
        let worker = Worker { socket, driver: Driver::new(endpoint), inbox, start: clock() };
        Self { address, orders, thread: std::thread::spawn(move || worker.run()) }
    }

    /// Checks that every connection has ended and left nothing in the endpoint's tables, and that nothing
    /// panicked.
    fn finish(self) {
        self.orders.send(Order::Finish).expect("the endpoint lives");
        self.thread.join().expect("the endpoint did not panic");
    }
}

#[expect(clippy::disallowed_methods, reason = "a real socket needs the real time")]
fn clock() -> Instant {
    Instant::now()
}

struct Worker {
    socket: UdpSocket,
    driver: Driver,
    inbox: Receiver<Order>,
    start: Instant,
}

impl Worker {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000) + self.start.elapsed()
    }

    fn run(mut self) {
        let (mut buffer, mut finishing) = (vec![0; 65_536], false);
        while !(finishing && self.driver.connections.is_empty()) {
            match self.inbox.try_recv() {
                Ok(Order::Connect(remote, config)) => {
                    self.driver.connect(self.now(), &config, remote).expect("a connection");
                }
                Ok(Order::Finish) | Err(TryRecvError::Disconnected) => finishing = true,
                Err(TryRecvError::Empty) => {}
            }
            self.drive();
            // Checks for orders and timers at least this often.
            self.socket.set_read_timeout(Some(Duration::from_millis(2))).expect("a timeout");
            match self.socket.recv_from(&mut buffer) {
                Ok((size, remote)) => self.on_datagram(&buffer[..size], remote),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}"),
            }
        }
        assert_eq!(self.driver.endpoint.connections(), 0, "table entries");
    }

    fn on_datagram(&mut self, datagram: &[u8], remote: SocketAddr) {
        let now = self.now();
        let meta = DatagramMeta::new(remote).allocation(datagram.len());
        match self.driver.receive(now, &meta, BytesMut::from(datagram)) {
            Received::Incoming(incoming) => {
                let _ = self.driver.accept(now, incoming);
            }
            Received::Response(response) => {
                let _ = self.socket.send_to(&response.bytes, response.remote);
            }
            Received::Connection(_)
            | Received::StatelessReset(_)
            | Received::Sibling(..)
            | Received::Dropped(_) => {}
        }
    }

    /// Handles timers, datagrams to send, events, and ended connections.
    fn drive(&mut self) {
        let now = self.now();
        self.driver.handle_timeouts(now);
        self.driver.transmit(now, |train, datagram| {
            let _ = self.socket.send_to(datagram, train.remote);
        });
        for connection in self.driver.connections.values_mut() {
            while connection.poll_event().is_some() {}
        }
        self.driver.forget_drained();
    }
}

fn transport() -> Arc<TransportConfig> {
    Arc::new(TransportConfig::default())
}

/// Plays all cases, each with its own socket, so that late datagrams of one do not disturb another.
fn play_all(side: Side, mut one: impl FnMut(&UdpSocket, &Case) -> Result<String, String>) {
    let mut failures = Vec::new();
    let all = cases(side);
    for case in &all {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        if let Err(problem) = one(&socket, case) {
            failures.push(format!("{} {}: {problem}", case.row, case.what));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), all.len(), failures.join("\n"));
}

#[test]
fn over_loopback_against_a_server() {
    let (tls, _) = testing::tls_server_config(ALPN);
    let node = Node::start(Some(ServerConfig::new(tls, [9; 32]).transport(transport())));
    play_all(Side::Server, |socket, case| {
        let tls = Tls::Client(client_tls(case.alpn.unwrap_or(ALPN)));
        let ground = UdpGround::new(socket, Some(node.address), case, tls, PATIENCE);
        play(case, &mut ground.expect("a socket"))
    });
    node.finish();
}

#[test]
fn over_loopback_against_a_client() {
    let node = Node::start(None);
    play_all(Side::Client, |socket, case| {
        let (tls, certificate) = server_tls(case.alpn.unwrap_or(ALPN));
        let mut ground = UdpGround::new(socket, None, case, Tls::Server(tls), PATIENCE).expect("a socket");
        let tls = testing::tls_client_config(&certificate, ALPN);
        let address = socket.local_addr().expect("an address");
        node.orders
            .send(Order::Connect(address, ClientConfig::new(tls).transport(transport())))
            .expect("it lives");
        play(case, &mut ground)
    });
    node.finish();
}
