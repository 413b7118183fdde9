//! The H rows of the conformance table: the actions of a hostile peer and the reaction to each.

use quic_core::base::Budget;

use super::*;
use crate::frame::{kind, put_varint_frame};

pub(super) const DATA: &[u8] = &[0x00, 0x01, b'x'];

pub(super) fn rig(side: Side) -> (Rig, StreamId) {
    Rig::ready(side, plain_settings())
}

/// A new connection whose peer sends `bytes` on a request stream.
pub(super) fn on_request(side: Side, bytes: impl Fn(&Rig) -> Vec<u8>) -> (Rig, StreamId) {
    let (mut rig, _) = rig(side);
    let id = rig.request();
    let bytes = bytes(&rig);
    rig.push(id, &bytes);
    (rig, id)
}

pub(super) fn on_control(side: Side, bytes: &[u8]) -> Rig {
    let (mut rig, control) = rig(side);
    rig.push(control, bytes);
    rig
}

#[test]
fn h01_data_before_headers() {
    for side in BOTH {
        on_request(side, |_| DATA.to_vec()).0.assert_failed(code::H3_FRAME_UNEXPECTED);
    }
}

#[test]
fn h02_headers_or_data_after_trailers() {
    for side in BOTH {
        for last in [DATA.to_vec(), headers(&[("a", "b")])] {
            let (mut rig, _) = on_request(side, |rig| {
                [rig.first_headers(&[]), headers(&[("x", "y")]), last.clone()].concat()
            });
            rig.assert_failed(code::H3_FRAME_UNEXPECTED);
        }
    }
}

#[test]
fn h08_fin_before_headers() {
    let (mut rig, _) = rig(Side::Server);
    let id = rig.request();
    rig.fin(id);
    assert_eq!(rig.peer().reset_received(id), Some(code::H3_REQUEST_INCOMPLETE));
    // The same after an ignored frame.
    let id = rig.request();
    rig.push(id, &[0x21, 0x00]);
    rig.fin(id);
    rig.assert_stream_error(id, code::H3_REQUEST_INCOMPLETE);
}

#[test]
fn h09_connect_rules() {
    let classic = [(":method", "CONNECT"), (":authority", "a.test:1"), (":path", "/")];
    for settings in [plain_settings(), webtransport_settings()] {
        let (mut rig, _) = Rig::ready(Side::Server, settings);
        let id = rig.request();
        rig.push(id, &headers(&classic));
        rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
    }
    let extended = [&GET[1..], &[(":method", "CONNECT"), (":protocol", "x")]].concat();
    let (mut refusing, id) = on_request(Side::Server, |_| headers(&extended));
    refusing.assert_stream_error(id, code::H3_MESSAGE_ERROR);
    // After a CONNECT only DATA is permitted.
    let (mut rig, _) = Rig::ready(Side::Server, webtransport_settings());
    let id = rig.request();
    rig.push(id, &headers(&extended));
    assert_eq!(rig.requests_seen(), 1);
    rig.push(id, &headers(&[("a", "b")]));
    rig.assert_failed(code::H3_FRAME_UNEXPECTED);
}

#[test]
fn h10_settings_missing() {
    for side in BOTH {
        for first in
            [varint_frame(7, 0), frame(0x21, b""), frame(0x40, &[0; 9]), frame(2, b""), DATA.to_vec()]
        {
            let mut rig = Rig::new(side, plain_settings());
            let control = rig.peer().open(Dir::Uni).unwrap();
            rig.push(control, &[&[0][..], &first].concat());
            rig.assert_failed(code::H3_MISSING_SETTINGS);
        }
    }
}

#[test]
fn h11_second_settings() {
    for side in BOTH {
        on_control(side, &frame(4, b"")).assert_failed(code::H3_FRAME_UNEXPECTED);
    }
}

#[test]
fn h12_bad_settings() {
    for side in BOTH {
        for payload in
            [&[0x33, 1, 0x33, 1][..], &[0x21, 0, 0x21, 0], &[2, 0], &[3, 0], &[4, 0], &[5, 0], &[0x33, 2]]
        {
            let mut rig = Rig::new(side, plain_settings());
            let control = rig.peer().open(Dir::Uni).unwrap();
            rig.push(control, &[&[0][..], &frame(4, payload)].concat());
            rig.assert_failed(code::H3_SETTINGS_ERROR);
        }
    }
}

#[test]
fn h13_request_frames_on_the_control_stream() {
    for side in BOTH {
        for kind in [0, 1, 5] {
            on_control(side, &frame(kind, &[0; 5])).assert_failed(code::H3_FRAME_UNEXPECTED);
        }
        for kind in [2, 6, 8, 9] {
            on_control(side, &frame(kind, b"")).assert_failed(code::H3_FRAME_UNEXPECTED);
        }
    }
}

#[test]
fn h14_critical_streams_closed() {
    for side in BOTH {
        for stream_type in [0_u8, 2, 3] {
            for way in 0..3 {
                let (mut rig, control) = rig(side);
                let id = if stream_type == 0 { control } else { rig.peer().open(Dir::Uni).unwrap() };
                if stream_type != 0 {
                    rig.push(id, &[stream_type]);
                }
                match way {
                    0 => rig.peer().finish(id).unwrap(),
                    1 => rig.peer().reset(id, 0, u64::MAX).unwrap(),
                    _ => {
                        let ours = StreamId::new(side, Dir::Uni, u64::from(stream_type.saturating_sub(1)));
                        rig.peer().stop_sending(ours, 0).unwrap();
                    }
                }
                rig.run();
                rig.assert_failed(code::H3_CLOSED_CRITICAL_STREAM);
            }
        }
    }
}

#[test]
fn second_critical_streams() {
    for side in BOTH {
        for stream_type in [0_u8, 2, 3] {
            let (mut rig, _) = rig(side);
            for _ in 0..2 {
                let id = rig.peer().open(Dir::Uni).unwrap();
                rig.push(id, &[stream_type]);
                if stream_type == 0 {
                    break;
                }
            }
            rig.assert_failed(code::H3_STREAM_CREATION_ERROR);
        }
    }
}

#[test]
fn h15_client_opens_a_push_stream() {
    let (mut rig, _) = rig(Side::Server);
    let id = rig.peer().open(Dir::Uni).unwrap();
    rig.push(id, &[1]);
    rig.assert_failed(code::H3_STREAM_CREATION_ERROR);
}

#[test]
fn h16_server_initiated_bidi_stream() {
    for settings in [plain_settings(), webtransport_settings()] {
        let (mut rig, _) = Rig::ready(Side::Client, settings);
        let id = rig.peer().open(Dir::Bidi).unwrap();
        rig.push(id, &headers(&OK));
        rig.assert_failed(code::H3_STREAM_CREATION_ERROR);
    }
}

#[test]
fn h17_push_without_permission() {
    let (mut rig, _) = rig(Side::Client);
    let id = rig.peer().open(Dir::Uni).unwrap();
    rig.push(id, &[1, 0]);
    rig.assert_failed(code::H3_ID_ERROR);
    on_request(Side::Client, |_| frame(5, &[0, 0, 0])).0.assert_failed(code::H3_ID_ERROR);
    on_request(Side::Server, |_| frame(5, &[0, 0, 0])).0.assert_failed(code::H3_FRAME_UNEXPECTED);
    for side in BOTH {
        on_control(side, &varint_frame(3, 0)).assert_failed(code::H3_ID_ERROR);
    }
}

#[test]
fn h18_max_push_id() {
    on_control(Side::Client, &varint_frame(0xd, 1)).assert_failed(code::H3_FRAME_UNEXPECTED);
    let (mut rig, control) = rig(Side::Server);
    rig.push(control, &[varint_frame(0xd, 5), varint_frame(0xd, 5), varint_frame(0xd, 6)].concat());
    rig.assert_alive();
    rig.push(control, &varint_frame(0xd, 5));
    rig.assert_failed(code::H3_ID_ERROR);
    for side in BOTH {
        on_request(side, |_| varint_frame(0xd, 1)).0.assert_failed(code::H3_FRAME_UNEXPECTED);
    }
}

#[test]
fn h19_goaway() {
    for side in BOTH {
        on_request(side, |_| varint_frame(7, 0)).0.assert_failed(code::H3_FRAME_UNEXPECTED);
        let (mut rig, control) = rig(side);
        rig.push(control, &[varint_frame(7, 8), varint_frame(7, 8), varint_frame(7, 4)].concat());
        rig.assert_alive();
        rig.push(control, &varint_frame(7, 8));
        rig.assert_failed(code::H3_ID_ERROR);
    }
    for id in [1, 2, 3, 7] {
        on_control(Side::Client, &varint_frame(7, id)).assert_failed(code::H3_ID_ERROR);
    }
    on_control(Side::Server, &varint_frame(7, 3)).assert_alive();
}

#[test]
fn h20_settings_on_a_request_stream() {
    for side in BOTH {
        on_request(side, |_| frame(4, b"")).0.assert_failed(code::H3_FRAME_UNEXPECTED);
        let (mut rig, _) = on_request(side, |rig| [rig.first_headers(&[]), frame(4, b"")].concat());
        rig.assert_failed(code::H3_FRAME_UNEXPECTED);
    }
}

#[test]
fn h21_grease_of_any_size() {
    for side in BOTH {
        for size in [0, 1, 5000, 1 << 20] {
            let (mut rig, control) = rig(side);
            rig.peer().window = 4 << 20;
            rig.piece = 10_000;
            let grease = frame(0x1f * 7 + 0x21, &vec![7; size]);
            rig.push(control, &grease);
            let id = rig.request();
            let bytes =
                [grease.clone(), rig.first_headers(&[]), grease.clone(), DATA.to_vec(), grease].concat();
            rig.push(id, &bytes);
            rig.fin(id);
            assert_eq!(rig.read_body(id), b"x");
            let uni = rig.peer().open(Dir::Uni).unwrap();
            rig.push(uni, &[&[0x21][..], &vec![1; size]].concat());
            rig.assert_alive();
            assert_eq!(rig.connection.budget.used(), 0);
            assert!(matches!(rig.events.last(), Some(Event::Finished { .. })));
        }
        grease_without_end(side);
        // A SETTINGS frame with a megabyte of reserved settings.
        let mut payload = Vec::new();
        for n in 0..200_000_u64 {
            quic_core::base::varint::put(&mut payload, 0x1f * n + 0x21);
            payload.push(0);
        }
        let mut rig = Rig::new(side, plain_settings());
        rig.peer().window = 4 << 20;
        let control = rig.peer().open(Dir::Uni).unwrap();
        rig.push(control, &[&[0][..], &frame(4, &payload)].concat());
        rig.assert_alive();
        assert_eq!(rig.connection.peer_settings().map(|settings| settings.extra.len()), Some(0));
    }
}

/// A reserved frame of 64 MiB on the control stream, on a request and on its own stream: nothing is buffered.
fn grease_without_end(side: Side) {
    let (mut rig, control) = rig(side);
    let head = [&[0x21][..], &[0x84, 0, 0, 0]].concat();
    rig.push(control, &head);
    let id = rig.request();
    rig.push(id, &head);
    let uni = rig.peer().open(Dir::Uni).unwrap();
    rig.push(uni, &[0x21]);
    let piece = [7; 16 << 10];
    rig.flood(4096, |rig, _| {
        rig.push(control, &piece);
        rig.push(id, &piece);
    });
    rig.assert_alive();
    let first = rig.first_headers(&[]);
    rig.push(id, &first);
    rig.fin(id);
    rig.assert_alive();
}

#[test]
fn h22_frames_that_end_wrongly() {
    for side in BOTH {
        let first = Rig::new(side, plain_settings()).first_headers(&[]);
        for cut in 1..first.len() {
            let (mut rig, id) = on_request(side, |_| first[..cut].to_vec());
            rig.fin(id);
            rig.assert_failed(code::H3_FRAME_ERROR);
        }
        // The end inside the payload of a DATA frame, and of a skipped frame.
        for tail in [&[0x00, 5, b'x'][..], &[0x21, 5, 0], &[0x00]] {
            let (mut rig, id) = on_request(side, |rig| [&rig.first_headers(&[])[..], tail].concat());
            rig.fin(id);
            rig.read_body(id);
            rig.assert_failed(code::H3_FRAME_ERROR);
        }
        for payload in [&[0x40][..], &[0, 0], &[0x40, 0, 0], b"", &[0; 9]] {
            on_control(side, &frame(7, payload)).assert_failed(code::H3_FRAME_ERROR);
        }
        // A setting that ends in its identifier, after it, and in its value.
        for payload in [&[0x40][..], &[0x21], &[0x21, 0x40]] {
            let mut rig = Rig::new(side, plain_settings());
            let control = rig.peer().open(Dir::Uni).unwrap();
            rig.push(control, &[&[0][..], &frame(4, payload)].concat());
            rig.assert_failed(code::H3_FRAME_ERROR);
        }
    }
}

#[test]
fn h23_unknown_and_unfinished_uni_streams() {
    for side in BOTH {
        let (mut rig, _) = rig(side);
        rig.peer().grants = [100, 200_000];
        rig.end().grants = [100, 200_000];
        rig.run();
        let baseline = rig.end().open_streams();
        rig.flood(100_000, |rig, n| {
            let id = rig.peer().open(Dir::Uni).unwrap();
            match n % 4 {
                0 => rig.peer().push(id, &[0x3f, 0, 0]),
                1 => rig.peer().finish(id).unwrap(),
                2 => {
                    rig.peer().push(id, &[0xc0, 0, 0]);
                    rig.peer().reset(id, 1, u64::MAX).unwrap();
                }
                _ => {
                    rig.piece = 1;
                    rig.peer().push(id, &[0xc0, 0, 0, 0, 0, 0, 0x42, 0x42, 0, 0, 0]);
                }
            }
            rig.run();
            rig.piece = usize::MAX;
            if n % 4 == 0 {
                assert_eq!(rig.peer().stop_received(id), Some(code::H3_STREAM_CREATION_ERROR));
            }
        });
        rig.assert_alive();
        assert_eq!(rig.end().open_streams(), baseline);
        assert!(rig.connection.incoming.is_empty());
    }
}

#[test]
fn h24_priority_update() {
    let update = |id: u64, value: &str| {
        let mut payload = Vec::new();
        quic_core::base::varint::put(&mut payload, id);
        payload.extend_from_slice(value.as_bytes());
        frame(0xf0700, &payload)
    };
    for side in BOTH {
        on_request(side, |_| update(0, "u=1")).0.assert_failed(code::H3_FRAME_UNEXPECTED);
    }
    on_control(Side::Client, &update(0, "u=1")).assert_failed(code::H3_FRAME_UNEXPECTED);
    // IDs over the limit of 100 streams, and IDs that are no requests.
    for id in [400, 1, 2, 3] {
        on_control(Side::Server, &update(id, "u=1")).assert_failed(code::H3_ID_ERROR);
    }
    on_control(Side::Server, &frame(0xf0701, &[0])).assert_failed(code::H3_ID_ERROR);
    on_control(Side::Server, &frame(0xf0700, b"")).assert_failed(code::H3_FRAME_ERROR);
    // An update before the stream opens (the latest wins), and one after.
    let mut rig =
        on_control(Side::Server, &[update(0, "u=1"), update(0, "u=2, i"), update(396, "u=0")].concat());
    let id = rig.request();
    rig.push(id, &get_with(&[("priority", "u=7")]));
    let rank = |rig: &mut Rig| rig.end().priority(id).map(|rank| (rank.urgency, rank.incremental));
    assert_eq!(rank(&mut rig), Some((2, true)));
    let control = StreamId::new(Side::Client, Dir::Uni, 0);
    rig.push(control, &update(0, "u=6"));
    assert_eq!(rank(&mut rig), Some((6, false)));
    for _ in 0..1000 {
        for index in 1..100 {
            rig.push(control, &update(index * 4, "u=1"));
        }
        if rig.connection.early_priorities.len() == 64 {
            break;
        }
    }
    assert_eq!(rig.connection.early_priorities.len(), 64);
    rig.assert_alive();
}

#[test]
fn too_large_control_frames_end_the_connection_at_once() {
    let mut largest = vec![0];
    largest.resize(1024, b' ');
    on_control(Side::Server, &frame(0xf0700, &largest)).assert_alive();
    for (side, kind, length) in [(Side::Server, 0xf0700, 1025), (Side::Server, 0xf0701, 1 << 61)] {
        let mut head = Vec::new();
        put_head(kind, length, &mut head);
        on_control(side, &head).assert_failed(code::H3_EXCESSIVE_LOAD);
    }
    // However long SETTINGS is, little of it is kept.
    let mut settings = Vec::new();
    for id in 0..50_000 {
        quic_core::base::varint::put(&mut settings, 0x10_0000 + id);
        quic_core::base::varint::put(&mut settings, id);
    }
    for side in BOTH {
        let mut rig = Rig::new(side, webtransport_settings());
        let control = rig.peer().open(Dir::Uni).unwrap();
        rig.peer().push(control, &[&[0][..], &frame(4, &settings)].concat());
        rig.run();
        let kept = rig.connection.peer_settings().map(|settings| settings.extra.len());
        assert_eq!(kept, Some(32));
    }
}

#[test]
fn h25_datagram_without_a_stream() {
    for side in BOTH {
        for bytes in [&b""[..], &[0x40], &[0xd0, 0, 0, 0, 0, 0, 0, 0]] {
            let (mut rig, _) = rig(side);
            rig.peer().send_datagram(Bytes::copy_from_slice(bytes), Default::default()).unwrap();
            rig.run();
            rig.assert_failed(code::H3_DATAGRAM_ERROR);
        }
    }
}

#[test]
fn h26_datagrams_for_streams_that_are_not_open() {
    let datagrams =
        |rig: &Rig| rig.events.iter().filter(|event| matches!(event, Event::Datagram { .. })).count();
    for side in BOTH {
        // The stream is closed: the datagram is dropped.
        let (mut rig, _) = rig(side);
        let id = rig.request();
        let first = rig.first_headers(&[]);
        rig.push(id, &first);
        rig.fin(id);
        rig.peer().send_datagram(Bytes::from_static(&[0]), Default::default()).unwrap();
        rig.run();
        assert_eq!(datagrams(&rig), 0);
        // The stream is not open yet: a server passes the datagram on, and a client drops it.
        rig.peer().send_datagram(Bytes::from_static(&[50, 1]), Default::default()).unwrap();
        rig.run();
        assert_eq!(datagrams(&rig), usize::from(side == Side::Server));
        rig.assert_alive();
        rig.peer().send_datagram(Bytes::from_static(&[0x40, 100]), Default::default()).unwrap();
        rig.run();
        rig.assert_failed(code::H3_ID_ERROR);
    }
}

/// The three ways of H28, and a variant of the second in which a write finds the stop before its event. Each
/// abandons `count` requests.
fn rapid_resets(way: u8, count: u64, per_second: u64) -> Rig {
    let (mut rig, _) = rig(Side::Server);
    rig.end().grants = [1 << 40, 100];
    rig.run();
    let get = get_with(&[]);
    let malformed = [get_with(&[("content-length", "0")]), DATA.to_vec()].concat();
    rig.flood(count, |rig, n| {
        if rig.connection.failure().is_some() {
            return;
        }
        if n > 0 && n % per_second == 0 {
            rig.later(Duration::from_secs(1));
        }
        let id = rig.peer().open(Dir::Bidi).expect("streams without end");
        match way {
            0 => {
                rig.peer().push(id, &get);
                rig.run();
                rig.peer().reset(id, code::H3_REQUEST_CANCELLED, 0).unwrap();
            }
            1 => {
                rig.peer().push(id, &get);
                rig.peer().finish(id).unwrap();
                rig.peer().stop_sending(id, code::H3_REQUEST_CANCELLED).unwrap();
            }
            2 => rig.peer().push(id, &malformed),
            _ => {
                rig.peer().push(id, &get);
                rig.peer().finish(id).unwrap();
                rig.peer().stop_sending(id, code::H3_REQUEST_CANCELLED).unwrap();
                rig.pair.deliver(usize::MAX);
                let events = &mut rig.end().events;
                let stop = |event: &quic_core::Event| matches!(event, quic_core::Event::StreamStopped(..));
                let stop = events.iter().position(stop).and_then(|at| events.remove(at)).expect("a stop");
                rig.run();
                let (end, _) = rig.pair.ends(Side::Server);
                rig.connection
                    .send_response(id, &ResponseHead::new(http::StatusCode::OK), false, end)
                    .unwrap_err();
                rig.end().events.push_back(stop);
            }
        }
        rig.run();
        if rig.connection.failure().is_some() {
            return;
        }
        // The application drops the cancelled requests.
        let (end, _) = rig.pair.ends(Side::Server);
        rig.connection.reset(id, code::H3_REQUEST_CANCELLED, end);
        rig.connection.stop(id, code::H3_REQUEST_CANCELLED, end);
        rig.run();
        assert_eq!(rig.connection.open_requests(), 0);
        // The peer reads the ends of its streams, so that the mock can remove them, and the cancellations.
        rig.peer().pull(id);
        rig.answers();
    });
    rig
}

fn at_the_limit_and_above(way: u8, count: u64) {
    rapid_resets(way, count, 1000).assert_alive();
    let mut rig = rapid_resets(way, 1001, 1001);
    assert_eq!(rig.connection.failure().map(crate::error::H3Error::code), Some(code::H3_EXCESSIVE_LOAD));
    assert_eq!(rig.end().closed.as_ref().map(|(code, _)| *code), Some(code::H3_EXCESSIVE_LOAD));
}

#[test]
fn h28_rapid_reset() {
    at_the_limit_and_above(0, 100_000);
}

#[test]
fn h28_rapid_stop_sending() {
    at_the_limit_and_above(1, 100_000);
}

#[test]
fn h28_rapid_stop_sending_found_by_a_write() {
    at_the_limit_and_above(3, 10_000);
}

#[test]
fn h28_rapid_malformed_bodies() {
    at_the_limit_and_above(2, 100_000);
}

#[test]
#[ignore = "the table's count takes a minute: cargo test --release -p h3-core -- --ignored"]
fn h28_a_million_of_each() {
    (0..3).for_each(|way| at_the_limit_and_above(way, 1_000_000));
}

/// The bounds stated in `docs/security.md`.
#[test]
fn the_default_bounds_are_those_of_the_documentation() {
    let config = Config::new(Settings::default());
    assert_eq!((config.header_memory, config.resets_per_second), (256 << 10, 1000));
    assert_eq!(config.request_timeout, Some(Duration::from_secs(30)));
    for side in BOTH {
        let connection = Connection::new(config.clone(), side);
        assert_eq!(connection.settings().max_field_section_size, Some(64 << 10));
        assert_eq!(connection.budget.limit(), 256 << 10);
    }
}

#[test]
fn unfinished_header_sections_are_charged() {
    let (mut rig, _) = rig(Side::Server);
    rig.connection.budget = Budget::alone(20_000);
    let first = rig.request();
    rig.push(first, &[&[1, 0x60, 0][..], &[0; 8000]].concat());
    let second = rig.request();
    rig.push(second, &[&[1, 0x60, 0][..], &[0; 8000]].concat());
    assert_eq!(rig.connection.budget.used(), 16_000);
    let third = rig.request();
    rig.push(third, &[&[1, 0x60, 0][..], &[0; 8000]].concat());
    assert_eq!(rig.peer().reset_received(third), Some(code::H3_EXCESSIVE_LOAD));
    rig.peer().reset(first, 0, 0).unwrap();
    rig.peer().reset(second, 0, 0).unwrap();
    rig.run();
    assert_eq!(rig.connection.budget.used(), 0);
    assert_eq!(rig.end().closed, None);
}

#[test]
fn a_response_that_never_comes() {
    let (mut rig, id) = on_request(Side::Client, |_| headers(&[(":status", "103")]));
    rig.fin(id);
    rig.assert_stream_error(id, code::H3_MESSAGE_ERROR);
}

mod any_bytes {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// No bytes on any stream make either role panic, and the result does not depend on how they are
        /// split.
        #[test]
        fn no_panic_and_no_dependence_on_pieces(
            server in any::<bool>(),
            tail in vec(prop_oneof![0_u8..0x10, any::<u8>()], 0..120),
            whole_head in any::<bool>(),
            fin in any::<bool>(),
            kind in 0_u8..3,
        ) {
            let side = if server { Side::Server } else { Side::Client };
            let outcome = |piece: usize| {
                let (mut rig, control) = Rig::ready(side, webtransport_settings());
                rig.piece = piece;
                let id = match kind {
                    0 => rig.request(),
                    1 => control,
                    _ => rig.peer().open(Dir::Uni).unwrap(),
                };
                if whole_head && kind == 0 {
                    let first = rig.first_headers(&[]);
                    rig.push(id, &first);
                }
                rig.push(id, &tail);
                rig.read_body(id);
                if fin && kind != 1 {
                    // The connection may have stopped the stream because of its bytes.
                    let _ = rig.peer().finish(id);
                    rig.run();
                    rig.read_body(id);
                }
                (rig.connection.failure(), rig.requests_seen())
            };
            prop_assert_eq!(outcome(usize::MAX), outcome(1));
        }
    }
}

/// A gap delays all GOAWAY frames of a window, which are then read at once. They make two events, and the
/// memory of the burst is freed.
#[test]
fn many_goaways_make_two_events() {
    for side in BOTH {
        let (mut rig, control) = Rig::ready(side, webtransport_settings());
        let id = rig.request();
        let first = rig.first_headers(&[]);
        rig.push(id, &first);
        let mark = Measure::start();
        for burst in 0..4_u64 {
            let mut bytes = Vec::new();
            for n in 0..3_000 {
                let goaway = 4 * (100_000 - 3_000 * burst - n);
                put_varint_frame(kind::GOAWAY, goaway, &mut bytes);
            }
            rig.peer().push(control, &bytes);
            rig.pair.deliver(usize::MAX);
            let (end, _) = rig.pair.ends(side);
            while let Some(event) = end.events.pop_front() {
                rig.connection.on_event(&event, Timestamp::ORIGIN, end);
            }
            let events: Vec<_> = std::iter::from_fn(|| rig.connection.poll_event()).collect();
            let newest = 4 * (100_000 - 3_000 * burst - 2_999);
            assert!(
                matches!(events[..], [Event::GoAway { .. }, Event::GoAway { id }] if id == newest),
                "{events:?}"
            );
        }
        assert!(mark.growth().abs() < 64 << 10 && mark.peak_growth() < 256 << 10, "{}", mark.peak_growth());
        rig.assert_alive();
    }
}

#[test]
fn repeated_priorities_make_one_event_for_each_request() {
    let (mut rig, control) = Rig::ready(Side::Server, webtransport_settings());
    let [one, other] = [0; 2].map(|_| rig.request());
    for id in [one, other] {
        rig.push(id, &get_with(&[]));
    }
    let mut bytes = Vec::new();
    for n in 0..1_000_u64 {
        let urgency = format!("u={}", n % 8);
        let id = if n % 2 == 0 { one } else { other };
        let mut payload = Vec::new();
        quic_core::base::varint::put(&mut payload, id.value());
        payload.extend_from_slice(urgency.as_bytes());
        bytes.extend(frame(kind::PRIORITY_UPDATE_REQUEST, &payload));
    }
    rig.events.clear();
    rig.push(control, &bytes);
    let ranks: Vec<_> = rig
        .events
        .iter()
        .map(|event| match event {
            Event::PriorityUpdate { stream, priority } => (*stream, priority.urgency),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ranks, [(one, 6), (other, 7)]);
}

/// Frames without effect: a burst and a rate of them are accepted, a flood ends the connection.
#[test]
fn a_flood_of_frames_without_effect_ends_the_connection() {
    let unknown: &[u8] = &[0x21, 0];
    for side in BOTH {
        for way in 0..4 {
            for (count, per_second, ends) in
                [(16_000, u64::MAX, false), (20_000, u64::MAX, true), (100_000, 900, false)]
            {
                let (mut rig, control) = Rig::ready(side, webtransport_settings());
                let id = rig.request();
                let first = rig.first_headers(&[]);
                rig.push(id, &first);
                let mut goaway = Vec::new();
                put_varint_frame(kind::GOAWAY, 400, &mut goaway);
                let (stream, frame) = match way {
                    0 => (control, unknown),
                    1 => (control, &goaway[..]),
                    2 => (id, unknown),
                    // Empty content.
                    _ => (id, &[0, 0][..]),
                };
                let mut left = count;
                while left > 0 && rig.connection.failure().is_none() {
                    let burst = left.min(per_second).min(1_000);
                    rig.push(stream, &frame.repeat(burst as usize));
                    left -= burst;
                    if per_second < u64::MAX {
                        rig.later(Duration::from_secs(1));
                    }
                }
                if ends {
                    rig.assert_failed(code::H3_EXCESSIVE_LOAD);
                } else {
                    rig.assert_alive();
                }
            }
        }
    }
}

/// QPACK instructions that are permitted without a dynamic table and have no effect, each kind on its stream.
#[test]
fn a_flood_of_qpack_instructions_ends_the_connection() {
    for side in BOTH {
        // Set Dynamic Table Capacity 0 on the encoder stream; Stream Cancellation, short and long, on the
        // decoder stream.
        let sorts: [(u8, &[u8], u64); 3] =
            [(0x02, &[0x20], 1), (0x03, &[0x41], 128), (0x03, &[0x7f, 0xff, 0x01], 128)];
        for (stream_type, instruction, cheap) in sorts {
            for (count, per_second, ends) in
                [(16_000, u64::MAX, false), (20_000, u64::MAX, true), (40_000, 900 * cheap, false)]
            {
                let (mut rig, _) = Rig::ready(side, webtransport_settings());
                let id = rig.peer().open(Dir::Uni).unwrap();
                rig.push(id, &[stream_type]);
                let mut left = count * cheap;
                while left > 0 && rig.connection.failure().is_none() {
                    let burst = left.min(per_second).min(10_000);
                    // The split may be anywhere.
                    let bytes = instruction.repeat(burst as usize);
                    bytes.chunks(7_001).for_each(|piece| rig.push(id, piece));
                    left -= burst;
                    if per_second < u64::MAX {
                        rig.later(Duration::from_secs(1));
                    }
                }
                if ends {
                    rig.assert_failed(code::H3_EXCESSIVE_LOAD);
                } else {
                    rig.assert_alive();
                }
            }
        }
    }
}

#[test]
fn a_flood_of_interim_responses_ends_the_connection() {
    let (mut rig, _) = Rig::ready(Side::Client, webtransport_settings());
    let id = rig.request();
    let interim = headers(&[(":status", "103")]);
    rig.push(id, &interim.repeat(1_000));
    rig.assert_alive();
    rig.push(id, &interim.repeat(100));
    rig.assert_failed(code::H3_EXCESSIVE_LOAD);
}
