//! Several sessions on one connection: how many, in which order, and that they do not affect each other. Rows
//! W15, W24, W25.

use super::*;
use crate::{ConnectError, Refusal, SessionError};

fn pooled(dialect: Dialect, sessions: u64) -> Config {
    Config { max_sessions: sessions, ..config_of(dialect) }
}

fn ask(node: &mut Node, end: &mut End) -> Result<RequestId, ConnectError> {
    node.sessions.connect(request(), &mut node.h3, end)
}

/// Two ends with `count` sessions, established in order.
fn several(dialect: Dialect, count: u64) -> Duo {
    let config = pooled(dialect, count);
    let mut duo = Duo::new(&config, &config);
    duo.run();
    for index in 0..count {
        assert_eq!(duo.client.sessions.can_connect(), duo.client.sessions.flow_control());
        ask(&mut duo.client, &mut duo.pair.client).unwrap();
        duo.run();
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.sessions.accept(id(index), HeaderMap::new(), &mut node.h3, end).unwrap();
        duo.run();
        assert!(duo.client.sessions.is_open(id(index)) && duo.server.sessions.is_open(id(index)));
    }
    duo.client.events.clear();
    duo.server.events.clear();
    duo
}

fn refusals(node: &Node) -> Vec<(Option<RequestId>, Option<SessionId>, Refusal)> {
    let refused = |event: &Event| match event {
        Event::Refused { request, session, reason } => Some((*request, *session, reason.clone())),
        _ => None,
    };
    node.events.iter().filter_map(refused).collect()
}

#[test]
fn w15_as_many_sessions_as_were_announced() {
    // For each dialect, with and without flow control at the client: how many sessions a server that
    // announced 3 accepts.
    for (dialect, with, without) in [
        (Dialect::Draft16, 3, 1),
        (Dialect::Draft14, 3, 3),
        (Dialect::Draft07, 3, 3),
        (Dialect::Draft02, 1, 1),
    ] {
        for (peer, most) in [(pooled(dialect, 9), with), (config_of(dialect), without)] {
            let mut rig = Rig::new(Side::Server, &pooled(dialect, 3), Sessions::settings(&peer));
            for index in 0..5 {
                let stream = rig.ask(dialect.token());
                if index < most {
                    assert_eq!(rig.node.sessions.session_count() as u64, index + 1);
                } else {
                    rig.assert_reset(stream, 0x10b);
                }
            }
            let told = refusals(&rig.node);
            assert_eq!(told.len() as u64, 5 - most, "{dialect}");
            for (request, session, reason) in told {
                assert_eq!((request, session.is_some()), (None, true));
                assert!(matches!(reason, Refusal::TooManySessions { max } if max == 3 || max == most));
            }
            // A session that ends makes room.
            let Node { sessions, h3, .. } = &mut rig.node;
            sessions.reject(id(0), StatusCode::TOO_MANY_REQUESTS, HeaderMap::new(), h3, &mut rig.pair.server);
            rig.run();
            rig.ask(dialect.token());
            assert_eq!(rig.node.sessions.session_count() as u64, most);
            rig.alive();
        }
    }
}

#[test]
fn a_client_requests_as_many_as_both_permit() {
    for (dialect, ours, theirs, most) in [
        (Dialect::Draft16, 3, 9, 3),
        (Dialect::Draft14, 9, 3, 3),
        (Dialect::Draft07, 9, 2, 2),
        (Dialect::Draft16, 9, 1, 1),
        (Dialect::Draft07, 9, 1, 1),
        (Dialect::Draft02, 9, 9, 1),
    ] {
        let settings = Sessions::settings(&pooled(dialect, theirs));
        let mut rig = Rig::new(Side::Client, &pooled(dialect, ours), settings);
        for index in 0..most {
            assert_eq!(rig.node.sessions.can_connect(), most > 1, "{dialect}");
            rig.connect();
            assert_eq!(rig.node.requested.last().map(|(_, session)| *session), Some(id(index)));
        }
        assert!(!rig.node.sessions.can_connect());
        let refused = ask(&mut rig.node, &mut rig.pair.client);
        let expected =
            if most == 1 { ConnectError::SessionExists } else { ConnectError::TooManySessions { max: most } };
        assert_eq!(refused, Err(expected));
        // A session that is over makes room.
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.close(id(0), CloseInfo::default(), h3, &mut rig.pair.client);
        rig.connect();
        assert_eq!(rig.node.requested.len() as u64, most + 1);
    }
}

#[test]
fn connects_wait_in_their_order_for_settings_and_for_streams() {
    for together in [true, false] {
        let config = pooled(Dialect::Draft16, 4);
        let peer = if together { config.clone() } else { config_of(Dialect::Draft16) };
        let mut duo = Duo::new(&config, &peer);
        duo.pair.server.grants[0] = 2;
        // Requested before SETTINGS arrived.
        let asked = [0; 4].map(|_| ask(&mut duo.client, &mut duo.pair.client).unwrap());
        let full = ConnectError::TooManySessions { max: 4 };
        assert_eq!(ask(&mut duo.client, &mut duo.pair.client), Err(full));
        duo.client.sessions.cancel_connect(asked[1], &mut duo.client.h3, &mut duo.pair.client);
        duo.run();
        let mut expected = vec![(Some(asked[1]), None, Refusal::Cancelled)];
        if together {
            assert_eq!(duo.client.requested, [(asked[0], id(0)), (asked[2], id(1))]);
            duo.pair.server.grants[0] = 9;
            duo.run();
            assert_eq!(duo.client.requested[2..], [(asked[3], id(2))]);
            let (node, end) = (&mut duo.client, &mut duo.pair.client);
            node.sessions.cancel_connect(asked[2], &mut node.h3, end);
            node.poll();
            expected.push((Some(asked[2]), Some(id(1)), Refusal::Cancelled));
            assert_eq!(node.sessions.session_count(), 2);
        } else {
            // Without flow control there is one at a time.
            assert_eq!(duo.client.requested, [(asked[0], id(0))]);
            let reason = Refusal::TooManySessions { max: 1 };
            expected.extend([2, 3].map(|index: usize| (Some(asked[index]), None, reason.clone())));
        }
        assert_eq!(refusals(&duo.client), expected);
    }
}

#[test]
fn sessions_do_not_affect_each_other() {
    for dialect in [Dialect::Draft16, Dialect::Draft14, Dialect::Draft07] {
        let mut duo = several(dialect, 3);
        // Session 0 floods with datagrams, session 1 is blocked, session 2 continues.
        for _ in 0..3 {
            let (node, end) = (&mut duo.client, &mut duo.pair.client);
            for _ in 0..900 {
                node.sessions.send_datagram(id(0), Bytes::from_static(b"flood"), &mut node.h3, end).unwrap();
            }
            duo.pair.deliver(usize::MAX);
            let end = &mut duo.pair.server;
            while let Some(event) = end.events.pop_front() {
                duo.server.sessions.on_event(&event, Timestamp::ORIGIN, &mut duo.server.h3, end);
            }
            let (node, end) = (&mut duo.client, &mut duo.pair.client);
            node.pump(end);
        }
        assert_eq!(duo.server.sessions.dropped_datagrams(id(0)), 2700 - 1024);
        let (node, end) = (&mut duo.client, &mut duo.pair.client);
        node.sessions.send_datagram(id(2), Bytes::from_static(b"mine"), &mut node.h3, end).unwrap();
        let blocked = node.sessions.open(id(1), Dir::Uni, end).unwrap().unwrap();
        // As much as the session's window; nothing of it is read.
        end.window = 4 << 20;
        let mut data = Bytes::from(vec![1; 2 << 20]);
        assert_eq!(node.sessions.write(blocked, &mut data, end), Ok(512 << 10));
        assert_eq!(node.sessions.write(blocked, &mut data, end), Ok(0));
        let (node, end) = (&mut duo.client, &mut duo.pair.client);
        let free = node.sessions.open(id(2), Dir::Bidi, end).unwrap().unwrap();
        assert_eq!(node.sessions.write(free, &mut Bytes::from_static(b"free"), end), Ok(4));
        node.sessions.finish(free, end).unwrap();
        duo.run();
        let of_two = |event: &&Event| matches!(event, Event::Datagram { session, payload } if *session == id(2) && payload == "mine");
        assert_eq!(duo.server.events.iter().filter(of_two).count(), 1);
        let end = &mut duo.pair.server;
        assert_eq!(duo.server.read_all(free, end), (b"free".to_vec(), Ok(Read::Finished)));
        // The end of a session ends only its own streams.
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.sessions.close(id(1), CloseInfo::new(4, ""), &mut node.h3, end);
        duo.run();
        assert_eq!(duo.client.closed(), Some(&Ok(CloseInfo::new(4, ""))));
        let open = [0, 1, 2].map(|index| duo.client.sessions.is_open(id(index)));
        assert_eq!(open, [true, false, true]);
        assert_eq!(duo.client.sessions.session_of(blocked), None);
        assert_eq!(duo.client.sessions.session_of(free), Some(id(2)));
    }
}

#[test]
fn one_session_that_breaks_its_limits_ends_alone() {
    let mut duo = several(Dialect::Draft16, 2);
    // The peer ignores its limit, as a hostile one would.
    let (node, end) = (&mut duo.client, &mut duo.pair.client);
    let stream = node.sessions.open(id(1), Dir::Uni, end).unwrap().unwrap();
    node.sessions.flush_preface(stream, end).unwrap();
    end.window = 4 << 20;
    end.write(stream, &mut Bytes::from(vec![0; (512 << 10) + 1])).unwrap();
    duo.run();
    let Some(Err(error @ SessionError::FlowControl(_))) = duo.server.closed() else {
        panic!("{:?}", duo.server.closed())
    };
    assert!(error.to_string().contains("524288 bytes of stream data"), "{error}");
    assert_eq!(duo.client.closed(), Some(&Err(SessionError::Reset(crate::codes::WT_FLOW_CONTROL_ERROR))));
    assert!(duo.client.sessions.is_open(id(0)) && duo.server.sessions.is_open(id(0)));
    assert_eq!((duo.client.sessions.session_count(), duo.server.sessions.session_count()), (1, 1));
}

#[test]
fn w24_a_rejected_session_leaves_the_others_alone() {
    let config = pooled(Dialect::Draft16, 2);
    let mut rig = Rig::new(Side::Server, &config, Sessions::settings(&config));
    for _ in 0..2 {
        rig.ask("webtransport-h3");
    }
    let streams = [0, 1].map(|index| rig.push_stream(Dir::Uni, id(index), b"early"));
    rig.run();
    assert_eq!(rig.node.sessions.early(), (2, 0));
    let Node { sessions, h3, .. } = &mut rig.node;
    sessions.reject(id(1), StatusCode::TOO_MANY_REQUESTS, HeaderMap::new(), h3, &mut rig.pair.server);
    rig.run();
    assert_eq!(rig.peer_end().stop_received(streams[1]), Some(GONE));
    rig.accept().unwrap();
    rig.run();
    assert_eq!(rig.node.opened(), streams[..1]);
    let end = &mut rig.pair.server;
    assert_eq!(rig.node.read_all(streams[0], end).0, b"early");
    rig.alive();
}

#[test]
fn w25_goaway_refuses_pending_requests_and_leaves_the_rest_open() {
    let config = pooled(Dialect::Draft16, 4);
    let mut duo = Duo::new(&config, &config);
    duo.run();
    duo.connect();
    let (node, end) = (&mut duo.server, &mut duo.pair.server);
    node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, end).unwrap();
    duo.pair.server.grants[0] = 1;
    duo.run();
    let waits = ask(&mut duo.client, &mut duo.pair.client).unwrap();
    assert_eq!(duo.client.requested.len(), 1);
    duo.server.sessions.go_away(&mut duo.server.h3, &mut duo.pair.server);
    duo.run();
    assert_eq!(refusals(&duo.client), [(Some(waits), None, Refusal::GoingAway)]);
    assert!(duo.client.has("draining") && duo.client.sessions.is_open(id(0)));
    assert!(!duo.client.sessions.can_connect());
    assert_eq!(ask(&mut duo.client, &mut duo.pair.client), Err(ConnectError::GoingAway));
}
