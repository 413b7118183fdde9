//! Table P: packets, handshake, tokens, resets.

use bytes::BytesMut;
use hostile_peer::keys::Keys;
use quic_core::{
    CidFactory, DatagramEvent, DatagramMeta, Endpoint, EndpointConfig, Level, Version, base::SeededEntropy,
    crypto::initial_secrets,
};

use crate::common::*;

#[test]
fn p01_initial_in_a_small_datagram() {
    let (mut w, hello) = with_hello(Options::default());
    let packet = w.peer.packet(Space::Initial, crypto(0, &hello)).padded_to(1199);
    let datagram = w.peer.seal(packet.clone());
    assert_eq!(datagram.len(), 1199);
    w.deliver(&datagram);
    assert_eq!(w.drops, [DropReason::DatagramTooSmall]);
    assert!(w.connection.is_none() && w.bytes_out == 0 && w.endpoint.connections() == 0);
    let datagram = w.peer.seal(packet.padded_to(1200));
    w.deliver(&datagram);
    goes_on(&mut w);
}

/// RFC 9000 §14.1 makes no exception for existing connections.
#[test]
fn p01_small_datagram_to_a_connection_that_exists() {
    let mut w = World::at(Side::Server, Stage::Initial);
    let (received, sent) = (w.connection().stats().packets_received, w.sent.len());
    for size in [60, 1199] {
        let packet = w.peer.packet(Space::Initial, wire::ints(&[0x20])).padded_to(size);
        let datagram = w.peer.seal(packet);
        assert_eq!(datagram.len(), size);
        w.deliver(&datagram);
    }
    assert_eq!((w.connection().stats().packets_received, w.sent.len()), (received, sent));
    assert_eq!(w.app.error(), None);
    goes_on(&mut w);
}

/// Each datagram has an authentic packet, so that the connection processes it, and four packets of the
/// QUIC-LEAK form.
#[test]
fn p09_coalesced_packets_for_others() {
    let mut w = World::at(Side::Server, Stage::Initial);
    let mut foreign = w.peer.packet(Space::Initial, PING.to_vec()).padded_to(300);
    foreign.dcid = vec![0; 8];
    let foreign = w.peer.seal(foreign);
    let before = w.connection().stats();
    let mut datagram = Vec::with_capacity(2000);
    w.flood(1_000_000, |w, n| {
        datagram.clear();
        // PADDING, because a flood of PING frames would be an attack of its own and end in a close.
        w.peer.seal_initial(&[0; 4], &mut datagram);
        for k in 0..4_u8 {
            let at = datagram.len();
            datagram.extend_from_slice(&foreign);
            // After the first byte, the version and the length.
            datagram[at + 6..at + 10].copy_from_slice(&(n as u32).to_be_bytes());
            datagram[at + 10] = k;
        }
        w.deliver(&datagram);
    });
    let after = w.connection().stats();
    assert_eq!(after.packets_received - before.packets_received, 1_000_000);
    assert_eq!(after.packets_dropped - before.packets_dropped, 4_000_000);
    assert_eq!(w.endpoint.connections(), 1);
    goes_on(&mut w);
}

/// Nothing is kept for a connection that does not exist.
#[test]
fn p20_0rtt_and_1rtt_before_the_initial() {
    let mut w = World::before(Side::Server, Options::default());
    w.peer.start(cid(b"original-dst"));
    for n in 0..10_u8 {
        let mut early = w.peer.packet(Space::Initial, vec![n; 1000]);
        early.kind = Level::ZeroRtt;
        let keys = &mut Keys::new(&initial_secrets(Version::V1, &cid(b"original-dst")).0);
        w.deliver(&early.seal(keys));
        w.deliver(&[&[0x41][..], b"original-dst", &[n; 1000]].concat());
    }
    assert!(w.connection.is_none());
    assert_eq!(w.endpoint.connections(), 0);
    assert_eq!(
        w.drops.iter().filter(|reason| **reason == DropReason::UnknownConnection).count(),
        20 - w.stateless.len()
    );
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    w.send(Space::Initial, crypto(0, &hello));
    goes_on(&mut w);
}

/// No keys will ever open it, so nothing is kept and the handshake continues.
#[test]
fn p20_0rtt_before_the_handshake_ends() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    for n in 0..10_u8 {
        let mut early = w.peer.packet(Space::Initial, vec![n; 1000]);
        (early.kind, early.token) = (Level::ZeroRtt, Vec::new());
        let bytes = early.seal(&mut Keys::new(&initial_secrets(Version::V1, &cid(b"original-dst")).0));
        w.deliver(&bytes);
        assert_eq!(w.held().0, 0);
    }
    assert!(w.app.events.is_empty(), "{:?}", w.app.events);
    goes_on(&mut w);
}

#[test]
fn p20_1rtt_before_the_handshake_ends() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    let id = StreamId::new(Side::Client, Dir::Uni, 0);
    for n in 0..30 {
        w.send(Space::Data, wire::stream(id, n * 1000, false, &[7; 1000]));
        assert!(w.held().0 < 40 << 10);
    }
    assert!(w.app.events.is_empty() && w.app.received.is_empty(), "{:?}", w.app.events);
    w.step();
    assert_eq!(w.app.events.first(), Some(&Event::HandshakeComplete));
    let kept = w.app.received.get(&id).map_or(0, Vec::len);
    assert!(kept <= 10_000, "{kept}");
    w.expect_alive();
}

/// The packets of a hostile server: its ServerHello, the rest of its flight without the last `held_back`
/// bytes, and HANDSHAKE_DONE.
fn flight_of_three(w: &mut World, held_back: usize) -> [Vec<u8>; 3] {
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    let (_, rest) = w.peer.take_crypto(Space::Handshake, usize::MAX);
    [
        w.peer.sealed(Space::Initial, crypto(0, &hello)),
        w.peer.sealed(Space::Handshake, crypto(0, &rest[..rest.len() - held_back])),
        w.peer.sealed(Space::Data, wire::frame(&Frame::HandshakeDone)),
    ]
}

/// The stages whose packets have a long header.
const LONG: [(Stage, Space); 2] = [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake)];

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[test]
fn p21_handshake_done_before_finished() {
    for order in ORDERS {
        for coalesced in [true, false] {
            for held_back in [1, 40] {
                let mut w = World::at(Side::Client, Stage::Initial);
                w.peer.sends_done = false;
                let packets = flight_of_three(&mut w, held_back);
                let ordered = order.map(|index| packets[index].clone());
                if coalesced {
                    w.deliver(&ordered.concat());
                } else {
                    ordered.iter().for_each(|packet| w.deliver(packet));
                }
                w.run_silently(Duration::from_secs(2));
                assert!(!w.app.events.contains(&Event::HandshakeConfirmed), "{order:?}");
                assert!(!w.app.events.contains(&Event::HandshakeComplete), "{order:?}");
            }
        }
    }
}

#[test]
fn p21_handshake_done_in_every_order_with_the_whole_flight() {
    for (order, coalesced) in ORDERS.into_iter().flat_map(|order| [(order, true), (order, false)]) {
        let mut w = World::at(Side::Client, Stage::Initial);
        w.peer.sends_done = false;
        let packets = flight_of_three(&mut w, 0);
        let ordered = order.map(|index| packets[index].clone());
        if coalesced && order[2] == 2 {
            w.deliver(&ordered.concat());
        } else if coalesced {
            // A packet with a short header extends to the end of its datagram, so the packets after it come
            // separately.
            let split = order.iter().position(|index| *index == 2).expect("one of three");
            w.deliver(&ordered[..=split].concat());
            w.deliver(&ordered[split + 1..].concat());
        } else {
            ordered.iter().for_each(|packet| w.deliver(packet));
        }
        let position = |event| w.app.events.iter().position(|seen| *seen == event);
        let complete = position(Event::HandshakeComplete);
        let confirmed = position(Event::HandshakeConfirmed);
        assert!(complete.is_some() && complete < confirmed, "{order:?}: {:?}", w.app.events);
        assert_eq!(w.app.error(), None, "{order:?}");
    }
}

both! {
    fn p02_connection_ids_of_21_bytes(w: Confirmed) {
        for (dcid, scid) in [(21, 8), (8, 21), (255, 0)] {
            for first in [0xc0, 0xd0, 0xe0, 0xf0] {
                let mut datagram = vec![first, 0, 0, 0, 1, dcid];
                datagram.extend(vec![1; usize::from(dcid)]);
                datagram.push(scid);
                datagram.resize(1200, 1);
                w.deliver(&datagram);
                assert_eq!(w.drops.pop(), Some(DropReason::CidTooLong));
            }
        }
        w.expect_alive();
    }

    fn p10_packets_behind_the_end(w: Handshake) {
        let close = wire::frame(&Frame::TransportClose { code: 5, frame_type: 0, reason: b"" });
        let mut datagram = w.peer.sealed(Space::Handshake, close);
        let before = w.connection().stats().packets_received;
        let sent = w.sent.len();
        for space in [Space::Handshake, Space::Data] {
            datagram.extend(w.peer.sealed(space, wire::ints(&[0x20])));
        }
        w.deliver(&datagram);
        assert_eq!(w.connection().stats().packets_received, before + 1);
        assert_eq!(w.sent.len(), sent, "draining is silence");
        assert!(matches!(w.app.error(), Some(ConnectionError::PeerClosed(_))));
        w.expect_told();
        w.expect_gone();
    }

    fn p10_packets_behind_a_violation(w: Handshake) {
        let mut datagram = w.peer.sealed(Space::Handshake, wire::ints(&[0x20]));
        let before = w.connection().stats().packets_received;
        let close = wire::frame(&Frame::TransportClose { code: 5, frame_type: 0, reason: b"" });
        for space in [Space::Handshake, Space::Data] {
            datagram.extend(w.peer.sealed(space, close.clone()));
        }
        w.deliver(&datagram);
        assert_eq!(w.connection().stats().packets_received, before + 1);
        w.expect_close_in(0x07, 0x20);
    }

    /// RFC 9000 §10.2.1: responses while closing become rarer.
    fn p10_flood_while_closing(w: Confirmed) {
        w.send(Space::Data, wire::ints(&[0x20]));
        let sent = w.sent.len();
        for _ in 0..1000 {
            w.send(Space::Data, PING.to_vec());
        }
        let answers = w.sent.len() - sent;
        assert!((1..=12).contains(&answers), "{answers}");
        w.expect_close_in(0x07, 0x20);
    }

    fn p13_p14_reserved_bits_of_forged_packets(w: Confirmed) {
        for flip in [0x08, 0x10, 0x18] {
            let mut packet = w.peer.packet(Space::Data, PING.to_vec()).padded_to(50);
            packet.flip = flip;
            packet.forged = true;
            let (sealed, sent) = (w.peer.seal(packet), w.sent.len());
            w.deliver(&sealed);
            assert_eq!(w.sent.len(), sent);
        }
        w.expect_alive();
    }

    fn p14_reserved_bits_of_forged_handshake_packets(w: Handshake) {
        for flip in [0x04, 0x08, 0x0c] {
            let mut packet = w.peer.packet(Space::Handshake, PING.to_vec()).padded_to(60);
            packet.flip = flip;
            packet.forged = true;
            let sealed = w.peer.seal(packet);
            w.deliver(&sealed);
        }
        goes_on(w);
    }

    fn p16_the_same_packet_again(w: Confirmed) {
        let datagram = w.peer.sealed(Space::Data, vec![0x31, 1, 7]);
        w.deliver(&datagram);
        assert_eq!(w.app.datagrams, 1);
        for gap in [0, 1, 300, 5, 100_000] {
            *w.peer.next_number(Space::Data) += gap;
            for _ in 0..100 {
                w.send(Space::Data, PING.to_vec());
                *w.peer.next_number(Space::Data) += 1;
            }
            w.deliver(&datagram);
            assert_eq!(w.app.datagrams, 1, "after a gap of {gap}");
        }
        w.expect_alive();
    }

    fn p17_forged_packets_up_to_the_limit(w: Confirmed) {
        w.connection().cap_integrity_limit(10);
        for n in 1..=11 {
            assert!(w.app.error().is_none(), "{n}");
            let mut packet = w.peer.packet(Space::Data, vec![0x31, 1, 7]).padded_to(50);
            packet.forged = true;
            let sealed = w.peer.seal(packet);
            w.deliver(&sealed);
        }
        w.send(Space::Data, vec![0x31, 1, 7]);
        assert_eq!(w.app.datagrams, 0);
        w.expect_close_in(AEAD_LIMIT_REACHED, 0);
    }

    /// RFC 9001 §6.6: a peer that acknowledges nothing permits new keys once, for what it acknowledged before.
    fn p17_no_new_keys_before_the_limit(w: Confirmed) {
        w.connection().cap_confidentiality_limit(64);
        w.peer.acks = false;
        for _ in 0..400 {
            w.send(Space::Data, PING.to_vec());
            if w.app.error().is_some() {
                break;
            }
        }
        w.expect_close_in(AEAD_LIMIT_REACHED, 0);
    }

    fn p18_short_headers_for_nobody(w: Confirmed) {
        let mut answered = 0;
        for size in 1..=64usize {
            // An address gets four responses a second. All this stays within the idle timeout.
            w.now += Duration::from_millis(260);
            let mut datagram = vec![0xe7; size];
            datagram[0] = 0x41;
            w.deliver(&datagram);
            for answer in w.stateless.drain(..) {
                answered += 1;
                assert!(answer.len() < size && answer.len() >= 21, "{size} -> {}", answer.len());
                assert_eq!(answer[0] & 0xc0, 0x40, "looks like a short header");
            }
        }
        assert!(answered > 30);
        w.now += Duration::from_secs(1);
        w.expect_alive();
    }

    fn p18_two_stacks_that_reset_each_other(w: Confirmed) {
        let cids = CidFactory::new(8, 0, &[1; 32]);
        let mut other = Endpoint::new(EndpointConfig::new(cids), None, Box::new(SeededEntropy::new(5)));
        let meta = DatagramMeta::new(elsewhere()).allocation(1200);
        let mut datagram = vec![0x45; 1200];
        let mut exchanged = 0;
        loop {
            w.deliver_from(elsewhere(), &datagram);
            let Some(answer) = w.stateless.pop() else { break };
            exchanged += 1;
            let DatagramEvent::Respond(response) =
                other.handle_datagram(w.now, &meta, BytesMut::from(&answer[..]))
            else {
                break;
            };
            exchanged += 1;
            datagram = response.bytes;
            assert!(exchanged < 10);
        }
        assert!(exchanged > 0);
    }

    fn p19_resets_that_do_not_count(w: Confirmed) {
        let token = |n: u8| [n; 16];
        let reset = |token: [u8; 16]| [&[0x47; 40][..], &token].concat();
        let new = |sequence: u8, retire_prior_to| {
            let (sequence, id) = (u64::from(sequence), cid(&[sequence; 8]));
            wire::frame(&Frame::NewConnectionId { sequence, retire_prior_to, id, token: token(sequence as u8) })
        };
        w.send(Space::Data, [new(1, 0), new(2, 0)].concat());
        let old = w.peer.dcid;
        w.deliver(&reset(token(1)));
        w.deliver(&[&[0x47][..], old.as_bytes(), &[9; 40], &token(2)].concat());
        w.send(Space::Data, new(3, 3));
        for (from, token) in
            [(w.peer_address, token(1)), (w.peer_address, token(9)), (elsewhere(), token(3))]
        {
            w.deliver_from(from, &reset(token));
            w.deliver_from(from, &[&[0x47][..], old.as_bytes(), &[9; 40], &token].concat());
        }
        w.expect_alive();
        // And the valid one.
        w.deliver(&reset(token(3)));
        assert_eq!(w.app.error(), Some(&ConnectionError::StatelessReset));
        w.expect_told();
        w.expect_gone();
    }
}

/// Options that set whether the endpoint and the peer offer `grease_quic_bit`.
fn greased(offered: bool, accepted: bool) -> Options {
    let transport = TransportConfig::new().grease_quic_bit(offered);
    let params = changed(move |honest| honest.grease_quic_bit = accepted);
    Options { transport, params, ..Options::default() }
}

/// A packet of the stage with a zero fixed bit.
fn zero_bit(w: &mut World, space: Space) -> Vec<u8> {
    let mut packet = w.peer.packet(space, PING.to_vec()).padded_to(60);
    packet.flip = 0x40;
    w.peer.seal(packet)
}

both_sides! {
    /// P15a: not offered.
    fn p15_fixed_bit_zero_though_not_offered(side) {
        let mut w = World::with(side, Stage::Confirmed, greased(false, true));
        let (datagram, sent) = (zero_bit(&mut w, Space::Data), w.sent.len());
        let before = w.connection().stats();
        w.deliver(&datagram);
        let after = w.connection().stats();
        assert_eq!((after.packets_received, w.sent.len()), (before.packets_received, sent));
        assert_eq!(after.packets_dropped, before.packets_dropped + 1);
        w.expect_alive();
        let mut w = World::with(side, Stage::Handshake, greased(false, true));
        let bad = zero_bit(&mut w, Space::Handshake);
        let before = w.connection().stats().packets_received;
        w.deliver(&bad);
        let good = w.peer.sealed(Space::Handshake, PING.to_vec());
        w.deliver(&[good, bad].concat());
        assert_eq!(w.connection().stats().packets_received, before + 1);
        goes_on(&mut w);
    }

    /// P15b: offered, in each space, coalesced too.
    fn p15_fixed_bit_zero_as_offered(side) {
        for (stage, space) in [(Stage::Handshake, Space::Handshake), (Stage::Confirmed, Space::Data)] {
            let mut w = World::with(side, stage, greased(true, false));
            let before = w.connection().stats().packets_received;
            let mut datagram = zero_bit(&mut w, space);
            if space == Space::Handshake {
                datagram.extend(zero_bit(&mut w, space));
            }
            w.deliver(&datagram);
            let packets = if space == Space::Handshake { 2 } else { 1 };
            assert_eq!(w.connection().stats().packets_received, before + packets);
            goes_on(&mut w);
            assert_eq!(w.peer.zero_fixed_bits, [0; 3], "the peer did not permit it");
        }
    }

    /// RFC 9287 §3.1: the sent bit is unpredictable once the peer permits it, and one until its parameters
    /// have arrived.
    fn p15_fixed_bits_that_are_sent(side) {
        let mut w = World::with(side, Stage::Initial, greased(true, true));
        if side == Side::Client {
            assert_eq!(w.peer.zero_fixed_bits, [0; 3], "nothing is known of the server");
        }
        for _ in 0..4 {
            w.step();
        }
        for _ in 0..4 {
            w.expect_alive();
        }
        let (zeros, all) = (w.peer.zero_fixed_bits[2], w.peer.received(Space::Data).len());
        assert!(zeros > all / 4 && zeros < all * 3 / 4, "{zeros} of {all}");
        assert_eq!(w.peer.undecryptable, 0);
    }

    fn p11_length_beyond_the_datagram(side) {
        for (stage, space) in LONG {
            let mut w = World::at(side, stage);
            let mut packet = w.peer.packet(space, PING.to_vec());
            packet.length = Some(2000);
            let mut datagram = w.peer.seal(packet);
            datagram.extend(w.peer.sealed(space, PING.to_vec()));
            datagram.resize(1300, 0);
            let before = w.connection().stats().packets_received;
            w.deliver(&datagram);
            // The same after a good packet.
            let good = w.peer.sealed(space, PING.to_vec());
            w.deliver(&[good, datagram].concat());
            assert_eq!(w.connection().stats().packets_received, before + 1);
            goes_on(&mut w);
        }
    }

    /// A Length of 0 is one of them.
    fn p11_length_below_the_packet_number(side) {
        for (stage, space) in LONG {
            let mut w = World::at(side, stage);
            for length in 0..4 {
                let mut packet = w.peer.packet(space, PING.to_vec());
                packet.length = Some(length as u64);
                let header_size = packet.header_size();
                let mut datagram = w.peer.seal(packet)[..header_size - 4 + length].to_vec();
                datagram.extend(w.peer.sealed(space, PING.to_vec()));
                let before = w.connection().stats().packets_received;
                w.deliver(&datagram);
                assert_eq!(w.connection().stats().packets_received, before + 1, "{space:?}: Length {length}");
            }
            goes_on(&mut w);
        }
    }

    fn p12_reserved_bits_in_handshake(side) {
        for flip in [0x04, 0x08, 0x0c] {
            let mut w = World::at(side, Stage::Handshake);
            let mut packet = w.peer.packet(Space::Handshake, PING.to_vec());
            packet.flip = flip;
            let sealed = w.peer.seal(packet);
            w.deliver(&sealed);
            w.expect_close_in(PROTOCOL_VIOLATION, 0);
        }
    }

    /// Initial packets have these bits too, and keys that anybody can derive.
    fn p12_reserved_bits_in_initial(side) {
        for flip in [0x04, 0x08, 0x0c] {
            let mut w = World::at(side, Stage::Initial);
            let mut packet = w.peer.packet(Space::Initial, PING.to_vec()).padded_to(1200);
            packet.flip = flip;
            let sealed = w.peer.seal(packet);
            w.deliver(&sealed);
            w.expect_close_in(PROTOCOL_VIOLATION, 0);
        }
    }

    fn p13_reserved_bits_in_1rtt(side) {
        for flip in [0x08, 0x10, 0x18] {
            let mut w = World::at(side, Stage::Confirmed);
            let mut packet = w.peer.packet(Space::Data, PING.to_vec());
            packet.flip = flip;
            let sealed = w.peer.seal(packet);
            w.deliver(&sealed);
            w.expect_close_in(PROTOCOL_VIOLATION, 0);
        }
    }

    /// Not a separate row: a packet without any frame (RFC 9000 §12.4).
    fn p13_packets_without_frames(side) {
        for (stage, space) in
            [(Stage::Initial, Space::Initial), (Stage::Handshake, Space::Handshake), (Stage::Confirmed, Space::Data)]
        {
            let mut w = World::at(side, stage);
            let packet = w.peer.packet(space, Vec::new());
            let mut datagram = w.peer.seal(packet);
            if space == Space::Initial {
                // What follows only makes the datagram large enough.
                datagram.resize(1200, 0);
            }
            w.deliver(&datagram);
            w.expect_close_in(PROTOCOL_VIOLATION, 0);
        }
    }
}

/// Without a connection nothing is negotiated: a packet that starts one must not have a zero bit, and it
/// causes no reset either.
#[test]
fn p15_fixed_bit_zero_to_nobody() {
    let (mut w, hello) = with_hello(Options::default());
    let mut packet = w.peer.packet(Space::Initial, crypto(0, &hello)).padded_to(1200);
    packet.flip = 0x40;
    let datagram = w.peer.seal(packet);
    w.deliver(&datagram);
    w.deliver(&[7; 60]);
    assert_eq!(w.drops, [DropReason::FixedBit; 2]);
    assert!(w.connection.is_none() && w.stateless.is_empty());
    w.send(Space::Initial, crypto(0, &hello));
    goes_on(&mut w);
}
