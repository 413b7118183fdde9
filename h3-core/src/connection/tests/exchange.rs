//! Two connections that obey the rules.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use quic_core::{DatagramOptions, StreamTag};

use super::*;
use crate::capsule::{Capsule, CapsulePolicy, CapsuleReader, put_capsule};

fn head_of_request(events: &[Event]) -> (StreamId, &RequestHead) {
    let found = events.iter().find_map(|event| match event {
        Event::Request { stream, head, .. } => Some((*stream, &**head)),
        _ => None,
    });
    found.expect("a request came")
}

#[test]
fn settings_are_exchanged_and_grease_ignored() {
    for piece in [1, usize::MAX] {
        let two = Two::new(&webtransport_settings(), piece);
        for connection in [&two.client, &two.server] {
            let peer = connection.peer_settings().expect("settings came");
            assert!(peer.enable_connect_protocol && peer.h3_datagram && peer.wt_enabled == 1);
            assert_eq!((peer.qpack_max_table_capacity, peer.qpack_blocked_streams), (4096, 16));
            assert_eq!(peer.extra.len(), 0);
            assert_eq!(connection.failure(), None);
        }
    }
}

/// HTTP/3 queues little of each stream's content while the transport has no room, however much the caller
/// offers.
#[test]
fn content_without_room_stays_with_the_caller() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    let id = two.client.send_request(&request_head(), true, &mut two.pair.client).unwrap();
    two.run();
    two.pair.server.window = 300;
    let server = &mut two.server;
    server.send_response(id, &ResponseHead::new(StatusCode::OK), false, &mut two.pair.server).unwrap();
    let mut data = Bytes::from(vec![7; 200_000]);
    assert_eq!(server.send_data(id, &mut data, &mut two.pair.server).unwrap(), 1024);
    assert_eq!(server.send_data(id, &mut data, &mut two.pair.server).unwrap(), 0);
    // With room, a frame is as large as the room.
    two.pair.server.window = 1 << 20;
    two.run();
    let told = |event: &Event| matches!(event, Event::Writable { stream } if *stream == id);
    assert!(two.server_events.iter().any(told));
    assert_eq!(two.server.send_data(id, &mut data, &mut two.pair.server).unwrap(), 200_000 - 1024);
}

#[test]
fn request_and_response_with_bodies_and_trailers() {
    for (piece, window) in [(1, 10), (100, 64), (usize::MAX, 1 << 20)] {
        let mut two = Two::new(&plain_settings(), piece);
        two.pair.client.window = window;
        two.pair.server.window = window;
        let mut head = request_head();
        head.method = Method::POST;
        head.headers.insert("content-length", HeaderValue::from_static("3000"));
        head.headers.insert("priority", HeaderValue::from_static("u=1, i"));
        let id = two.client.send_request(&head, false, &mut two.pair.client).unwrap();
        let body: Vec<u8> = (0..3000_u32).map(|n| n as u8).collect();
        assert_eq!(two.transfer(id, &body, true), body);
        two.client.finish(id, &mut two.pair.client).unwrap();
        two.run();
        let (stream, seen) = head_of_request(&two.server_events);
        assert_eq!((stream, &seen.method, seen.path.as_ref().unwrap().as_str()), (id, &Method::POST, "/"));
        let priority = two.pair.server.priority(id).unwrap();
        assert_eq!((priority.urgency, priority.incremental), (1, true));

        let hint = ResponseHead::new(StatusCode::EARLY_HINTS);
        two.server.send_response(id, &hint, false, &mut two.pair.server).unwrap();
        two.server
            .send_response(id, &ResponseHead::new(StatusCode::OK), false, &mut two.pair.server)
            .unwrap();
        two.run();
        assert_eq!(two.transfer(id, &body, false), body);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        two.server.send_trailers(id, &trailers, &mut two.pair.server).unwrap();
        two.run();
        let _ = two.server.read_data(id, 10, &mut two.pair.server);
        let _ = two.client.read_data(id, 10, &mut two.pair.client);
        two.run();
        let told: Vec<_> = two
            .client_events
            .iter()
            .filter_map(|event| match event {
                Event::Response { head, informational, .. } => Some((head.status.as_u16(), *informational)),
                Event::Trailers { trailers: seen, .. } => {
                    assert_eq!(**seen, trailers);
                    Some((0, false))
                }
                Event::Finished { .. } => Some((1, false)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [(103, true), (200, false), (0, false), (1, false)]);
        assert_eq!((two.client.open_requests(), two.server.open_requests()), (0, 0));
    }
}

#[test]
fn responses_to_head_and_304_may_declare_a_length() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
        let mut two = Two::new(&plain_settings(), usize::MAX);
        let head = RequestHead { method, ..request_head() };
        let id = two.client.send_request(&head, true, &mut two.pair.client).unwrap();
        two.run();
        let mut response = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        response.headers.insert("content-length", HeaderValue::from_static("99"));
        two.server.send_response(id, &response, true, &mut two.pair.server).unwrap();
        two.run();
        assert!(matches!(two.client_events.last(), Some(Event::Finished { stream }) if *stream == id));
    }
}

#[test]
fn extended_connect_with_capsules_and_datagrams_both_ways() {
    for piece in [1, usize::MAX] {
        let mut two = Two::new(&webtransport_settings(), piece);
        let mut head = request_head();
        head.method = Method::CONNECT;
        head.protocol = crate::Protocol::new(Bytes::from_static(b"webtransport-h3"));
        let id = two.client.send_request(&head, false, &mut two.pair.client).unwrap();
        two.run();
        assert_eq!(head_of_request(&two.server_events).1.protocol, head.protocol);
        two.server
            .send_response(id, &ResponseHead::new(StatusCode::OK), false, &mut two.pair.server)
            .unwrap();
        two.run();
        for from_client in [true, false] {
            let mut bytes = Vec::new();
            put_capsule(0x17, &[0; 300], &mut bytes);
            put_capsule(0x2843, b"\0\0\0\x07bye", &mut bytes);
            let mut received = Bytes::from(two.transfer(id, &bytes, from_client));
            let mut reader = CapsuleReader::new();
            let policy = |kind| if kind == 0x2843 { CapsulePolicy::Take(1028) } else { CapsulePolicy::Skip };
            let capsule = reader.next(&mut received, policy).unwrap();
            let value = Bytes::from_static(b"\0\0\0\x07bye");
            assert_eq!(capsule, Some(Capsule { kind: 0x2843, value }));
            assert_eq!(reader.finish(), Ok(()));
        }
        let priority = quic_core::Priority::new().group(7).order(-3);
        let options = DatagramOptions::default().with_priority(priority);
        two.client.send_datagram(id, b"up", options, &mut two.pair.client).unwrap();
        two.server.send_datagram(id, b"", DatagramOptions::default(), &mut two.pair.server).unwrap();
        assert_eq!(two.pair.client.datagram_options, Some(options), "passed on");
        two.run();
        let datagram = |events: &[Event]| {
            events.iter().find_map(|event| match event {
                Event::Datagram { stream, payload } => Some((*stream, payload.clone())),
                _ => None,
            })
        };
        assert_eq!(datagram(&two.server_events), Some((id, Bytes::from_static(b"up"))));
        assert_eq!(datagram(&two.client_events), Some((id, Bytes::new())));
        assert_eq!(two.client.max_datagram_size(id, &two.pair.client), Some(1199));
    }
}

#[test]
fn extended_connect_needs_the_offer() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    let mut head = request_head();
    head.method = Method::CONNECT;
    head.protocol = crate::Protocol::new(Bytes::from_static(b"x"));
    let refused = two.client.send_request(&head, false, &mut two.pair.client);
    assert_eq!(refused, Err(crate::SendError::NotOffered));
}

#[test]
fn field_sections_over_the_peers_limit_are_not_sent() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    let mut head = request_head();
    head.headers.insert("x", HeaderValue::from_str(&"a".repeat(20_000)).unwrap());
    let refused = two.client.send_request(&head, true, &mut two.pair.client);
    assert!(matches!(refused, Err(crate::SendError::TooLarge { limit: 16_384, .. })), "{refused:?}");
}

#[test]
fn resets_and_stops_reach_the_other_side() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    let id = two.client.send_request(&request_head(), false, &mut two.pair.client).unwrap();
    two.run();
    two.client.reset(id, code::H3_REQUEST_CANCELLED, &mut two.pair.client);
    two.client.stop(id, code::H3_REQUEST_CANCELLED, &mut two.pair.client);
    two.run();
    let cancelled = code::H3_REQUEST_CANCELLED;
    assert!(two.server_events.iter().any(|e| matches!(e, Event::Reset { code, .. } if *code == cancelled)));
    assert!(two.server_events.iter().any(|e| matches!(e, Event::Stopped { code, .. } if *code == cancelled)));
    assert_eq!((two.client.open_requests(), two.server.open_requests()), (0, 0));
}

#[test]
fn going_away() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    let first = two.client.send_request(&request_head(), true, &mut two.pair.client).unwrap();
    two.run();
    two.server.announce_shutdown(&mut two.pair.server);
    two.server.go_away(&mut two.pair.server);
    two.run();
    let ids: Vec<_> = two
        .client_events
        .iter()
        .filter_map(|event| match event {
            Event::GoAway { id } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [(1 << 62) - 4, 4]);
    let refused = two.client.send_request(&request_head(), true, &mut two.pair.client);
    assert_eq!(refused, Err(crate::SendError::Unavailable));
    // The request that the announcement covers is served.
    two.server.send_response(first, &ResponseHead::new(StatusCode::OK), true, &mut two.pair.server).unwrap();
    two.run();
    assert!(matches!(two.client_events.last(), Some(Event::Finished { .. })));
}

#[test]
fn a_request_after_goaway_is_rejected() {
    let (mut rig, _) = Rig::ready(Side::Server, plain_settings());
    rig.connection.go_away(&mut rig.pair.server);
    let id = rig.request();
    rig.push(id, &get_with(&[]));
    assert_eq!(rig.peer().reset_received(id), Some(code::H3_REQUEST_REJECTED));
    assert_eq!(rig.requests_seen(), 0);
}

#[test]
fn streams_wait_for_credit() {
    let mut pair = Pair::new();
    pair.server.grants = [100, 0];
    pair.deliver(0);
    let mut client = Connection::new(Config::new(plain_settings()), Side::Client);
    client.start(&mut pair.client);
    assert_eq!(pair.client.open_streams(), 0);
    pair.server.grants = [0, 3];
    pair.deliver(0);
    let mut events = vec![];
    pump(&mut client, &mut pair.client, Timestamp::ORIGIN, &mut events);
    assert_eq!(pair.client.open_streams(), 3);
    assert_eq!(client.send_request(&request_head(), true, &mut pair.client), Err(crate::SendError::NoStream));
}

#[test]
fn a_stop_found_by_a_write_is_still_reported() {
    let mut rig = Rig::new(Side::Server, plain_settings());
    let id = rig.request();
    rig.end().window = 100;
    rig.peer().push(id, &get_with(&[]));
    rig.fin(id);
    let head = ResponseHead::new(StatusCode::OK);
    rig.connection.send_response(id, &head, false, &mut rig.pair.server).unwrap();
    let mut body = Bytes::from(vec![7; 5000]);
    while rig.connection.send_data(id, &mut body, &mut rig.pair.server).unwrap() > 0 {}
    assert!(!body.is_empty(), "the rest waits");
    // The new room and the stop arrive together, and the event of the room comes first.
    rig.peer().stop_sending(id, code::H3_REQUEST_CANCELLED).unwrap();
    rig.pair.deliver(usize::MAX);
    rig.end().window = 10_000;
    rig.end().events.push_front(quic_core::Event::StreamWritable(id, StreamTag(0)));
    rig.run();
    let stopped = |event: &Event| matches!(event, Event::Stopped { stream, .. } if *stream == id);
    assert_eq!(rig.events.iter().filter(|event| stopped(event)).count(), 1, "{:?}", rig.events);
    assert_eq!(rig.connection.open_requests(), 0);
    rig.assert_alive();
}
