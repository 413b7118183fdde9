//! Table X: tickets and key updates.

use heap_meter::Measure;

use crate::common::*;

/// A TLS `KeyUpdate` message.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// A `NewSessionTicket` whose `early_data` extension has `max_early_data`.
fn ticket(max_early_data: Option<u32>, size: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 0x10, 0, 1, 2, 3, 4, 1, 0];
    body.extend((size as u16).to_be_bytes());
    body.extend(vec![0x7c; size]);
    match max_early_data {
        Some(max) => {
            body.extend([0, 8, 0, 42, 0, 4]);
            body.extend(max.to_be_bytes());
        }
        None => body.extend([0, 0]),
    }
    with_length(4, &body, &[])
}

both! {
    fn x10_tls_key_update_in_1rtt(w: Confirmed) {
        w.peer.push_crypto(Space::Data, &KEY_UPDATE);
        w.step();
        w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
    }

    fn x14_two_key_updates_in_one_burst(w: Confirmed) {
        let from = w.peer_address;
        for generation in [1, 2] {
            w.peer.generation = generation;
            let sealed = w.peer.sealed(Space::Data, vec![1]);
            w.deliver_quietly(from, &sealed);
        }
        w.expect_close(&[KEY_UPDATE_ERROR]);
    }

    fn x14_old_keys_on_a_higher_packet_number(w: Confirmed) {
        w.peer.generation = 1;
        w.send(Space::Data, vec![1]);
        assert_eq!(w.app.error(), None);
        w.peer.generation = 0;
        w.send(Space::Data, vec![1]);
        w.expect_close(&[KEY_UPDATE_ERROR]);
    }

    /// The counterpart: one update at a time, with reordered packets of the old keys.
    fn x14_honest_key_updates(w: Confirmed) {
        for generation in 1..4 {
            let late = w.peer.sealed(Space::Data, vec![1]);
            w.peer.generation = generation;
            w.send(Space::Data, vec![1]);
            w.deliver(&late);
            w.expect_alive();
            assert_eq!(w.peer.seen.last().map(|seen| seen.generation), Some(generation));
        }
    }
}

#[test]
fn x10_tls_key_update_in_handshake_server() {
    let mut w = World::at(Side::Server, Stage::Handshake);
    w.send(Space::Handshake, crypto(0, &KEY_UPDATE));
    w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
}

#[test]
fn x10_tls_key_update_in_handshake_client() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let (_, hello) = w.peer.take_crypto(Space::Initial, usize::MAX);
    w.send(Space::Initial, crypto(0, &hello));
    w.send(Space::Handshake, crypto(0, &KEY_UPDATE));
    w.expect_close_in(UNEXPECTED_MESSAGE, 0x06);
}

#[test]
fn x13_ticket_with_another_limit_of_early_data() {
    for max in [0, 1, 0xffff_fffe] {
        let mut w = World::at(Side::Client, Stage::Confirmed);
        w.peer.push_crypto(Space::Data, &ticket(Some(max), 32));
        w.step();
        w.expect_close_in(PROTOCOL_VIOLATION, 0x06);
    }
}

#[test]
fn x13_tickets_without_end() {
    let mut w = World::at(Side::Client, Stage::Confirmed);
    let ticket = ticket(Some(u32::MAX), 200);
    let mut payload = Vec::with_capacity(1000);
    let mut offset = w.peer.crypto_sent(Space::Data);
    w.flood(25_000, |w, _| {
        payload.clear();
        // Four tickets in each packet, as one CRYPTO frame.
        payload.extend([0x06, 0xc0]);
        payload.extend(&offset.to_be_bytes()[1..]);
        payload.extend((0x4000 | (4 * ticket.len() as u16)).to_be_bytes());
        (0..4).for_each(|_| payload.extend(&ticket));
        offset += 4 * ticket.len() as u64;
        w.send_fast(&payload);
    });
    w.expect_alive();
}

#[test]
fn x13_a_ticket_in_fragments_of_one_byte() {
    let mut w = World::at(Side::Client, Stage::Confirmed);
    let measure = Measure::start();
    for reversed in [false, true] {
        w.peer.push_crypto(Space::Data, &ticket(None, 1500));
        let (start, ticket) = w.peer.take_crypto(Space::Data, usize::MAX);
        let mut bytes: Vec<_> = ticket.iter().enumerate().collect();
        if reversed {
            bytes.reverse();
        }
        for (n, byte) in bytes {
            w.send(Space::Data, crypto(start + n as u64, &[*byte]));
        }
        assert!(w.held().1 < 64 << 10, "{:?}", w.held());
        // One page of the reassembly buffer may wait for further data.
        assert!(w.held().0 < 8 << 10, "{:?}", w.held());
    }
    // This sum includes the peer's records of the acknowledgments.
    assert!(measure.growth() < 1 << 20, "{}", measure.growth());
    w.expect_alive();
}
