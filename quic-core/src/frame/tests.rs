use proptest::prelude::*;

use super::*;
use crate::{
    base::{Writer, varint},
    error::Violation,
    ids::{ConnectionId, Dir, Level, Side, StreamId},
};

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let mut writer = Writer::new(&mut bytes);
    assert!(frame.write(&mut writer), "{frame:?} fits");
    writer.written().to_vec()
}

fn only(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let mut frames = Frames::new(bytes);
    let first = frames.next().expect("a frame");
    assert!(frames.next().is_none(), "one frame");
    first
}

fn stream_id() -> impl Strategy<Value = StreamId> {
    (any::<bool>(), any::<bool>(), 0..1u64 << 60).prop_map(|(client, uni, index)| {
        let side = if client { Side::Client } else { Side::Server };
        StreamId::new(side, if uni { Dir::Uni } else { Dir::Bidi }, index)
    })
}

fn data() -> impl Strategy<Value = &'static [u8]> {
    (0usize..64)
        .prop_map(|length| &b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!?"[..length])
}

fn simple_frame() -> impl Strategy<Value = Frame<'static>> {
    let v = 0..=varint::MAX;
    let dir = any::<bool>().prop_map(|uni| if uni { Dir::Uni } else { Dir::Bidi });
    prop_oneof![
        (1usize..50).prop_map(Frame::Padding),
        Just(Frame::Ping),
        Just(Frame::HandshakeDone),
        Just(Frame::ImmediateAck),
        (v.clone(), v.clone(), v.clone(), v.clone()).prop_map(|(sequence, threshold, delay, reordering)| {
            Frame::AckFrequency { sequence, threshold, max_ack_delay: delay, reordering }
        }),
        (stream_id(), v.clone(), v.clone()).prop_map(|(id, code, final_size)| Frame::ResetStream {
            id,
            code,
            final_size
        }),
        (stream_id(), v.clone(), v.clone(), v.clone()).prop_map(|(id, code, a, b)| Frame::ResetStreamAt {
            id,
            code,
            final_size: a.max(b),
            reliable_size: a.min(b)
        }),
        (stream_id(), v.clone()).prop_map(|(id, code)| Frame::StopSending { id, code }),
        (0..1u64 << 61, data()).prop_map(|(offset, data)| Frame::Crypto { offset, data }),
        data().prop_filter("tokens are not empty", |d| !d.is_empty()).prop_map(Frame::NewToken),
        (stream_id(), 0..1u64 << 61, any::<bool>(), data())
            .prop_map(|(id, offset, fin, data)| Frame::Stream { id, offset, fin, data }),
        v.clone().prop_map(Frame::MaxData),
        (stream_id(), v.clone()).prop_map(|(id, limit)| Frame::MaxStreamData { id, limit }),
        (dir.clone(), 0..=1u64 << 60).prop_map(|(dir, limit)| Frame::MaxStreams { dir, limit }),
        v.clone().prop_map(Frame::DataBlocked),
        (stream_id(), v.clone()).prop_map(|(id, limit)| Frame::StreamDataBlocked { id, limit }),
        (dir, 0..=1u64 << 60).prop_map(|(dir, limit)| Frame::StreamsBlocked { dir, limit }),
        (v.clone(), v.clone(), prop::collection::vec(any::<u8>(), 1..=20), any::<[u8; 16]>()).prop_map(
            |(a, b, id, token)| Frame::NewConnectionId {
                sequence: a.max(b),
                retire_prior_to: a.min(b),
                id: ConnectionId::new(&id).expect("at most 20 bytes"),
                token
            }
        ),
        v.clone().prop_map(Frame::RetireConnectionId),
        any::<[u8; 8]>().prop_map(Frame::PathChallenge),
        any::<[u8; 8]>().prop_map(Frame::PathResponse),
        (v.clone(), v.clone(), data()).prop_map(|(code, frame_type, reason)| Frame::TransportClose {
            code,
            frame_type,
            reason
        }),
        (v, data()).prop_map(|(code, reason)| Frame::ApplicationClose { code, reason }),
        (data(), any::<bool>()).prop_map(|(data, has_length)| Frame::Datagram { data, has_length }),
    ]
}

proptest! {
    #[test]
    fn every_frame_survives_the_wire(frame in simple_frame()) {
        let bytes = encode(&frame);
        prop_assert_eq!(bytes.len(), frame.encoded_size());
        prop_assert_eq!(only(&bytes), Ok(frame.clone()));
        // A buffer that is one byte too short takes nothing.
        let mut short = vec![0; bytes.len() - 1];
        let mut writer = Writer::new(&mut short);
        prop_assert!(!frame.write(&mut writer));
        prop_assert_eq!(writer.position(), 0);
    }

    /// F03: a frame cut at any inner byte is an encoding error.
    #[test]
    fn f03_frames_cut_short(frame in simple_frame()) {
        let open_ended = matches!(frame, Frame::Padding(_) | Frame::Datagram { has_length: false, .. });
        prop_assume!(!open_ended);
        let bytes = encode(&frame);
        for cut in 1..bytes.len() {
            let error = only(&bytes[..cut]).expect_err("cut");
            prop_assert_eq!(error.violation, Violation::FrameTruncated);
        }
    }

    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for frame in Frames::new(&bytes).flatten() {
            let mut out = vec![0; 8192];
            if let Frame::Ack(ack) = &frame {
                for range in ack.ranges() {
                    prop_assert!(range.start() <= range.end());
                }
            }
            prop_assert!(frame.write(&mut Writer::new(&mut out)));
        }
    }

    #[test]
    fn ack_ranges_survive_the_wire(
        gaps in prop::collection::vec((2u64..100, 0u64..100), 1..60),
        delay in 0..=varint::MAX,
        room in 10usize..400,
        ecn in prop::option::of((0..1000u64, 0..1000u64, 0..1000u64)),
    ) {
        let mut ranges = Vec::new();
        let mut next = 0;
        for (gap, length) in gaps {
            ranges.push(next + gap..=next + gap + length);
            next += gap + length;
        }
        ranges.reverse();
        let ecn = ecn.map(|(ect0, ect1, ce)| EcnCounts { ect0, ect1, ce });
        let mut bytes = vec![0; room];
        let mut writer = Writer::new(&mut bytes);
        if write_ack(&mut writer, ranges.iter().cloned(), delay, ecn) {
            let written = writer.position();
            let Ok(Frame::Ack(ack)) = only(&bytes[..written]) else { panic!("an ACK frame") };
            let read: Vec<_> = ack.ranges().collect();
            prop_assert_eq!(&read[..], &ranges[..read.len()]);
            prop_assert_eq!((ack.delay, ack.ecn), (delay, ecn));
        } else {
            prop_assert!(room < 40);
        }
    }

    #[test]
    fn a_stream_frame_fills_its_packet(available in 0usize..3000, room in 0usize..1500, fin: bool, offset in 0..1u64 << 40) {
        let mut payload = vec![0xff; room];
        let mut receipts = Vec::new();
        let mut writer = FrameWriter::new(&mut payload, &mut receipts);
        let id = StreamId::new(Side::Client, Dir::Bidi, 5);
        let written = writer.stream(3, id, offset, available, fin, |place| place.fill(7));
        let used = writer.written();
        if let Some(length) = written {
            let expected = vec![7; length];
            let ends = fin && length == available;
            prop_assert_eq!(only(&payload[..used]), Ok(Frame::Stream { id, offset, fin: ends, data: &expected[..] }));
            prop_assert_eq!(&receipts[..], &[Receipt::Stream { slot: 3, offset, length: length as u32, fin: ends }]);
            prop_assert!(length == available || room - used <= 1);
        } else {
            prop_assert_eq!(used, 0);
            prop_assert!(room < 40 || (available == 0 && !fin));
        }
    }
}

fn error_of(bytes: &[u8]) -> FrameError {
    Frames::new(bytes).find_map(Result::err).expect("an error")
}

#[test]
fn f01_unknown_frame_types() {
    assert_eq!(error_of(&[0x20]), FrameError { violation: Violation::UnknownFrame, frame_type: 0x20 });
    assert_eq!(
        error_of(&[0xff; 8]),
        FrameError { violation: Violation::UnknownFrame, frame_type: varint::MAX }
    );
}

#[test]
fn f02_frame_types_in_longer_forms() {
    for known in (0..=0x1eu64).chain([0x24, 0x30, 0x31]) {
        for bytes in [
            &(0x4000 | known as u16).to_be_bytes()[..],
            &(0x8000_0000 | known as u32).to_be_bytes()[..],
            &(0xc000_0000_0000_0000 | known).to_be_bytes()[..],
        ] {
            assert_eq!(error_of(bytes).violation, Violation::FrameTypeNotMinimal);
        }
    }
    assert_eq!(error_of(&[0x40]).violation, Violation::FrameTruncated);
}

#[test]
fn f09_ack_ranges_below_zero() {
    assert_eq!(error_of(&[0x02, 3, 0, 0, 4]).violation, Violation::AckRangeNegative);
    assert_eq!(error_of(&[0x02, 3, 0, 1, 0, 2, 0]).violation, Violation::AckRangeNegative);
    assert_eq!(error_of(&[0x02, 9, 0, 1, 0, 2, 6]).violation, Violation::AckRangeNegative);
}

#[test]
fn f10_ack_range_count_beyond_the_frame() {
    let mut bytes = vec![0x02, 63, 0, 0xc0, 0, 0, 1, 0, 0, 0, 0, 0];
    bytes.extend([0; 18]);
    assert_eq!(error_of(&bytes).violation, Violation::FrameTruncated);
}

#[test]
fn f14_f18_offsets_beyond_the_largest_integer() {
    let mut crypto = vec![0x06];
    varint::put(&mut crypto, varint::MAX);
    crypto.extend([1, 0]);
    assert_eq!(error_of(&crypto).violation, Violation::CryptoOffset);
    let mut stream = vec![0x0e, 0];
    varint::put(&mut stream, varint::MAX);
    stream.extend([1, 0]);
    assert_eq!(error_of(&stream).violation, Violation::StreamOffset);
}

#[test]
fn f23_f25_stream_counts_above_the_limit() {
    for kind in [0x12, 0x13, 0x16, 0x17] {
        let mut bytes = vec![kind];
        varint::put(&mut bytes, (1 << 60) + 1);
        assert_eq!(error_of(&bytes).violation.code(), crate::error::TransportErrorCode::FRAME_ENCODING_ERROR);
    }
}

#[test]
fn f26_new_connection_id_lengths() {
    for length in [0u8, 21] {
        let mut bytes = vec![0x18, 1, 0, length];
        bytes.extend([0; 40]);
        assert_eq!(error_of(&bytes).violation, Violation::CidLength);
    }
    let mut bytes = vec![0x18, 1, 2, 4];
    bytes.extend([0; 20]);
    assert_eq!(error_of(&bytes).violation, Violation::CidRetirePriorTo);
}

#[test]
fn f33_reliable_size_above_final_size() {
    assert_eq!(error_of(&[0x24, 0, 0, 5, 6]).violation, Violation::ReliableSize);
}

#[test]
fn frames_are_permitted_as_table_3_says() {
    use Level::{Handshake, Initial, OneRtt, ZeroRtt};
    let close = Frame::TransportClose { code: 0, frame_type: 0, reason: b"" };
    let app_close = Frame::ApplicationClose { code: 0, reason: b"" };
    for packet in [Initial, Handshake] {
        assert!(Frame::Ping.is_permitted_in(packet) && close.is_permitted_in(packet));
        assert!(!app_close.is_permitted_in(packet) && !Frame::MaxData(0).is_permitted_in(packet));
        assert!(!Frame::PathChallenge([0; 8]).is_permitted_in(packet));
    }
    assert!(
        !Frame::HandshakeDone.is_permitted_in(ZeroRtt)
            && !Frame::Crypto { offset: 0, data: b"" }.is_permitted_in(ZeroRtt)
    );
    assert!(app_close.is_permitted_in(ZeroRtt) && Frame::HandshakeDone.is_permitted_in(OneRtt));
}

/// RFC 9000 §12.4 Table 3 and RFC 9221 §4 and ack-frequency, one row per type. A row lists the packets that may carry the type:
/// Initial and Handshake (I), 0-RTT (0) and 1-RTT (1). N means that it elicits no acknowledgment, P that it
/// only probes a path.
#[test]
fn every_type_has_its_row() {
    let stream = StreamId::new(Side::Client, Dir::Bidi, 0);
    let id = ConnectionId::new(&[1; 8]).expect("short");
    let ack: &[u8] = &[2, 0, 0, 0, 0];
    let Some(Ok(ack @ Frame::Ack(_))) = Frames::new(ack).next() else { panic!("an ACK frame") };
    let rows = [
        (Frame::Padding(1), "I01NP"),
        (Frame::Ping, "I01"),
        (ack, "I1N"),
        (Frame::ResetStream { id: stream, code: 0, final_size: 0 }, "01"),
        (Frame::ResetStreamAt { id: stream, code: 0, final_size: 0, reliable_size: 0 }, "01"),
        (Frame::StopSending { id: stream, code: 0 }, "01"),
        (Frame::Crypto { offset: 0, data: b"" }, "I1"),
        (Frame::NewToken(b"t"), "1"),
        (Frame::Stream { id: stream, offset: 0, fin: false, data: b"" }, "01"),
        (Frame::MaxData(0), "01"),
        (Frame::MaxStreamData { id: stream, limit: 0 }, "01"),
        (Frame::MaxStreams { dir: Dir::Bidi, limit: 0 }, "01"),
        (Frame::DataBlocked(0), "01"),
        (Frame::StreamDataBlocked { id: stream, limit: 0 }, "01"),
        (Frame::StreamsBlocked { dir: Dir::Uni, limit: 0 }, "01"),
        (Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id, token: [0; 16] }, "01P"),
        // §12.5: in 0-RTT the server has not yet given a connection ID that could be retired.
        (Frame::RetireConnectionId(0), "1"),
        (Frame::PathChallenge([0; 8]), "01P"),
        (Frame::PathResponse([0; 8]), "1P"),
        (Frame::TransportClose { code: 0, frame_type: 0, reason: b"" }, "I01N"),
        (Frame::ApplicationClose { code: 0, reason: b"" }, "01N"),
        (Frame::HandshakeDone, "1"),
        (Frame::ImmediateAck, "1"),
        (Frame::AckFrequency { sequence: 0, threshold: 1, max_ack_delay: 0, reordering: 1 }, "1"),
        (Frame::Datagram { data: b"", has_length: true }, "01"),
    ];
    for (frame, row) in &rows {
        let says = |letter| row.contains(letter);
        assert_eq!(frame.is_permitted_in(Level::Initial), says('I'), "{frame:?}");
        assert_eq!(frame.is_permitted_in(Level::Handshake), says('I'), "{frame:?}");
        assert_eq!(frame.is_permitted_in(Level::ZeroRtt), says('0'), "{frame:?}");
        assert_eq!(frame.is_permitted_in(Level::OneRtt), says('1'), "{frame:?}");
        assert_eq!(frame.is_ack_eliciting(), !says('N'), "{frame:?}");
        assert_eq!(frame.is_probing(), says('P'), "{frame:?}");
    }
}

/// A length field of two bytes ends at 16,383. Around that size a frame still fills its room.
#[test]
fn crypto_frames_fill_packets_of_any_size() {
    for room in (40..80).chain(16_370..16_410) {
        for available in [room / 2, room - 6, room - 5, room - 4, room - 3, room, 2 * room] {
            let (mut payload, mut receipts) = (vec![0; room], Vec::new());
            let mut w = FrameWriter::new(&mut payload, &mut receipts);
            let written =
                w.crypto(crate::ids::Space::Initial, 0, available, |place| place.fill(7)).expect("room");
            assert!(written >= available.min(room - 8), "{written} of {available} into {room}");
            let size = w.written();
            match Frames::new(&payload[..size]).next() {
                Some(Ok(Frame::Crypto { offset: 0, data })) => assert!(data.iter().all(|byte| *byte == 7)),
                other => panic!("{other:?}"),
            }
        }
    }
}
