//! Servers that shut down (§4.7, RFC 9114 §5.2): what clients of each dialect receive, and when.

use super::{negotiation::encoded_connect, *};
use crate::{ConnectError, Refusal};

const REJECTED: u64 = 0x10b;

fn go_away(node: &mut Node, end: &mut End) {
    node.sessions.go_away(&mut node.h3, end);
}

fn close(node: &mut Node, end: &mut End) {
    node.sessions.close(id(0), CloseInfo::default(), &mut node.h3, end);
}

/// The identifiers of the GOAWAYs that the peer received.
fn heard(rig: &Rig) -> Vec<u64> {
    let goaway = |event: &h3_core::Event| match event {
        h3_core::Event::GoAway { id } => Some(*id),
        _ => None,
    };
    rig.peer_events.iter().filter_map(goaway).collect()
}

/// The bytes that the peer read on its CONNECT stream.
fn capsules(rig: &mut Rig) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(Read::Data(bytes)) = rig.peer.read_data(id(0).0, 100, &mut rig.pair.client) {
        all.extend_from_slice(&bytes);
    }
    all
}

/// A plain request of the peer.
fn get(rig: &mut Rig) -> StreamId {
    let head = RequestHead::new(http::Method::GET, "a.test".parse().unwrap(), "/".parse().unwrap());
    let stream = rig.peer.send_request(&head, false, &mut rig.pair.client).unwrap();
    rig.run();
    stream
}

#[test]
fn w25_a_session_drains_and_stays_open_when_its_server_goes_away() {
    for dialect in DIALECTS {
        let mut duo = Duo::established(dialect);
        go_away(&mut duo.server, &mut duo.pair.server);
        duo.run();
        let expected: &[_] = if dialect == Dialect::Draft02 { &["draining"] } else { &["draining", "http"] };
        assert_eq!(names(&duo.client.events), expected, "{dialect}");
        assert!(duo.client.sessions.is_open(id(0)) && duo.server.sessions.is_open(id(0)));
        for side in BOTH {
            let ((node, end), _) = duo.ends(side);
            let stream = node.sessions.open(id(0), Dir::Bidi, end).unwrap().unwrap();
            node.sessions.write(stream, &mut Bytes::from_static(b"goes on"), end).unwrap();
            duo.run();
            let (_, (peer, peer_end)) = duo.ends(side);
            assert_eq!(peer.read_all(stream, peer_end), (b"goes on".to_vec(), Ok(Read::Blocked)));
        }
        close(&mut duo.client, &mut duo.pair.client);
        duo.run();
        assert_eq!(duo.server.closed(), Some(&Ok(CloseInfo::default())));
        let (node, end) = (&mut duo.client, &mut duo.pair.client);
        let again = node.sessions.connect(request(), &mut node.h3, end);
        assert_eq!(again, Err(ConnectError::GoingAway));
    }
}

/// Either side may end the session, and the other side must have received that.
#[test]
fn draft_02_gets_goaway_when_its_session_is_over() {
    for server_closes in [false, true] {
        let mut rig = Rig::ready(Side::Server, Dialect::Draft02);
        go_away(&mut rig.node, &mut rig.pair.server);
        go_away(&mut rig.node, &mut rig.pair.server);
        rig.run();
        assert_eq!((heard(&rig), capsules(&mut rig)), (vec![], capsule(DRAIN, b"")));
        if server_closes {
            close(&mut rig.node, &mut rig.pair.server);
            rig.run();
            assert_eq!((heard(&rig), capsules(&mut rig)), (vec![], close_capsule(0, b"")));
        }
        rig.fin();
        rig.run();
        assert_eq!(heard(&rig), [4], "one request was accepted");
        rig.alive();
    }
}

/// While its GOAWAY is delayed, a server rejects new requests.
#[test]
fn w25_requests_are_rejected_while_goaway_is_delayed() {
    let mut rig = Rig::ready(Side::Server, Dialect::Draft02);
    go_away(&mut rig.node, &mut rig.pair.server);
    rig.run();
    let streams = [rig.ask(Dialect::Draft02.token()), get(&mut rig)];
    for stream in streams {
        rig.assert_reset(stream, REJECTED);
    }
    let refused = |event: &Event| match event {
        Event::Refused { request: None, session: Some(id), reason: Refusal::GoingAway } => Some(id.0),
        _ => None,
    };
    assert_eq!(rig.node.events.iter().filter_map(refused).collect::<Vec<_>>(), streams);
    assert!(!rig.node.has("incoming"));
    let (sessions, end) = (&mut rig.node.sessions, &mut rig.pair.server);
    assert!(sessions.open(id(0), Dir::Uni, end).unwrap().is_some(), "the session goes on");
    rig.fin();
    rig.run();
    assert_eq!(heard(&rig), [12], "rejected requests count");
}

#[test]
fn draft_02_gets_goaway_at_once_without_a_session() {
    let mut rig = Rig::new(Side::Server, &config_of(Dialect::Draft02), settings_of(Dialect::Draft02));
    go_away(&mut rig.node, &mut rig.pair.server);
    rig.run();
    assert_eq!(heard(&rig), [0]);
}

/// A session that the application accepts later drains as soon as it is open.
#[test]
fn an_undecided_request_of_draft_02_delays_goaway() {
    for accepted in [false, true] {
        let mut rig = Rig::pending(Side::Server, Dialect::Draft02);
        go_away(&mut rig.node, &mut rig.pair.server);
        rig.run();
        assert_eq!(heard(&rig), []);
        if accepted {
            rig.establish();
            assert_eq!((heard(&rig), capsules(&mut rig)), (vec![], capsule(DRAIN, b"")));
            rig.fin();
        } else {
            let Node { sessions, h3, .. } = &mut rig.node;
            sessions.reject(id(0), StatusCode::FORBIDDEN, HeaderMap::new(), h3, &mut rig.pair.server);
        }
        rig.run();
        assert_eq!(heard(&rig), [4]);
    }
}

/// As long as the client's SETTINGS are missing, a request may be one of draft 02.
#[test]
fn a_request_that_waits_for_settings_delays_goaway() {
    for dialect in DIALECTS {
        let mut pair = Pair::new();
        let mut node = Node::new(Side::Server, &config_of(dialect), &mut pair.server);
        let control = pair.client.open(Dir::Uni).unwrap();
        let stream = pair.client.open(Dir::Bidi).unwrap();
        let mut peer = Connection::new(h3_core::Config::new(settings_of(dialect)), Side::Client);
        pair.client.push(stream, &encoded_connect(&mut peer, HeaderMap::new()));
        pair.deliver(usize::MAX);
        node.pump(&mut pair.server);
        pair.deliver(usize::MAX);
        // The server's SETTINGS.
        let answers = StreamId::new(Side::Server, Dir::Uni, 0);
        assert!(!pair.client.pull(answers).is_empty());
        let step = |node: &mut Node, pair: &mut Pair| {
            node.flush(&mut pair.server);
            pair.deliver(usize::MAX);
            node.pump(&mut pair.server);
            pair.deliver(usize::MAX);
            pair.client.pull(answers)
        };
        go_away(&mut node, &mut pair.server);
        assert_eq!(step(&mut node, &mut pair), [0_u8; 0], "{dialect}");
        let mut frame = vec![0, 4, 0];
        settings_of(dialect).encode(0, &mut frame);
        frame[2] = u8::try_from(frame.len() - 3).unwrap();
        assert!(frame[2] < 64);
        pair.client.push(control, &frame);
        let goaway = vec![7, 1, 4];
        let expected = if dialect == Dialect::Draft02 { vec![] } else { goaway.clone() };
        assert_eq!(step(&mut node, &mut pair), expected, "{dialect}");
        assert_eq!(names(&node.events), ["incoming"]);
        let Node { sessions, h3, .. } = &mut node;
        sessions.reject(id(0), StatusCode::FORBIDDEN, HeaderMap::new(), h3, &mut pair.server);
        let expected = if dialect == Dialect::Draft02 { goaway } else { vec![] };
        assert_eq!(step(&mut node, &mut pair), expected, "{dialect}");
    }
}

/// The response arrives after GOAWAY.
#[test]
fn w25_a_session_that_opens_after_goaway_drains() {
    for dialect in DIALECTS {
        let mut rig = Rig::pending(Side::Client, dialect);
        rig.peer.go_away(&mut rig.pair.server);
        rig.run();
        rig.establish();
        assert_eq!(names(&rig.node.events), ["http", "established", "draining"], "{dialect}");
    }
}
