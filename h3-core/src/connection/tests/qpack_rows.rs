//! The Q rows played by a peer, at both ends: which stream fails, with which code, with how much memory.

use super::{hostile::*, *};

const DECOMPRESSION_FAILED: u64 = 0x200;
const ENCODER_STREAM_ERROR: u64 = 0x201;
const DECODER_STREAM_ERROR: u64 = 0x202;

/// Asserts that a field section ends the connection, as a head and as trailers.
#[track_caller]
fn section_fails(side: Side, section: &[u8]) {
    on_request(side, |_| frame(1, section)).0.assert_failed(DECOMPRESSION_FAILED);
    let (mut rig, _) = on_request(side, |rig| [rig.first_headers(&[]), frame(1, section)].concat());
    rig.assert_failed(DECOMPRESSION_FAILED);
}

/// Asserts that bytes on the peer's encoder (2) or decoder stream (3) end the connection.
#[track_caller]
fn instruction_fails(side: Side, stream_type: u8, bytes: &[u8], code: u64) {
    for piece in [1, usize::MAX] {
        let (mut rig, _) = rig(side);
        rig.piece = piece;
        let id = rig.peer().open(Dir::Uni).unwrap();
        rig.push(id, &[&[stream_type][..], bytes].concat());
        rig.assert_failed(code);
    }
}

/// Integers with a full prefix: one of 2^62 or more, and one without an end.
fn endless(first: u8) -> [Vec<u8>; 2] {
    [[&[first][..], &[0x80; 10]].concat(), [&[first][..], &[0xff; 8], &[0x7f]].concat()]
}

#[test]
fn q01_static_index_99() {
    for side in BOTH {
        section_fails(side, &[0, 0, 0xff, 36]);
        section_fails(side, &[0, 0, 0x5f, 84, 0]);
    }
}

#[test]
fn q02_to_q04_encoder_instructions() {
    for side in BOTH {
        // A capacity above the maximum of 0, and 2^62.
        instruction_fails(side, 2, &[0x21], ENCODER_STREAM_ERROR);
        instruction_fails(
            side,
            2,
            &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
            ENCODER_STREAM_ERROR,
        );
        // Insertions with a static and with a literal name.
        instruction_fails(side, 2, &[0xc0, 0], ENCODER_STREAM_ERROR);
        instruction_fails(side, 2, &[0x41, b'a', 0], ENCODER_STREAM_ERROR);
        // A Duplicate, and a reference to a name that was never inserted.
        instruction_fails(side, 2, &[0x00], ENCODER_STREAM_ERROR);
        instruction_fails(side, 2, &[0x80, 0], ENCODER_STREAM_ERROR);
    }
}

#[test]
fn q05_insert_count_increments() {
    for side in BOTH {
        for bytes in [
            &[0x00][..],
            &[0x01],
            &[0x3f, 0x00],
            &[0x3f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
        ] {
            instruction_fails(side, 3, bytes, DECODER_STREAM_ERROR);
        }
        // An acknowledgment of a section without dynamic references.
        instruction_fails(side, 3, &[0x80], DECODER_STREAM_ERROR);
    }
}

#[test]
fn q06_stream_cancellations_without_end() {
    for side in BOTH {
        let (mut rig, _) = rig(side);
        let id = rig.peer().open(Dir::Uni).unwrap();
        rig.push(id, &[3]);
        let mut bytes = Vec::with_capacity(3000);
        rig.flood(1000, |rig, round| {
            bytes.clear();
            for n in 0..1000_u64 {
                let stream = round * 1000 + n;
                bytes.extend([
                    0x7f,
                    0x80 | (stream & 0x7f) as u8,
                    0x80 | (stream >> 7 & 0x7f) as u8,
                    (stream >> 14) as u8,
                ]);
            }
            rig.push(id, &bytes);
        });
        rig.assert_alive();
    }
}

#[test]
fn q07_to_q09_prefixes_and_references() {
    for side in BOTH {
        // Required Insert Counts without a table.
        for count in [&[1][..], &[2], &[0xfe], &[0xff, 0], &[0xff, 0x80, 0x01]] {
            section_fails(side, &[count, &[0, 0xc1]].concat());
        }
        // A negative Base.
        for delta in [0x80, 0xfe] {
            section_fails(side, &[0, delta, 0xc1]);
        }
        // References to entries, before and after the Base.
        for line in [&[0x80][..], &[0x10], &[0x40, 0], &[0x00, 0], &[0x07, 3, 0]] {
            section_fails(side, &[&[0, 3][..], line].concat());
        }
    }
}

#[test]
fn q12_integers_without_end() {
    for side in BOTH {
        for section in [0xff, 0x27, 0x5f].into_iter().flat_map(endless) {
            section_fails(side, &[&[0, 0][..], &section].concat());
        }
        for first in [0x3f, 0x1f, 0xff] {
            for bytes in endless(first) {
                instruction_fails(side, 2, &bytes, ENCODER_STREAM_ERROR);
            }
        }
        for first in [0xff, 0x7f, 0x3f] {
            for bytes in endless(first) {
                instruction_fails(side, 3, &bytes, DECODER_STREAM_ERROR);
            }
        }
    }
}

/// A hundred streams announce 2^30 bytes and send three. A literal in a complete frame ends the connection;
/// an unfinished frame costs only the bytes sent.
#[test]
fn q13_lengths_far_beyond_what_is_there() {
    let literal = [0, 0, 0x27, 0xf9, 0xff, 0xff, 0xff, 0x03, b'a', b'b', b'c'];
    for side in BOTH {
        section_fails(side, &literal);
        for frame_size in [&[0x40, 200][..], &[0x7f, 0xff], &[0xbf, 0xff, 0xff, 0xff]] {
            let (mut rig, _) = rig(side);
            rig.end().grants = [200, 100];
            rig.run();
            let measure = Measure::start();
            for _ in 0..90 {
                let id = rig.request();
                rig.push(id, &[&[1][..], frame_size, &literal].concat());
            }
            assert!(measure.peak_growth() < 1 << 20, "{}", measure.peak_growth());
            assert_eq!(rig.end().closed, None);
        }
    }
}

#[test]
fn q14_sections_over_the_limit() {
    let large = "a".repeat(17_000);
    let (mut server, id) = on_request(Side::Server, |rig| rig.first_headers(&[("x", &large)]));
    let answer = server.peer().pull(id);
    assert_eq!(answer, headers(&[(":status", "431")]));
    assert!(server.peer().finish_received(id));
    assert_eq!((server.requests_seen(), server.connection.open_requests()), (0, 0));
    // Many small lines: the encoded section is under the limit, its size is not.
    let (mut server, id) = on_request(Side::Server, |rig| rig.first_headers(&[("accept", "*/*"); 400]));
    assert_eq!(server.peer().pull(id), headers(&[(":status", "431")]));
    let (mut client, id) = on_request(Side::Client, |rig| rig.first_headers(&[("x", &large)]));
    client.assert_stream_error(id, code::H3_EXCESSIVE_LOAD);
}

/// Without a dynamic table, 16,000 references of two bytes to the largest static line expand the most.
#[test]
fn q14_expansion_stops_at_the_limit() {
    let section = [&[0, 0][..], &[0xff, 85 - 63].repeat(7000)].concat();
    for side in BOTH {
        let (mut rig, _) = rig(side);
        let id = rig.request();
        let measure = Measure::start();
        rig.push(id, &frame(1, &section));
        // The bound: twice the limit of 16 KiB for the decoded section, and three times the frame in transit.
        assert!(measure.peak_growth() < (32 << 10) + 4 * 16_000, "{}", measure.peak_growth());
        assert_eq!(rig.end().closed, None);
        assert_eq!(rig.connection.open_requests(), 0);
        match side {
            Side::Server => assert_eq!(rig.peer().pull(id), headers(&[(":status", "431")])),
            Side::Client => rig.assert_stream_error(id, code::H3_EXCESSIVE_LOAD),
        }
        // The same in trailers: a response may have begun, so the stream is reset.
        let (mut rig, id) = on_request(side, |rig| [rig.first_headers(&[]), frame(1, &section)].concat());
        rig.run();
        let told = |event: &Event| matches!(event, Event::StreamError { stream, violation } if *stream == id && [code::H3_EXCESSIVE_LOAD, code::H3_MESSAGE_ERROR].contains(&violation.code()));
        let answered = side == Side::Server && rig.peer().pull(id) == headers(&[(":status", "431")]);
        assert!(answered || rig.events.iter().any(told), "{:?}", rig.events);
        assert_eq!(rig.end().closed, None);
    }
}

#[test]
fn q15_sections_cut_inside_a_line() {
    let section = [0, 0, 0x51, 0x03, b'/', b'a', b'b'];
    for side in BOTH {
        for cut in (0..section.len()).filter(|cut| *cut != 2) {
            section_fails(side, &section[..cut]);
        }
    }
}

/// The peer acknowledges nothing. That costs the encoder nothing, since it has no table.
#[test]
fn q16_sections_without_an_acknowledgment() {
    let (mut rig, _) = rig(Side::Server);
    rig.end().grants = [1 << 40, 100];
    rig.run();
    let get = get_with(&[("x-a", "some value")]);
    rig.flood(100_000, |rig, _| {
        let id = rig.peer().open(Dir::Bidi).expect("streams without end");
        rig.peer().push(id, &get);
        rig.peer().finish(id).unwrap();
        rig.run();
        let (end, _) = rig.pair.ends(Side::Server);
        let answer = ResponseHead::new(http::StatusCode::OK);
        rig.connection.send_response(id, &answer, true, end).unwrap();
        rig.run();
        rig.read_body(id);
        rig.peer().pull(id);
        rig.run();
    });
    rig.assert_alive();
}
