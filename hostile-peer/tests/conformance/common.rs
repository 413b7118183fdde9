//! What the tables share.

pub(crate) use std::{net::SocketAddr, time::Duration};

pub(crate) use hostile_peer::{
    Options, Stage, World, both, both_sides,
    peer::{EncodeParams, Tamper, encode, raw_param},
    tamper::{edit_extensions, with_length},
    wire,
};
pub(crate) use quic_core::{
    ConnectionId, Dir, Event, Side, Space, StreamId, TransportConfig, TransportParameters,
    base::varint,
    error::{CloseReason, ConnectionError, DropReason},
    frame::Frame,
};

pub(crate) const FLOW_CONTROL_ERROR: u64 = 0x03;
pub(crate) const STREAM_LIMIT_ERROR: u64 = 0x04;
pub(crate) const STREAM_STATE_ERROR: u64 = 0x05;
pub(crate) const FINAL_SIZE_ERROR: u64 = 0x06;
pub(crate) const FRAME_ENCODING_ERROR: u64 = 0x07;
pub(crate) const TRANSPORT_PARAMETER_ERROR: u64 = 0x08;
pub(crate) const CONNECTION_ID_LIMIT_ERROR: u64 = 0x09;
pub(crate) const PROTOCOL_VIOLATION: u64 = 0x0a;
pub(crate) const INVALID_TOKEN: u64 = 0x0b;
pub(crate) const CRYPTO_BUFFER_EXCEEDED: u64 = 0x0d;
pub(crate) const KEY_UPDATE_ERROR: u64 = 0x0e;
pub(crate) const AEAD_LIMIT_REACHED: u64 = 0x0f;
pub(crate) const VERSION_NEGOTIATION_ERROR: u64 = 0x11;
pub(crate) const UNEXPECTED_MESSAGE: u64 = 0x010a;
pub(crate) const DECODE_ERROR: u64 = 0x0132;
pub(crate) const MISSING_EXTENSION: u64 = 0x016d;
pub(crate) const NO_APPLICATION_PROTOCOL: u64 = 0x0178;

pub(crate) const PING: [u8; 1] = [0x01];

/// A stream that the peer opens.
pub(crate) fn theirs(side: Side, dir: Dir, index: u64) -> StreamId {
    StreamId::new(side.peer(), dir, index)
}

/// A stream that the endpoint under test opens.
pub(crate) fn ours(side: Side, dir: Dir, index: u64) -> StreamId {
    StreamId::new(side, dir, index)
}

/// A connection ID of eight bytes.
pub(crate) fn numbered_cid(n: u64) -> ConnectionId {
    ConnectionId::new(&n.to_be_bytes()).expect("eight bytes")
}

pub(crate) fn cid(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).expect("short")
}

pub(crate) fn token(n: u64) -> [u8; 16] {
    let mut token = [0x77; 16];
    token[..8].copy_from_slice(&n.to_be_bytes());
    token
}

pub(crate) fn new_cid(sequence: u64, retire_prior_to: u64, id: u64) -> Vec<u8> {
    wire::frame(&Frame::NewConnectionId { sequence, retire_prior_to, id: numbered_cid(id), token: token(id) })
}

pub(crate) fn crypto(offset: u64, data: &[u8]) -> Vec<u8> {
    wire::frame(&Frame::Crypto { offset, data })
}

/// One 1-RTT packet after the handshake, which must cause one close.
#[track_caller]
pub(crate) fn closes_with(side: Side, payload: Vec<u8>, code: u64, frame_type: u64) {
    let mut w = World::at(side, Stage::Confirmed);
    w.send(Space::Data, payload);
    w.expect_close_in(code, frame_type);
}

/// Honest parameters, changed.
pub(crate) fn changed(change: impl Fn(&mut TransportParameters) + 'static) -> EncodeParams {
    Box::new(move |mut honest| {
        change(&mut honest);
        encode(&honest)
    })
}

pub(crate) fn elsewhere() -> SocketAddr {
    "198.51.100.7:9999".parse().expect("an address")
}

/// Completes the handshake honestly and exchanges data.
#[track_caller]
pub(crate) fn goes_on(w: &mut World) {
    for _ in 0..4 {
        w.step();
    }
    assert!(w.app.events.contains(&Event::HandshakeConfirmed), "{:?}", w.app.events);
    w.expect_alive();
}

/// A server that has received nothing, and the ClientHello that it waits for.
pub(crate) fn with_hello(options: Options) -> (World, Vec<u8>) {
    let mut w = World::before(Side::Server, options);
    w.peer.start(cid(b"original-dst"));
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    (w, hello)
}

pub(crate) fn tampered(side: Side, tamper: Tamper) -> World {
    let mut w = World::before(side, Options::default());
    w.peer.tamper = Some(tamper);
    w.begin();
    if side == Side::Client {
        w.step();
    }
    w
}
