//! The Q rows played by a peer, at both ends: which stream fails, with which code, with how much memory.

use super::{hostile::*, *};

const DECOMPRESSION_FAILED: u64 = 0x200;
const ENCODER_STREAM_ERROR: u64 = 0x201;
const DECODER_STREAM_ERROR: u64 = 0x202;

/// A connection that offers no dynamic table, and one that offers the default.
fn configs() -> [Config; 2] {
    let mut none = Config::new(plain_settings());
    none.settings.qpack_max_table_capacity = 0;
    none.settings.qpack_blocked_streams = 0;
    [none, Config::new(plain_settings())]
}

/// Asserts that a field section ends the connection, as a head and as trailers.
#[track_caller]
fn section_fails_with(config: &Config, side: Side, section: &[u8]) {
    for trailers in [false, true] {
        let (mut rig, _) = Rig::ready_with(side, config.clone());
        let id = rig.request();
        let head = if trailers { rig.first_headers(&[]) } else { Vec::new() };
        rig.push(id, &[head, frame(1, section)].concat());
        rig.assert_failed(DECOMPRESSION_FAILED);
    }
}

/// The same with and without a table.
#[track_caller]
fn section_fails(side: Side, section: &[u8]) {
    configs().iter().for_each(|config| section_fails_with(config, side, section));
}

/// Asserts that bytes on the peer's encoder (2) or decoder stream (3) end the connection.
#[track_caller]
fn instruction_fails_with(config: &Config, side: Side, stream_type: u8, bytes: &[u8], code: u64) {
    for piece in [1, usize::MAX] {
        let (mut rig, _) = Rig::ready_with(side, config.clone());
        rig.piece = piece;
        let id = rig.peer().open(Dir::Uni).unwrap();
        rig.push(id, &[&[stream_type][..], bytes].concat());
        rig.assert_failed(code);
    }
}

#[track_caller]
fn instruction_fails(side: Side, stream_type: u8, bytes: &[u8], code: u64) {
    configs().iter().for_each(|config| instruction_fails_with(config, side, stream_type, bytes, code));
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
    let [none, table] = configs();
    // Set Dynamic Table Capacity 4096, an insertion, and all that its eviction needs.
    let filled = [&[0x3f, 0xe1, 0x1f, 0xc0, 0][..], &[0; 97]].concat();
    for side in BOTH {
        // A capacity above the maximum: 1 and 4097, and 2^62.
        instruction_fails_with(&none, side, 2, &[0x21], ENCODER_STREAM_ERROR);
        instruction_fails_with(&table, side, 2, &[0x3f, 0xe2, 0x1f], ENCODER_STREAM_ERROR);
        instruction_fails(
            side,
            2,
            &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
            ENCODER_STREAM_ERROR,
        );
        // Insertions with a static and with a literal name, while the capacity is 0.
        instruction_fails(side, 2, &[0xc0, 0], ENCODER_STREAM_ERROR);
        instruction_fails(side, 2, &[0x41, b'a', 0], ENCODER_STREAM_ERROR);
        // One of 10 + 4055 + 32 bytes.
        instruction_fails_with(
            &table,
            side,
            2,
            &[&[0x3f, 0xe1, 0x1f, 0xc0, 0x7f, 0xd8, 0x1e][..], &[b'~'; 4055]].concat(),
            ENCODER_STREAM_ERROR,
        );
        // A Duplicate, and a reference to a name that was never inserted, and one to an evicted entry.
        instruction_fails(side, 2, &[0x00], ENCODER_STREAM_ERROR);
        instruction_fails(side, 2, &[0x80, 0], ENCODER_STREAM_ERROR);
        for evicted in [&[0x1f, 66][..], &[0x80 | 0x3f, 34, 0]] {
            instruction_fails_with(&table, side, 2, &[&filled, evicted].concat(), ENCODER_STREAM_ERROR);
        }
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
    let [none, table] = configs();
    for side in BOTH {
        // Required Insert Counts without a table.
        for count in [&[1][..], &[2], &[0xfe], &[0xff, 0], &[0xff, 0x80, 0x01]] {
            section_fails_with(&none, side, &[count, &[0, 0xc1]].concat());
        }
        // Beyond the range of a table of 128 entries, below zero, and a second form of zero.
        for count in [&[0xff, 2][..], &[0xff, 1], &[1]] {
            section_fails_with(&table, side, &[count, &[0, 0xc1]].concat());
        }
        // A negative Base.
        for delta in [0x80, 0xfe] {
            section_fails(side, &[0, delta, 0xc1]);
        }
        section_fails_with(&table, side, &[2, 0x81, 0xc1]);
        // References to entries, before and after the Base.
        for line in [&[0x80][..], &[0x10], &[0x40, 0], &[0x00, 0], &[0x07, 3, 0]] {
            section_fails(side, &[&[0, 3][..], line].concat());
        }
    }
}

/// RFC 9204 §2.1.2. The streams are blocked by sections that need one insertion.
#[test]
fn q10_one_blocked_stream_too_many() {
    for side in BOTH {
        let (mut rig, _) = rig(side);
        for _ in 0..16 {
            let id = rig.request();
            rig.push(id, &frame(1, &[2, 0, 0x80]));
        }
        rig.assert_alive();
        // A section that needs nothing is no such one.
        let id = rig.request();
        let head = rig.first_headers(&[]);
        rig.push(id, &head);
        rig.assert_alive();
        let id = rig.request();
        rig.push(id, &frame(1, &[2, 0, 0x80]));
        rig.assert_failed(DECOMPRESSION_FAILED);
    }
}

/// Blocked streams are read no further than the chunk in which their sections begin; the rest stays in the
/// windows of their streams. At a server their time ends.
#[test]
fn q11_blocked_streams_that_stay_blocked() {
    let section = [&[2, 0, 0x80][..], &[0xc1; 15_000]].concat();
    for side in BOTH {
        let (mut rig, _) = rig(side);
        rig.end().grants = [200, 100];
        rig.run();
        let mut ids = Vec::new();
        for _ in 0..16 {
            let id = rig.request();
            rig.push(id, &frame(1, &section));
            rig.push(id, &frame(1, &section));
            rig.fin(id);
            let read = rig.end().bytes_read(id).unwrap();
            assert!(read < 2100, "{read} bytes");
            ids.push(id);
        }
        rig.assert_alive();
        rig.answers();
        if side == Side::Server {
            rig.later(Duration::from_secs(31));
            let end = rig.pair.ends(side).0;
            rig.connection.handle_timeout(rig.now, end);
            rig.run();
            let cancelled: Vec<u8> = ids.iter().flat_map(|id| cancellation(*id)).collect();
            assert_eq!(rig.answers(), cancelled);
            assert_eq!(rig.connection.open_requests(), 0);
            // Others may be blocked now.
            for _ in 0..16 {
                let id = rig.request();
                rig.push(id, &frame(1, &[2, 0, 0x80]));
            }
            assert_eq!(rig.connection.failure(), None);
        }
    }
}

/// Stream Cancellation (RFC 9204 §4.4.2).
fn cancellation(id: StreamId) -> Vec<u8> {
    match id.value() {
        value @ 0..63 => vec![0x40 | value as u8],
        value => vec![0x7f, (value - 63) as u8],
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

/// References to the largest static line.
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

/// 16,000 references of one byte to an entry of 4 KiB, as a head and in trailers.
#[test]
fn q14_references_to_a_large_entry_stop_at_the_limit() {
    let section = [&[2, 0][..], &[0x80; 16_000]].concat();
    for side in BOTH {
        for trailers in [false, true] {
            let (mut rig, _) = rig(side);
            let encoder = rig.peer().open(Dir::Uni).unwrap();
            let insert = [&[0x02, 0x3f, 0xe1, 0x1f, 0xc0, 0x7f, 0x81, 0x1e][..], &[b'v'; 3968]].concat();
            rig.push(encoder, &insert);
            let id = rig.request();
            let head = if trailers { rig.first_headers(&[]) } else { Vec::new() };
            let measure = Measure::start();
            rig.push(id, &[head, frame(1, &section)].concat());
            // The frame in transit, and a few lines that share the entry.
            assert!(measure.peak_growth() < (32 << 10) + 4 * 16_000, "{}", measure.peak_growth());
            assert_eq!(rig.end().closed, None);
            rig.read_body(id);
            let told = |event: &Event| matches!(event, Event::StreamError { stream, violation } if *stream == id && violation.code() == code::H3_EXCESSIVE_LOAD);
            assert!(rig.events.iter().any(told), "{:?}", rig.events);
            // The insertion is acknowledged; the section is not, and its stream is cancelled.
            assert_eq!(rig.answers(), [vec![1], cancellation(id)].concat());
        }
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

/// The peer offers a table and acknowledges nothing.
#[test]
fn q16_sections_without_an_acknowledgment() {
    let mut rig = Rig::new(Side::Server, plain_settings());
    let control = rig.peer().open(Dir::Uni).unwrap();
    let mut payload = Vec::new();
    Settings::new().qpack_max_table_capacity(1 << 20).qpack_blocked_streams(1 << 20).encode(1, &mut payload);
    rig.push(control, &[&[0][..], &frame(4, &payload)].concat());
    rig.end().grants = [1 << 40, 100];
    rig.run();
    let get = get_with(&[("x-a", "some value")]);
    rig.flood(100_000, |rig, round| {
        let id = rig.peer().open(Dir::Bidi).expect("streams without end");
        rig.peer().push(id, &get);
        rig.peer().finish(id).unwrap();
        rig.run();
        let (end, _) = rig.pair.ends(Side::Server);
        let mut answer = ResponseHead::new(http::StatusCode::OK);
        answer.headers.insert("x-always", "the same value".parse().unwrap());
        answer.headers.insert("x-round", round.into());
        rig.connection.send_response(id, &answer, true, end).unwrap();
        rig.run();
        rig.read_body(id);
        rig.peer().pull(id);
        rig.run();
    });
    rig.assert_alive();
}
