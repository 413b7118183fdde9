use super::*;
use crate::{
    frame::{Frame, Frames, Receipt},
    ids::ConnectionId,
    testing::{tls_client_config, tls_server_config},
    version::Version,
};

fn parameters(side: Side) -> Vec<u8> {
    let params = TransportParameters { initial_max_data: side as u64 + 1, ..TransportParameters::default() };
    let mut bytes = Vec::new();
    params.write(&mut bytes);
    bytes
}

struct End {
    handshake: Handshake,
    budget: Budget,
    parameters: Option<TransportParameters>,
    completed: bool,
}

impl End {
    fn take(&mut self, progress: Progress) {
        self.parameters = self.parameters.take().or(progress.parameters);
        self.completed |= progress.completed;
    }

    /// Writes the CRYPTO frames of a level into one packet and returns them as (offset, data).
    fn frames(&mut self, space: Space, size: usize) -> Vec<(u64, Bytes)> {
        let mut payload = vec![0; size];
        let mut receipts: Vec<Receipt> = Vec::new();
        let mut w = FrameWriter::new(&mut payload, &mut receipts);
        self.handshake.write(space, &mut w);
        let written = w.written();
        let frames = Frames::new(&payload[..written]).map(|frame| match frame {
            Ok(Frame::Crypto { offset, data }) => (offset, Bytes::copy_from_slice(data)),
            other => panic!("only CRYPTO frames, not {other:?}"),
        });
        frames.collect()
    }
}

fn pair() -> (End, End) {
    let (server_config, certificate) = tls_server_config(b"test");
    let client = TlsSession::client(
        Version::V1,
        &tls_client_config(&certificate, b"test"),
        "localhost",
        parameters(Side::Client),
    );
    let server = TlsSession::server(Version::V1, &server_config, parameters(Side::Server));
    let end = |side, tls| End {
        handshake: Handshake::new(side, tls),
        budget: Budget::alone(1 << 20),
        parameters: None,
        completed: false,
    };
    let mut client = end(Side::Client, client.expect("a session"));
    let progress = client.handshake.start().expect("a ClientHello");
    client.take(progress);
    (client, end(Side::Server, server.expect("a session")))
}

fn deliver(to: &mut End, space: Space, frames: Vec<(u64, Bytes)>) -> Result<(), HandshakeError> {
    for (offset, data) in frames {
        let size = data.len();
        let progress = to.handshake.on_crypto(space, offset, data, size, &mut to.budget)?;
        to.take(progress);
    }
    Ok(())
}

#[test]
fn a_handshake_in_small_packets_in_reverse_order() {
    let (mut client, mut server) = pair();
    for _ in 0..4 {
        for space in Space::ALL {
            for to_server in [true, false] {
                let (from, to) =
                    if to_server { (&mut client, &mut server) } else { (&mut server, &mut client) };
                let mut frames = Vec::new();
                while from.handshake.wants(space) {
                    frames.extend(from.frames(space, 40));
                }
                frames.reverse();
                deliver(to, space, frames).expect("a good handshake");
            }
        }
    }
    assert!(client.completed && server.completed);
    assert_eq!(client.parameters.map(|p| p.initial_max_data), Some(2));
    assert_eq!(server.parameters.map(|p| p.initial_max_data), Some(1));
    assert_eq!(client.handshake.tls().expect("it has begun").alpn_protocol(), Some(&b"test"[..]));
    assert_eq!(client.handshake.tls().expect("it has begun").peer_certificates().len(), 1);
    assert_eq!(server.handshake.tls().expect("it has begun").server_name(), Some("localhost"));
    let (mut a, mut b) = ([0; 32], [0; 32]);
    client.handshake.export_keying_material(&mut a, b"label", b"context").expect("complete");
    server.handshake.export_keying_material(&mut b, b"label", b"context").expect("complete");
    assert_eq!(a, b);
}

#[test]
fn f15_crypto_data_too_far_ahead() {
    let (_, mut server) = pair();
    let at_limit = vec![(MAX_AHEAD - 1, Bytes::from_static(b"x"))];
    assert_eq!(deliver(&mut server, Space::Initial, at_limit), Ok(()));
    let beyond = vec![(MAX_AHEAD, Bytes::from_static(b"x"))];
    let error = HandshakeError::Violation(Violation::CryptoBufferExceeded);
    assert_eq!(deliver(&mut server, Space::Initial, beyond), Err(error));
}

#[test]
fn x11_a_session_id_in_the_client_hello() {
    for split in [1, 38, 39, 60] {
        let (mut client, mut server) = pair();
        let frames = client.frames(Space::Initial, 4096);
        let mut hello = frames[0].1.to_vec();
        hello[38] = 1;
        let pieces = vec![
            (0, Bytes::copy_from_slice(&hello[..split])),
            (split as u64, Bytes::copy_from_slice(&hello[split..])),
        ];
        let error = HandshakeError::Violation(Violation::TlsLegacySessionId);
        assert_eq!(deliver(&mut server, Space::Initial, pieces), Err(error));
    }
}

#[test]
fn x12_new_data_at_a_level_that_is_complete() {
    let (mut client, mut server) = pair();
    let hello = client.frames(Space::Initial, 4096);
    deliver(&mut server, Space::Initial, hello.clone()).expect("a ClientHello");
    assert_eq!(deliver(&mut server, Space::Initial, hello.clone()), Ok(()), "a retransmission");
    let end = hello[0].1.len() as u64;
    let more = vec![(end, Bytes::from_static(b"more"))];
    let error = HandshakeError::Violation(Violation::CryptoAfterLevel);
    assert_eq!(deliver(&mut server, Space::Initial, more), Err(error));
}

#[test]
fn x12_bytes_left_over_when_the_level_changes() {
    let (mut client, mut server) = pair();
    let hello = client.frames(Space::Initial, 4096);
    deliver(&mut server, Space::Initial, hello).expect("a ClientHello");
    let mut answer = server.frames(Space::Initial, 4096);
    let (_, data) = &mut answer[0];
    // The data ends with the beginning of another message after the ServerHello.
    *data = Bytes::from([&data[..], &[8, 0, 0]].concat());
    let error = HandshakeError::Violation(Violation::CryptoAfterLevel);
    assert_eq!(deliver(&mut client, Space::Initial, answer), Err(error));
}

#[test]
fn lost_and_resent_data_is_written_again() {
    let (mut client, _) = pair();
    let first = client.frames(Space::Initial, 4096);
    assert!(!client.handshake.wants(Space::Initial));
    client.handshake.on_lost(Space::Initial, 10, 5);
    assert_eq!(client.frames(Space::Initial, 4096), [(10, first[0].1.slice(10..15))]);
    client.handshake.resend(Space::Initial);
    assert_eq!(client.frames(Space::Initial, 4096), first);
    client.handshake.discard(Space::Initial, &mut client.budget);
    assert!(!client.handshake.wants(Space::Initial));
}

#[test]
fn x04_p06_connection_ids_are_authenticated() {
    let id = |text: &[u8]| ConnectionId::new(text).expect("short");
    let expected = ExpectedIds {
        peer: id(b"peer"),
        original_destination: id(b"original"),
        retry_source: Some(id(b"retry")),
    };
    let good = TransportParameters {
        initial_source_connection_id: Some(id(b"peer")),
        original_destination_connection_id: Some(id(b"original")),
        retry_source_connection_id: Some(id(b"retry")),
        ..TransportParameters::default()
    };
    assert_eq!(check_connection_ids(Side::Client, &good, &expected), Ok(()));
    for bad in [
        TransportParameters { initial_source_connection_id: None, ..good.clone() },
        TransportParameters { original_destination_connection_id: None, ..good.clone() },
        TransportParameters { retry_source_connection_id: None, ..good.clone() },
        TransportParameters { retry_source_connection_id: Some(id(b"other")), ..good.clone() },
    ] {
        assert_eq!(
            check_connection_ids(Side::Client, &bad, &expected),
            Err(Violation::ParameterConnectionId)
        );
    }
    let no_retry = ExpectedIds { retry_source: None, ..expected };
    assert_eq!(check_connection_ids(Side::Client, &good, &no_retry), Err(Violation::ParameterConnectionId));
    let client = TransportParameters { initial_source_connection_id: None, ..TransportParameters::default() };
    assert_eq!(check_connection_ids(Side::Server, &client, &expected), Err(Violation::ParameterConnectionId));
}
