//! Stream limits that are raised during the connection.

use super::*;
use crate::error::TransportErrorCode as Code;

fn server_with(max_uni: u64) -> End {
    End::ready(StreamsConfig { max_uni, ..StreamsConfig::new(Side::Server) })
}

fn open_and_close(server: &mut End, index: u64) {
    server.stream(client_uni(index), 0, b"", true).unwrap();
    assert_eq!(server.read(client_uni(index), 1), Ok(Read::Finished));
}

#[test]
fn a_raised_limit_is_sent_at_once_and_limits_concurrent_streams() {
    // The window is so large that ten more streams alone would not cause a frame.
    let mut server = server_with(1_000);
    assert!(server.stream(client_uni(1_000), 0, b"", false).is_err());
    server.streams.set_max_streams(Dir::Uni, 1_010);
    let (payload, receipts) = server.packet(1_200);
    assert_eq!(frames(&payload), [Frame::MaxStreams { dir: Dir::Uni, limit: 1_010 }]);
    assert!(!server.streams.wants(&server.schedule).any(), "it is told once");
    assert_eq!(server.stream(client_uni(1_009), 0, b"", false), Ok(()));
    let beyond = server.stream(client_uni(1_010), 0, b"", false);
    assert_eq!(beyond.unwrap_err().code(), Code::STREAM_LIMIT_ERROR);
    // The frame is lost and sent again.
    server.settle(&receipts, false);
    assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit: 1_010 }]);
    // Closed streams make room for as many as the new limit permits.
    for index in 0..1_010 {
        open_and_close(&mut server, index);
    }
    assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit: 2_020 }]);
    assert_eq!(server.streams.stream_limit(Side::Client, Dir::Bidi), 1_000, "the other kind is left alone");
}

#[test]
fn a_limit_is_never_taken_back() {
    let mut server = server_with(100);
    for count in [0, 1, 99, 100] {
        server.streams.set_max_streams(Dir::Uni, count);
        assert!(!server.streams.wants(&server.schedule).any(), "{count}");
        assert_eq!(server.streams.stream_limit(Side::Client, Dir::Uni), 100);
    }
    server.streams.set_max_streams(Dir::Uni, 150);
    server.streams.set_max_streams(Dir::Uni, 120);
    assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit: 150 }]);
    // A limit that permitted nothing at first can also be raised.
    let mut server = server_with(0);
    server.streams.set_max_streams(Dir::Uni, 1);
    assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit: 1 }]);
    assert_eq!(server.stream(client_uni(0), 0, b"x", false), Ok(()));
}

#[test]
fn concurrent_streams_are_bounded_whatever_is_requested() {
    for count in [60_000, 60_001, 1 << 60, (1 << 60) + 1, u64::MAX] {
        let mut server = server_with(10);
        server.streams.set_max_streams(Dir::Uni, count);
        assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit: 60_000 }]);
    }
}

/// A stream that was read to its end permits no other while it is held above because the application does not
/// take it.
#[test]
fn streams_that_a_layer_above_holds_permit_no_others() {
    let mut server = server_with(8);
    let hold = |server: &mut End, count| {
        server.streams.set_held_above(&HeldAbove { streams: [0, count], ..HeldAbove::default() });
    };
    for index in 0..8 {
        open_and_close(&mut server, index);
        hold(&mut server, index + 1);
    }
    assert!(!server.streams.wants(&server.schedule).any());
    for (count, limit) in [(5, 11), (0, 16)] {
        hold(&mut server, count);
        assert_eq!(frames(&server.packet(1_200).0), [Frame::MaxStreams { dir: Dir::Uni, limit }]);
    }
}
