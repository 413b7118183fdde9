//! Early streams while the peer has no credit left: who uses it up decides how long they are kept.

use super::*;

const REJECTED: Option<u64> = Some(crate::codes::WT_BUFFERED_STREAM_REJECTED);
/// Half of a HEADERS frame of 100 bytes.
const HALF: &[u8] = &[0x01, 0x40, 100, 0x00, 0x00, 0xd1];
const TIMEOUT: u64 = 30;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ORIGIN + Duration::from_secs(seconds)
}

impl Rig {
    /// Advances the time and handles the timeouts that are due, as a driver does.
    fn pass(&mut self, now: Timestamp) {
        let Node { sessions, h3, .. } = &mut self.node;
        h3.handle_timeout(now, &mut self.pair.server);
        sessions.handle_timeout(now, h3, &mut self.pair.server);
        self.run();
    }

    /// Streams of both directions for a session, a hundred bytes on each.
    fn push_early(&mut self, session: SessionId, count: usize) -> Vec<StreamId> {
        let dirs = [Dir::Uni, Dir::Bidi].into_iter().cycle().take(count);
        let streams = dirs.map(|dir| self.push_stream(dir, session, &[7; 100])).collect();
        self.run();
        streams
    }

    fn refused(&mut self, streams: &[StreamId]) -> usize {
        let end = self.peer_end();
        streams.iter().filter(|stream| end.stop_received(**stream) == REJECTED).count()
    }
}

#[test]
fn early_streams_that_use_up_the_credit_expire_next_to_an_open_session() {
    for dialect in DIALECTS {
        let mut rig = Rig::ready(Side::Server, dialect);
        // An idle session, and one whose application reads.
        let read = rig.push_stream(Dir::Bidi, id(0), b"data");
        rig.run();
        let (node, end) = (&mut rig.node, &mut rig.pair.server);
        assert_eq!(node.read_all(read, end).0, b"data");
        let early = rig.push_early(id(50), 20);
        rig.pair.server.receive_window = 20 * 100;
        rig.pass(at(TIMEOUT - 1));
        assert_eq!((rig.node.sessions.early().0, rig.refused(&early)), (20, 0), "{dialect:?}");
        rig.pass(at(TIMEOUT));
        assert_eq!((rig.node.sessions.early().0, rig.refused(&early)), (0, 20), "{dialect:?}");
        assert!(rig.node.sessions.is_open(id(0)) && rig.node.sessions.poll_timeout().is_none());
    }
}

/// Half a request and the streams that name it do not extend each other's time.
#[test]
fn half_a_request_does_not_keep_its_early_streams() {
    for with_session in [false, true] {
        let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
        if with_session {
            rig.ask("webtransport-h3");
            rig.establish();
        }
        let half = rig.peer_end().open(Dir::Bidi).unwrap();
        rig.peer_end().push(half, HALF);
        let early = rig.push_early(SessionId(half), 20);
        rig.pair.server.receive_window = 20 * 100;
        rig.pass(at(TIMEOUT - 1));
        assert_eq!(rig.node.sessions.early().0, 20);
        rig.pass(at(TIMEOUT));
        assert_eq!(rig.peer_end().reset_received(half), Some(h3_core::error::code::H3_REQUEST_INCOMPLETE));
        assert_eq!((rig.node.sessions.early().0, rig.refused(&early)), (0, 20));
        assert_eq!(rig.node.sessions.is_open(id(0)), with_session);
    }
}

#[test]
fn unread_data_of_the_application_extends_the_deadline() {
    let mut rig = Rig::ready(Side::Server, Dialect::Draft16);
    // Streams of the peer, and one of our own on which it answers.
    let own = rig.node.sessions.open(id(0), Dir::Bidi, &mut rig.pair.server).unwrap().unwrap();
    rig.node.sessions.flush_preface(own, &mut rig.pair.server).unwrap();
    rig.run();
    rig.peer_end().push(own, &[7; 300]);
    let unread: Vec<StreamId> = [Dir::Uni, Dir::Bidi]
        .map(|dir| rig.push_stream(dir, id(0), &[7; 300]))
        .into_iter()
        .chain([own])
        .collect();
    let half = rig.peer_end().open(Dir::Bidi).unwrap();
    rig.peer_end().push(half, HALF);
    let [begun, silent] = [SessionId(half), id(50)].map(|session| rig.push_early(session, 1)[0]);
    rig.pair.server.receive_window = 900;
    for round in 1..10 {
        rig.pass(at(TIMEOUT * round));
        assert_eq!((rig.node.sessions.early().0, rig.refused(&[begun, silent])), (2, 0), "{round}");
        assert_eq!(rig.peer_end().reset_received(half), None);
    }
    // One is read, so the peer has credit.
    let (node, end) = (&mut rig.node, &mut rig.pair.server);
    assert_eq!(node.read_all(unread[0], end).0.len(), 300);
    rig.pass(at(TIMEOUT * 10));
    assert_eq!((rig.node.sessions.early().0, rig.refused(&[silent])), (0, 1));
    assert_eq!(rig.peer_end().reset_received(half), Some(h3_core::error::code::H3_REQUEST_INCOMPLETE));
}

/// A request that the application has to decide on has no deadline, nor has anything that lacks credit
/// because of it.
#[test]
fn an_undecided_request_has_no_deadline() {
    for first in [false, true] {
        let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
        // The request arrives before its streams, or after some of them.
        let mut undecided = Vec::new();
        if first {
            undecided.extend([0; 5].map(|_| rig.push_stream(Dir::Uni, id(0), &[7; 100])));
            rig.run();
        }
        assert_eq!(SessionId(rig.ask("webtransport-h3")), id(0));
        undecided.extend(rig.push_early(id(0), 10 - undecided.len()));
        let half = rig.peer_end().open(Dir::Bidi).unwrap();
        rig.peer_end().push(half, HALF);
        rig.run();
        rig.pair.server.receive_window = 10 * 100;
        for round in 1..5 {
            rig.pass(at(TIMEOUT * round));
            assert_eq!((rig.node.sessions.early().0, rig.peer_end().reset_received(half)), (10, None));
        }
        rig.accept().unwrap();
        rig.run();
        let mut opened = rig.node.opened();
        opened.sort_unstable();
        undecided.sort_unstable();
        assert_eq!(opened, undecided);
        let (node, end) = (&mut rig.node, &mut rig.pair.server);
        undecided.iter().for_each(|stream| assert_eq!(node.read_all(*stream, end).0.len(), 100));
        rig.pass(at(TIMEOUT * 5));
        assert_eq!(rig.peer_end().reset_received(half), Some(h3_core::error::code::H3_REQUEST_INCOMPLETE));
    }
}
