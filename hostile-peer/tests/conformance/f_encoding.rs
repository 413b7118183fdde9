//! Table F: frames that cannot be parsed, or that this packet type or this side never carries.

use hostile_peer::cases::frames_with_fields;

use crate::common::*;

both_sides! {
    fn f01_unknown_frame(side) {
        for kind in [0x20, varint::MAX, 0x21, 0x22, 0xae, 0xb0, 0x2f, 0x32, 0x41, 0x3fff, 0x3fff_ffff] {
            closes_with(side, wire::ints(&[kind]), FRAME_ENCODING_ERROR, kind);
        }
        for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
            let mut w = World::at(side, stage);
            w.send(space, wire::ints(&[varint::MAX]));
            w.expect_close_in(FRAME_ENCODING_ERROR, varint::MAX);
        }
    }

    fn f02_frame_type_longer_than_needed(side) {
        let types = (0x00..=0x1f).chain([0x24, 0x30, 0x31]);
        for (kind, size) in types.flat_map(|kind| [2, 4, 8].map(|size| (kind, size))) {
            let payload = [wire::long_int(kind, size), vec![0; 40]].concat();
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, payload);
            w.expect_close_in(PROTOCOL_VIOLATION, kind);
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

    /// The two frames of the row, and all others that RFC 9000 §12.4 Table 3 forbids in these packets.
    fn f04_frames_of_1rtt_in_initial_and_handshake(side) {
        for frame in frames_with_fields(side).into_iter().chain([vec![0x1e]]) {
            let kind = u64::from(frame[0]);
            if matches!(kind, 0x02 | 0x03 | 0x06 | 0x1c | 0x1d) {
                continue;
            }
            for (stage, space) in [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)] {
                let mut w = World::at(side, stage);
                w.send(space, frame.clone());
                w.expect_close_in(PROTOCOL_VIOLATION, kind);
            }
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
        // 65,527 bytes of UDP payload, minus a header of 13 bytes, a tag of 16 and the other fields.
        let (largest, unreadable) = (vec![b'x'; 65_527 - 13 - 16 - 1 - 8 - 8 - 4], vec![0xff; 100]);
        for (reason, application) in [(&largest, false), (&largest, true), (&unreadable, false), (&unreadable, true)] {
            let mut w = World::at(side, Stage::Confirmed);
            let sent = w.sent.len();
            let frame = if application {
                Frame::ApplicationClose { code: varint::MAX, reason }
            } else {
                Frame::TransportClose { code: varint::MAX, frame_type: varint::MAX, reason }
            };
            w.send(Space::Data, wire::frame(&frame));
            w.expect_told();
            assert!(matches!(w.app.error(), Some(ConnectionError::PeerClosed(_))), "{:?}", w.app.error());
            let shown = w.app.error().map(ToString::to_string);
            assert!(shown.is_some_and(|text| !text.is_empty()), "the reason can be shown");
            // RFC 9000 §10.2.2: a draining endpoint is silent.
            w.send(Space::Data, vec![1]);
            assert_eq!(w.sent.len(), sent);
            assert!(w.app.error().is_some_and(|error| error.to_string().len() < 200 << 10), "cut or lossy");
            w.expect_gone();
        }
    }

    fn f07_close_with_a_reason_beyond_the_packet(side) {
        let payload = [wire::ints(&[0x1c, 1, 0, 60_000]), vec![b'x'; 80]].concat();
        closes_with(side, payload, FRAME_ENCODING_ERROR, 0x1c);
    }
}

#[test]
fn f30_handshake_done_and_new_token_at_a_server() {
    closes_with(Side::Server, vec![0x1e], PROTOCOL_VIOLATION, 0x1e);
    closes_with(Side::Server, wire::frame(&Frame::NewToken(b"token")), PROTOCOL_VIOLATION, 0x07);
}
