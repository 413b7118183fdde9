//! A client and a server in memory, on a network where addresses change: NATs, hosts that move, and an
//! attacker that sends copies.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use netsim::Random;
use quic_core::{
    CidFactory, ClientConfig, Connection, DatagramMeta, Dir, Endpoint, EndpointConfig, Event, ServerConfig,
    StreamId, TransportConfig,
    base::{Ecn, SeededEntropy, Timestamp},
    error::call::Read,
    testing::{Driver, Received, tls_client_config, tls_server_config},
};

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
/// The length of all connection IDs here, in bytes.
const CID: usize = 8;

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The address that clients connect to.
pub(crate) fn server() -> SocketAddr {
    address("192.0.2.2:443")
}

/// Bytes that depend on their offset.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8 ^ (i >> 8) as u8).collect()
}

#[derive(Clone, Debug)]
struct Datagram {
    to_server: bool,
    /// The sender's address as the network shows it to the receiver.
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What an application sends and has read.
#[derive(Debug, Default)]
pub(crate) struct App {
    stream: Option<StreamId>,
    to_send: Bytes,
    ended: bool,
    pub(crate) received: Vec<u8>,
    pub(crate) finished: bool,
    pub(crate) events: Vec<Event>,
}

impl App {
    fn work(&mut self, connection: &mut Connection, now: Timestamp) {
        while let Some(event) = connection.poll_event() {
            if let Event::StreamReadable(id, _) | Event::StreamOpened(id) = event {
                loop {
                    match connection.read(now, id, usize::MAX) {
                        Ok(Read::Data(bytes)) => self.received.extend_from_slice(&bytes),
                        Ok(Read::Finished) => break self.finished = true,
                        _ => break,
                    }
                }
            }
            self.events.push(event);
        }
        if self.stream.is_none() && !self.to_send.is_empty() && connection.can_send() {
            self.stream = connection.open(Dir::Uni);
        }
        if let Some(id) = self.stream.filter(|_| !self.ended) {
            let _ = connection.write(id, &mut self.to_send);
            if self.to_send.is_empty() {
                self.ended = connection.finish(id).is_ok();
            }
        }
    }
}

/// Connection IDs, by the two addresses of their path.
type Ids = BTreeMap<(SocketAddr, SocketAddr), BTreeSet<Vec<u8>>>;

/// The bytes that a server exchanged with an address.
#[derive(Debug, Default)]
struct Traffic {
    received: u64,
    sent: u64,
    validated: bool,
}

/// The network and both ends; the client is the first.
pub(crate) struct Net {
    pub(crate) now: u64,
    pub(crate) ends: [Driver; 2],
    pub(crate) apps: [App; 2],
    pub(crate) random: Random,
    /// The delay in one direction, in nanoseconds, and its largest random increase.
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    pub(crate) loss: f64,
    /// Whether the client's datagrams of 1200 bytes are lost, as those with challenges are.
    pub(crate) probes_lost: bool,
    /// The address from which the client's host sends if no address is given.
    pub(crate) home: IpAddr,
    /// The outside address that the network shows for an address of the client's host.
    pub(crate) nat: BTreeMap<IpAddr, SocketAddr>,
    /// Outside addresses that no datagram reaches or leaves any more.
    pub(crate) dead: BTreeSet<SocketAddr>,
    /// The address from which the server's datagrams seem to come.
    pub(crate) server_from: Option<SocketAddr>,
    /// Addresses of servers that nothing reaches.
    pub(crate) unreachable: BTreeSet<SocketAddr>,
    /// An attacker copies one in this many of the client's datagrams and sends the copy from this address,
    /// ahead of the original. If `forwards` is set, it passes on the responses.
    pub(crate) attacker: Option<(SocketAddr, u64)>,
    pub(crate) forwards: bool,
    /// The connection IDs in the short headers that each end sends.
    pub(crate) ids: [Ids; 2],
    /// The sizes of datagrams that the server sent to each address since this was last read.
    pub(crate) sizes: BTreeMap<SocketAddr, Vec<usize>>,
    traffic: BTreeMap<SocketAddr, Traffic>,
    under_way: BTreeMap<(u64, u64), Datagram>,
    count: u64,
    seed: u64,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, TransportConfig::default(), TransportConfig::default())
    }

    pub(crate) fn with(seed: u64, client: TransportConfig, server_transport: TransportConfig) -> Self {
        let (tls, certificate) = tls_server_config(b"move");
        let config = ServerConfig::new(tls, [7; 32]).transport(Arc::new(server_transport));
        let client = ClientConfig::new(tls_client_config(&certificate, b"move")).transport(Arc::new(client));
        let end = |key: u64, server| {
            let config = EndpointConfig::new(CidFactory::new(CID, 0, &[key as u8; 32]));
            Driver::new(Endpoint::new(config, server, Box::new(SeededEntropy::new(key))))
        };
        let mut ends = [end(2 * seed, None), end(2 * seed + 1, Some(Arc::new(config)))];
        let now = SECOND;
        ends[0].connect(Timestamp::from_nanos(now), &client, server()).expect("a configuration");
        let home = ip("198.51.100.1");
        Self {
            now,
            ends,
            apps: Default::default(),
            random: Random::new(seed),
            delay: 10 * MILLISECOND,
            jitter: 0,
            loss: 0.0,
            probes_lost: false,
            home,
            nat: BTreeMap::from([(home, address("203.0.113.1:1000"))]),
            dead: BTreeSet::new(),
            server_from: None,
            unreachable: BTreeSet::new(),
            attacker: None,
            forwards: false,
            ids: Default::default(),
            sizes: BTreeMap::new(),
            traffic: BTreeMap::new(),
            under_way: BTreeMap::new(),
            count: 0,
            seed,
        }
    }

    /// A network whose ends have a confirmed handshake and each other's connection IDs.
    pub(crate) fn established(seed: u64) -> Self {
        let mut net = Self::new(seed);
        net.establish();
        net
    }

    pub(crate) fn establish(&mut self) {
        self.wait("a handshake", |net| {
            net.apps[0].events.contains(&Event::HandshakeConfirmed) && !net.ends[1].connections.is_empty()
        });
        self.pass(200 * MILLISECOND);
    }

    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    pub(crate) fn connection(&mut self, end: usize) -> &mut Connection {
        self.ends[end].first_mut()
    }

    /// The address to which the end sends now.
    pub(crate) fn remote(&mut self, end: usize) -> SocketAddr {
        self.connection(end).remote_address()
    }

    /// Has an end send `size` bytes on a new stream.
    pub(crate) fn send(&mut self, end: usize, size: usize) {
        let sender = &mut self.apps[end];
        (sender.stream, sender.to_send, sender.ended) = (None, pattern(size).into(), false);
        let receiver = &mut self.apps[1 - end];
        (receiver.received, receiver.finished) = (Vec::new(), false);
    }

    /// Whether an end has read everything that the other end was told to send.
    pub(crate) fn has(&self, end: usize, size: usize) -> bool {
        let app = &self.apps[end];
        assert!(app.received[..] == pattern(app.received.len())[..], "seed {}: other bytes", self.seed);
        app.finished && app.received.len() == size
    }

    /// Runs until `done`, for at most two minutes.
    pub(crate) fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now + 120 * SECOND;
        while !done(self) {
            assert!(self.now < end, "seed {}: no {what}", self.seed);
            self.step(end);
        }
    }

    pub(crate) fn pass(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    /// Gives an address of the client's host a new outside address. Datagrams to the previous one are lost.
    pub(crate) fn rebind(&mut self, inside: IpAddr, outside: SocketAddr) {
        if let Some(before) = self.nat.insert(inside, outside) {
            self.dead.insert(before);
        }
        self.dead.remove(&outside);
    }

    /// How many events of an end are of the wanted kind.
    pub(crate) fn events(&self, end: usize, wanted: impl Fn(&Event) -> bool) -> usize {
        self.apps[end].events.iter().filter(|event| wanted(event)).count()
    }

    fn step(&mut self, end: u64) {
        self.let_work();
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        let timers = self.ends.iter().filter_map(Driver::next_timeout).map(Timestamp::as_nanos);
        let next = timers.chain(arrival).chain([end]).min().expect("the end");
        self.now = next.max(self.now);
        while self.under_way.keys().next().is_some_and(|(at, _)| *at <= self.now) {
            let (_, datagram) = self.under_way.pop_first().expect("it was there");
            self.deliver(&datagram);
        }
        let now = self.clock();
        self.ends.iter_mut().for_each(|driver| driver.handle_timeouts(now));
        self.let_work();
    }

    fn let_work(&mut self) {
        let now = self.clock();
        for end in [0, 1] {
            let app = &mut self.apps[end];
            let Some(connection) = self.ends[end].connections.values_mut().next() else { continue };
            app.work(connection, now);
            let mut sent = Vec::new();
            self.ends[end].transmit(now, |train, datagram| {
                sent.push((train.local_ip, train.remote, datagram.to_vec()));
            });
            for (local_ip, remote, bytes) in sent {
                self.on_sent(end, local_ip, remote, bytes);
            }
            self.ends[end].forget_drained();
        }
    }

    fn on_sent(&mut self, end: usize, local_ip: Option<IpAddr>, to: SocketAddr, bytes: Vec<u8>) {
        let to_server = end == 0;
        let from = if to_server {
            let inside = local_ip.unwrap_or(self.home);
            *self.nat.get(&inside).unwrap_or_else(|| panic!("no address {inside}"))
        } else {
            let known = SocketAddr::new(local_ip.expect("the server knows"), server().port());
            self.server_from.unwrap_or(known)
        };
        if bytes[0] & 0x80 == 0 {
            self.ids[end].entry((from, to)).or_default().insert(bytes[1..=CID].to_vec());
        }
        if !to_server {
            self.check_amplification(to, bytes.len());
        }
        if self.random.chance(self.loss) || self.probes_lost && to_server && bytes.len() == 1_200 {
            return;
        }
        let at = self.now + self.delay + self.random.below(self.jitter + 1);
        if let Some((attacker, one_in)) = self.attacker {
            if to_server && self.random.below(one_in) == 0 {
                let copy = Datagram { to_server, from: attacker, to, bytes: bytes.clone() };
                self.put(self.now + self.delay / 2, copy);
            } else if !to_server && to == attacker && self.forwards {
                let to = self.nat[&self.home];
                let copy = Datagram { to_server, from, to, bytes: bytes.clone() };
                self.put(at + self.delay, copy);
            }
        }
        self.put(at, Datagram { to_server, from, to, bytes });
    }

    fn put(&mut self, at: u64, datagram: Datagram) {
        self.count += 1;
        self.under_way.insert((at, self.count), datagram);
    }

    /// RFC 9000 §8: to an address that is not validated, the server sends at most three times the bytes
    /// received from it.
    fn check_amplification(&mut self, to: SocketAddr, size: usize) {
        self.sizes.entry(to).or_default().push(size);
        let connection = self.ends[1].first_mut();
        let validated = connection.paths().any(|path| path.remote == to && path.validated);
        let traffic = self.traffic.entry(to).or_default();
        traffic.sent += size as u64;
        traffic.validated |= validated;
        assert!(
            traffic.validated || traffic.sent <= 3 * traffic.received,
            "seed {}: {} bytes to {to}, which sent {}",
            self.seed,
            traffic.sent,
            traffic.received
        );
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let (end, client_side) = if datagram.to_server { (1, datagram.from) } else { (0, datagram.to) };
        if self.dead.contains(&client_side) || self.unreachable.contains(&datagram.to) {
            return;
        }
        let local_ip = if datagram.to_server {
            self.traffic.entry(datagram.from).or_default().received += datagram.bytes.len() as u64;
            datagram.to.ip()
        } else {
            match self.nat.iter().find(|(_, outside)| **outside == datagram.to) {
                Some((inside, _)) => *inside,
                None => return,
            }
        };
        self.hand(end, datagram.from, local_ip, &datagram.bytes);
    }

    /// Delivers a datagram to an end.
    pub(crate) fn hand(&mut self, end: usize, from: SocketAddr, local_ip: IpAddr, bytes: &[u8]) {
        let now = self.clock();
        let meta = DatagramMeta::new(from).allocation(bytes.len()).local_ip(Some(local_ip)).ecn(Ecn::Ect0);
        let received = self.ends[end].receive(now, &meta, BytesMut::from(bytes));
        if let Received::Incoming(incoming) = received {
            let _ = self.ends[end].accept(now, incoming);
        }
    }
}

/// Both ends send `size` bytes each, while `change` alters the network.
pub(crate) fn exchange(net: &mut Net, size: usize, mut change: impl FnMut(&mut Net)) {
    for end in [0, 1] {
        net.send(end, size);
    }
    let end = net.now + 120 * SECOND;
    while !(net.has(0, size) && net.has(1, size)) {
        assert!(
            net.now < end,
            "seed {}: {} and {} bytes came",
            net.seed,
            net.apps[0].received.len(),
            net.apps[1].received.len()
        );
        change(net);
        net.pass(5 * MILLISECOND);
    }
}

pub(crate) fn path_changes(net: &Net, end: usize) -> usize {
    net.events(end, |event| matches!(event, Event::PathChanged { .. }))
}
