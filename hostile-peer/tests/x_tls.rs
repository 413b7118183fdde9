//! Table X: transport parameters, TLS, keys.

use hostile_peer::{
    Options, Stage, World, both, both_sides,
    peer::{EncodeParams, Tamper, encode, raw_param},
    wire,
};
use quic_core::{Event, Side, Space, frame::Frame, params::TransportParameters};

const TRANSPORT_PARAMETER_ERROR: u64 = 0x08;
const PROTOCOL_VIOLATION: u64 = 0x0a;
const CRYPTO_BUFFER_EXCEEDED: u64 = 0x0d;
const KEY_UPDATE_ERROR: u64 = 0x0e;
const UNEXPECTED_MESSAGE: u64 = 0x010a;
const DECODE_ERROR: u64 = 0x0132;
const MISSING_EXTENSION: u64 = 0x016d;
const NO_APPLICATION_PROTOCOL: u64 = 0x0178;

/// A TLS `KeyUpdate` message.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

fn crypto(offset: u64, data: &[u8]) -> Vec<u8> {
    wire::frame(&Frame::Crypto { offset, data })
}

fn integer(id: u64, value: u64) -> Vec<u8> {
    raw_param(id, &wire::ints(&[value]))
}

/// A handshake with these parameters is as good as over: the peer's first flight is there.
fn with_params(side: Side, params: EncodeParams) -> World {
    let mut w = World::with(side, Stage::Initial, Options { params, ..Options::default() });
    if side == Side::Client {
        w.step();
    }
    w
}

/// Honest parameters with `more` behind them are refused.
#[track_caller]
fn refuses(side: Side, more: Vec<u8>) {
    let params = move |honest: TransportParameters| [encode(&honest), more.clone()].concat();
    with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
}

/// Honest parameters, changed.
fn changed(change: impl Fn(&mut TransportParameters) + 'static) -> EncodeParams {
    Box::new(move |mut honest| {
        change(&mut honest);
        encode(&honest)
    })
}

fn tampered(side: Side, tamper: Tamper) -> World {
    let mut w = World::before(side, Options::default());
    w.peer.tamper = Some(tamper);
    w.begin();
    if side == Side::Client {
        w.step();
    }
    w
}

/// Rewrites the extensions of a ClientHello or of `EncryptedExtensions` at the start of `bytes`, lengths included.
fn edit_extensions(bytes: &[u8], edit: impl Fn(u16, &[u8]) -> Option<(u16, Vec<u8>)>) -> Vec<u8> {
    let length = usize::from(bytes[2]) << 8 | usize::from(bytes[3]);
    let (message, behind) = bytes.split_at(4 + length);
    let mut start = 4;
    if message[0] == 1 {
        start += 2 + 32;
        start += 1 + usize::from(message[start]);
        start += 2 + (usize::from(message[start]) << 8 | usize::from(message[start + 1]));
        start += 1 + usize::from(message[start]);
    }
    let mut extensions = Vec::new();
    let mut rest = &message[start + 2..];
    while let [a, b, c, d, more @ ..] = rest {
        let (id, size) = (u16::from(*a) << 8 | u16::from(*b), usize::from(*c) << 8 | usize::from(*d));
        if let Some((id, value)) = edit(id, &more[..size]) {
            extensions.extend(id.to_be_bytes());
            extensions.extend((value.len() as u16).to_be_bytes());
            extensions.extend(value);
        }
        rest = &more[size..];
    }
    let mut body = message[4..start].to_vec();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    with_length(message[0], &body, behind)
}

fn with_length(kind: u8, body: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body, behind].concat()
}

/// The level at which the peer sends its transport parameters.
fn parameter_level(side_under_test: Side) -> Space {
    if side_under_test == Side::Server { Space::Initial } else { Space::Handshake }
}

both_sides! {
    fn x01_duplicate_parameters(side) {
        refuses(side, integer(0x04, 1));
        refuses(side, [integer(0x7f0, 1), integer(0x7f0, 1)].concat());
    }

    fn x03_values_out_of_range(side) {
        for (id, value) in [(0x03, 1199), (0x0a, 21), (0x0b, 1 << 14), (0x0e, 1), (0x08, (1 << 60) + 1), (0x09, (1 << 60) + 1)] {
            let params = move |mut honest: TransportParameters| {
                // Left out when they have their defaults, so that only the bad value is there.
                honest.active_connection_id_limit = 2;
                honest.initial_max_streams_bidi = 0;
                honest.initial_max_streams_uni = 0;
                [encode(&honest), integer(id, value)].concat()
            };
            with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }

    fn x04_initial_source_connection_id_missing_or_wrong(side) {
        let wrong = quic_core::ConnectionId::new(b"hostile?");
        for id in [None, wrong, Some(quic_core::ConnectionId::EMPTY)] {
            let params = changed(move |honest| honest.initial_source_connection_id = id);
            with_params(side, params).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }

    fn x06_no_transport_parameters(side) {
        for other_id in [None, Some(0xffa5)] {
            let level = parameter_level(side);
            let tamper = move |space, bytes: Vec<u8>| {
                if space != level {
                    return bytes;
                }
                edit_extensions(&bytes, |id, value| {
                    if id == 0x39 { other_id.map(|id| (id, value.to_vec())) } else { Some((id, value.to_vec())) }
                })
            };
            let mut w = tampered(side, Box::new(tamper));
            // A client that is sent an extension which it did not offer may say that instead (RFC 8446 §4.2).
            let unsolicited = 0x016e;
            let codes = if other_id.is_some() && side == Side::Client {
                vec![MISSING_EXTENSION, unsolicited]
            } else {
                vec![MISSING_EXTENSION]
            };
            w.expect_close(&codes);
        }
    }

    fn x08_values_of_the_wrong_shape(side) {
        for (id, value) in [
            (0x20, &[][..]),
            (0x20, &[0x40]),
            (0x20, &[1, 1]),
            (0x1d, &[0]),
            (0x0017_f758_6d2c_b571, &[0]),
            (0x2ab2, &[0]),
        ] {
            let params = move |mut honest: TransportParameters| {
                honest.max_datagram_frame_size = 0;
                honest.reset_stream_at = false;
                [encode(&honest), raw_param(id, value)].concat()
            };
            with_params(side, Box::new(params)).expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
        }
    }

    fn x12_bytes_left_over_when_the_level_changes(side) {
        // Half a message behind the last one of the level.
        for space in [Space::Initial, Space::Handshake] {
            if side == Side::Server && space == Space::Handshake {
                let mut w = World::at(side, Stage::Handshake);
                w.peer.push_crypto(Space::Handshake, &[20, 0]);
                w.step();
                w.expect_close(&[PROTOCOL_VIOLATION, UNEXPECTED_MESSAGE]);
                continue;
            }
            let tamper = move |at: Space, bytes: Vec<u8>| {
                if at == space { [&bytes[..], &[8, 0]].concat() } else { bytes }
            };
            tampered(side, Box::new(tamper)).expect_close(&[PROTOCOL_VIOLATION]);
        }
    }
}

#[test]
fn x02_parameters_of_servers_from_a_client() {
    let preferred = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
    for more in [
        raw_param(0x00, b"12345678"),
        raw_param(0x02, &[1; 16]),
        raw_param(0x0d, &preferred),
        raw_param(0x10, b"12345678"),
    ] {
        refuses(Side::Server, more);
    }
}

#[test]
fn x05_preferred_address_that_does_not_parse() {
    for length in [0, 3, 5, 255] {
        let value = [&[0; 24][..], &[length], &[1; 4], &[7; 16]].concat();
        refuses(Side::Client, raw_param(0x0d, &value));
    }
}

/// The counterpart: a good one is no reason to end.
#[test]
fn x05_preferred_address_that_parses() {
    let value = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
    let params = move |honest: TransportParameters| [encode(&honest), raw_param(0x0d, &value)].concat();
    let mut w = with_params(Side::Client, Box::new(params));
    w.step();
    w.expect_alive();
}

#[test]
fn x09_no_common_alpn() {
    let options = Options { alpn: b"other".to_vec(), ..Options::default() };
    let mut w = World::with(Side::Server, Stage::Initial, options);
    w.expect_close_in(NO_APPLICATION_PROTOCOL, 0x06);
}

#[test]
fn x09_no_alpn_at_all() {
    let tamper = |space, bytes: Vec<u8>| {
        if space != Space::Initial {
            return bytes;
        }
        edit_extensions(&bytes, |id, value| (id != 0x10).then(|| (id, value.to_vec())))
    };
    tampered(Side::Server, Box::new(tamper)).expect_close(&[NO_APPLICATION_PROTOCOL]);
}

#[test]
fn x10_tls_key_update_in_handshake_server() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    w.send(Space::Handshake, crypto(0, &KEY_UPDATE));
    w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
}

#[test]
fn x10_tls_key_update_in_handshake_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    w.send(Space::Initial, crypto(0, &hello));
    w.send(Space::Handshake, crypto(0, &KEY_UPDATE));
    w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
}

#[test]
fn x11_legacy_session_id() {
    for pieces in [1, 7] {
        let mut w = World::before(Side::Server, Options::default());
        w.peer.tamper = Some(Box::new(|_, bytes| {
            let body = [&bytes[4..38], &[32], &[9; 32], &bytes[39..]].concat();
            with_length(1, &body, &[])
        }));
        w.peer.start(quic_core::ConnectionId::new(b"original-dst").expect("short"));
        let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
        let size = hello.len().div_ceil(pieces);
        for (n, part) in hello.chunks(size).enumerate() {
            if w.app.error().is_none() {
                w.send(Space::Initial, crypto((n * size) as u64, part));
            }
        }
        w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
    }
}

#[test]
fn x12_crypto_at_an_old_level_server() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    let end = w.peer.crypto_sent(Space::Initial);
    // What was sent before may come again.
    w.send(Space::Initial, crypto(end - 1, &[0]));
    assert_eq!(w.app.error(), None);
    w.send(Space::Initial, crypto(end, &[1]));
    w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
}

#[test]
fn x12_crypto_at_an_old_level_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    let mut datagram = w.peer.sealed(Space::Initial, crypto(0, &hello));
    datagram.extend(w.peer.sealed(Space::Initial, crypto(hello.len() as u64, &[1])));
    w.deliver(&datagram);
    w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
    let mut w = World::at(Side::Client, Stage::Handshake);
    let end = w.peer.crypto_sent(Space::Handshake);
    w.send(Space::Handshake, crypto(end, &[1]));
    w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
}

/// A `NewSessionTicket` whose `early_data` extension says `max_early_data`.
fn ticket(max_early_data: Option<u32>, size: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 0x10, 0, 1, 2, 3, 4, 1, 0];
    body.extend((size as u16).to_be_bytes());
    body.extend(vec![0x7c; size]);
    match max_early_data {
        Some(max) => {
            body.extend([0, 8, 0, 42, 0, 4]);
            body.extend(max.to_be_bytes());
        }
        None => body.extend([0, 0]),
    }
    with_length(4, &body, &[])
}

#[test]
fn x13_ticket_with_another_limit_of_early_data() {
    for max in [0, 1, 0xffff_fffe] {
        let mut w = World::at(Side::Client, Stage::Confirmed);
        w.peer.push_crypto(Space::Data, &ticket(Some(max), 32));
        w.step();
        w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
    }
}

#[test]
fn x13_tickets_without_end_and_in_fragments() {
    let mut w = World::at(Side::Client, Stage::Confirmed);
    for _ in 0..3000 {
        w.peer.push_crypto(Space::Data, &ticket(Some(u32::MAX), 200));
        w.step();
    }
    w.peer.push_crypto(Space::Data, &ticket(None, 2000));
    loop {
        let (offset, data) = w.peer.take_crypto(Space::Data, 1);
        if data.is_empty() {
            break;
        }
        w.send(Space::Data, crypto(offset, &data));
    }
    assert!(w.connection().stats().memory_peak < 64 << 10, "{:?}", w.connection().stats());
    w.expect_alive();
}

both! {
    fn x10_tls_key_update_in_1rtt(w: Confirmed) {
        w.peer.push_crypto(Space::Data, &KEY_UPDATE);
        w.step();
        w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
    }

    fn x14_two_key_updates_in_one_burst(w: Confirmed) {
        let from = w.peer_address;
        for generation in [1, 2] {
            w.peer.generation = generation;
            let sealed = w.peer.sealed(Space::Data, vec![1]);
            w.deliver_quietly(from, &sealed);
        }
        w.expect_close(&[KEY_UPDATE_ERROR]);
    }

    fn x14_old_keys_on_a_higher_packet_number(w: Confirmed) {
        w.peer.generation = 1;
        w.send(Space::Data, vec![1]);
        assert_eq!(w.app.error(), None);
        w.peer.generation = 0;
        w.send(Space::Data, vec![1]);
        w.expect_close(&[KEY_UPDATE_ERROR]);
    }

    /// The counterpart: an update at a time, packets of the old keys reordered.
    fn x14_honest_key_updates(w: Confirmed) {
        for generation in 1..4 {
            let late = w.peer.sealed(Space::Data, vec![1]);
            w.peer.generation = generation;
            w.send(Space::Data, vec![1]);
            w.deliver(&late);
            w.expect_alive();
            assert_eq!(w.peer.seen.last().map(|seen| seen.generation), Some(generation));
        }
    }
}

/// A server that was sent nothing, and the ClientHello.
fn with_hello() -> (World, Vec<u8>) {
    let mut w = World::before(Side::Server, Options::default());
    w.peer.start(quic_core::ConnectionId::new(b"original-dst").expect("short"));
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    (w, hello)
}

#[track_caller]
fn goes_on(w: &mut World) {
    for _ in 0..4 {
        w.step();
    }
    assert!(w.app.events.contains(&Event::HandshakeConfirmed), "{:?}", w.app.events);
    w.expect_alive();
}

#[test]
fn x15_client_hello_in_pieces_in_reverse_order() {
    let (mut w, hello) = with_hello();
    let size = hello.len().div_ceil(40);
    for (n, part) in hello.chunks(size).enumerate().collect::<Vec<_>>().into_iter().rev() {
        w.send(Space::Initial, crypto((n * size) as u64, part));
    }
    goes_on(&mut w);
}

#[test]
fn x15_client_hello_byte_by_byte() {
    let (mut w, hello) = with_hello();
    for (start, part) in hello.chunks(100).enumerate() {
        let bytes = part.iter().enumerate();
        let frames = bytes.flat_map(|(n, byte)| crypto((start * 100 + n) as u64, &[*byte])).collect();
        w.send(Space::Initial, frames);
    }
    goes_on(&mut w);
}

#[test]
fn x15_client_hello_of_200_kib() {
    let (mut w, hello) = with_hello();
    let body = [&hello[4..], &vec![0; 200 << 10]].concat();
    let huge = with_length(1, &body, &[]);
    for (n, part) in huge.chunks(1100).enumerate() {
        if w.app.error().is_none() {
            w.send(Space::Initial, crypto((n * 1100) as u64, part));
        }
    }
    assert!(w.connection().stats().memory_peak <= 64 << 10);
    w.expect_close(&[CRYPTO_BUFFER_EXCEEDED, DECODE_ERROR]);
}
