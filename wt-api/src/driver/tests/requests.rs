//! Requests for sessions that no task of the application has taken yet.

use std::time::Duration;

use h3_core::transport::ConnTransport;
use quic_core::{StreamId, TransportConfig};

use super::Rig;
use crate::Server;

const SECOND: Duration = Duration::from_secs(1);
/// Requests that may wait at a server.
const WAITING: usize = 256;
/// What may be left when a connection is gone, in bytes: the runtime's and the TLS provider's own.
const GONE: isize = 16 << 10;

fn rig() -> Rig {
    let mut sessions = wt_session::Config::default();
    sessions.flow_control = Some(wt_session::FlowControl::default());
    let builder = Server::builder().max_sessions_per_connection(400);
    Rig::with_sessions(builder, TransportConfig::default(), &sessions)
}

impl Rig {
    /// A request for a session, with a field of 400 bytes.
    fn ask(&mut self) -> StreamId {
        self.connect(&[("x-much", "v".repeat(400))]).expect("the server permits it")
    }

    fn statuses(&self, status: u16) -> usize {
        self.got.values().filter(|got| got.status == status).count()
    }
}

#[test]
fn requests_that_nobody_takes_are_bounded_and_go_with_their_connection() {
    let mut rig = rig();
    for _ in 0..WAITING {
        rig.ask();
    }
    rig.run(SECOND);
    assert!(rig.got.is_empty(), "all of them wait: {:?}", rig.got);
    rig.ask();
    rig.run(SECOND);
    assert_eq!(rig.statuses(429), 1, "one more does not");
    assert!(rig.growth() > 100 << 10, "the rig sees what requests hold");
    let left = rig.end();
    assert!(left < GONE, "{left} bytes are left of a connection that is gone");
    assert!(rig.take().is_none(), "nobody can be answered any more");
}

#[test]
fn requests_that_are_given_up_make_room_for_others() {
    let mut rig = rig();
    let first: Vec<StreamId> = (0..WAITING).map(|_| rig.ask()).collect();
    rig.run(SECOND);
    let (kept, given_up) = first.split_at(10);
    for stream in given_up {
        let mut transport = ConnTransport::new(&mut rig.client, rig.now);
        rig.h3.reset(*stream, h3_core::error::code::H3_REQUEST_CANCELLED, &mut transport);
    }
    rig.run(SECOND);
    // In their order, and none twice.
    let mut taken = 0;
    while let Some(request) = rig.take() {
        drop(request);
        taken += 1;
    }
    rig.run(SECOND);
    assert_eq!((taken, rig.statuses(404)), (kept.len(), kept.len()));
    for _ in 0..WAITING {
        rig.ask();
    }
    rig.run(SECOND);
    assert_eq!(rig.statuses(429), 0, "the places of those that were given up are free");
    rig.end();
}
