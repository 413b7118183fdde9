//! Whole sessions between two of our own ends.

use super::*;
use crate::SessionResponse;

#[test]
fn the_newest_common_dialect_is_used() {
    for (client, server, expected) in [
        (Config::default(), Config::default(), Dialect::Draft16),
        (config_of(Dialect::Draft07), Config::default(), Dialect::Draft07),
        (Config::default(), config_of(Dialect::Draft14), Dialect::Draft14),
        (config_of(Dialect::Draft02), Config::default(), Dialect::Draft02),
        (Config::default(), config_of(Dialect::Draft02), Dialect::Draft02),
        (config_of(Dialect::Draft16), Config::default(), Dialect::Draft16),
    ] {
        let mut duo = Duo::new(&client, &server);
        duo.connect();
        let [Event::Incoming { session, request }] = &duo.server.events[..] else {
            panic!("{:?}", duo.server.events)
        };
        assert_eq!((*session, request.dialect), (id(0), expected));
        assert_eq!((request.authority.as_str(), request.path.as_str()), ("a.test:4433", "/chat?x=1"));
        assert_eq!(request.origin.as_deref(), Some("https://a.test"));
        assert!(request.why.starts_with(&expected.to_string()), "{}", request.why);
        let old = expected == Dialect::Draft02;
        assert_eq!(request.headers.contains_key("sec-webtransport-http3-draft02"), old);
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, end).unwrap();
        assert_eq!(
            node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, end),
            Err(crate::AcceptError::Gone)
        );
        duo.run();
        let [Event::Established { response, .. }] = &duo.client.events[..] else {
            panic!("{:?}", duo.client.events)
        };
        let SessionResponse { status, headers, dialect, why, .. } = &**response;
        assert_eq!((status.as_u16(), *dialect), (200, expected));
        assert_eq!(headers.get("sec-webtransport-http3-draft").is_some_and(|value| value == "draft02"), old);
        assert!(why.starts_with(&expected.to_string()), "{why}");
    }
}

#[test]
fn only_a_2xx_status_accepts_a_session() {
    let mut duo = Duo::new(&Config::default(), &Config::default());
    duo.connect();
    let (node, end) = (&mut duo.server, &mut duo.pair.server);
    let mut accept = |status| {
        let status = http::StatusCode::from_u16(status).unwrap();
        node.sessions.accept_with(id(0), status, HeaderMap::new(), &mut node.h3, end)
    };
    for status in [100, 199, 300, 404, 599] {
        assert_eq!(accept(status), Err(crate::AcceptError::Status(status.try_into().unwrap())));
    }
    assert_eq!(accept(299), Ok(()), "the request is still pending");
    duo.run();
    let [Event::Established { response, .. }] = &duo.client.events[..] else {
        panic!("{:?}", duo.client.events)
    };
    assert_eq!(response.status.as_u16(), 299);
}

#[test]
fn streams_both_ways_in_small_pieces() {
    for (dialect, piece) in [(Dialect::Draft02, 1), (Dialect::Draft16, 3), (Dialect::Draft16, usize::MAX)] {
        for side in BOTH {
            let mut duo = Duo::established(dialect);
            duo.piece = piece;
            for dir in [Dir::Bidi, Dir::Uni] {
                let ((node, end), _) = duo.ends(side);
                let stream = node.sessions.open(id(0), dir, end).unwrap().unwrap();
                let mut data = Bytes::from_static(b"there you go");
                assert_eq!(node.sessions.write(stream, &mut data, end), Ok(12));
                node.sessions.finish(stream, end).unwrap();
                duo.run();
                let ((node, _), (peer, peer_end)) = duo.ends(side);
                assert!(node.has("sent"));
                assert!(peer.opened().contains(&stream));
                assert_eq!(peer.read_all(stream, peer_end), (b"there you go".to_vec(), Ok(Read::Finished)));
                if dir == Dir::Bidi {
                    let mut data = Bytes::from_static(b"and back");
                    peer.sessions.write(stream, &mut data, peer_end).unwrap();
                    peer.sessions.finish(stream, peer_end).unwrap();
                    duo.run();
                    let ((node, end), _) = duo.ends(side);
                    assert_eq!(node.read_all(stream, end), (b"and back".to_vec(), Ok(Read::Finished)));
                }
            }
            assert_eq!((duo.client.sessions.open_streams(), duo.server.sessions.open_streams()), (0, 0));
            assert_eq!((duo.client.sessions.unflushed, duo.server.sessions.unflushed), (0, 0));
        }
    }
}

#[test]
fn an_opened_stream_is_invisible_until_something_is_sent() {
    let mut duo = Duo::established(Dialect::Draft16);
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    duo.run();
    assert_eq!(duo.server.opened(), []);
    assert_eq!(duo.client.sessions.flush_preface(stream, &mut duo.pair.client), Ok(true));
    duo.run();
    assert_eq!(duo.server.opened(), [stream]);
}

#[test]
fn blocked_prefaces_and_ends_are_sent_later() {
    let mut duo = Duo::established(Dialect::Draft16);
    duo.pair.client.window = 1;
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    let mut data = Bytes::from_static(b"data");
    assert_eq!(node.sessions.write(stream, &mut data, end), Ok(0));
    node.sessions.finish(stream, end).unwrap();
    assert_eq!(node.sessions.write(stream, &mut data, end), Err(StreamError::Closed));
    duo.run();
    assert_eq!(duo.server.opened(), [stream]);
    assert_eq!(duo.server.read_all(stream, &mut duo.pair.server), (vec![], Ok(Read::Finished)));
}

#[test]
fn streams_open_again_after_new_credit() {
    let mut duo = Duo::established(Dialect::Draft16);
    duo.pair.server.grants = [1, 4];
    duo.run();
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    assert_eq!(node.sessions.open(id(0), Dir::Bidi, end), Ok(None));
    node.events.clear();
    duo.pair.server.grants = [2, 4];
    duo.run();
    assert!(duo.client.has("available"));
    assert!(duo.client.sessions.open(id(0), Dir::Bidi, &mut duo.pair.client).unwrap().is_some());
}

#[test]
fn w20_codes_in_both_directions() {
    for side in BOTH {
        for (code, wire) in [
            (0, 0x52e4_a40f_a8db_u64),
            (0x1d, 0x52e4_a40f_a8f8),
            (0x1e, 0x52e4_a40f_a8fa),
            (u32::MAX, 0x52e5_ac98_3162),
        ] {
            let mut duo = Duo::established(Dialect::Draft16);
            let ((node, end), _) = duo.ends(side);
            let stream = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
            node.sessions.flush_preface(stream, end).unwrap();
            duo.run();
            let ((node, end), _) = duo.ends(side);
            node.sessions.reset(stream, code, end).unwrap();
            node.sessions.stop(stream, code, end).unwrap();
            duo.run();
            let (_, (peer, peer_end)) = duo.ends(side);
            assert_eq!(peer_end.reset_received(stream), Some(wire));
            assert_eq!(peer_end.stop_received(stream), Some(wire));
            assert_eq!(peer.sessions.read(stream, 9, peer_end), Err(StreamError::Reset(Some(code))));
            let stopped =
                |event: &Event| matches!(event, Event::Stopped { code: Some(told), .. } if *told == code);
            assert!(peer.events.iter().any(stopped), "{:?}", peer.events);
            let written = peer.sessions.write(stream, &mut Bytes::from_static(b"x"), peer_end);
            assert_eq!(written, Err(StreamError::Stopped(Some(code))));
            assert_eq!(peer.sessions.open_streams(), 0);
        }
    }
}

#[test]
fn reset_before_any_payload_reaches_the_application() {
    for side in BOTH {
        for dir in [Dir::Bidi, Dir::Uni] {
            let mut duo = Duo::established(Dialect::Draft16);
            duo.piece = 1;
            let ((node, end), _) = duo.ends(side);
            let stream = node.sessions.open(id(0), dir, end).unwrap().unwrap();
            node.sessions.reset(stream, 77, end).unwrap();
            assert_eq!(node.sessions.reset(stream, 78, end), Err(StreamError::Closed));
            duo.run();
            let (_, (peer, peer_end)) = duo.ends(side);
            assert_eq!(peer.opened(), [stream]);
            assert_eq!(peer.read_all(stream, peer_end), (vec![], Err(StreamError::Reset(Some(77)))));
        }
    }
}

#[test]
fn committed_data_survives_a_reset() {
    let mut duo = Duo::established(Dialect::Draft16);
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    node.sessions.write(stream, &mut Bytes::from_static(b"kept"), end).unwrap();
    node.sessions.commit(stream, end).unwrap();
    node.sessions.write(stream, &mut Bytes::from_static(b"lost"), end).unwrap();
    node.sessions.reset(stream, 1, end).unwrap();
    duo.run();
    let read = duo.server.read_all(stream, &mut duo.pair.server);
    assert_eq!(read, (b"kept".to_vec(), Err(StreamError::Reset(Some(1)))));
}

#[test]
fn a_peer_without_reset_stream_at_gets_plain_resets() {
    let mut duo = Duo::established(Dialect::Draft02);
    duo.pair.client.reset_stream_at = false;
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    node.sessions.write(stream, &mut Bytes::from_static(b"data"), end).unwrap();
    node.sessions.reset(stream, 1, end).unwrap();
    duo.run();
    // Nothing of it arrived, so the peer cannot know whose it was.
    assert_eq!(duo.server.opened(), []);
    assert!(duo.server.sessions.is_open(id(0)));
}

#[test]
fn datagrams_both_ways() {
    for dialect in DIALECTS {
        for side in BOTH {
            let mut duo = Duo::established(dialect);
            let ((node, end), _) = duo.ends(side);
            let max = node.sessions.max_datagram_size(id(0), &node.h3, end).unwrap();
            assert_eq!(max, 1199);
            for size in [0, 5, max] {
                node.sessions.send_datagram(id(0), vec![7; size].into(), &mut node.h3, end).unwrap();
            }
            let large = node.sessions.send_datagram(id(0), vec![7; max + 1].into(), &mut node.h3, end);
            assert_eq!(large, Err(crate::DatagramError::TooLarge { max }));
            duo.run();
            let (_, (peer, _)) = duo.ends(side);
            assert_eq!(peer.datagrams().iter().map(Bytes::len).collect::<Vec<_>>(), [0, 5, max]);
        }
    }
}

#[test]
fn close_carries_code_and_reason() {
    for dialect in DIALECTS {
        for side in BOTH {
            let mut duo = Duo::established(dialect);
            duo.piece = 2;
            let info = CloseInfo::new(0xdead_beef, "enough \u{1f30a}");
            let ((node, end), _) = duo.ends(side);
            let lost = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
            node.sessions.write(lost, &mut Bytes::from_static(b"half"), end).unwrap();
            duo.run();
            let ((node, end), _) = duo.ends(side);
            node.sessions.close(id(0), info.clone(), &mut node.h3, end);
            node.sessions.close(id(0), CloseInfo::default(), &mut node.h3, end);
            assert_eq!(node.sessions.open(id(0), Dir::Uni, end), Err(crate::SessionGone));
            let sent = node.sessions.send_datagram(id(0), Bytes::new(), &mut node.h3, end);
            assert_eq!(sent, Err(crate::DatagramError::SessionGone));
            duo.run();
            // It ended with the session.
            let (_, (peer, peer_end)) = duo.ends(side);
            assert_eq!(peer_end.reset_received(lost), Some(GONE));
            assert_eq!(peer.read_all(lost, peer_end).1, Err(StreamError::SessionGone));
            for node in [&duo.client, &duo.server] {
                assert_eq!(node.closed(), Some(&Ok(info.clone())));
                assert_eq!(names(&node.events).iter().filter(|name| **name == "closed").count(), 1);
                assert!(node.has("finished"));
                assert_eq!((node.sessions.open_streams(), node.sessions.unflushed), (0, 0));
                assert!(node.sessions.sessions.is_empty());
            }
            let (_, (peer, peer_end)) = duo.ends(side);
            assert!(peer_end.finish_received(id(0).0));
            assert_eq!(peer.sessions.read(lost, 9, peer_end), Err(StreamError::SessionGone));
            assert_eq!((&duo.pair.client.closed, &duo.pair.server.closed), (&None, &None));
            // The connection can carry the next one.
            duo.connect();
            assert!(duo.server.has("incoming"));
        }
    }
}

/// Chromium can lose the code and the reason of a close that arrives with resets.
#[test]
fn the_close_is_sent_before_the_resets_of_streams() {
    for side in BOTH {
        let mut duo = Duo::established(Dialect::Draft14);
        let ((node, end), (peer, peer_end)) = duo.ends(side);
        let ours = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
        let theirs = peer.sessions.open(id(0), Dir::Bidi, peer_end).unwrap().unwrap();
        for (node, end, stream) in [(node, end, ours), (peer, peer_end, theirs)] {
            node.sessions.write(stream, &mut Bytes::from_static(b"data"), end).unwrap();
        }
        duo.run();
        let ((node, end), _) = duo.ends(side);
        node.sessions.close(id(0), CloseInfo::new(7, "because"), &mut node.h3, end);
        let gone = node.sessions.write(ours, &mut Bytes::from_static(b"more"), end);
        assert_eq!(gone, Err(StreamError::SessionGone), "the stream is over at once on this side");
        let mut steps = 0;
        while duo.pair.deliver(1) {
            let (_, (_, peer_end)) = duo.ends(side);
            let told = [ours, theirs].map(|id| (peer_end.reset_received(id), peer_end.stop_received(id)));
            if peer_end.finish_received(id(0).0) {
                assert_eq!(told, [(Some(GONE), Some(GONE)); 2]);
                break;
            }
            assert_eq!(told, [(None, None); 2], "after {steps} bytes");
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
    }
}

#[test]
fn finished_streams_stay_readable_after_a_clean_close() {
    for side in BOTH {
        let mut duo = Duo::established(Dialect::Draft16);
        let ((node, end), _) = duo.ends(side);
        let whole = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
        let half = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
        for stream in [whole, half] {
            node.sessions.write(stream, &mut Bytes::from_static(b"data"), end).unwrap();
        }
        node.sessions.finish(whole, end).unwrap();
        duo.run();
        let ((node, end), _) = duo.ends(side);
        node.sessions.close(id(0), CloseInfo::default(), &mut node.h3, end);
        duo.run();
        let (_, (peer, peer_end)) = duo.ends(side);
        assert_eq!(peer.read_all(whole, peer_end), (b"data".to_vec(), Ok(Read::Finished)));
        let read = peer.read_all(half, peer_end).1;
        assert_eq!(read, Err(StreamError::SessionGone));
        let written = peer.sessions.write(whole, &mut Bytes::from_static(b"x"), peer_end);
        assert_eq!(written, Err(StreamError::SessionGone));
        assert_eq!(peer.sessions.open_streams(), 0);
    }
}

#[test]
fn long_reasons_are_cut_between_characters() {
    let mut duo = Duo::established(Dialect::Draft16);
    let info = CloseInfo::new(1, "\u{20ac}".repeat(500));
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    node.sessions.close(id(0), info, &mut node.h3, end);
    duo.run();
    let Some(Ok(told)) = duo.server.closed() else { panic!() };
    assert_eq!(told.reason, "\u{20ac}".repeat(341));
}

#[test]
fn w25_draining_and_goaway_leave_the_session_open() {
    for side in BOTH {
        let mut duo = Duo::established(Dialect::Draft16);
        let ((node, end), _) = duo.ends(side);
        node.sessions.drain(id(0), &mut node.h3, end).unwrap();
        node.sessions.drain(id(0), &mut node.h3, end).unwrap();
        duo.run();
        let (_, (peer, _)) = duo.ends(side);
        assert_eq!(names(&peer.events), ["draining"]);
    }
    let mut duo = Duo::established(Dialect::Draft16);
    duo.server.sessions.go_away(&mut duo.server.h3, &mut duo.pair.server);
    duo.run();
    assert_eq!(names(&duo.client.events), ["draining", "http"]);
    assert!(duo.client.sessions.is_open(id(0)) && duo.server.sessions.is_open(id(0)));
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    node.sessions.flush_preface(stream, end).unwrap();
    node.sessions.close(id(0), CloseInfo::default(), &mut node.h3, end);
    let again = node.sessions.connect(request(), &mut node.h3, end);
    assert_eq!(again, Err(crate::ConnectError::GoingAway));
}

#[test]
fn w22_a_million_streams() {
    let mut duo = Duo::established(Dialect::Draft16);
    (duo.pair.client.grants, duo.pair.server.grants) = ([1 << 40; 2], [1 << 40; 2]);
    duo.run();
    flood(&mut duo, 1_000_000, |duo, round| {
        let side = BOTH[round as usize % 2];
        let ((node, end), _) = duo.ends(side);
        let stream = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
        node.sessions.write(stream, &mut Bytes::from_static(b"x"), end).unwrap();
        node.sessions.finish(stream, end).unwrap();
        duo.run();
        let ((node, end), (peer, peer_end)) = duo.ends(side);
        assert_eq!(peer.read_all(stream, peer_end).1, Ok(Read::Finished));
        peer.sessions.reset(stream, 0, peer_end).unwrap();
        node.events.clear();
        peer.events.clear();
        let _ = node.sessions.stop(stream, 0, end);
        duo.run();
        duo.client.events.clear();
        duo.server.events.clear();
        duo.pair.client.forget_closed();
        duo.pair.server.forget_closed();
    });
    assert_eq!((duo.client.sessions.open_streams(), duo.server.sessions.open_streams()), (0, 0));
}

#[test]
fn keying_material_is_shared_and_bound_to_its_labels() {
    let duo = Duo::established(Dialect::Draft16);
    let export = |node: &Node, end: &End, label: &[u8], context: &[u8]| {
        let mut out = [0; 32];
        node.sessions.export_keying_material(id(0), &mut out, label, context, end).map(|()| out)
    };
    let ours = export(&duo.client, &duo.pair.client, b"a", b"b").unwrap();
    assert_eq!(export(&duo.server, &duo.pair.server, b"a", b"b").unwrap(), ours);
    assert_ne!(export(&duo.server, &duo.pair.server, b"ab", b"").unwrap(), ours);
    assert!(export(&duo.client, &duo.pair.client, &[0; 256], b"").is_err());
}

#[test]
fn the_end_of_the_connection_ends_everything() {
    let mut duo = Duo::established(Dialect::Draft16);
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(0), Dir::Uni, end).unwrap().unwrap();
    let end_of_it = quic_core::Event::Closed(quic_core::error::ConnectionError::IdleTimeout);
    assert!(!node.sessions.on_event(&end_of_it, Timestamp::ORIGIN, &mut node.h3, end));
    node.poll();
    assert_eq!(node.closed(), Some(&Err(crate::SessionError::ConnectionLost)));
    assert_eq!(node.sessions.session_of(stream), None);
    let again = node.sessions.connect(request(), &mut node.h3, end);
    assert_eq!(again, Err(crate::ConnectError::ConnectionLost));
}
