//! What a client may not send in 0-RTT packets, and what becomes of those that come too early.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;

use super::*;
use crate::{
    base::{DatagramMeta, SeededEntropy, Writer},
    cids::CidFactory,
    config::{ClientConfig, EndpointConfig, ServerConfig},
    crypto::{Resumption, SessionCache},
    endpoint::Endpoint,
    error::{ConnectionError, Violation},
    frame::{FrameWriter, Receipt, types},
    ids::Dir,
    keyring::PacketPlace,
    packet::{LongHeader, LongType, TAG_SIZE, write_long_header},
    testing::{Driver, Received, tls_client_config, tls_server_config},
};

/// A client that has been at the server before, and the server.
struct Pair {
    ends: [Driver; 2],
    addresses: [SocketAddr; 2],
    config: ClientConfig,
    now: Timestamp,
}

impl Pair {
    fn new() -> Self {
        let (tls, certificate) = tls_server_config(b"test");
        let tls = tls.with_resumption(&Resumption::stateful_with_early_data(8));
        let server = Arc::new(ServerConfig::new(tls, [7; 32]));
        let config = ClientConfig::new(tls_client_config(&certificate, b"test"))
            .sessions(Some(SessionCache::new(1)))
            .early_data(true);
        let end = |seed: u8, server| {
            let config = EndpointConfig::new(CidFactory::new(8, 0, &[seed; 32]));
            Driver::new(Endpoint::new(config, server, Box::new(SeededEntropy::new(seed.into()))))
        };
        let addresses = ["192.0.2.1:1", "192.0.2.2:2"].map(|text| text.parse().expect("an address"));
        let now = Timestamp::ORIGIN + Duration::from_secs(1);
        let mut pair = Self { ends: [end(1, None), end(2, Some(server))], addresses, config, now };
        pair.connect();
        for _ in 0..200 {
            pair.exchange();
        }
        let now = pair.now;
        pair.ends[0].first_mut().close(now, 0, b"");
        for _ in 0..2_000 {
            pair.exchange();
        }
        assert!(pair.ends.iter().all(|end| end.connections.is_empty()));
        pair
    }

    fn connect(&mut self) {
        let (now, remote) = (self.now, self.addresses[1]);
        self.ends[0].connect(now, &self.config, remote).expect("a usable configuration");
    }

    fn exchange(&mut self) {
        let now = self.now;
        for from in [0, 1] {
            let mut datagrams = Vec::new();
            self.ends[from].handle_timeouts(now);
            self.ends[from].transmit(now, |_, datagram| datagrams.push(datagram.to_vec()));
            datagrams.iter().for_each(|datagram| self.deliver(from, datagram));
            self.ends[from].forget_drained();
        }
        self.now += Duration::from_millis(5);
    }

    fn deliver(&mut self, from: usize, datagram: &[u8]) {
        let (now, meta) = (self.now, DatagramMeta::new(self.addresses[from]));
        let to = &mut self.ends[1 - from];
        if let Received::Incoming(client) = to.receive(now, &meta, BytesMut::from(datagram)) {
            to.accept(now, client).expect("an authentic datagram");
        }
    }

    fn client(&mut self) -> &mut Connection {
        self.ends[0].first_mut()
    }

    fn server(&mut self) -> &mut Connection {
        self.ends[1].first_mut()
    }

    /// A packet of the client with this payload, at least `size` bytes.
    fn packet(&mut self, kind: LongType, number: u64, payload: &[u8], size: usize) -> Vec<u8> {
        let client = self.client();
        let (dcid, scid) = (client.cids.remote.current(), client.cids.local.handshake());
        let version = client.first_flight.version();
        let header =
            LongHeader { kind, version, dcid: &dcid, scid: &scid, token: client.first_flight.token() };
        let mut bytes = vec![0; 1500];
        let mut w = Writer::new(&mut bytes);
        let length_at = write_long_header(&mut w, &header, number, 4).expect("room");
        let header_size = w.position();
        assert!(w.bytes(payload));
        let size = (w.position() + TAG_SIZE).max(size);
        bytes.truncate(size);
        let length = (size - header_size + 4) as u16 | 0x4000;
        bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        let place = PacketPlace { number, header_size, pn_size: 4 };
        assert!(client.keyring.seal(kind.level(), place, &mut bytes));
        bytes
    }
}

/// A STREAM frame of the client's stream with this index, and its end.
fn stream(index: u64) -> Vec<u8> {
    vec![0x0b, StreamId::new(Side::Client, Dir::Bidi, index).value() as u8, 2, b'h', b'i']
}

#[test]
fn f05_frames_that_0rtt_packets_may_not_carry() {
    let path_response = [&[0x1b][..], &[7; 8]].concat();
    for (payload, kind) in [
        (vec![0x02, 0, 0, 0, 0], 0x02),
        (vec![0x06, 0, 1, 0], types::CRYPTO),
        (vec![0x07, 1, 1], 0x07),
        (vec![0x19, 0], 0x19),
        (path_response, 0x1b),
        (vec![0x1e], 0x1e),
    ] {
        let mut pair = Pair::new();
        pair.connect();
        let now = pair.now;
        let mut flight = Vec::new();
        pair.ends[0].transmit(now, |_, datagram| flight.push(datagram.to_vec()));
        flight.iter().for_each(|datagram| pair.deliver(0, datagram));
        assert_eq!(pair.server().early_data(), EarlyData::Accepted);
        let good = pair.packet(LongType::ZeroRtt, 200, &stream(0), 0);
        pair.deliver(0, &good);
        assert!(pair.server().arrived_early(StreamId::new(Side::Client, Dir::Bidi, 0)));
        let bad = pair.packet(LongType::ZeroRtt, 201, &[stream(1), payload].concat(), 0);
        pair.deliver(0, &bad);
        let error = ConnectionError::Violation { violation: Violation::FrameInWrongPacket, frame_type: kind };
        assert_eq!(pair.server().close_error(), Some(&error));
    }
}

/// Clients open no 0-RTT packets, whoever sent them (RFC 9001 §5.6).
#[test]
fn a_client_ignores_0rtt_packets() {
    let mut pair = Pair::new();
    pair.connect();
    let own = pair.packet(LongType::ZeroRtt, 0, &[1, 0, 0, 0], 0);
    let (now, meta) = (pair.now, DatagramMeta::new(pair.addresses[1]));
    let before = pair.client().stats().packets_received;
    pair.client().handle_datagram(now, &meta, BytesMut::from(&own[..]));
    let client = pair.client();
    assert_eq!((client.stats().packets_received, client.close_error()), (before, None));
    assert_eq!(client.stats().packets_dropped, 1);
}

#[test]
fn p20_early_data_waits_for_the_whole_client_hello() {
    let mut pair = Pair::new();
    pair.connect();
    let mut halves = Vec::new();
    for room in [150, 1_100] {
        let (mut payload, mut receipts) = (vec![0; room], Vec::<Receipt>::new());
        let mut w = FrameWriter::new(&mut payload, &mut receipts);
        pair.client().handshake.write(Space::Initial, &mut w);
        let written = w.written();
        let number = halves.len() as u64;
        halves.push(pair.packet(LongType::Initial, number, &payload[..written], 1200));
    }
    assert!(!pair.client().handshake.wants(Space::Initial), "the rest is in the second half");
    let early: Vec<_> =
        (0..14).map(|nth| pair.packet(LongType::ZeroRtt, 10 + nth, &stream(nth), 100)).collect();
    pair.deliver(0, &halves[0]);
    let used = pair.server().memory.used();
    early.iter().for_each(|packet| pair.deliver(0, packet));
    assert_eq!(pair.server().memory.used() - used, 10 * 100, "ten wait");
    let arrived = |pair: &mut Pair| {
        let id = |nth| StreamId::new(Side::Client, Dir::Bidi, nth);
        (0..14).filter(|nth| pair.server().arrived_early(id(*nth))).count()
    };
    assert_eq!((arrived(&mut pair), pair.server().early_data()), (0, EarlyData::None));
    pair.deliver(0, &halves[1]);
    assert_eq!((arrived(&mut pair), pair.server().early_data()), (10, EarlyData::Accepted));
    assert_eq!(pair.server().close_error(), None);
}
