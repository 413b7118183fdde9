//! Table X: the TLS handshake.

use crate::common::*;

both_sides! {
    fn x12_bytes_left_over_when_the_level_changes(side) {
        // Half a message after the last one of the level.
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
    // Data that was sent before may be repeated.
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

#[test]
fn x15_client_hello_in_pieces_in_reverse_order() {
    let (mut w, hello) = with_hello(Options::default());
    let size = hello.len().div_ceil(40);
    for (n, part) in hello.chunks(size).enumerate().collect::<Vec<_>>().into_iter().rev() {
        w.send(Space::Initial, crypto((n * size) as u64, part));
    }
    goes_on(&mut w);
}

#[test]
fn x15_client_hello_byte_by_byte() {
    let (mut w, hello) = with_hello(Options::default());
    for (start, part) in hello.chunks(100).enumerate() {
        let bytes = part.iter().enumerate();
        let frames = bytes.flat_map(|(n, byte)| crypto((start * 100 + n) as u64, &[*byte])).collect();
        w.send(Space::Initial, frames);
    }
    goes_on(&mut w);
}

#[test]
fn x15_client_hello_of_200_kib() {
    let (mut w, hello) = with_hello(Options::default());
    let body = [&hello[4..], &vec![0; 200 << 10]].concat();
    let huge = with_length(1, &body, &[]);
    for (n, part) in huge.chunks(1100).enumerate() {
        if w.app.error().is_none() {
            w.send(Space::Initial, crypto((n * 1100) as u64, part));
        }
    }
    assert!(w.held().1 <= 64 << 10, "{:?}", w.held());
    w.expect_close(&[CRYPTO_BUFFER_EXCEEDED, DECODE_ERROR]);
}
