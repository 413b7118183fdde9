//! The hostile peer: real TLS and real keys, but no respect for the rules.
//!
//! Owns its side of the handshake, its packet numbers, and what it has received. It sends nothing by itself:
//! a test asks for a [`flight`](Peer::flight), which is honest, or builds its own packets.

mod hearing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quic_core::{
    ConnectionId, Level, Side, Space, TransportParameters, Version,
    base::varint,
    crypto::{
        KeyChange, Secret, TlsClientConfig, TlsServerConfig, TlsSession, initial_secrets, protect_header,
    },
    frame::Frame,
    packet,
};

use crate::{keys::Keys, packet::Packet, wire};

/// How the peer's TLS is set up.
#[derive(Clone, Debug)]
pub enum Tls {
    /// A client.
    Client(TlsClientConfig),
    /// A server.
    Server(TlsServerConfig),
}

/// Encodes the honest transport parameters, with or without changes.
pub type EncodeParams = Box<dyn Fn(TransportParameters) -> Vec<u8>>;
/// Changes handshake bytes before they are sent at a level.
pub type Tamper = Box<dyn FnMut(Space, Vec<u8>) -> Vec<u8>>;

/// A CONNECTION_CLOSE frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// True for type 0x1d.
    pub application: bool,
    /// The error code.
    pub code: u64,
    /// The frame type of 0x1c.
    pub frame_type: u64,
    /// The reason phrase.
    pub reason: Vec<u8>,
}

/// A packet of the endpoint under test, decrypted.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its packet number space.
    pub space: Space,
    /// Its packet number.
    pub number: u64,
    /// The generation of its 1-RTT keys.
    pub generation: usize,
    /// Its frames.
    pub payload: Vec<u8>,
}

#[derive(Debug, Default)]
struct CryptoStreams {
    pending: VecDeque<u8>,
    sent: u64,
    received: BTreeMap<u64, Vec<u8>>,
    read: u64,
}

/// The hostile peer.
pub struct Peer {
    /// The role of the peer.
    pub side: Side,
    /// The destination of its packets: the endpoint's connection ID.
    pub dcid: ConnectionId,
    /// The peer's own connection ID.
    pub scid: ConnectionId,
    /// The destination of the client's first Initial.
    pub original_dcid: ConnectionId,
    /// The source connection ID of a Retry that the peer sent or followed.
    pub retry_source: Option<ConnectionId>,
    /// The token of the peer's Initials.
    pub token: Vec<u8>,
    /// The generation of 1-RTT keys with which the peer sends.
    pub generation: usize,
    /// Whether its flights acknowledge packets.
    pub acks: bool,
    /// Whether a server's flights contain HANDSHAKE_DONE once.
    pub sends_done: bool,
    /// What the endpoint sent, decrypted.
    pub seen: Vec<Seen>,
    /// Stream data of the endpoint: (stream, offset, data, fin).
    pub streams: Vec<(u64, u64, Vec<u8>, bool)>,
    /// The endpoint's latest limit for the data of all streams.
    pub max_data: u64,
    /// One more than the highest stream that the endpoint has opened, bidirectional and unidirectional.
    pub heard: [u64; 2],
    /// The highest sequence number of the endpoint's connection IDs.
    pub issued: u64,
    /// Packets with a zero fixed bit, per packet number space.
    pub zero_fixed_bits: [usize; 3],
    /// Packets that could not be decrypted.
    pub undecryptable: usize,
    /// Whether the peer ignores the endpoint's datagrams.
    pub deaf: bool,
    /// In a flood the peer only records CONNECTION_CLOSE frames.
    pub forgets: bool,
    /// Changes handshake bytes before they are sent.
    pub tamper: Option<Tamper>,
    /// The server name that a client requests.
    pub server_name: String,
    setup: Option<Tls>,
    params: EncodeParams,
    /// The client's first flight, in case of a Retry.
    hello: Vec<u8>,
    tls: Option<TlsSession>,
    /// Whether TLS failed on the endpoint's messages, or was stopped.
    pub tls_failed: bool,
    write_level: Space,
    local: [Option<Keys>; 3],
    remote: [Option<Keys>; 3],
    next: [u64; 3],
    largest: [Option<u64>; 3],
    received: [BTreeSet<u64>; 3],
    ack_due: [bool; 3],
    crypto: [CryptoStreams; 3],
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("side", &self.side).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Transport parameters that leave the endpoint enough credit for any test.
#[must_use]
pub fn generous() -> TransportParameters {
    TransportParameters::new()
        .max_idle_timeout(std::time::Duration::from_secs(300))
        .initial_max_data(1 << 30)
        .initial_max_stream_data_bidi_local(1 << 24)
        .initial_max_stream_data_bidi_remote(1 << 24)
        .initial_max_stream_data_uni(1 << 24)
        .initial_max_streams_bidi(100)
        .initial_max_streams_uni(100)
        .active_connection_id_limit(4)
        .max_datagram_frame_size(65_535)
        .reset_stream_at(true)
}

impl Peer {
    /// A peer that has not sent anything yet.
    #[must_use]
    pub fn new(setup: Tls, params: EncodeParams, scid: ConnectionId) -> Self {
        let side = if matches!(setup, Tls::Client(_)) { Side::Client } else { Side::Server };
        Self {
            side,
            dcid: ConnectionId::EMPTY,
            scid,
            original_dcid: ConnectionId::EMPTY,
            retry_source: None,
            token: Vec::new(),
            generation: 0,
            acks: true,
            sends_done: true,
            seen: Vec::new(),
            streams: Vec::new(),
            max_data: 0,
            heard: [0; 2],
            issued: 0,
            zero_fixed_bits: [0; 3],
            undecryptable: 0,
            deaf: false,
            forgets: false,
            tamper: None,
            server_name: "localhost".to_owned(),
            setup: Some(setup),
            params,
            hello: Vec::new(),
            tls: None,
            tls_failed: false,
            write_level: Space::Initial,
            local: [None, None, None],
            remote: [None, None, None],
            next: [0; 3],
            largest: [None; 3],
            received: Default::default(),
            ack_due: [false; 3],
            crypto: Default::default(),
        }
    }

    /// Starts a client: installs Initial keys for `dcid`, and queues a ClientHello for the next flight.
    pub fn start(&mut self, dcid: ConnectionId) {
        self.dcid = dcid;
        self.original_dcid = dcid;
        self.initial_keys(dcid);
        self.start_tls();
    }

    /// Installs Initial keys for the client's destination connection ID.
    pub fn initial_keys(&mut self, dcid: ConnectionId) {
        let (client, server) = initial_secrets(Version::V1, &dcid);
        if self.side.is_client() {
            self.install(Space::Initial, &client, &server);
        } else {
            self.install(Space::Initial, &server, &client);
        }
    }

    fn install(&mut self, space: Space, local: &Secret, remote: &Secret) {
        self.local[space as usize] = Some(Keys::new(local));
        self.remote[space as usize] = Some(Keys::new(remote));
    }

    fn start_tls(&mut self) {
        let mut honest = generous().initial_source_connection_id(Some(self.scid));
        if !self.side.is_client() {
            honest.original_destination_connection_id = Some(self.original_dcid);
            honest.retry_source_connection_id = self.retry_source;
        }
        let params = (self.params)(honest);
        let tls = match self.setup.as_ref().expect("the peer has not been released") {
            Tls::Client(config) => TlsSession::client(Version::V1, config, &self.server_name, params),
            Tls::Server(config) => TlsSession::server(Version::V1, config, params),
        };
        self.tls = Some(tls.expect("the configuration is sound"));
        self.drive();
    }

    /// Drops everything that the peer holds, to measure what the endpoint holds.
    pub(crate) fn release(&mut self) {
        self.setup = None;
        self.tls = None;
        self.seen = Vec::new();
        self.streams = Vec::new();
        self.token = Vec::new();
        self.hello = Vec::new();
        self.local = [None, None, None];
        self.remote = [None, None, None];
        self.received = Default::default();
        self.crypto = Default::default();
    }

    /// Appends a 1-RTT packet with `payload` to `datagram`, without an allocation, for floods.
    pub fn seal_short(&mut self, payload: &[u8], datagram: &mut Vec<u8>) {
        let phase = if self.generation % 2 == 1 { packet::KEY_PHASE_BIT } else { 0 };
        let start = datagram.len();
        datagram.push(packet::FIXED_BIT | phase | 3);
        datagram.extend(self.dcid.as_bytes());
        self.seal_behind_header(Space::Data, start, payload, datagram);
    }

    /// The same for an Initial packet without a token.
    pub fn seal_initial(&mut self, payload: &[u8], datagram: &mut Vec<u8>) {
        let start = datagram.len();
        datagram.push(packet::FORM_LONG | packet::FIXED_BIT | 3);
        datagram.extend(Version::V1.number().to_be_bytes());
        for id in [&self.dcid, &self.scid] {
            datagram.push(id.len() as u8);
            datagram.extend(id.as_bytes());
        }
        datagram.push(0);
        datagram.extend((0x4000 | (4 + payload.len() + packet::TAG_SIZE) as u16).to_be_bytes());
        self.seal_behind_header(Space::Initial, start, payload, datagram);
    }

    /// Appends packet number and payload, and protects the packet that begins at `start`.
    fn seal_behind_header(&mut self, space: Space, start: usize, payload: &[u8], datagram: &mut Vec<u8>) {
        let number = self.next[space as usize];
        self.next[space as usize] += 1;
        let pn_offset = datagram.len() - start;
        datagram.extend((number as u32).to_be_bytes());
        datagram.extend(payload);
        datagram.resize(datagram.len() + packet::TAG_SIZE, 0);
        let bytes = &mut datagram[start..];
        let generation = if space == Space::Data { self.generation } else { 0 };
        let keys = self.local[space as usize].as_mut().expect("the peer has keys for the packet");
        keys.packet(generation).seal(number, bytes, pn_offset + 4);
        protect_header(keys.header(), bytes, pn_offset, 4);
    }

    /// The TLS session, once there is one.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_ref()
    }

    /// Whether the peer's own handshake is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking())
    }

    /// Whether the peer can send packets of this space.
    #[must_use]
    pub fn has(&self, space: Space) -> bool {
        self.local[space as usize].is_some()
    }

    fn drive(&mut self) {
        let Some(mut tls) = self.tls.take() else { return };
        loop {
            let mut bytes = Vec::new();
            let level = self.write_level;
            let change = tls.write(&mut bytes);
            if !bytes.is_empty() {
                if let Some(tamper) = &mut self.tamper {
                    bytes = tamper(level, bytes);
                }
                if self.side.is_client() && level == Space::Initial {
                    self.hello.extend(&bytes);
                }
                self.crypto[level as usize].pending.extend(bytes);
            }
            match change {
                Ok(Some(KeyChange::Handshake(local, remote))) => {
                    self.write_level = Space::Handshake;
                    self.install(Space::Handshake, &local, &remote);
                }
                Ok(Some(KeyChange::OneRtt(local, remote))) => {
                    self.write_level = Space::Data;
                    self.install(Space::Data, &local, &remote);
                }
                Ok(None) => break,
                Err(_) => {
                    self.tls_failed = true;
                    break;
                }
            }
        }
        self.tls = Some(tls);
    }

    /// A packet with honest fields, this payload and the next number of its space.
    pub fn packet(&mut self, space: Space, payload: Vec<u8>) -> Packet {
        let kind = match space {
            Space::Initial => Level::Initial,
            Space::Handshake => Level::Handshake,
            Space::Data => Level::OneRtt,
        };
        let number = self.next[space as usize];
        self.next[space as usize] += 1;
        Packet {
            kind,
            version: Version::V1.number(),
            dcid: self.dcid.as_bytes().to_vec(),
            scid: self.scid.as_bytes().to_vec(),
            token: if space == Space::Initial { self.token.clone() } else { Vec::new() },
            number,
            pn_size: 4,
            flip: 0,
            generation: if space == Space::Data { self.generation } else { 0 },
            key_phase: self.generation % 2 == 1,
            length: None,
            payload,
            forged: false,
        }
    }

    /// Seals a packet with the keys of its own level.
    pub fn seal(&mut self, packet: Packet) -> Vec<u8> {
        let keys =
            self.local[packet.kind.space() as usize].as_mut().expect("the peer has keys for the packet");
        packet.seal(keys)
    }

    /// A sealed packet with honest fields.
    pub fn sealed(&mut self, space: Space, payload: Vec<u8>) -> Vec<u8> {
        let mut packet = self.packet(space, payload);
        if space == Space::Initial && self.side.is_client() {
            packet = packet.padded_to(1200);
        }
        self.seal(packet)
    }

    /// The next packet number of a space. Change it to leave gaps or to repeat numbers.
    pub fn next_number(&mut self, space: Space) -> &mut u64 {
        &mut self.next[space as usize]
    }

    /// The numbers of the endpoint's packets.
    #[must_use]
    pub fn received(&self, space: Space) -> &BTreeSet<u64> {
        &self.received[space as usize]
    }

    /// How many CRYPTO bytes were sent at a level.
    #[must_use]
    pub fn crypto_sent(&self, space: Space) -> u64 {
        self.crypto[space as usize].sent
    }

    /// Takes up to `max` queued handshake bytes of a level, with their offset.
    pub fn take_crypto(&mut self, space: Space, max: usize) -> (u64, Vec<u8>) {
        let stream = &mut self.crypto[space as usize];
        let count = stream.pending.len().min(max);
        let offset = stream.sent;
        stream.sent += count as u64;
        (offset, stream.pending.drain(..count).collect())
    }

    /// Appends a test's own handshake bytes at a level.
    pub fn push_crypto(&mut self, space: Space, bytes: &[u8]) {
        self.crypto[space as usize].pending.extend(bytes);
    }

    /// The datagrams that an honest peer would send now: acknowledgments and the handshake.
    pub fn flight(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        let mut current: Vec<u8> = Vec::new();
        for space in Space::ALL {
            if !self.has(space) {
                continue;
            }
            loop {
                let payload = self.honest_payload(space);
                if payload.is_empty() {
                    break;
                }
                let sealed = self.sealed(space, payload);
                if current.len() + sealed.len() > 1452 {
                    datagrams.push(std::mem::take(&mut current));
                }
                current.extend(sealed);
            }
        }
        if !current.is_empty() {
            datagrams.push(current);
        }
        datagrams
    }

    fn honest_payload(&mut self, space: Space) -> Vec<u8> {
        let mut payload = Vec::new();
        if self.acks && std::mem::take(&mut self.ack_due[space as usize]) {
            payload.extend(wire::ack_of(self.received[space as usize].iter().copied()).unwrap_or_default());
        }
        if space == Space::Data && self.sends_done && !self.side.is_client() && self.is_complete() {
            self.sends_done = false;
            payload.extend(wire::frame(&Frame::HandshakeDone));
        }
        let (offset, data) = self.take_crypto(space, 1000);
        if !data.is_empty() {
            payload.extend(wire::frame(&Frame::Crypto { offset, data: &data }));
        }
        payload
    }
}

/// A transport parameter with any value.
#[must_use]
pub fn raw_param(id: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, id);
    varint::put(&mut out, value.len() as u64);
    out.extend(value);
    out
}

/// Encodes the parameters honestly.
#[must_use]
pub fn encode(params: &TransportParameters) -> Vec<u8> {
    let mut out = Vec::new();
    params.write(&mut out);
    out
}
