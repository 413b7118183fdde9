//! The priority that a client asks for its session (RFC 9218, §3.4).

use super::{negotiation::encoded_connect, *};

/// The urgency, and whether the priority is incremental.
type Rank = (u8, bool);

fn rank(priority: quic_core::Priority) -> Rank {
    (priority.urgency, priority.incremental)
}

/// `PRIORITY_UPDATE` for a stream.
fn frame(stream: StreamId, value: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    varint::put(&mut frame, 0x0f_0700);
    varint::put(&mut frame, 1 + value.len() as u64);
    frame.push(u8::try_from(stream.value()).unwrap());
    frame.extend(value);
    frame
}

/// Sends a `PRIORITY_UPDATE` on the client's control stream, the first that it opened.
fn update(rig: &mut Rig, stream: StreamId, value: &[u8]) {
    rig.pair.client.push(StreamId::new(Side::Client, Dir::Uni, 0), &frame(stream, value));
    rig.run();
}

fn fields(priority: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("priority"), priority.parse().unwrap())])
}

/// Sends a request with this `priority` field and returns the priority that the application gets.
fn asked(rig: &mut Rig, field: Option<&'static str>) -> Rank {
    let mut head = RequestHead::new(http::Method::CONNECT, "a.test".parse().unwrap(), "/".parse().unwrap());
    head.protocol = h3_core::Protocol::new(Bytes::from_static(b"webtransport-h3"));
    head.headers = field.map(fields).unwrap_or_default();
    rig.peer.send_request(&head, false, &mut rig.pair.client).unwrap();
    rig.run();
    let [Event::Incoming { request, .. }] = &rig.node.events[..] else { panic!("{:?}", rig.node.events) };
    rank(request.priority)
}

fn server() -> Rig {
    let config = config_of(Dialect::Draft16);
    Rig::new(Side::Server, &config, Sessions::settings(&config))
}

fn ranked(rig: &Rig) -> Vec<(SessionId, Rank)> {
    let told = |event: &Event| match event {
        Event::Ranked { session, priority } => Some((*session, rank(*priority))),
        _ => None,
    };
    rig.node.events.iter().filter_map(told).collect()
}

#[test]
fn a_request_has_the_priority_of_its_field() {
    // Firefox sends the first one.
    for (field, expected) in [
        (Some("u=4"), (4, false)),
        (Some("u=0, i"), (0, true)),
        (Some("u=9, i"), (3, true)),
        (Some("urgent"), (3, false)),
        (None, (3, false)),
    ] {
        assert_eq!(asked(&mut server(), field), expected, "{field:?}");
    }
}

/// RFC 9218 §7: the frame overrides the field, also if it overtakes the request.
#[test]
fn an_update_before_the_request_is_reported_with_it() {
    let mut rig = server();
    update(&mut rig, id(0).0, b"u=6, i");
    assert_eq!(asked(&mut rig, Some("u=1")), (6, true));
    assert_eq!(ranked(&rig), []);
}

/// The request waits for SETTINGS, and the new priority arrives together with them.
#[test]
fn an_update_that_arrives_with_the_settings_follows_the_request() {
    let settings = settings_of(Dialect::Draft16);
    let mut pair = Pair::new();
    let mut node = Node::new(Side::Server, &Config::default(), &mut pair.server);
    let control = pair.client.open(Dir::Uni).unwrap();
    let mut peer = Connection::new(h3_core::Config::new(settings.clone()), Side::Client);
    let stream = pair.client.open(Dir::Bidi).unwrap();
    pair.client.push(stream, &encoded_connect(&mut peer, fields("u=5")));
    pair.deliver(usize::MAX);
    node.pump(&mut pair.server);
    assert_eq!(names(&node.events), [""; 0]);
    let mut payload = Vec::new();
    settings.encode(0, &mut payload);
    let settings = [&[0, 4, u8::try_from(payload.len()).unwrap()][..], &payload].concat();
    pair.client.push(control, &[settings, frame(stream, b"u=2")].concat());
    pair.deliver(usize::MAX);
    node.pump(&mut pair.server);
    assert_eq!(names(&node.events), ["incoming", "ranked"]);
    let [Event::Incoming { request, .. }, Event::Ranked { priority, .. }] = &node.events[..] else {
        panic!()
    };
    assert_eq!((rank(request.priority), rank(*priority)), ((5, false), (2, false)));
}

#[test]
fn updates_are_reported_while_the_session_lives() {
    let mut rig = server();
    assert_eq!(asked(&mut rig, Some("u=4")), (4, false));
    update(&mut rig, id(0).0, b"u=2");
    assert_eq!(ranked(&rig), [(id(0), (2, false))], "while the application decides");
    rig.establish();
    update(&mut rig, id(0).0, b"i");
    assert_eq!(ranked(&rig), [(id(0), (2, false)), (id(0), (3, true))]);
    let (node, end) = (&mut rig.node, &mut rig.pair.server);
    node.sessions.close(id(0), CloseInfo::default(), &mut node.h3, end);
    update(&mut rig, id(0).0, b"u=1");
    assert_eq!(ranked(&rig).len(), 2, "the session is over");
    rig.alive();
}

#[test]
fn updates_of_other_requests_stay_http() {
    let mut rig = server();
    let head = RequestHead::new(http::Method::GET, "a.test".parse().unwrap(), "/".parse().unwrap());
    let stream = rig.peer.send_request(&head, false, &mut rig.pair.client).unwrap();
    rig.run();
    update(&mut rig, stream, b"u=2");
    assert_eq!(ranked(&rig), []);
    let told = |event: &Event| {
        matches!(event, Event::Http(h3_core::Event::PriorityUpdate { stream: of, priority })
            if *of == stream && priority.urgency == 2)
    };
    assert!(rig.node.events.iter().any(told));
}
