//! Session flow control between two of our own ends: what is blocked, woken and granted.

use super::*;

/// Two ends with these limits on both sides and one session.
fn limited(flow: FlowControl) -> Duo {
    limited_of(1, flow)
}

/// As [`limited`], with up to `max_sessions` sessions.
fn limited_of(max_sessions: u64, flow: FlowControl) -> Duo {
    let config = Config { flow_control: Some(flow), max_sessions, ..config_of(Dialect::Draft16) };
    let mut duo = Duo::new(&config, &config);
    (duo.pair.client.grants, duo.pair.server.grants) = ([1 << 40; 2], [1 << 40; 2]);
    duo.run();
    duo.connect();
    let (node, end) = (&mut duo.server, &mut duo.pair.server);
    node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, end).unwrap();
    duo.run();
    duo.client.events.clear();
    duo.server.events.clear();
    assert!(duo.client.sessions.flow_control() && duo.server.sessions.flow_control());
    duo
}

fn small() -> FlowControl {
    FlowControl {
        max_data: 100,
        max_data_ceiling: 100,
        max_data_together: 10_000,
        max_streams_bidi: 2,
        max_streams_uni: 2,
    }
}

fn write(node: &mut Node, end: &mut End, stream: StreamId, bytes: usize) -> usize {
    node.sessions.write(stream, &mut Bytes::from(vec![1; bytes]), end).unwrap()
}

fn open(node: &mut Node, end: &mut End, dir: Dir) -> StreamId {
    node.sessions.open(id(0), dir, end).unwrap().unwrap()
}

fn writable(node: &Node) -> Vec<StreamId> {
    let writable = |event: &Event| match event {
        Event::Writable { stream } => Some(*stream),
        _ => None,
    };
    node.events.iter().filter_map(writable).collect()
}

#[test]
fn data_waits_for_the_sessions_credit_and_continues() {
    for side in BOTH {
        let mut duo = limited(small());
        let ((node, end), _) = duo.ends(side);
        let [one, two] = [0; 2].map(|_| open(node, end, Dir::Bidi));
        assert_eq!(write(node, end, one, 70), 70);
        // A part is written, then nothing. Prefaces and FIN take no credit.
        assert_eq!(write(node, end, two, 70), 30);
        assert_eq!(write(node, end, two, 40), 0);
        assert_eq!(write(node, end, one, 1), 0);
        assert_eq!(node.sessions.write(one, &mut Bytes::new(), end), Ok(0));
        let uni = open(node, end, Dir::Uni);
        assert_eq!(node.sessions.flush_preface(uni, end), Ok(true));
        node.sessions.finish(uni, end).unwrap();
        duo.run();
        let ((node, _), (peer, peer_end)) = duo.ends(side);
        assert_eq!(writable(node), []);
        assert_eq!(peer.opened().len(), 3);
        // Less than a sixteenth of the window: no capsule is sent.
        let read = peer.sessions.read(two, 5, peer_end);
        assert!(matches!(read, Ok(Read::Data(bytes)) if bytes.len() == 5));
        duo.run();
        let ((node, _), (peer, peer_end)) = duo.ends(side);
        assert_eq!(writable(node), []);
        assert_eq!(peer.read_all(two, peer_end).0.len(), 25);
        assert_eq!(peer.read_all(one, peer_end).0.len(), 70);
        duo.run();
        let ((node, end), _) = duo.ends(side);
        // Each stream is woken once, in the order in which they were blocked.
        assert_eq!(writable(node), [two, one]);
        assert_eq!((write(node, end, two, 40), write(node, end, one, 61)), (40, 60));
    }
}

#[test]
fn the_windows_of_all_sessions_have_one_bound() {
    let flow = FlowControl { max_data_ceiling: 1000, max_data_together: 450, ..small() };
    // A single session may take all. Otherwise the first windows of others are reserved, up to half.
    for (sessions, windows) in
        [(1, [200, 400, 450, 450]), (3, [200, 250, 250, 250]), (99, [200, 225, 225, 225])]
    {
        let mut duo = limited_of(sessions, flow);
        let ((node, end), _) = duo.ends(Side::Client);
        let stream = open(node, end, Dir::Uni);
        let granted = windows.map(|_| {
            let ((node, end), _) = duo.ends(Side::Client);
            write(node, end, stream, 1000);
            duo.run();
            let (_, (peer, peer_end)) = duo.ends(Side::Client);
            assert_eq!(peer.read_all(stream, peer_end).1, Ok(Read::Blocked));
            duo.run();
            duo.client.sessions.data_left(stream).unwrap()
        });
        assert_eq!(granted, windows, "{sessions}");
    }
}

#[test]
fn held_bytes_keep_the_window() {
    let mut duo = limited(small());
    let ((node, end), _) = duo.ends(Side::Client);
    let stream = open(node, end, Dir::Uni);
    assert_eq!(write(node, end, stream, 90), 90);
    duo.run();
    let (_, (peer, peer_end)) = duo.ends(Side::Client);
    assert_eq!(peer.sessions.set_held(id(0), 0), None);
    let read = peer.sessions.read(stream, 1000, peer_end);
    assert!(matches!(read, Ok(Read::Data(bytes)) if bytes.len() == 90));
    assert_eq!(peer.sessions.set_held(id(0), 80), Some(40));
    duo.run();
    assert_eq!(duo.client.sessions.data_left(stream), Some(10));
    assert_eq!(duo.server.sessions.set_held(id(0), 40), None);
    duo.run();
    assert_eq!(
        duo.client.sessions.data_left(stream),
        Some(60),
        "the application does not keep up, so the window stays"
    );
    assert_eq!(duo.server.sessions.set_held(id(4), 50), None, "no such session");
}

#[test]
fn data_left_in_the_transport_counts_as_unread() {
    let mut duo = limited(FlowControl { max_data_ceiling: 1000, ..small() });
    let ((node, end), _) = duo.ends(Side::Client);
    let stream = open(node, end, Dir::Uni);
    let mut sent = write(node, end, stream, 40);
    duo.run();
    sent += duo.client.sessions.write(stream, &mut Bytes::from(vec![1; 1000]), &mut duo.pair.client).unwrap();
    duo.run();
    assert_eq!(sent, 100);
    duo.server.sessions.count_unread(stream, &mut duo.pair.server);
    assert_eq!(duo.server.sessions.set_held(id(0), 0), None);
    duo.run();
    assert_eq!(duo.client.sessions.data_left(stream), Some(100), "the window is twice the unread data");
}

#[test]
fn unread_data_takes_half_of_a_window_that_can_grow() {
    // The bounds: the ceiling, half of the sum of all windows, and that half shared with a further session.
    for (sessions, together, most) in [(1, 10_000, 1000), (1, 700, 350), (2, 700, 350), (2, 300, 150)] {
        let flow = FlowControl { max_data_ceiling: 1000, max_data_together: together, ..small() };
        let mut duo = limited_of(sessions, flow);
        let ((node, end), _) = duo.ends(Side::Client);
        let stream = open(node, end, Dir::Uni);
        let mut sent = 0;
        for _ in 0..6 {
            let ((node, end), _) = duo.ends(Side::Client);
            sent += write(node, end, stream, 2000);
            duo.run();
            let (_, (peer, peer_end)) = duo.ends(Side::Client);
            while let Ok(Read::Data(_)) = peer.sessions.read(stream, 2000, peer_end) {}
            peer.sessions.set_held(id(0), sent as u64);
            duo.run();
        }
        assert_eq!(sent, most, "{together}");
    }
}

#[test]
fn streams_that_wait_take_turns() {
    let mut duo = limited(FlowControl { max_streams_uni: 9, ..small() });
    let ((node, end), _) = duo.ends(Side::Client);
    let streams = [0; 3].map(|_| open(node, end, Dir::Uni));
    let mut got = [0; 3];
    got[0] += write(node, end, streams[0], 1000);
    for stream in &streams[1..] {
        assert_eq!(write(node, end, *stream, 1000), 0);
    }
    for _ in 0..11 {
        duo.run();
        let ((node, end), (peer, peer_end)) = duo.ends(Side::Client);
        for stream in peer.opened() {
            assert_eq!(peer.read_all(stream, peer_end).1, Ok(Read::Blocked));
        }
        for stream in writable(node) {
            let place = streams.iter().position(|own| *own == stream).unwrap();
            got[place] += write(node, end, stream, 1000);
        }
        node.events.clear();
    }
    // Each grant is one window; six arrived.
    assert_eq!(got, [200; 3]);
}

#[test]
fn a_stream_blocked_by_its_own_limit_takes_no_session_credit() {
    let mut duo = limited(small());
    let ((node, end), _) = duo.ends(Side::Client);
    let (unread, other) = (open(node, end, Dir::Uni), open(node, end, Dir::Uni));
    assert_eq!(node.sessions.flush_preface(unread, end), Ok(true));
    let header = end.bytes_written(unread).unwrap();
    end.raise_stream_limit(header + 30);
    assert_eq!((write(node, end, unread, 100), write(node, end, unread, 100)), (30, 0));
    assert_eq!(node.sessions.data_left(other), Some(70));
    assert_eq!((write(node, end, other, 100), node.sessions.data_left(other)), (30, Some(40)));
    duo.run();
    assert_eq!(writable(&duo.client), [], "no limit rose, and the session does not block it");
    duo.pair.client.raise_stream_limit(header + 60);
    duo.run();
    assert_eq!(writable(&duo.client), [unread, other]);
    let ((node, end), _) = duo.ends(Side::Client);
    assert_eq!((write(node, end, unread, 100), write(node, end, other, 100)), (30, 10));
}

#[test]
fn opening_waits_for_the_session_and_for_quic() {
    for side in BOTH {
        for dir in [Dir::Bidi, Dir::Uni] {
            let mut duo = limited(small());
            let ((node, end), _) = duo.ends(side);
            let streams = [0; 2].map(|_| open(node, end, dir));
            assert_eq!(node.sessions.open(id(0), dir, end), Ok(None));
            for stream in streams {
                node.sessions.flush_preface(stream, end).unwrap();
            }
            duo.run();
            let ((node, end), _) = duo.ends(side);
            for stream in streams {
                node.sessions.reset(stream, 1, end).unwrap();
                let _ = node.sessions.stop(stream, 1, end);
            }
            duo.run();
            let ((node, _), (peer, peer_end)) = duo.ends(side);
            assert!(!node.has("available"));
            // Once it is over on both sides, another may be opened.
            assert_eq!(peer.read_all(streams[1], peer_end).1, Err(StreamError::Reset(Some(1))));
            duo.run();
            let ((node, end), _) = duo.ends(side);
            let available = |event: &&Event| {
                matches!(event, Event::StreamsAvailable { session: Some(of), dir: of_dir }
                    if *of == id(0) && *of_dir == dir)
            };
            assert_eq!(node.events.iter().filter(available).count(), 1);
            open(node, end, dir);
            assert_eq!(node.sessions.open(id(0), dir, end), Ok(None));
        }
    }
    // QUIC's limit is shared: HTTP/3 has used three streams.
    let mut duo = limited(small());
    duo.pair.server.grants[1] = 3;
    duo.run();
    duo.client.events.clear();
    let ((node, end), _) = duo.ends(Side::Client);
    assert_eq!(node.sessions.open(id(0), Dir::Uni, end), Ok(None));
    duo.pair.server.grants[1] = 4;
    duo.run();
    let available = |event: &Event| matches!(event, Event::StreamsAvailable { session: None, dir: Dir::Uni });
    assert!(duo.client.events.iter().any(available));
    let ((node, end), _) = duo.ends(Side::Client);
    open(node, end, Dir::Uni);
}

#[test]
fn anticipated_streams_are_granted_at_once() {
    for side in BOTH {
        let mut duo = limited(small());
        let (_, (peer, _)) = duo.ends(side);
        peer.sessions.set_max_streams(id(0), Dir::Uni, 1);
        peer.sessions.set_max_streams(id(0), Dir::Uni, 5);
        duo.run();
        let ((node, end), _) = duo.ends(side);
        let opened = (0..9).filter(|_| node.sessions.open(id(0), Dir::Uni, end).unwrap().is_some()).count();
        let other = (0..9).filter(|_| node.sessions.open(id(0), Dir::Bidi, end).unwrap().is_some()).count();
        assert_eq!((opened, other), (5, 2));
    }
}

#[test]
fn a_reset_refunds_the_sessions_credit() {
    for by_peer in [false, true] {
        let mut duo = limited(small());
        duo.piece = 20;
        let ((node, end), _) = duo.ends(Side::Client);
        let [lost, other] = [0; 2].map(|_| open(node, end, Dir::Uni));
        assert_eq!((write(node, end, lost, 150), write(node, end, other, 50)), (100, 0));
        // After three bytes of preface, 17 of the 100 bytes are sent.
        duo.client.flush(&mut duo.pair.client);
        duo.pair.deliver(20);
        duo.server.pump(&mut duo.pair.server);
        if by_peer {
            duo.server.sessions.stop(lost, 1, &mut duo.pair.server).unwrap();
            duo.pair.deliver(0);
            duo.client.pump(&mut duo.pair.client);
        } else {
            duo.client.sessions.reset(lost, 1, &mut duo.pair.client).unwrap();
            duo.client.poll();
        }
        // Blocked data was never charged; of the rest only the bytes sent count.
        let ((node, end), _) = duo.ends(Side::Client);
        assert_eq!(writable(node), [other]);
        assert_eq!(write(node, end, other, 200), 83);
        duo.piece = usize::MAX;
        duo.run();
        assert!(duo.client.sessions.is_open(id(0)) && duo.server.sessions.is_open(id(0)));
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        if !by_peer {
            assert_eq!(node.read_all(lost, end), (vec![1; 17], Err(StreamError::Reset(Some(1)))));
        }
        assert_eq!(node.read_all(other, end).0.len(), 83);
        duo.run();
        // The whole window is available again.
        let ((node, end), _) = duo.ends(Side::Client);
        assert!(write(node, end, other, 1000) >= 100);
    }
}

/// Committed bytes of a reset stream are refunded if the peer stops the stream before they are sent.
#[test]
fn a_stop_after_a_reset_refunds_the_sessions_credit() {
    for side in BOTH {
        let mut duo = limited(small());
        let ((node, end), _) = duo.ends(side);
        let [lost, other] = [0; 2].map(|_| open(node, end, Dir::Uni));
        assert_eq!((write(node, end, lost, 60), write(node, end, other, 10)), (60, 10));
        node.sessions.commit(lost, end).unwrap();
        assert_eq!(write(node, end, lost, 30), 30);
        // After three bytes of preface, 17 bytes are sent.
        duo.pair.deliver(20);
        let ((node, end), (peer, peer_end)) = duo.ends(side);
        assert_eq!(node.sessions.data_left(other), Some(0));
        node.sessions.reset(lost, 1, end).unwrap();
        assert_eq!(node.sessions.data_left(other), Some(30), "uncommitted bytes are refunded");
        assert_eq!(write(node, end, other, 50), 30);
        peer.pump(peer_end);
        peer.sessions.stop(lost, 2, peer_end).unwrap();
        duo.pair.deliver(0);
        let ((node, end), _) = duo.ends(side);
        node.pump(end);
        assert_eq!(writable(node), [other], "{side:?}");
        assert_eq!(node.sessions.data_left(other), Some(43), "unsent committed bytes are refunded");
        duo.run();
        // The peer counts the same.
        let ((node, end), (peer, peer_end)) = duo.ends(side);
        assert_eq!(write(node, end, other, 50), 43);
        assert_eq!(peer.sessions.sessions[&id(0)].flow.as_ref().unwrap().receive.data.received, 57);
        peer.pump(peer_end);
        duo.run();
        let ((node, _), (peer, peer_end)) = duo.ends(side);
        assert_eq!(peer.read_all(other, peer_end).0.len(), 83);
        assert!(node.sessions.is_open(id(0)) && peer.sessions.is_open(id(0)));
        assert!(node.sessions.resetting.is_empty());
    }
}

/// A stream that is stopped after everything was sent, or is not stopped, leaves nothing behind either.
#[test]
fn completed_resets_leave_nothing_behind() {
    let mut duo = limited(small());
    for stopped in [false, true] {
        let ((node, end), _) = duo.ends(Side::Client);
        let stream = open(node, end, Dir::Uni);
        assert!(write(node, end, stream, 20) == 20);
        node.sessions.commit(stream, end).unwrap();
        node.sessions.reset(stream, 1, end).unwrap();
        assert_eq!(node.sessions.resetting.len(), 1);
        duo.pair.deliver(usize::MAX);
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.pump(end);
        if stopped {
            node.sessions.stop(stream, 2, end).unwrap();
        } else {
            assert_eq!(node.read_all(stream, end), (vec![1; 20], Err(StreamError::Reset(Some(1)))));
        }
        duo.run();
        assert!(duo.client.sessions.resetting.is_empty());
        let ((node, _), _) = duo.ends(Side::Client);
        let used =
            100 - node.sessions.sessions[&id(0)].flow.as_ref().unwrap().send.left(crate::flow::Limited::Data);
        assert_eq!(used, if stopped { 40 } else { 20 });
    }
}

#[test]
fn stopped_streams_never_use_up_the_sessions_credit() {
    for side in BOTH {
        let mut duo = limited(small());
        for _ in 0..30 {
            let ((node, end), _) = duo.ends(side);
            let stream = open(node, end, Dir::Uni);
            assert!(write(node, end, stream, 100) >= 50);
            duo.pair.deliver(usize::MAX);
            let (_, (peer, peer_end)) = duo.ends(side);
            peer.pump(peer_end);
            peer.sessions.stop(stream, 3, peer_end).unwrap();
            duo.run();
        }
        let ((node, _), (peer, _)) = duo.ends(side);
        assert_eq!((node.sessions.open_streams(), peer.sessions.open_streams()), (0, 0));
        assert!(node.sessions.is_open(id(0)) && peer.sessions.is_open(id(0)));
    }
}

/// Bytes that arrive after a stream was stopped or refused count exactly like bytes that were read.
#[test]
fn the_final_sizes_of_stopped_and_refused_streams_count() {
    for side in BOTH {
        // Stopped, refused without room in the session, and refused before the session existed.
        for case in 0..3 {
            let config = Config {
                flow_control: Some(FlowControl { max_data: 100, max_data_ceiling: 100, ..small() }),
                max_early_streams: 0,
                max_open_streams: if case == 1 { 0 } else { 4096 },
                ..config_of(Dialect::Draft16)
            };
            let mut rig = Rig::new(side, &config, Sessions::settings(&config));
            match side {
                Side::Client => rig.connect(),
                Side::Server => drop(rig.ask("webtransport-h3")),
            }
            if case != 2 {
                rig.establish();
            }
            let stream = rig.push_stream(Dir::Uni, id(0), &[1; 20]);
            rig.pair.deliver(usize::MAX);
            // At a server, more arrives while the stop is in flight; the reset has the final size.
            rig.peer_end().push(stream, &[1; 20]);
            let (end, _) = rig.pair.ends(side);
            rig.node.pump(end);
            if case == 0 {
                rig.node.sessions.stop(stream, 1, end).unwrap();
            }
            rig.pair.deliver(usize::MAX);
            assert!(rig.peer_end().stop_received(stream).is_some());
            let size = rig.peer_end().sent_end(stream).unwrap() - preface(Dir::Uni, id(0)).len() as u64;
            assert_eq!(size, if side.is_client() { 20 } else { 40 });
            rig.run();
            if case == 2 {
                rig.establish();
            }
            // No credit was granted for these: half a window is due at 50.
            let limited = |rig: &Rig| {
                let flow = rig.node.sessions.sessions[&id(0)].flow.as_ref().unwrap();
                (flow.receive.data.received, flow.receive.data.limit)
            };
            assert_eq!(limited(&rig), (size, 100), "{side:?} {case}");
            let other = rig.push_stream(Dir::Uni, id(0), &vec![1; 100 - size as usize]);
            rig.run();
            assert!(rig.node.sessions.is_open(id(0)));
            // The application read none of the rest, unless there was no room for the streams.
            assert_eq!(limited(&rig).1, if case == 1 { 200 } else { 100 }, "{side:?} {case}");
            if case != 1 {
                rig.peer_end().push(other, &[1]);
                rig.run();
                assert!(!rig.node.sessions.is_open(id(0)), "one byte too many");
            }
        }
    }
}

/// Bytes count as they arrive: a peer that continues without a final size also uses up the session's credit.
#[test]
fn bytes_on_a_stopped_stream_count_as_they_arrive() {
    for (size, open) in [(80, true), (81, false)] {
        let flow = FlowControl { max_data: 100, max_data_ceiling: 100, ..small() };
        let config = Config { flow_control: Some(flow), ..config_of(Dialect::Draft16) };
        let mut rig = Rig::new(Side::Server, &config, Sessions::settings(&config));
        rig.ask("webtransport-h3");
        rig.establish();
        let stream = rig.push_stream(Dir::Uni, id(0), &[1; 20]);
        rig.run();
        rig.node.sessions.stop(stream, 1, &mut rig.pair.server).unwrap();
        rig.peer_end().push(stream, &vec![1; size]);
        // The stop is in flight, and no reset has answered it.
        rig.pair.deliver(usize::MAX);
        rig.node.pump(&mut rig.pair.server);
        rig.node.flush(&mut rig.pair.server);
        assert_eq!(rig.pair.server.final_size(stream), None);
        assert_eq!(rig.node.sessions.is_open(id(0)), open);
    }
}

#[test]
fn early_streams_count_whether_kept_or_refused() {
    let config = Config {
        flow_control: Some(FlowControl { max_streams_uni: 5, ..small() }),
        max_early_streams: 2,
        ..config_of(Dialect::Draft16)
    };
    let mut rig = Rig::new(Side::Server, &config, Sessions::settings(&config));
    rig.ask("webtransport-h3");
    let streams = [0; 5].map(|_| rig.push_stream(Dir::Uni, id(0), b"early"));
    rig.run();
    assert_eq!(rig.node.sessions.early(), (2, 0));
    rig.establish();
    assert_eq!(rig.node.opened(), streams[..2]);
    for stream in &streams[2..] {
        assert_eq!(rig.peer_end().stop_received(*stream), Some(crate::codes::WT_BUFFERED_STREAM_REJECTED));
    }
    // Three are over and granted again; with the two open ones that makes five.
    let more = [0; 3].map(|_| rig.push_stream(Dir::Uni, id(0), b"x"));
    rig.run();
    assert!(rig.node.sessions.is_open(id(0)));
    assert_eq!(rig.node.opened()[2..], more);
    rig.push_stream(Dir::Uni, id(0), b"x");
    rig.run();
    assert!(!rig.node.sessions.is_open(id(0)));
}

#[test]
fn open_streams_of_a_session_are_bounded_without_flow_control() {
    let config = Config { max_open_streams: 2, ..config_of(Dialect::Draft07) };
    let mut rig = Rig::new(Side::Server, &config, settings_of(Dialect::Draft07));
    rig.ask("webtransport");
    rig.establish();
    let [first, _, third] = [0; 3].map(|_| rig.push_stream(Dir::Uni, id(0), b"x"));
    rig.run();
    assert_eq!(rig.peer_end().stop_received(third), Some(crate::codes::WT_BUFFERED_STREAM_REJECTED));
    rig.node.sessions.stop(first, 1, &mut rig.pair.server).unwrap();
    let fourth = rig.push_stream(Dir::Uni, id(0), b"x");
    rig.run();
    assert_eq!(rig.node.opened()[2..], [fourth]);
    assert!(rig.node.sessions.is_open(id(0)));
}

#[test]
fn w22_streams_come_and_go_under_flow_control() {
    let mut duo = limited(FlowControl { max_data: 1000, max_data_ceiling: 4000, ..small() });
    flood(&mut duo, 20_000, |duo, round| {
        let side = BOTH[round as usize % 2];
        let ((node, end), _) = duo.ends(side);
        let stream = open(node, end, Dir::Bidi);
        assert_eq!(write(node, end, stream, 300), 300);
        node.sessions.finish(stream, end).unwrap();
        duo.run();
        let ((node, end), (peer, peer_end)) = duo.ends(side);
        if round % 3 == 0 {
            peer.sessions.stop(stream, 0, peer_end).unwrap();
        } else {
            assert_eq!(peer.read_all(stream, peer_end).1, Ok(Read::Finished));
        }
        peer.sessions.reset(stream, 0, peer_end).unwrap();
        let _ = node.sessions.stop(stream, 0, end);
        node.events.clear();
        peer.events.clear();
        duo.run();
        duo.pair.client.forget_closed();
        duo.pair.server.forget_closed();
        duo.client.events.clear();
        duo.server.events.clear();
    });
    assert_eq!((duo.client.sessions.open_streams(), duo.server.sessions.open_streams()), (0, 0));
}
