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

/// The check at the end of every test can fail.
#[test]
#[should_panic(expected = "of heap are left of the connection")]
fn a_leak_is_noticed() {
    let _w = hostile_peer::World::at(Side::Server, hostile_peer::Stage::Confirmed);
    std::mem::forget(vec![0_u8; 5000]);
}

#[test]
#[should_panic(expected = "the heap grew by")]
fn growth_in_a_flood_is_noticed() {
    let mut w = hostile_peer::World::at(Side::Server, hostile_peer::Stage::Confirmed);
    let mut kept = Vec::new();
    w.flood(1000, |_, _| kept.push(vec![0_u8; 100]));
}
