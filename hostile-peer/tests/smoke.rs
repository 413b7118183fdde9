//! The peer itself: honest handshakes work in both roles.

use quic_core::{Event, Side};

hostile_peer::both! {
    fn an_honest_peer_is_served(w: Confirmed) {
        assert!(w.app.events.contains(&Event::HandshakeComplete));
        w.expect_alive();
        w.expect_alive();
        assert_eq!(w.peer.undecryptable, 0);
    }
}

#[test]
fn closing_is_seen() {
    let mut w = hostile_peer::World::at(Side::Server, hostile_peer::Stage::Confirmed);
    let now = w.now;
    w.connection().close(now, 7, b"bye");
    w.poll();
    assert!(w.peer.closes()[0].application);
    w.expect_told();
    w.expect_gone();
}
