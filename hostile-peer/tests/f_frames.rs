//! Table F: frames that an honest peer would not send.

use hostile_peer::{Options, Stage, World, both, both_sides, peer::encode, wire};
use quic_core::{
    ConnectionId, Dir, Side, Space, StreamId, TransportConfig,
    base::varint,
    error::{CloseReason, ConnectionError},
    frame::Frame,
};

const FLOW_CONTROL_ERROR: u64 = 0x03;
const STREAM_LIMIT_ERROR: u64 = 0x04;
const STREAM_STATE_ERROR: u64 = 0x05;
const FINAL_SIZE_ERROR: u64 = 0x06;
const FRAME_ENCODING_ERROR: u64 = 0x07;
const CONNECTION_ID_LIMIT_ERROR: u64 = 0x09;
const PROTOCOL_VIOLATION: u64 = 0x0a;
const CRYPTO_BUFFER_EXCEEDED: u64 = 0x0d;

/// A stream that the peer opens.
fn theirs(side: Side, dir: Dir, index: u64) -> StreamId {
    StreamId::new(side.peer(), dir, index)
}

/// A stream that the endpoint under test opens.
fn ours(side: Side, dir: Dir, index: u64) -> StreamId {
    StreamId::new(side, dir, index)
}

fn cid(n: u64) -> ConnectionId {
    ConnectionId::new(&n.to_be_bytes()).expect("eight bytes")
}

fn token(n: u64) -> [u8; 16] {
    let mut token = [0x77; 16];
    token[..8].copy_from_slice(&n.to_be_bytes());
    token
}

fn new_cid(sequence: u64, retire_prior_to: u64, id: u64) -> Vec<u8> {
    wire::frame(&Frame::NewConnectionId { sequence, retire_prior_to, id: cid(id), token: token(id) })
}

/// One 1-RTT packet after the handshake is answered by one close.
#[track_caller]
fn closes_with(side: Side, payload: Vec<u8>, code: u64, frame_type: u64) {
    let mut w = World::at(side, Stage::Confirmed);
    w.send(Space::Data, payload);
    w.expect_close_in(code, frame_type);
}

/// A varied set of frames that have fields.
fn frames_with_fields(side: Side) -> Vec<Vec<u8>> {
    let stream = theirs(side, Dir::Bidi, 300);
    let all = [
        Frame::ResetStream { id: stream, code: 70, final_size: 700 },
        Frame::ResetStreamAt { id: stream, code: 70, final_size: 700, reliable_size: 100 },
        Frame::StopSending { id: stream, code: 70 },
        Frame::Crypto { offset: 100, data: b"data" },
        Frame::Stream { id: stream, offset: 70, fin: true, data: b"data" },
        Frame::Stream { id: stream, offset: 0, fin: false, data: b"data" },
        Frame::MaxData(70_000),
        Frame::MaxStreamData { id: stream, limit: 70_000 },
        Frame::MaxStreams { dir: Dir::Bidi, limit: 200 },
        Frame::MaxStreams { dir: Dir::Uni, limit: 200 },
        Frame::DataBlocked(70_000),
        Frame::StreamDataBlocked { id: stream, limit: 100 },
        Frame::StreamsBlocked { dir: Dir::Bidi, limit: 100 },
        Frame::StreamsBlocked { dir: Dir::Uni, limit: 100 },
        Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id: cid(1), token: token(1) },
        Frame::RetireConnectionId(70),
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([1; 8]),
        Frame::TransportClose { code: 70, frame_type: 70, reason: b"reason" },
        Frame::ApplicationClose { code: 70, reason: b"reason" },
        Frame::Datagram { data: b"data", has_length: true },
    ];
    let mut all: Vec<_> = all.iter().map(wire::frame).collect();
    all.push(wire::ack(1, 70, 0, &[]));
    all.push([&[0x03], &wire::ack(100, 70, 10, &[(5, 5), (6, 6)])[1..], &[1, 2, 3]].concat());
    if side == Side::Client {
        all.push(wire::frame(&Frame::NewToken(b"token")));
    }
    all
}

both_sides! {
    fn f01_unknown_frame(side) {
        for kind in [0x20, 0x3fff_ffff, 0x22, 0x41] {
            closes_with(side, wire::ints(&[kind]), FRAME_ENCODING_ERROR, kind);
        }
    }

    fn f02_frame_type_longer_than_needed(side) {
        let types = (0x00..=0x1e).chain([0x24, 0x30, 0x31]);
        for (kind, size) in types.flat_map(|kind| [2, 4, 8].map(|size| (kind, size))) {
            let payload = [wire::long_int(kind, size), vec![0; 40]].concat();
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, payload);
            w.expect_close(&[PROTOCOL_VIOLATION]);
        }
    }

    fn f02_frame_type_cut(side) {
        for payload in [&[0x01, 0x40][..], &[0x01, 0x80, 0, 0], &[0x01, 0xc0, 0, 0, 0, 0, 0, 0]] {
            closes_with(side, payload.to_vec(), FRAME_ENCODING_ERROR, 0);
        }
    }

    fn f03_frames_cut_at_each_byte(side) {
        for frame in frames_with_fields(side) {
            for cut in 1..frame.len() {
                closes_with(side, frame[..cut].to_vec(), FRAME_ENCODING_ERROR, u64::from(frame[0]));
            }
        }
    }

    fn f04_frames_of_1rtt_in_handshake(side) {
        for frame in [wire::frame(&Frame::PathChallenge([1; 8])), new_cid(1, 0, 1)] {
            let mut w = World::at(side, Stage::Handshake);
            let kind = u64::from(frame[0]);
            w.send(Space::Handshake, frame);
            w.expect_close_in(PROTOCOL_VIOLATION, kind);
        }
    }

    fn f06_application_close_in_initial(side) {
        for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
            let mut w = World::at(side, stage);
            w.send(space, wire::frame(&Frame::ApplicationClose { code: 0x1234, reason: b"why" }));
            w.expect_close_in(PROTOCOL_VIOLATION, 0x1d);
            let told = CloseReason::Application { code: 0x1234, reason: "why".into() };
            assert_eq!(w.app.error(), Some(&ConnectionError::PeerClosed(told)));
        }
    }

    fn f07_close_with_a_huge_or_unreadable_reason(side) {
        for reason in [vec![b'x'; 60_000], vec![0xff; 100]] {
            let mut w = World::at(side, Stage::Confirmed);
            let sent = w.sent.len();
            w.send(Space::Data, wire::frame(&Frame::TransportClose { code: 1, frame_type: 0, reason: &reason }));
            w.expect_told();
            assert!(matches!(w.app.error(), Some(ConnectionError::PeerClosed(_))), "{:?}", w.app.error());
            let shown = w.app.error().map(ToString::to_string);
            assert!(shown.is_some_and(|text| !text.is_empty()), "the reason can be shown");
            // RFC 9000 §10.2.2: draining, so silence.
            w.send(Space::Data, vec![1]);
            assert_eq!(w.sent.len(), sent);
            w.expect_gone();
        }
    }

    fn f07_close_with_a_reason_beyond_the_packet(side) {
        let payload = [wire::ints(&[0x1c, 1, 0, 60_000]), vec![b'x'; 80]].concat();
        closes_with(side, payload, FRAME_ENCODING_ERROR, 0x1c);
    }

    fn f08_ack_of_packets_never_sent(side) {
        closes_with(side, wire::ack(10_000, 0, 0, &[]), PROTOCOL_VIOLATION, 0x02);
        let mut w = World::at(side, Stage::Handshake);
        w.send(Space::Handshake, wire::ack(50, 0, 0, &[]));
        w.expect_close_in(PROTOCOL_VIOLATION, 0x02);
    }

    /// The endpoint leaves a number out now and then, to catch exactly this (RFC 9000 §21.4).
    fn f08_ack_of_a_skipped_number(side) {
        let mut w = World::at(side, Stage::Confirmed);
        for _ in 0..40 {
            let received = w.peer.received(Space::Data);
            let largest = received.last().copied().unwrap_or_default();
            if (0..largest).any(|number| !received.contains(&number)) {
                break;
            }
            w.expect_alive();
        }
        let received = w.peer.received(Space::Data);
        let largest = received.last().copied().expect("packets");
        let skipped = (0..largest).rev().find(|number| !received.contains(number)).expect("a gap");
        w.send(Space::Data, wire::ack(largest, 0, largest - skipped, &[]));
        w.expect_close_in(PROTOCOL_VIOLATION, 0x02);
    }

    fn f09_ack_ranges_below_zero(side) {
        for frame in [
            wire::ack(1, 0, 2, &[]),
            wire::ack(1, 0, 0, &[(0, 0)]),
            wire::ack(3, 0, 0, &[(0, 2)]),
            wire::ack(3, 0, 0, &[(varint::MAX, varint::MAX)]),
        ] {
            closes_with(side, frame, FRAME_ENCODING_ERROR, 0x02);
        }
    }

    fn f10_ack_with_more_ranges_than_bytes(side) {
        let payload = [wire::ints(&[0x02, 1, 0, 1 << 32, 0]), vec![0; 20]].concat();
        closes_with(side, payload, FRAME_ENCODING_ERROR, 0x02);
    }

    /// Time stands still until the first timer fires: round trips of zero come by themselves.
    fn f11_ack_delay_overflows(side) {
        let params = |mut p: quic_core::params::TransportParameters| {
            p.ack_delay_exponent = 20;
            p.max_ack_delay = std::time::Duration::from_millis((1 << 14) - 1);
            encode(&p)
        };
        let options = Options { params: Box::new(params), ..Options::default() };
        let mut w = World::with(side, Stage::Confirmed, options);
        w.peer.acks = false;
        for _ in 0..3 {
            w.connection().ping();
            w.poll();
            let largest = w.peer.received(Space::Data).last().copied().expect("a packet");
            w.send(Space::Data, wire::ack(largest, varint::MAX, 0, &[]));
        }
        w.peer.acks = true;
        w.expect_alive();
    }

    fn f12_reset_of_a_stream_the_peer_cannot_send_on(side) {
        let id = ours(side, Dir::Uni, 0);
        let reset = Frame::ResetStream { id, code: 1, final_size: 0 };
        closes_with(side, wire::frame(&reset), STREAM_STATE_ERROR, 0x04);
        let reset = Frame::ResetStreamAt { id, code: 1, final_size: 0, reliable_size: 0 };
        closes_with(side, wire::frame(&reset), STREAM_STATE_ERROR, 0x24);
    }

    fn f13_stop_sending_where_nothing_is_sent(side) {
        for id in [theirs(side, Dir::Uni, 0), ours(side, Dir::Bidi, 0), ours(side, Dir::Uni, 0)] {
            closes_with(side, wire::frame(&Frame::StopSending { id, code: 1 }), STREAM_STATE_ERROR, 0x05);
            let credit = Frame::MaxStreamData { id, limit: 1 };
            closes_with(side, wire::frame(&credit), STREAM_STATE_ERROR, 0x11);
        }
    }

    fn f14_crypto_beyond_the_largest_offset(side) {
        let mut w = World::at(side, Stage::Confirmed);
        w.send(Space::Data, [wire::ints(&[0x06, varint::MAX, 4]), vec![1; 4]].concat());
        w.expect_close(&[FRAME_ENCODING_ERROR, CRYPTO_BUFFER_EXCEEDED]);
    }

    fn f15_crypto_beyond_the_buffer_in_1rtt(side) {
        let mut w = World::at(side, Stage::Confirmed);
        let offset = (64 << 10) + w.peer.crypto_sent(Space::Data);
        w.send(Space::Data, wire::frame(&Frame::Crypto { offset, data: &[1] }));
        w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
    }

    /// Everything but the first byte: it is held, up to the limit, and no further.
    fn f15_crypto_with_a_gap_fills_the_buffer_and_no_more(side) {
        let mut w = World::at(side, Stage::Confirmed);
        let start = w.peer.crypto_sent(Space::Data);
        for at in (1..64 << 10).step_by(1000) {
            let data = vec![1; 1000.min((64 << 10) - at)];
            w.send(Space::Data, wire::frame(&Frame::Crypto { offset: start + at as u64, data: &data }));
            assert!(w.app.error().is_none(), "within the limit at {at}");
        }
        assert!(w.connection().stats().memory_peak < 300 << 10);
        w.send(Space::Data, wire::frame(&Frame::Crypto { offset: start + (64 << 10), data: &[1] }));
        w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
    }

    fn f17_stream_that_only_the_endpoint_sends_on_or_opens(side) {
        for id in [ours(side, Dir::Uni, 0), ours(side, Dir::Bidi, 0)] {
            closes_with(side, wire::stream(id, 0, false, b"x"), STREAM_STATE_ERROR, 0x08);
        }
    }

    fn f18_stream_beyond_the_largest_offset(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let mut w = World::at(side, Stage::Confirmed);
        w.send(Space::Data, [wire::ints(&[0x0e, id.value(), varint::MAX, 4]), vec![1; 4]].concat());
        w.expect_close(&[FRAME_ENCODING_ERROR, FLOW_CONTROL_ERROR]);
    }

    fn f19_streams_over_the_limit(side) {
        let limit = TransportConfig::default().max_streams_bidi;
        for dir in [Dir::Bidi, Dir::Uni] {
            let id = theirs(side, dir, limit);
            let mut cases = vec![
                Frame::Stream { id, offset: 0, fin: false, data: b"x" },
                Frame::ResetStream { id, code: 0, final_size: 0 },
                Frame::ResetStreamAt { id, code: 0, final_size: 0, reliable_size: 0 },
                Frame::StreamDataBlocked { id, limit: 0 },
            ];
            if dir == Dir::Bidi {
                cases.push(Frame::StopSending { id, code: 0 });
                cases.push(Frame::MaxStreamData { id, limit: 0 });
            }
            for frame in cases {
                closes_with(side, wire::frame(&frame), STREAM_LIMIT_ERROR, frame.frame_type());
            }
            // The last one within the limit is served.
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, wire::stream(theirs(side, dir, limit - 1), 0, true, b"x"));
            assert!(w.app.error().is_none());
        }
    }

    fn f20_final_size_over_the_windows(side) {
        let config = TransportConfig::default();
        let (window, total) = (config.stream_receive_window, config.receive_window);
        let reset = |index, final_size| {
            wire::frame(&Frame::ResetStream { id: theirs(side, Dir::Bidi, index), code: 0, final_size })
        };
        closes_with(side, reset(0, window + 1), FLOW_CONTROL_ERROR, 0x04);
        let mut w = World::at(side, Stage::Confirmed);
        w.reads = false;
        for index in 0..total / window {
            // One byte at the end of the window; a reset would be forgotten, and its credit given back, at once.
            let id = theirs(side, Dir::Bidi, index);
            w.send(Space::Data, wire::stream(id, window - 1, false, b"x"));
            assert!(w.app.error().is_none(), "within the window");
        }
        w.send(Space::Data, reset(total / window, 1));
        w.expect_close_in(FLOW_CONTROL_ERROR, 0x04);
    }

    fn f21_final_size_changes(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let fin = |offset, data| wire::stream(id, offset, true, data);
        let data = |offset, data| wire::stream(id, offset, false, data);
        let reset = |final_size| wire::frame(&Frame::ResetStream { id, code: 0, final_size });
        for (first, second) in [
            (fin(0, b"abcd"), data(3, b"de")),
            (fin(0, b"abcd"), fin(0, b"abcde")),
            (fin(5, b"abcd"), fin(0, b"abc")),
            (data(0, b"abcd"), fin(0, b"abc")),
            (data(0, b"abcd"), reset(3)),
            (fin(4, b"abcd"), reset(9)),
            (reset(4), reset(5)),
            (reset(4), data(4, b"x")),
        ] {
            for reads in [true, false] {
                let mut w = World::at(side, Stage::Confirmed);
                w.reads = reads;
                w.send(Space::Data, first.clone());
                assert!(w.app.error().is_none());
                if reads && w.app.ended.contains_key(&id) {
                    // Known to be over for good: late frames are 0x06 or ignored.
                    w.send(Space::Data, second.clone());
                    if w.app.error().is_some() {
                        w.expect_close(&[FINAL_SIZE_ERROR]);
                    }
                } else {
                    w.send(Space::Data, second.clone());
                    w.expect_close(&[FINAL_SIZE_ERROR]);
                }
            }
        }
    }

    fn f21_the_same_end_again_is_ignored(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let ends = [
            wire::stream(id, 4, true, b"abcd"),
            wire::frame(&Frame::ResetStream { id, code: 0, final_size: 4 }),
        ];
        for end in ends {
            let mut w = World::at(side, Stage::Confirmed);
            for _ in 0..3 {
                w.send(Space::Data, end.clone());
            }
            w.expect_alive();
        }
    }

    fn f26_new_connection_id_with_bad_fields(side) {
        let raw = |length: u8, sequence: u64, retire: u64| {
            let id = vec![9; usize::from(length)];
            [wire::ints(&[0x18, sequence, retire]), vec![length], id, vec![1; 16]].concat()
        };
        for payload in [raw(0, 1, 0), raw(21, 1, 0), raw(8, 1, 2)] {
            closes_with(side, payload, FRAME_ENCODING_ERROR, 0x18);
        }
    }

    fn f27_connection_ids_reused(side) {
        let other_token =
            wire::frame(&Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id: cid(1), token: token(2) });
        for second in [new_cid(1, 0, 2), new_cid(2, 0, 1), other_token] {
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, new_cid(1, 0, 1));
            w.send(Space::Data, second);
            w.expect_close_in(PROTOCOL_VIOLATION, 0x18);
        }
    }

    fn f29_retirement_of_ids_not_issued_or_in_use(side) {
        for sequence in [100, varint::MAX] {
            let frame = wire::frame(&Frame::RetireConnectionId(sequence));
            closes_with(side, frame, PROTOCOL_VIOLATION, 0x19);
        }
        // The handshake's ID is the one that packets go to.
        closes_with(side, wire::frame(&Frame::RetireConnectionId(0)), PROTOCOL_VIOLATION, 0x19);
    }

    fn f31_datagrams_not_offered_or_too_large(side) {
        for (offered, size) in [(0, 0), (0, 10), (100, 99), (100, 100)] {
            let transport = TransportConfig { max_datagram_frame_size: offered, ..TransportConfig::default() };
            let mut w =
                World::with(side, Stage::Confirmed, Options { transport, ..Options::default() });
            // Type, and two bytes of length: 99 and 100 are both beyond 100.
            w.send(Space::Data, [wire::long_int(0x31, 1), wire::ints(&[size]), vec![1; size as usize]].concat());
            w.expect_close_in(PROTOCOL_VIOLATION, 0x31);
        }
    }
}

both! {
    fn f22_stream_bytes_with_other_content(w: Confirmed) {
        let id = theirs(w.side(), Dir::Bidi, 0);
        w.send(Space::Data, wire::stream(id, 10, false, &[b'a'; 10]));
        w.send(Space::Data, wire::stream(id, 5, false, &[b'b'; 20]));
        w.send(Space::Data, wire::stream(id, 0, false, &[b'c'; 25]));
        w.send(Space::Data, wire::stream(id, 0, true, &[b'd'; 25]));
        let expected = [[b'c'; 5].to_vec(), vec![b'b'; 5], vec![b'a'; 10], vec![b'b'; 5]].concat();
        assert_eq!(w.app.received.get(&id), Some(&expected));
        w.expect_alive();
    }

    fn f23_limits_that_go_down_are_ignored(w: Confirmed) {
        let lower = [
            Frame::MaxData(1),
            Frame::MaxStreams { dir: Dir::Uni, limit: 0 },
            Frame::MaxStreams { dir: Dir::Bidi, limit: 0 },
        ];
        w.send(Space::Data, wire::frames(&lower));
        w.expect_alive();
    }

    fn f23_stream_limit_beyond_what_ids_can_tell(w: Confirmed) {
        w.send(Space::Data, wire::ints(&[0x13, (1 << 60) + 1]));
        w.expect_close_in(FRAME_ENCODING_ERROR, 0x13);
    }

    fn f24_stream_data_blocked_on_a_send_only_stream(w: Confirmed) {
        let id = ours(w.side(), Dir::Uni, 0);
        w.send(Space::Data, wire::frame(&Frame::StreamDataBlocked { id, limit: 0 }));
        w.expect_close_in(STREAM_STATE_ERROR, 0x15);
    }

    fn f25_streams_blocked_beyond_what_ids_can_tell(w: Confirmed) {
        w.send(Space::Data, wire::ints(&[0x16, (1 << 60) + 1]));
        w.expect_close(&[STREAM_LIMIT_ERROR, FRAME_ENCODING_ERROR]);
    }

    fn f27_an_exact_repeat_is_ignored(w: Confirmed) {
        for _ in 0..3 {
            w.send(Space::Data, new_cid(1, 0, 1));
        }
        w.expect_alive();
    }

    fn f28_one_connection_id_too_many(w: Confirmed) {
        // Four are held; one is retired by the fifth frame.
        for n in 1..=3 {
            w.send(Space::Data, new_cid(n, 0, n));
        }
        w.send(Space::Data, new_cid(4, 1, 4));
        assert!(w.app.error().is_none());
        w.send(Space::Data, new_cid(5, 1, 5));
        w.expect_close_in(CONNECTION_ID_LIMIT_ERROR, 0x18);
    }

    fn f29_the_same_retirement_twice_is_ignored(w: Confirmed) {
        let (_, id, _) = w.peer.issued()[0];
        w.peer.dcid = id;
        for _ in 0..3 {
            w.send(Space::Data, wire::frame(&Frame::RetireConnectionId(0)));
        }
        w.expect_alive();
        assert_eq!(w.peer.count(|frame| matches!(frame, Frame::NewConnectionId { sequence: 4, .. })), 1);
    }

    fn f32_empty_datagrams_without_end(w: Confirmed) {
        w.reads = false;
        let many = [0x31, 0].repeat(30_000);
        for _ in 0..34 {
            w.send(Space::Data, many.clone());
        }
        w.send(Space::Data, vec![0x30]);
        let stats = w.connection().stats();
        assert!(stats.memory_peak < 4 << 20, "{stats:?}");
        w.reads = true;
        w.send(Space::Data, vec![0x31, 0]);
        w.expect_alive();
    }

    fn f33_reliable_size_above_the_final_size(w: Confirmed) {
        let id = theirs(w.side(), Dir::Bidi, 0);
        w.send(Space::Data, wire::ints(&[0x24, id.value(), 1, 10, 11]));
        w.expect_close_in(FRAME_ENCODING_ERROR, 0x24);
    }
}

both_sides! {
    /// The parameter tells what its sender takes, not what it sends.
    fn f34_reset_stream_at_from_a_peer_that_did_not_offer_it(side) {
        let params = |mut p: quic_core::params::TransportParameters| {
            p.reset_stream_at = false;
            encode(&p)
        };
        let options = Options { params: Box::new(params), ..Options::default() };
        let mut w = World::with(side, Stage::Confirmed, options);
        let id = theirs(side, Dir::Uni, 0);
        let reset = Frame::ResetStreamAt { id, code: 9, final_size: 8, reliable_size: 4 };
        w.send(Space::Data, [wire::stream(id, 0, false, b"abcd"), wire::frame(&reset)].concat());
        assert_eq!(w.app.received.get(&id).map(Vec::as_slice), Some(&b"abcd"[..]));
        assert_eq!(w.app.ended.get(&id), Some(&Some(9)));
        w.expect_alive();
    }
}

#[test]
fn f15_crypto_beyond_the_buffer_in_initial_server() {
    let mut w = World::before(Side::Server, Options::default());
    w.peer.start(cid(77));
    let (offset, data) = w.peer.take_crypto(Space::Initial, 20);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset, data: &data }));
    assert!(w.connection.is_some() && w.app.error().is_none());
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset: 20 + (64 << 10), data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_initial_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_handshake_server() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    w.send(Space::Handshake, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f15_crypto_beyond_the_buffer_in_handshake_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let (offset, data) = w.peer.take_crypto(Space::Initial, usize::MAX);
    w.send(Space::Initial, wire::frame(&Frame::Crypto { offset, data: &data }));
    assert!(w.app.error().is_none());
    w.send(Space::Handshake, wire::frame(&Frame::Crypto { offset: 64 << 10, data: &[1] }));
    w.expect_close_in(CRYPTO_BUFFER_EXCEEDED, 0x06);
}

#[test]
fn f16_empty_token() {
    closes_with(Side::Client, vec![0x07, 0x00], FRAME_ENCODING_ERROR, 0x07);
}

#[test]
fn f16_tokens_without_end() {
    let mut w = World::at(Side::Client, Stage::Confirmed);
    let many = wire::frame(&Frame::NewToken(&[7; 40])).repeat(1000);
    for _ in 0..100 {
        w.send(Space::Data, many.clone());
    }
    assert!(w.connection().stats().memory_used < 64 << 10);
    w.expect_alive();
}

#[test]
fn f30_handshake_done_and_new_token_at_a_server() {
    closes_with(Side::Server, vec![0x1e], PROTOCOL_VIOLATION, 0x1e);
    closes_with(Side::Server, wire::frame(&Frame::NewToken(b"token")), PROTOCOL_VIOLATION, 0x07);
}
