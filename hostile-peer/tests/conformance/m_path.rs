//! Table M: addresses and amplification. Connections do not migrate yet.

use crate::common::*;

fn elsewhere() -> [SocketAddr; 2] {
    // Another host, and the same host behind another port.
    ["198.51.100.7:9999", "192.0.2.66:4434"].map(|address| address.parse().expect("an address"))
}

/// A server that heard one Initial and its ClientHello, padded to 1200 bytes.
fn one_initial() -> World {
    let mut w = World::before(Side::Server, Options::default());
    w.begin();
    assert_eq!(w.bytes_in, 1200);
    w
}

#[test]
fn m01_no_more_than_three_times_what_came() {
    let mut w = one_initial();
    w.run_silently(Duration::from_secs(120));
    assert!(w.bytes_out <= 3 * w.bytes_in, "{} of {}", w.bytes_out, w.bytes_in);
    assert!(w.sent.len() > 1, "and yet something is sent again");
    w.expect_told();
    w.expect_gone();
}

/// The application closes at any time, forged and small datagrams arrive, but no proof of the address.
#[test]
fn m01_closes_and_retransmissions_included() {
    for n in 0..1000u64 {
        let mut w = one_initial();
        for round in 0..8 {
            w.run_silently(Duration::from_millis(n % 97 * 7 + 1));
            let now = w.now;
            if n % 8 == round {
                w.connection().close(now, 0, &[b'x'; 500]);
                w.poll();
            }
            if n % 3 == 0 {
                let mut packet = w.peer.packet(Space::Initial, vec![1]);
                packet.forged = n % 2 == 0;
                let sealed = w.peer.seal(packet);
                w.deliver(&sealed);
            }
            assert!(w.bytes_out <= 3 * w.bytes_in, "seed {n}: {} of {}", w.bytes_out, w.bytes_in);
        }
    }
}

/// A violation in the first datagram is answered within the credit as well.
#[test]
fn m01_a_violation_at_once() {
    let mut w = World::before(Side::Server, Options::default());
    w.peer.start(quic_core::ConnectionId::new(b"original-dst").expect("short"));
    w.send(Space::Initial, wire::ints(&[0x20]));
    for _ in 0..50 {
        w.send(Space::Initial, vec![1]);
    }
    assert!(w.bytes_out <= 3 * w.bytes_in);
    w.expect_close_in(0x07, 0x20);
}

#[test]
fn m03_packets_from_a_server_address_never_validated() {
    from_elsewhere(&mut World::at(Side::Client, Stage::Confirmed));
}

#[test]
fn m04_address_change_though_migration_is_disabled() {
    from_elsewhere(&mut World::at(Side::Server, Stage::Confirmed));
}

/// Authentic packets from other addresses change nothing, whatever they carry.
fn from_elsewhere(w: &mut World) {
    let sent = w.sent.len();
    for address in elsewhere() {
        for payload in [
            vec![0x31, 1, 7],
            wire::frame(&Frame::PathChallenge([3; 8])),
            wire::frame(&Frame::TransportClose { code: 1, frame_type: 0, reason: b"" }),
            wire::ints(&[0x20]),
        ] {
            let sealed = w.peer.sealed(Space::Data, payload);
            w.deliver_from(address, &sealed);
        }
    }
    assert_eq!((w.sent.len(), w.app.datagrams, w.stateless.len()), (sent, 0, 0));
    w.expect_alive();
}

both! {
    fn m05_address_change_during_the_handshake(w: Handshake) {
        let flight = w.peer.flight();
        let sent = w.sent.len();
        for address in elsewhere() {
            for datagram in &flight {
                w.deliver_from(address, datagram);
            }
        }
        let remote = w.peer_address;
        assert_eq!((w.connection().remote_address(), w.sent.len()), (remote, sent));
        flight.iter().for_each(|datagram| w.deliver(datagram));
        for _ in 0..4 {
            w.step();
        }
        assert!(w.app.events.contains(&Event::HandshakeConfirmed));
        w.expect_alive();
    }
}
