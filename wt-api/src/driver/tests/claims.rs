//! Streams that handles open by themselves: what a burst of them leaves behind, and what becomes of their IDs.

use h3_core::{error::code, transport::ConnTransport};
use quic_core::{Dir, StreamId, TransportConfig};

use super::{Rig, once};
use crate::{SendStream, SendStreamOptions, Server, WebTransport};

/// A connection whose client may have several sessions.
fn rig() -> Rig {
    let mut sessions = wt_session::Config::default();
    let mut flow = wt_session::FlowControl::default();
    flow.max_streams_uni = 1000;
    sessions.flow_control = Some(flow);
    let builder = Server::builder().max_sessions_per_connection(8);
    Rig::with_sessions(builder, TransportConfig::default(), &sessions)
}

impl Rig {
    /// The client ends a session; the server hears it with its next turn.
    fn end_session(&mut self, stream: StreamId) {
        let mut transport = ConnTransport::new(&mut self.client, self.now);
        self.h3.reset(stream, code::H3_REQUEST_CANCELLED, &mut transport);
        self.h3.stop(stream, code::H3_REQUEST_CANCELLED, &mut transport);
    }

    /// The next stream that the server opens.
    fn next_stream(&mut self) -> StreamId {
        self.conn(|conn| conn.stack.quic.next_stream(Dir::Uni))
    }
}

/// A stream that waits for nobody.
fn claim(session: &WebTransport) -> SendStream {
    let opened = once(session.create_unidirectional_stream(SendStreamOptions::new()));
    opened.expect("the limits permit it").expect("the session is open")
}

#[test]
fn a_burst_of_claims_leaves_no_room_behind() {
    let mut rig = rig();
    let (session, _) = rig.session();
    let streams: Vec<SendStream> = (0..900).map(|_| claim(&session)).collect();
    rig.turn();
    drop(streams);
    rig.turn();
    rig.turn();
    let room = |rig: &mut Rig| {
        rig.conn(|conn| {
            conn.process();
            [
                conn.claimed.capacity(),
                conn.claims_taken.capacity(),
                conn.scratch.capacity(),
                conn.backlog.capacity(),
                conn.unannounced.capacity(),
            ]
        })
    };
    // Of some there are two, here and in the boxes.
    for room in [room(&mut rig), room(&mut rig)] {
        assert!(room.iter().all(|capacity| *capacity <= 256), "{room:?}");
    }
}

#[test]
fn ids_of_a_session_that_ended_are_opened_and_given_up() {
    let mut rig = rig();
    let ((session, stream), (other, _)) = (rig.session(), rig.session());
    let first = rig.next_stream();
    let given_up: Vec<SendStream> = (0..3).map(|_| claim(&session)).collect();
    let kept = claim(&other);
    let late = claim(&session);
    rig.end_session(stream);
    rig.turn();
    assert_eq!(rig.next_stream().index(), first.index() + 5, "no ID is given twice");
    assert_eq!(rig.heard.iter().map(|id| id.index()).collect::<Vec<_>>(), [first.index() + 3]);
    drop((kept, given_up, late));
    assert!(!rig.is_closed());
}
