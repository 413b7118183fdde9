//! The latency spin bit as a network sees it (RFC 9000 §17.4).

use netsim::{Endpoint as _, LinkConfig, MILLISECOND};
use quic_core::TransportConfig;
use soak::{Setup, World};

/// The spin bits of the packets that the client sends, one for each round trip.
fn bits_of_client(seed: u64, client: bool, server: bool) -> Vec<bool> {
    let transport = |spins| TransportConfig::new().spin_bit(spins).grease_quic_bit(false);
    let setup = Setup { client: transport(client), server: transport(server), back: None };
    let mut world = World::with(seed, &LinkConfig::new().delay(5 * MILLISECOND), &setup);
    world.establish();
    world.pass(1_000 * MILLISECOND);
    let (client_address, server_address) = (world.client_address, world.server_address);
    let (mut now, mut bits) = (world.sim.now(), Vec::new());
    for _ in 0..12 {
        world.client().connection.ping();
        for to_server in [true, false] {
            now += 5 * MILLISECOND;
            let from = if to_server { world.client_host() } else { world.server_host() };
            let mut datagrams = Vec::new();
            while let Some(datagram) = from.poll_transmit(now) {
                datagrams.push(datagram.payload);
            }
            if to_server {
                bits.extend(datagrams.first().map(|bytes| bytes[0] & 0x20 != 0));
            }
            let to = if to_server { world.server_host() } else { world.client_host() };
            let ends =
                if to_server { (client_address, server_address) } else { (server_address, client_address) };
            for bytes in datagrams {
                to.handle_datagram(now, ends.0, ends.1, 0, &bytes);
            }
            to.handle_timeout(now + 30 * MILLISECOND);
        }
        now += 30 * MILLISECOND;
    }
    bits
}

#[test]
fn most_connections_show_their_round_trips_and_some_do_not() {
    let spins = |seed| {
        let bits = bits_of_client(seed, true, true);
        assert_eq!(bits.len(), 12, "seed {seed}");
        bits.windows(2).filter(|pair| pair[0] != pair[1]).count() > 8
    };
    let spinning = (0..60).filter(|seed| spins(*seed)).count();
    // Both ends leave out one in eight.
    assert!((30..=55).contains(&spinning), "{spinning} of 60");
}

#[test]
fn neither_end_alone_shows_anything() {
    for seed in 0..10 {
        for (client, server) in [(true, false), (false, true), (false, false)] {
            let bits = bits_of_client(seed, client, server);
            let changes = bits.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 1, "seed {seed}: {bits:?}");
        }
    }
}
