//! Hostile peers, and peers whose data arrives out of order.

use super::*;
use crate::SessionError;

/// Asserts that the connection was closed with this code and the application was told.
#[track_caller]
fn assert_connection_closed(rig: &mut Rig, code: u64) {
    let side = rig.node.side;
    assert_eq!(rig.pair.ends(side).0.closed.as_ref().map(|(code, _)| *code), Some(code));
    assert_eq!(rig.node.closed(), Some(&Err(SessionError::ConnectionLost)));
    assert!(rig.node.has("failed"));
}

#[test]
fn w01_bad_session_ids_end_the_connection() {
    for (side, dialect) in BOTH.into_iter().flat_map(|side| DIALECTS.map(|dialect| (side, dialect))) {
        for dir in [Dir::Uni, Dir::Bidi] {
            for session in [1, 2, 3, 7, varint::MAX] {
                for piece in [1, usize::MAX] {
                    let mut rig = Rig::ready(side, dialect);
                    rig.piece = piece;
                    rig.push_stream(dir, SessionId(StreamId::from_value(session).unwrap()), b"");
                    rig.run();
                    assert_connection_closed(&mut rig, 0x108);
                }
            }
        }
    }
}

#[test]
fn w02_late_signals_end_the_connection() {
    for side in BOTH {
        // On the CONNECT stream after its first bytes, as a frame after another one, and on the control
        // stream.
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.peer_end().push(id(0).0, &preface(Dir::Bidi, id(0)));
        rig.run();
        assert_connection_closed(&mut rig, 0x106);
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let control = StreamId::new(side.peer(), Dir::Uni, 0);
        rig.peer_end().push(control, &preface(Dir::Bidi, id(0)));
        rig.run();
        assert_connection_closed(&mut rig, 0x106);
    }
    // After another frame: draft 02 permitted that, but no peer does it. A server may not open a stream that
    // does not begin with the signal (RFC 9114 §6.1).
    for (side, code) in [(Side::Server, 0x106), (Side::Client, 0x103)] {
        for dialect in DIALECTS {
            let mut rig = Rig::ready(side, dialect);
            let stream = rig.peer_end().open(Dir::Bidi).unwrap();
            rig.peer_end().push(stream, &[&[0x21, 0][..], &preface(Dir::Bidi, id(0))].concat());
            rig.run();
            assert_connection_closed(&mut rig, code);
        }
    }
}

#[test]
fn w03_floods_before_the_session_are_bounded() {
    for side in BOTH {
        let mut rig = match side {
            Side::Server => Rig::new(side, &Config::default(), settings_of(Dialect::Draft16)),
            Side::Client => Rig::pending(side, Dialect::Draft16),
        };
        // A million streams, delivered in hundreds.
        flood(&mut rig, 10_000, |rig, round| {
            for n in 0..100_u64 {
                let datagram = [&[0][..], &(100 * round + n).to_be_bytes()].concat();
                rig.peer_end().send_datagram(datagram.into(), Default::default()).unwrap();
            }
            rig.run();
        });
        let streams: Vec<_> = (0..30).map(|_| rig.push_stream(Dir::Uni, id(0), b"x")).collect();
        rig.run();
        assert_eq!(rig.node.sessions.early(), (24, 64));
        assert!(rig.node.datagrams().is_empty());
        let refused = |stream: &&StreamId| {
            rig.pair.ends(side).1.stop_received(**stream) == Some(crate::codes::WT_BUFFERED_STREAM_REJECTED)
        };
        assert_eq!(streams.iter().filter(refused).count(), 6);
        rig.alive();
    }
}

/// The bounds stated in `docs/security.md`.
#[test]
fn the_default_bounds_are_those_of_the_documentation() {
    let config = Config::default();
    assert_eq!((config.max_sessions, config.max_queued_datagrams), (1, 1024));
    assert_eq!(config.max_early_streams, 24);
    assert_eq!((config.max_early_datagrams, config.early_datagram_bytes), (64, 64 << 10));
    assert_eq!(config.early_timeout, Some(Duration::from_secs(30)));
}

/// A capsule that announces more bytes than its type can have ends its session before any of it is kept.
#[test]
fn too_long_capsules_end_the_session_at_once() {
    let head = |kind: u64, length: u64| {
        let mut out = Vec::new();
        varint::put(&mut out, kind);
        varint::put(&mut out, length);
        out
    };
    for side in BOTH {
        for (kind, most) in [(CLOSE, 4 + 1024), (DRAIN, 0)] {
            let mut rig = Rig::ready(side, Dialect::Draft16);
            // Datagrams up to 65,535 bytes are accepted, longer ones skipped.
            rig.send(&capsule(0, &[7; 65_535]));
            rig.send(&capsule(0, &[7; 65_536]));
            rig.run();
            assert_eq!(rig.node.datagrams().iter().map(Bytes::len).collect::<Vec<_>>(), [65_535]);
            rig.send(&head(kind, most + 1));
            rig.run();
            assert!(!rig.node.sessions.is_open(id(0)), "{side:?} {kind:#x}");
            rig.assert_reset(id(0).0, MESSAGE_ERROR);
        }
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.send(&close_capsule(7, &[b'x'; 1024]));
        rig.run();
        let told = CloseInfo::new(7, "x".repeat(1024));
        assert_eq!(rig.node.closed(), Some(&Ok(told)));
    }
}

#[test]
fn w03_tiny_datagram_capsules_do_not_fill_memory() {
    for side in BOTH {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.send(&capsule(0, &[]).repeat(5000));
        rig.pair.deliver(usize::MAX);
        let (end, _) = rig.pair.ends(side);
        while let Some(event) = end.events.pop_front() {
            rig.node.sessions.on_event(&event, Timestamp::ORIGIN, &mut rig.node.h3, end);
        }
        assert_eq!(rig.node.sessions.dropped_datagrams(id(0)), 5000 - 1024);
        rig.node.poll();
        assert_eq!(rig.node.datagrams().len(), 1024);
        // There is room again.
        rig.send(&capsule(0, &[]));
        rig.run();
        assert_eq!(rig.node.datagrams().len(), 1025);
        assert_eq!(rig.node.sessions.dropped_datagrams(id(0)), 5000 - 1024);
    }
}

#[test]
fn w04_early_streams_and_datagrams_are_delivered_in_order() {
    for side in BOTH {
        for piece in [1, usize::MAX] {
            let mut rig = Rig::new(side, &Config::default(), settings_of(Dialect::Draft16));
            rig.piece = piece;
            if side == Side::Client {
                rig.connect();
            }
            let uni = rig.push_stream(Dir::Uni, id(0), b"early");
            rig.run();
            for n in 0..3 {
                rig.peer_end().send_datagram(Bytes::from(vec![0, n]), Default::default()).unwrap();
            }
            rig.run();
            assert_eq!(rig.node.sessions.early(), (1, 3));
            assert_eq!(names(&rig.node.events), [""; 0]);
            if side == Side::Server {
                rig.ask("webtransport-h3");
            }
            // A bidirectional stream between the request and its answer.
            let bidi = rig.push_stream(Dir::Bidi, id(0), b"both");
            rig.run();
            rig.establish();
            rig.peer_end().push(uni, b" and late");
            rig.run();
            assert_eq!(rig.node.opened(), [uni, bidi]);
            assert_eq!(rig.node.datagrams(), [&[0][..], &[1], &[2]]);
            let end = rig.pair.ends(side).0;
            assert_eq!(rig.node.read_all(uni, end), (b"early and late".to_vec(), Ok(Read::Blocked)));
            assert_eq!(rig.node.read_all(bidi, end), (b"both".to_vec(), Ok(Read::Blocked)));
            assert_eq!(rig.node.sessions.early(), (0, 0));
        }
    }
}

#[test]
fn w05_streams_for_a_closed_session() {
    for (side, dialect) in BOTH.into_iter().flat_map(|side| DIALECTS.map(|dialect| (side, dialect))) {
        let mut rig = Rig::ready(side, dialect);
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.close(id(0), CloseInfo::default(), h3, rig.pair.ends(side).0);
        rig.run();
        for round in 0..2 {
            let streams = [Dir::Bidi, Dir::Uni].map(|dir| rig.push_stream(dir, id(0), b"late"));
            rig.peer_end().send_datagram(Bytes::from_static(&[0, 1]), Default::default()).unwrap();
            rig.run();
            for stream in streams {
                assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
            }
            assert_eq!(rig.peer_end().reset_received(streams[0]), Some(GONE));
            assert_eq!(names(&rig.node.events).iter().filter(|name| **name == "opened").count(), 0);
            assert_eq!(rig.node.datagrams().len(), 0);
            if round == 0 {
                // The same once the CONNECT stream is over on both sides.
                rig.fin();
                rig.run();
                assert!(rig.node.has("finished"));
            }
        }
        assert_eq!(rig.node.sessions.early(), (0, 0));
        rig.alive();
    }
}

#[test]
fn a_client_knows_which_sessions_there_are() {
    let mut rig = Rig::ready(Side::Client, Dialect::Draft16);
    let stream = rig.push_stream(Dir::Bidi, id(5), b"");
    rig.run();
    assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
}

#[test]
fn streams_of_plain_requests_are_refused() {
    let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
    let early = rig.push_stream(Dir::Uni, id(0), b"");
    rig.run();
    let head = RequestHead::new(http::Method::GET, "a.test".parse().unwrap(), "/".parse().unwrap());
    rig.peer.send_request(&head, true, &mut rig.pair.client).unwrap();
    let late = rig.push_stream(Dir::Bidi, id(0), b"");
    rig.run();
    for stream in [early, late] {
        let told = rig.peer_end().stop_received(stream);
        assert_eq!(told, Some(crate::codes::WT_BUFFERED_STREAM_REJECTED));
    }
    assert!(rig.node.has("http"));
}

/// Asserts that these bytes on the CONNECT stream reset only it, with `H3_MESSAGE_ERROR`.
fn assert_malformed(bytes: &[u8], fin: bool) {
    for side in BOTH {
        for dialect in DIALECTS {
            for piece in [1, usize::MAX] {
                let mut rig = Rig::ready(side, dialect);
                rig.piece = piece;
                let stream = rig.push_stream(Dir::Bidi, id(0), b"x");
                rig.run();
                rig.send(bytes);
                if fin {
                    rig.fin();
                }
                rig.run();
                assert!(matches!(rig.node.closed(), Some(Err(_))), "{:?}", rig.node.events);
                rig.alive();
                assert_eq!(rig.peer_end().reset_received(id(0).0), Some(MESSAGE_ERROR));
                assert_eq!(rig.peer_end().reset_received(stream), Some(GONE));
                assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
                assert_eq!(rig.node.sessions.open_streams(), 0);
                assert!(rig.node.sessions.sessions.is_empty());
            }
        }
    }
}

#[test]
fn w06_w07_bad_close_capsules() {
    assert_malformed(&close_capsule(0, &[b'a'; 1025]), false);
    assert_malformed(&[&[0x68, 0x43, 0xc0, 0, 0, 0, 0x40, 0, 0, 0][..], &[0; 100]].concat(), false);
    for length in 0..4 {
        assert_malformed(&capsule(CLOSE, &vec![0; length]), false);
    }
    assert_malformed(&close_capsule(0, &[0xff, 0xfe]), false);
    assert_malformed(&close_capsule(0, &"\u{20ac}".as_bytes()[..2]), false);
}

/// A close capsule of 1025 or 2^30 bytes makes the session buffer no more than the longest valid one.
#[test]
fn w06_long_close_capsules_are_not_buffered() {
    for side in BOTH {
        for length in [1025 + 4, 1 << 30] {
            let mut rig = Rig::ready(side, Dialect::Draft16);
            let mut bytes = Vec::new();
            varint::put(&mut bytes, CLOSE);
            varint::put(&mut bytes, length);
            rig.send(&bytes);
            let measure = Measure::start();
            rig.run();
            assert!(measure.peak_growth() < 8 << 10, "{}", measure.peak_growth());
            rig.assert_reset(id(0).0, MESSAGE_ERROR);
        }
    }
}

#[test]
fn w06_the_longest_reason_is_accepted() {
    for side in BOTH {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.send(&close_capsule(7, &[b'a'; 1024]));
        rig.fin();
        rig.run();
        assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::new(7, "a".repeat(1024)))));
        assert!(rig.peer_end().finish_received(id(0).0));
    }
}

#[test]
fn w08_bytes_after_the_close() {
    for side in BOTH {
        // The bytes arrive with the capsule: nothing was answered yet.
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.send(&[close_capsule(1, b"bye"), vec![0]].concat());
        rig.run();
        rig.assert_reset(id(0).0, MESSAGE_ERROR);
        // They arrive later: the answer was sent, and only STOP_SENDING is left.
        let mut rig = Rig::ready(side, Dialect::Draft16);
        rig.send(&close_capsule(1, b"bye"));
        rig.run();
        assert!(rig.peer_end().finish_received(id(0).0));
        rig.send(&capsule(0x1234, b"?"));
        rig.run();
        rig.alive();
        assert_eq!(rig.peer_end().stop_received(id(0).0), Some(MESSAGE_ERROR));
        assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::new(1, "bye"))));
        assert!(rig.node.sessions.sessions.is_empty());
    }
}

#[test]
fn w09_end_inside_a_capsule() {
    for cut in 1..8 {
        assert_malformed(&close_capsule(1, b"bye")[..cut], true);
    }
    assert_malformed(&capsule(0x4242, b"unknown")[..5], true);
}

#[test]
fn w10_huge_capsules() {
    for kind in [CLOSE, DRAIN, 0x190b_4d3e, 0x190b_4d42] {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, kind);
        varint::put(&mut bytes, 1 << 32);
        bytes.extend([0; 10]);
        assert_malformed(&bytes, false);
    }
    let skipped = [0, 0x190b_4d3d, 0x190b_4d3f, 0x190b_4d40, 0x190b_4d41, 0x190b_4d43, 0x190b_4d44, 0x1717];
    for (side, kind) in BOTH.into_iter().flat_map(|side| skipped.map(|kind| (side, kind))) {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let mut bytes = Vec::new();
        varint::put(&mut bytes, kind);
        varint::put(&mut bytes, 1 << 32);
        bytes.extend([0; 10]);
        rig.send(&bytes);
        let measure = Measure::start();
        rig.run();
        assert!(measure.peak_growth() < 8 << 10, "{kind:#x}: {}", measure.peak_growth());
        assert!(rig.node.sessions.is_open(id(0)));
        assert_eq!(rig.node.sessions.sessions[&id(0)].reader.buffered(), 0);
        rig.fin();
        rig.run();
        assert!(matches!(rig.node.closed(), Some(Err(SessionError::Capsule(_)))));
    }
}

#[test]
fn w13_prohibited_capsules() {
    for kind in [0x190b_4d3e, 0x190b_4d42] {
        for value in [&[][..], &[0], &[0, 1], &[0; 16]] {
            assert_malformed(&capsule(kind, value), false);
        }
    }
}

#[test]
fn w14_flow_control_and_unknown_capsules_are_ignored() {
    for side in BOTH {
        for dialect in DIALECTS {
            let mut rig = Rig::ready(side, dialect);
            rig.piece = 3;
            for kind in (0x190b_4d38..=0x190b_4d44).filter(|kind| ![0x190b_4d3e, 0x190b_4d42].contains(kind))
            {
                rig.send(
                    &[capsule(kind, &[0xff; 8]), capsule(kind, &[]), capsule(kind, &[0; 3000])].concat(),
                );
                rig.run();
            }
            rig.send(
                &[capsule(0x29 * 7 + 0x17, b"grease"), capsule(0, b"datagram"), capsule(DRAIN, b"")].concat(),
            );
            rig.run();
            assert_eq!(names(&rig.node.events), ["datagram", "draining"]);
            assert_eq!(rig.node.datagrams(), [&b"datagram"[..]]);
            rig.fin();
            rig.run();
            // FIN without a capsule is a close with code 0.
            assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::default())));
            assert!(rig.peer_end().finish_received(id(0).0));
        }
    }
}

#[test]
fn resets_and_stops_of_the_connect_stream_end_the_session() {
    for side in BOTH {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let stream = rig.push_stream(Dir::Uni, id(0), b"x");
        rig.run();
        let end = rig.pair.ends(side).1;
        rig.peer.reset(id(0).0, 0x77, end);
        rig.run();
        assert_eq!(rig.node.closed(), Some(&Err(SessionError::Reset(0x77))));
        assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
        assert_eq!(rig.peer_end().reset_received(id(0).0), Some(GONE));
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let end = rig.pair.ends(side).1;
        rig.peer.stop(id(0).0, 0x78, end);
        rig.run();
        assert_eq!(rig.node.closed(), Some(&Err(SessionError::Stopped(0x78))));
        // A peer that closes may stop first: the capsule counts.
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let end = rig.pair.ends(side).1;
        rig.peer.stop(id(0).0, GONE, end);
        rig.run();
        rig.send(&close_capsule(3, b"x"));
        rig.fin();
        rig.run();
        assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::new(3, "x"))));
        assert!(rig.node.has("finished"));
    }
}

#[test]
fn w21_plain_resets_before_the_session_id() {
    for side in BOTH {
        for dir in [Dir::Bidi, Dir::Uni] {
            let mut rig = Rig::ready(side, Dialect::Draft16);
            let end = rig.peer_end();
            let stream = end.open(dir).unwrap();
            end.push(stream, &preface(dir, id(0))[..2]);
            rig.run();
            rig.peer_end().reset_stream_at = false;
            rig.peer_end().reset(stream, 9, 0).unwrap();
            rig.run();
            assert_eq!(names(&rig.node.events), [""; 0]);
            assert!(rig.node.sessions.is_open(id(0)));
            assert_eq!(rig.node.sessions.open_streams(), 0);
            rig.alive();
        }
    }
}

#[test]
fn other_codes_give_no_application_code() {
    for side in BOTH {
        for code in [0, 0x10c, 0x52e4_a40f_a8f9] {
            let mut rig = Rig::ready(side, Dialect::Draft02);
            let stream = rig.push_stream(Dir::Bidi, id(0), b"");
            rig.run();
            rig.peer_end().reset(stream, code, 99).unwrap();
            rig.peer_end().stop_sending(stream, code).unwrap();
            rig.run();
            let end = rig.pair.ends(side).0;
            assert_eq!(rig.node.read_all(stream, end).1, Err(StreamError::Reset(None)));
            assert!(rig.node.events.iter().any(|event| matches!(event, Event::Stopped { code: None, .. })));
        }
    }
}

#[test]
fn a_stop_that_arrives_with_the_preface_is_reported() {
    let code = crate::codes::to_http(7);
    for side in BOTH {
        for early in [false, true] {
            let mut rig = Rig::pending(side, Dialect::Draft16);
            if !early {
                rig.establish();
            }
            let stream = rig.push_stream(Dir::Bidi, id(0), b"x");
            rig.peer_end().stop_sending(stream, code).unwrap();
            rig.run();
            if early {
                rig.establish();
            }
            let stopped = |event: &&Event| matches!(event, Event::Stopped { stream: of, code: Some(7) } if *of == stream);
            assert_eq!(rig.node.events.iter().filter(stopped).count(), 1, "{side:?} {early}");
            rig.node.sessions.stop(stream, 0, rig.pair.ends(side).0).unwrap();
            assert_eq!(rig.node.sessions.open_streams(), 0);
        }
    }
}

#[test]
fn a_stop_that_arrives_before_the_preface_is_reported() {
    let code = crate::codes::to_http(7);
    for side in BOTH {
        for early in [false, true] {
            let mut rig = Rig::pending(side, Dialect::Draft16);
            if !early {
                rig.establish();
            }
            let bytes = preface(Dir::Bidi, id(0));
            let end = rig.peer_end();
            let stream = end.open(Dir::Bidi).unwrap();
            end.push(stream, &bytes[..1]);
            end.stop_sending(stream, code).unwrap();
            rig.run();
            rig.peer_end().push(stream, &bytes[1..]);
            rig.run();
            if early {
                rig.establish();
            }
            let about: Vec<&Event> = rig
                .node
                .events
                .iter()
                .filter(|event| matches!(event, Event::StreamOpened { .. } | Event::Stopped { .. }))
                .collect();
            assert!(
                matches!(about[..], [Event::StreamOpened { stream: opened, .. }, Event::Stopped { stream: of, code: Some(7) }]
                    if *opened == stream && *of == stream),
                "{side:?} {early} {about:?}"
            );
        }
    }
}

#[test]
fn w24_nothing_of_a_rejected_session_reaches_the_application() {
    let mut rig = Rig::pending(Side::Server, Dialect::Draft16);
    rig.send(&[capsule(0, b"datagram"), capsule(DRAIN, b"")].concat());
    let streams = [Dir::Bidi, Dir::Uni].map(|dir| rig.push_stream(dir, id(0), b"early"));
    rig.peer_end().send_datagram(Bytes::from_static(&[0, 1]), Default::default()).unwrap();
    rig.run();
    assert_eq!(names(&rig.node.events), ["incoming"]);
    assert_eq!(rig.node.sessions.early(), (2, 1));
    let Node { sessions, h3, .. } = &mut rig.node;
    sessions.reject(id(0), StatusCode::FORBIDDEN, HeaderMap::new(), h3, &mut rig.pair.server);
    rig.run();
    assert_eq!(names(&rig.node.events), ["incoming"]);
    assert_eq!(rig.node.sessions.early(), (0, 0));
    for stream in streams {
        assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
    }
    let forbidden = |event: &h3_core::Event| matches!(event, h3_core::Event::Response { head, .. } if head.status == StatusCode::FORBIDDEN);
    assert!(rig.peer_events.iter().any(forbidden));
    assert_eq!(rig.accept(), Err(crate::AcceptError::Gone));
    // The next session is accepted.
    rig.ask("webtransport-h3");
    assert_eq!(names(&rig.node.events), ["incoming", "incoming"]);
    rig.alive();
}

#[test]
fn capsules_before_the_answer_are_processed_after_it() {
    let mut rig = Rig::pending(Side::Server, Dialect::Draft16);
    rig.send(&[capsule(0, b"datagram"), close_capsule(5, b"never mind")].concat());
    rig.fin();
    rig.run();
    assert_eq!(names(&rig.node.events), ["incoming"]);
    rig.accept().unwrap();
    rig.run();
    assert_eq!(names(&rig.node.events), ["incoming", "datagram", "closed", "finished"]);
    assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::new(5, "never mind"))));
}

#[test]
fn a_client_that_gives_up_before_the_answer() {
    let mut rig = Rig::pending(Side::Server, Dialect::Draft16);
    let stream = rig.push_stream(Dir::Uni, id(0), b"early");
    rig.run();
    rig.peer.reset(id(0).0, 0x10c, &mut rig.pair.client);
    rig.run();
    assert_eq!(names(&rig.node.events), ["incoming", "closed", "finished"]);
    assert_eq!(rig.accept(), Err(crate::AcceptError::Gone));
    assert_eq!(rig.peer_end().stop_received(stream), Some(GONE));
    assert_eq!(rig.node.sessions.early(), (0, 0));
}

#[test]
fn goaway_below_the_request_refuses_it() {
    let mut rig = Rig::pending(Side::Client, Dialect::Draft16);
    // GOAWAY 0 on the peer's control stream, its first unidirectional stream.
    rig.peer_end().push(StreamId::new(Side::Server, Dir::Uni, 0), &[7, 1, 0]);
    rig.run();
    assert_eq!(rig.node.refusal(), Some(&crate::Refusal::GoingAway));
    rig.alive();
}

/// Streams that wait for a session are refused at once when its stream ends without a request.
#[test]
fn streams_for_an_impossible_session_are_refused_at_once() {
    type Ending = fn(&mut Rig, StreamId);
    let ends: [(&str, Ending); 10] = [
        ("reset", |rig, stream| rig.peer_end().reset(stream, 0x10c, 0).unwrap()),
        ("ended", |rig, stream| rig.peer_end().finish(stream).unwrap()),
        ("reset inside its head", |rig, stream| {
            rig.peer_end().push(stream, &[0x01, 20, 0, 0]);
            rig.pair.deliver(usize::MAX);
            rig.peer_end().reset(stream, 0x10c, 0).unwrap();
        }),
        ("ended without a head", |rig, stream| {
            rig.peer_end().push(stream, &[0x21, 0]);
            rig.peer_end().finish(stream).unwrap();
        }),
        ("malformed: no method", |rig, stream| rig.peer_end().push(stream, &[0x01, 3, 0, 0, 0xc1])),
        ("too large", |rig, stream| rig.peer_end().push(stream, &[0x01, 0x80, 0x10, 0, 0])),
        ("plain", |rig, stream| {
            // GET https a.test /
            let head = [&[0x01, 13, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 6][..], b"a.test"].concat();
            rig.peer_end().push(stream, &head);
        }),
        ("of another kind", |rig, stream| {
            rig.peer_end()
                .push(stream, &preface(Dir::Bidi, SessionId(StreamId::new(Side::Client, Dir::Bidi, 50))));
        }),
        ("its own session", |rig, stream| {
            rig.peer_end().push(stream, &preface(Dir::Bidi, SessionId(stream)));
        }),
        ("rejected by GOAWAY", |rig, _| {
            let (Node { sessions, h3, .. }, end) = (&mut rig.node, &mut rig.pair.server);
            sessions.go_away(h3, end);
        }),
    ];
    for (way, end) in ends {
        for early_end in [false, true] {
            let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
            let request = rig.peer_end().open(Dir::Bidi).unwrap();
            let goes_away = way == "rejected by GOAWAY";
            if early_end {
                end(&mut rig, request);
                rig.run();
            }
            let dirs = [Dir::Uni, Dir::Bidi];
            // A request whose stream is open when GOAWAY is sent is still accepted.
            let session = if goes_away { id(90) } else { SessionId(request) };
            let streams: Vec<_> = (0..24).map(|n| rig.push_stream(dirs[n % 2], session, b"x")).collect();
            if !early_end {
                rig.run();
                assert_eq!(rig.node.sessions.early().0, 24, "{way}");
                end(&mut rig, request);
            }
            rig.run();
            assert_eq!(rig.pair.server.closed, None, "{way}");
            let kept = usize::from(way == "of another kind");
            assert_eq!(rig.node.sessions.early().0, kept, "{way} {early_end}");
            for stream in streams {
                let code = rig.peer_end().stop_received(stream);
                let expected = if way == "plain" { crate::codes::WT_BUFFERED_STREAM_REJECTED } else { GONE };
                assert_eq!(code, Some(expected), "{way} {early_end}");
                if stream.dir() == Dir::Bidi {
                    assert_eq!(rig.peer_end().reset_received(stream), Some(expected), "{way} {early_end}");
                }
            }
            if goes_away {
                continue;
            }
            // The early streams of a valid session have room.
            let session = SessionId(rig.peer_end().open(Dir::Bidi).unwrap());
            for _ in kept..24 {
                rig.push_stream(Dir::Uni, session, b"x");
            }
            rig.run();
            assert_eq!(rig.node.sessions.early().0, 24, "{way}");
        }
    }
}

/// Streams and datagrams for a session whose request does not arrive expire; a request that has begun has its
/// own deadline.
#[test]
fn early_streams_without_a_request_expire() {
    let at = |seconds| Timestamp::ORIGIN + Duration::from_secs(seconds);
    let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
    // A request of which nothing has arrived, and one with one byte.
    let [silent, begun] = [0; 2].map(|_| rig.peer_end().open(Dir::Bidi).unwrap());
    rig.peer_end().push(begun, &[0x01]);
    let [late, bidi, waits] =
        [(Dir::Uni, silent), (Dir::Bidi, silent), (Dir::Uni, begun)].map(|(dir, of)| {
            let stream = rig.push_stream(dir, SessionId(of), b"data");
            rig.peer_end().send_datagram(vec![(of.value() / 4) as u8, 7].into(), Default::default()).unwrap();
            stream
        });
    rig.run();
    assert_eq!(rig.node.sessions.early(), (3, 3));
    let pass = |rig: &mut Rig, now: Timestamp| {
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.handle_timeout(now, h3, &mut rig.pair.server);
        rig.run();
    };
    assert_eq!(rig.node.sessions.poll_timeout(), Some(at(30)));
    pass(&mut rig, at(29));
    assert_eq!(rig.node.sessions.early(), (3, 3));
    pass(&mut rig, at(30));
    assert_eq!(rig.node.sessions.early(), (1, 1));
    let rejected = Some(crate::codes::WT_BUFFERED_STREAM_REJECTED);
    for stream in [late, bidi] {
        assert_eq!(rig.peer_end().stop_received(stream), rejected);
    }
    assert_eq!((rig.peer_end().reset_received(bidi), rig.peer_end().stop_received(waits)), (rejected, None));
    assert_eq!(rig.node.sessions.poll_timeout(), Some(at(60)), "checked again, while the stream waits");
    // Their use of the credit is no reason to keep them.
    let more = rig.push_stream(Dir::Uni, SessionId(silent), b"data");
    rig.run();
    rig.pair.server.receive_window = 4;
    rig.peer_end().reset(begun, 0, 0).unwrap();
    rig.run();
    assert_eq!(rig.node.sessions.early(), (1, 0));
    pass(&mut rig, at(100));
    assert_eq!((rig.peer_end().stop_received(more), rig.node.sessions.poll_timeout()), (rejected, None));
    // A client knows its requests.
    let mut rig = Rig::pending(Side::Client, Dialect::Draft16);
    rig.push_stream(Dir::Uni, id(0), b"data");
    rig.run();
    assert_eq!((rig.node.sessions.early(), rig.node.sessions.poll_timeout()), ((1, 0), None));
}

/// A request arrives after its streams were refused: the session counts them, as its peer does.
#[test]
fn a_late_session_counts_its_expired_streams() {
    let flow = FlowControl { max_streams_uni: 2, ..FlowControl::default() };
    let config = Config { flow_control: Some(flow), ..config_of(Dialect::Draft16) };
    let mut rig = Rig::new(Side::Server, &config, Sessions::settings(&config));
    for _ in 0..2 {
        let stream = rig.push_stream(Dir::Uni, id(0), b"data");
        rig.peer_end().finish(stream).unwrap();
    }
    rig.run();
    let Node { sessions, h3, .. } = &mut rig.node;
    sessions.handle_timeout(Timestamp::ORIGIN + Duration::from_secs(30), h3, &mut rig.pair.server);
    rig.run();
    rig.ask("webtransport-h3");
    rig.establish();
    // Their ends have arrived, so two more streams are granted, and no third.
    for _ in 0..2 {
        rig.push_stream(Dir::Uni, id(0), b"data");
    }
    rig.run();
    assert!(rig.node.sessions.is_open(id(0)));
    assert_eq!(rig.node.opened().len(), 2);
    rig.push_stream(Dir::Uni, id(0), b"data");
    rig.run();
    assert!(!rig.node.sessions.is_open(id(0)), "the third was not granted");
}

#[test]
fn a_stream_for_a_request_beyond_the_limit_is_refused_at_once() {
    let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
    let [last, beyond] = [99, 100].map(|index| rig.push_stream(Dir::Uni, id(index), b"x"));
    rig.run();
    assert_eq!(rig.node.sessions.early().0, 1);
    assert_eq!(
        (rig.peer_end().stop_received(last), rig.peer_end().stop_received(beyond)),
        (None, Some(GONE))
    );
}

/// The peer ended a stream and closed the session, and bytes of the stream are missing: the stream ends
/// without them.
#[test]
fn an_incomplete_stream_ends_with_the_session() {
    for side in BOTH {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let [whole, torn] = [0; 2].map(|_| rig.push_stream(Dir::Uni, id(0), b"data"));
        for stream in [whole, torn] {
            rig.peer_end().finish(stream).unwrap();
        }
        rig.run();
        rig.pair.ends(side).0.holes.insert(torn);
        rig.send(&close_capsule(1, b""));
        rig.fin();
        rig.run();
        assert_eq!(rig.node.closed(), Some(&Ok(CloseInfo::new(1, ""))));
        assert_eq!(rig.node.sessions.open_streams(), 1);
        let end = rig.pair.ends(side).0;
        assert_eq!(rig.node.read_all(torn, end).1, Err(StreamError::SessionGone));
        assert_eq!(rig.node.read_all(whole, end), (b"data".to_vec(), Ok(Read::Finished)));
        assert_eq!(rig.node.sessions.open_streams(), 0);
    }
}

/// The peer gives no credit for the close of a session: what waits for the close does not wait for ever.
#[test]
fn a_close_that_cannot_be_sent_is_given_up() {
    for side in BOTH {
        let mut rig = Rig::ready(side, Dialect::Draft16);
        let stream = rig.push_stream(Dir::Bidi, id(0), b"data");
        rig.run();
        let (end, _) = rig.pair.ends(side);
        end.window = 0;
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.give_up(id(0), h3, end);
        assert!(sessions.is_open(id(0)), "an open session is not given up");
        sessions.close(id(0), CloseInfo::new(1, "end"), h3, end);
        rig.run();
        assert_eq!(
            (rig.peer_end().reset_received(stream), rig.peer_end().stop_received(stream)),
            (None, None)
        );
        let (end, _) = rig.pair.ends(side);
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.give_up(id(0), h3, end);
        sessions.give_up(id(0), h3, end);
        rig.run();
        rig.assert_reset(id(0).0, GONE);
        rig.assert_reset(stream, GONE);
        assert!(rig.node.sessions.sessions.is_empty());
        assert_eq!(names(&rig.node.events).iter().filter(|name| **name == "finished").count(), 1);
    }
}

/// Capsules without effect: unknown types, empty datagrams, limits that rise by one.
#[test]
fn a_flood_of_capsules_without_effect_ends_the_connection() {
    const WT_MAX_DATA: u64 = 0x190b_4d3d;
    for side in BOTH {
        for way in 0..4 {
            for (count, ends) in [(16_000, false), (20_000, true)] {
                let flow =
                    Config { flow_control: Some(FlowControl::default()), ..config_of(Dialect::Draft16) };
                let mut rig = Rig::new(side, &flow, Sessions::settings(&flow));
                match side {
                    Side::Client => rig.connect(),
                    Side::Server => drop(rig.ask(Dialect::Draft16.token())),
                }
                rig.establish();
                let mut value = 1 << 29;
                for _ in 0..count / 100 {
                    let mut bytes = Vec::new();
                    for _ in 0..100 {
                        value += 1;
                        bytes.extend(match way {
                            0 => capsule(0x21, b""),
                            1 => capsule(0, b""),
                            2 => capsule(DRAIN, b""),
                            _ => {
                                let mut limit = Vec::new();
                                varint::put(&mut limit, value);
                                capsule(WT_MAX_DATA, &limit)
                            }
                        });
                    }
                    if rig.node.h3.failure().is_some() {
                        break;
                    }
                    rig.send(&bytes);
                    rig.run();
                    rig.node.events.retain(|event| !matches!(event, Event::Datagram { .. }));
                }
                if ends {
                    assert_connection_closed(&mut rig, 0x107);
                } else {
                    assert!(rig.node.sessions.is_open(id(0)), "{side:?} {way}");
                }
            }
        }
    }
}
