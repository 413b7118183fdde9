//! Table M: addresses, amplification, and peers that move.

use crate::common::*;

fn elsewhere() -> [SocketAddr; 2] {
    // Another host, and the same host with another port.
    ["198.51.100.7:9999", "192.0.2.66:4434"].map(|address| address.parse().expect("an address"))
}

/// A server that received one Initial with a ClientHello, padded to 1200 bytes.
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

/// The application closes at various times, and forged and small datagrams arrive, but nothing proves the
/// address.
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

/// The response to a violation in the first datagram also stays within the credit.
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

/// The sizes of the datagrams that the endpoint sent to an address from `since` on.
fn sent_to(w: &World, address: SocketAddr, since: usize) -> Vec<usize> {
    let sent = w.sent.iter().zip(&w.sent_to).skip(since);
    sent.filter(|(_, to)| **to == address).map(|(datagram, _)| datagram.len()).collect()
}

/// The data of all challenges so far.
fn challenges(w: &World) -> Vec<[u8; 8]> {
    let frames = w.peer.seen.iter().flat_map(|seen| quic_core::frame::Frames::new(&seen.payload).flatten());
    frames
        .filter_map(|frame| if let Frame::PathChallenge(data) = frame { Some(data) } else { None })
        .collect()
}

fn from(w: &mut World, address: SocketAddr, payload: Vec<u8>) -> usize {
    let sealed = w.peer.sealed(Space::Data, payload);
    w.deliver_from(address, &sealed);
    sealed.len()
}

/// A PING, padded.
fn padded_ping(size: usize) -> Vec<u8> {
    let mut payload = PING.to_vec();
    payload.resize(size, 0);
    payload
}

#[test]
fn m02_no_more_than_three_times_to_a_new_address_and_a_challenge_first() {
    for (step, rounds) in [(30, 60), (100, 30), (350, 12), (1_180, 4)] {
        for address in elsewhere() {
            let mut w = World::at(Side::Server, Stage::Confirmed);
            w.peer.acks = false;
            let id = w.connection().open(Dir::Uni).expect("credit");
            w.connection().write(id, &mut vec![7; 100_000].into()).expect("open");
            let (since, asked) = (w.sent.len(), challenges(&w).len());
            let mut received = 0;
            for round in 0..rounds {
                received += from(&mut w, address, padded_ping(step));
                w.run_silently(Duration::from_millis(40));
                let sizes = sent_to(&w, address, since);
                let sent: usize = sizes.iter().sum();
                assert!(sent <= 3 * received, "{step}, {round}: {sent} bytes for {received}");
            }
            let sizes = sent_to(&w, address, since);
            let least = (3 * (step + 20)).min(1_200);
            assert!(sizes[0] >= least.min(90) && (step < 400) == (sizes[0] < 1_200), "{step}: {sizes:?}");
            assert!(challenges(&w).len() > asked);
            assert_eq!(w.connection().remote_address(), address);
            // The right response lifts the limit, on any path. A wrong one does not.
            from(&mut w, address, wire::frame(&Frame::PathResponse([9; 8])));
            let limited = sent_to(&w, address, since).iter().sum::<usize>();
            assert!(limited <= 3 * (received + 60));
            for data in challenges(&w) {
                from(&mut w, address, wire::frame(&Frame::PathResponse(data)));
            }
            for data in challenges(&w) {
                from(&mut w, address, wire::frame(&Frame::PathResponse(data)));
            }
            assert!(w.connection().paths().next().expect("a path").validated);
            w.peer.acks = true;
            w.peer_address = address;
            w.expect_alive();
        }
    }
}

/// A proof of the address in a datagram that could not have 1200 bytes does not prove the path (RFC 9000
/// §8.2.3).
#[test]
fn m02_a_small_challenge_is_followed_by_one_of_1200_bytes() {
    let mut w = World::at(Side::Server, Stage::Confirmed);
    let [address, _] = elsewhere();
    let (since, asked) = (w.sent.len(), challenges(&w).len());
    from(&mut w, address, PING.to_vec());
    let [small] = sent_to(&w, address, since)[..] else { panic!("one datagram") };
    assert!(small < 1_200);
    // The next challenge went to the old address.
    let data = challenges(&w)[asked];
    from(&mut w, address, wire::frame(&Frame::PathResponse(data)));
    assert!(sent_to(&w, address, since).contains(&1_200));
    let again = *challenges(&w).last().expect("another challenge");
    assert_ne!(again, data, "each has data of its own");
    // Nobody responds to that one, so the path does not carry QUIC.
    w.run_silently(Duration::from_secs(4));
    assert_eq!(w.connection().remote_address(), w.peer_address);
    w.expect_alive();
}

/// If a client that must not migrate seems to move, the server validates its new address, because it may be
/// behind a NAT.
#[test]
fn m04_address_change_though_migration_is_disabled() {
    let transport = TransportConfig::new().allows_migration(false);
    let mut w = World::with(Side::Server, Stage::Confirmed, Options { transport, ..Options::default() });
    for address in elsewhere() {
        let since = w.sent.len();
        let forged = [&[0x47][..], w.peer.dcid.as_bytes(), &[9; 60]].concat();
        w.deliver_from(address, &forged);
        assert!(sent_to(&w, address, since).is_empty(), "who does not have the keys is nobody");
        let received = from(&mut w, address, PING.to_vec());
        let sent: usize = sent_to(&w, address, since).iter().sum();
        assert!(sent > 0 && sent <= 3 * received);
        w.run_silently(Duration::from_secs(8));
        assert_eq!(w.connection().remote_address(), w.peer_address, "there was no answer");
        assert_eq!((w.peer.closes().len(), w.stateless.len()), (0, 0));
        assert_eq!(w.connection().paths().count(), 1);
    }
    w.expect_alive();
}

/// Packets that are older than others do not move the connection, nor do probes (RFC 9000 §9.1, §9.3).
#[test]
fn m04_probes_and_old_packets_move_nothing() {
    let mut w = World::at(Side::Server, Stage::Confirmed);
    let [address, other] = elsewhere();
    let old = w.peer.sealed(Space::Data, PING.to_vec());
    w.send(Space::Data, PING.to_vec());
    w.deliver_from(address, &old);
    assert_eq!(w.connection().remote_address(), w.peer_address);
    let since = w.sent.len();
    let probe = [wire::frame(&Frame::PathChallenge([3; 8])), vec![0; 1_150]].concat();
    from(&mut w, other, probe);
    assert_eq!(w.connection().remote_address(), w.peer_address);
    assert_eq!(sent_to(&w, other, since), [1_200], "answered where it was asked");
    assert_eq!(w.peer.count(|frame| *frame == Frame::PathResponse([3; 8])), 1);
    w.expect_alive();
}

/// A peer with an endless number of addresses costs the endpoint a few paths, whether or not they respond.
#[test]
fn m04_a_thousand_addresses_hold_no_more_than_a_few() {
    for answers in [false, true] {
        let mut w = World::at(Side::Server, Stage::Confirmed);
        for n in 0..1_000_u16 {
            let host = if n % 2 == 0 { 7 } else { (n % 250) as u8 };
            let address = SocketAddr::from(([198, 51, 100, host], 1_000 + n));
            from(&mut w, address, padded_ping(1_180));
            if answers {
                let last = challenges(&w).into_iter().rev().take(4);
                for data in last.collect::<Vec<_>>() {
                    from(&mut w, address, wire::frame(&Frame::PathResponse(data)));
                }
            }
            assert!(w.connection().paths().count() <= 4);
        }
        w.peer.forgets = false;
        w.send(Space::Data, PING.to_vec());
        w.run_silently(Duration::from_secs(10));
        assert_eq!(w.connection().paths().count(), 1);
        w.expect_alive();
    }
}

/// RFC 9000 §9.3, §9.5: the peer moves to another of our IDs, and has given us no unused ID.
#[test]
fn m06_no_unused_id_for_a_peer_that_moves_server() {
    let mut w = World::at(Side::Server, Stage::Confirmed);
    let [address, _] = elsewhere();
    let (_, another, _) = w.peer.issued()[0];
    w.peer.dcid = another;
    let since = w.sent.len();
    for _ in 0..3 {
        from(&mut w, address, padded_ping(1_180));
        w.run_silently(Duration::from_millis(300));
    }
    assert!(sent_to(&w, address, since).is_empty(), "nothing with an ID of the old path");
    assert_eq!(w.connection().remote_address(), w.peer_address);
    // With an unused ID, packets go to the new address, with that ID.
    let id = numbered_cid(77);
    let new = Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id, token: token(77) };
    from(&mut w, address, [wire::frame(&new), padded_ping(1_100)].concat());
    let sizes = sent_to(&w, address, since);
    assert_eq!(sizes.first(), Some(&1_200), "the challenge");
    let sent = w.sent.iter().zip(&w.sent_to).skip(since);
    assert!(sent.filter(|(_, to)| **to == address).all(|(datagram, _)| datagram[1..9] == *id.as_bytes()));
    assert_eq!(w.connection().remote_address(), address);
}

/// A NAT rebinding: the peer does not know of it, so its ID stays in use.
#[test]
fn m06_a_nat_rebinding_goes_on_with_the_id_in_use_server() {
    for scid in [cid(b"hostile!"), ConnectionId::EMPTY] {
        let mut w = World::with(Side::Server, Stage::Confirmed, Options { scid, ..Options::default() });
        let [address, _] = elsewhere();
        from(&mut w, address, padded_ping(1_180));
        assert_eq!(w.connection().remote_address(), address);
        for data in challenges(&w) {
            from(&mut w, address, wire::frame(&Frame::PathResponse(data)));
        }
        w.peer_address = address;
        w.expect_alive();
        assert!(w.peer.count(|frame| matches!(frame, Frame::RetireConnectionId(_))) == 0);
    }
}

/// A client does not move if the server has given it no unused ID, or uses no IDs at all.
#[test]
fn m06_no_unused_id_to_move_with_client() {
    for scid in [cid(b"hostile!"), ConnectionId::EMPTY] {
        let mut w = World::with(Side::Client, Stage::Confirmed, Options { scid, ..Options::default() });
        let (now, sent) = (w.now, w.sent.len());
        let local = "198.51.100.99".parse().expect("an address");
        let refused = Err(quic_core::error::call::MigrateError::NoConnectionId);
        assert_eq!(w.connection().migrate(now, local), refused);
        assert_eq!(w.connection().rebind(now, Some(local)), refused);
        w.poll();
        assert_eq!(w.sent.len(), sent);
        w.expect_alive();
    }
}

/// Authentic packets from other addresses change nothing, whatever they contain.
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
