//! Path MTU discovery of whole endpoints (RFC 8899, RFC 9000 §14.3).

use netsim::{LinkConfig, MILLISECOND, SECOND, for_seeds};
use quic_core::{Dir, Event, TransportConfig, error::ConnectionError};
use soak::{Setup, World, lan, pattern};

/// Sends `size` bytes to the server and back.
fn echo(world: &mut World, size: usize) {
    let data = pattern(size);
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    world.client().send(id, data.clone(), true);
    world.wait("an echo", 120 * SECOND, |client, _| client.peer().finished.contains(&id));
    assert!(world.client().received[&id] == data);
}

fn sizes(world: &mut World) -> (u16, u16) {
    let client = world.client().connection.stats().datagram_size;
    (client, world.server().connection.stats().datagram_size)
}

#[test]
fn both_ends_find_what_an_ethernet_carries() {
    let mut world = World::new(1, &lan().mtu(1472));
    world.establish();
    echo(&mut world, 200_000);
    assert_eq!(sizes(&mut world), (1472, 1472));
    let stats = world.client().connection.stats();
    assert_eq!((stats.mtu_probes_lost, stats.packets_lost), (0, 0), "{stats:?}");
    assert!(world.client().has(&Event::DatagramSizeChanged));
    let max = world.client().connection.max_datagram_size().expect("offered");
    assert!(max > 1400, "{max}");
}

#[test]
fn odd_paths_are_found_without_a_loss_of_data() {
    for mtu in [1200, 1252, 1280, 1392, 1444] {
        let mut world = World::new(2, &lan().mtu(mtu));
        world.establish();
        for _ in 0..60 {
            echo(&mut world, 20_000);
        }
        let (client, server) = sizes(&mut world);
        for size in [client, server] {
            assert!(usize::from(size) <= mtu && mtu - usize::from(size) <= 8, "{size} of {mtu}");
        }
        let stats = world.client().connection.stats();
        assert!(stats.packets_lost == 0 && stats.mtu_probes_lost > 0, "{stats:?}");
    }
}

#[test]
fn an_idle_connection_looks_as_well_and_comes_to_rest() {
    let mut world = World::new(3, &LinkConfig::new().delay(20 * MILLISECOND).mtu(1400));
    world.establish();
    let later = world.sim.now() + 20 * SECOND;
    world.sim.run_until(|_| false, later);
    let (client, _) = sizes(&mut world);
    assert!((1392..=1400).contains(&client), "{client}");
    let sent = world.client().connection.stats().datagrams_sent;
    let later = world.sim.now() + 5 * SECOND;
    world.sim.run_until(|_| false, later);
    assert_eq!(world.client().connection.stats().datagrams_sent, sent);
}

#[test]
fn the_limits_of_both_ends_hold() {
    let client = TransportConfig::new().max_udp_payload_size(1350);
    let server = TransportConfig::new().max_datagram_size(0);
    let mut world = World::with(4, &lan(), &Setup { client, server, ..Setup::default() });
    world.establish();
    echo(&mut world, 100_000);
    assert_eq!(sizes(&mut world), (1472, 1200), "the server does not search");
    let client = TransportConfig::new().max_udp_payload_size(1350);
    let mut world = World::with(5, &lan(), &Setup { client, ..Setup::default() });
    world.establish();
    echo(&mut world, 100_000);
    assert_eq!(sizes(&mut world).1, 1350, "what the client takes");
}

#[test]
fn jumbo_frames_are_used_where_the_configuration_permits_them() {
    let config = TransportConfig::new().max_datagram_size(65_527);
    let setup = Setup { client: config.clone(), server: config, ..Setup::default() };
    let mut world = World::with(6, &lan().mtu(8972), &setup);
    world.establish();
    for _ in 0..40 {
        echo(&mut world, 200_000);
    }
    assert_eq!(sizes(&mut world), (8972, 8972));
}

#[test]
fn a_path_that_shrinks_without_a_word_is_noticed_and_all_data_arrives() {
    for_seeds(0..20, |seed| {
        let link = LinkConfig::new().rate(20_000_000).delay(10 * MILLISECOND).queue(200_000).mtu(1472);
        let mut world = World::new(seed, &link);
        world.establish();
        echo(&mut world, 300_000);
        assert_eq!(sizes(&mut world), (1472, 1472));
        world.shrink(1280);
        let start = world.sim.now();
        echo(&mut world, 300_000);
        assert!(world.sim.now() - start < 5 * SECOND, "{} ms", (world.sim.now() - start) / MILLISECOND);
        for _ in 0..60 {
            echo(&mut world, 20_000);
        }
        let (client, server) = sizes(&mut world);
        for size in [client, server] {
            assert!((1272..=1280).contains(&size), "{size}");
        }
        assert_eq!(world.client().connection.stats().black_holes, 1);
    });
}

#[test]
fn heavy_loss_is_not_taken_for_a_path_that_shrank_for_long() {
    for_seeds(0..10, |seed| {
        let link = LinkConfig::new().rate(20_000_000).delay(10 * MILLISECOND).bernoulli(0.1).mtu(1472);
        let mut world = World::new(seed, &link);
        world.establish();
        for _ in 0..10 {
            echo(&mut world, 100_000);
        }
        let (client, server) = sizes(&mut world);
        assert!(client >= 1400 && server >= 1400, "{client} {server}");
    });
}

#[test]
fn a_path_that_carries_no_quic_any_more_ends_the_connection() {
    for_seeds(0..10, |seed| {
        // Keep-alives are small: without a check of sizes they would keep a dead connection open forever.
        let config = TransportConfig::new().keep_alive(Some(std::time::Duration::from_secs(5)));
        let link = LinkConfig::new().rate(20_000_000).delay(10 * MILLISECOND).mtu(1472);
        let mut world =
            World::with(seed, &link, &Setup { client: config.clone(), server: config, ..Setup::default() });
        world.establish();
        echo(&mut world, 300_000);
        world.shrink(1100);
        let id = world.client().connection.open(Dir::Bidi).expect("credit");
        world.client().send(id, pattern(100_000), true);
        world.wait("an end", 120 * SECOND, |client, _| {
            client.driver.connections.is_empty()
                || client.driver.connections.values().all(|peer| peer.error.is_some())
        });
        let host = world.client_host();
        let error =
            host.gone.iter().chain(host.driver.connections.values()).find_map(|peer| peer.error.clone());
        assert!(
            matches!(error, Some(ConnectionError::NoViablePath | ConnectionError::IdleTimeout)),
            "{error:?}"
        );
    });
}
