//! Named scenarios: changes of networks and hosts during a connection.

use std::{sync::Arc, time::Duration};

use netsim::{LinkConfig, MILLISECOND, SECOND, for_seeds};
use quic_core::{CidFactory, Dir, Event, StreamId, TransportConfig, error::ConnectionError};
use soak::{Ending, Host, Setup, World, content, is_silent_end};

#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

/// Tests of path MTU discovery run only if connections have it; otherwise datagrams keep the smallest size.
const DISCOVERS_SIZE: bool = true;
/// How many bytes are echoed: enough for the echo to be in progress when something happens.
const BYTES: usize = 2_000_000;

/// 8 Mbit/s, 40 ms round trip.
fn network() -> LinkConfig {
    LinkConfig::new().rate(8_000_000).delay(20 * MILLISECOND).queue(60_000).mtu(1472)
}

/// Starts the echo of `BYTES` on a new stream.
fn start(world: &mut World) -> StreamId {
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    world.client().send(id, content(1, BYTES), true);
    id
}

fn established(seed: u64, link: &LinkConfig) -> (World, StreamId) {
    let mut world = World::new(seed, link);
    world.establish();
    let id = start(&mut world);
    (world, id)
}

fn is_echoed(host: &Host, id: StreamId) -> bool {
    host.last_peer().is_some_and(|peer| peer.finished.contains(&id))
}

/// Waits for the echo and compares it.
fn expect_echo(world: &mut World, id: StreamId, limit: u64) {
    world.wait("the echo", limit, |client, _| is_echoed(client, id));
    assert!(world.client().received[&id] == content(1, BYTES), "seed {}", world.sim.seed());
}

/// Waits until the echo has arrived, or both ends have timed out.
fn echo_or_silence(world: &mut World, id: StreamId, limit: u64) -> Ending {
    world.wait("an echo or both ends", limit, |client, server| {
        is_echoed(client, id) || [client, server].iter().all(|host| host.driver.connections.is_empty())
    });
    let (client, server) = (world.client, world.server);
    if is_echoed(world.sim.endpoint(client), id) {
        let received = world.sim.endpoint(client).last_peer().and_then(|peer| peer.received.get(&id));
        assert!(received.is_some_and(|received| content(1, BYTES) == *received));
        return Ending::Done;
    }
    let ends =
        [client, server].map(|node| world.sim.endpoint(node).last_peer().and_then(|p| p.error.clone()));
    assert!(is_silent_end(&ends), "{ends:?}, seed {}", world.sim.seed());
    Ending::Silent
}

/// Drops everything in both directions for `nanos` nanoseconds, from half a second on.
fn black_hole(nanos: u64) -> LinkConfig {
    network().outage(SECOND / 2..SECOND / 2 + nanos)
}

#[test]
fn a_black_hole_of_five_seconds_is_survived() {
    for_seeds(0..20, |seed| {
        let (mut world, id) = established(seed, &black_hole(5 * SECOND));
        expect_echo(&mut world, id, 60 * SECOND);
        assert!(world.sim.now() > 5 * SECOND, "the echo was in progress");
    });
}

#[test]
fn a_black_hole_of_29_seconds_is_survived_or_ends_in_silence_at_both_ends() {
    for_seeds(0..20, |seed| {
        let (mut world, id) = established(seed, &black_hole(29 * SECOND));
        echo_or_silence(&mut world, id, 120 * SECOND);
    });
}

#[test]
fn a_black_hole_longer_than_the_idle_timeout_ends_both_ends() {
    for_seeds(0..5, |seed| {
        let (mut world, id) = established(seed, &black_hole(100 * SECOND));
        assert_eq!(echo_or_silence(&mut world, id, 120 * SECOND), Ending::Silent);
        let after = world.sim.now() / MILLISECOND;
        assert!((30_400..34_000).contains(&after), "{after} ms");
    });
}

/// Asserts that both ends use the path's size: within twenty bytes of it, and never above.
fn expect_size(world: &mut World, path: u16) {
    for host in [world.client, world.server] {
        let size = world.sim.endpoint(host).peer().connection.stats().datagram_size;
        if DISCOVERS_SIZE {
            assert!((path - 20..=path).contains(&size), "{size} bytes on a path of {path}");
        } else {
            assert_eq!(size, 1200);
        }
    }
}

#[test]
fn a_path_whose_mtu_falls_from_1500_to_1280_without_icmp_is_survived() {
    for_seeds(0..10, |seed| {
        let (mut world, id) = established(seed, &network());
        let links = world.links;
        let fall = world.sim.now() + SECOND;
        world.sim.at(fall, move |sim| links.iter().for_each(|link| sim.link_mut(*link).mtu = 1280 - 28));
        world.pass(SECOND - MILLISECOND);
        expect_size(&mut world, 1472);
        expect_echo(&mut world, id, 60 * SECOND);
        assert!(world.sim.now() > fall, "the echo was in progress");
        expect_size(&mut world, 1252);
    });
}

#[test]
fn a_path_whose_mtu_grows_is_used_on() {
    let (mut world, id) = established(1, &network().mtu(1252));
    let links = world.links;
    let growth = world.sim.now() + SECOND;
    world.sim.at(growth, move |sim| links.iter().for_each(|link| sim.link_mut(*link).mtu = 1472));
    expect_echo(&mut world, id, 60 * SECOND);
}

/// Sets both ends' clocks off by `skew` nanoseconds, one second into the echo.
fn jump(seed: u64, client: i64, server: i64) -> (World, StreamId) {
    let (mut world, id) = established(seed, &network());
    let (a, b) = (world.client, world.server);
    let at = world.sim.now() + SECOND;
    world.sim.at(at, move |sim| {
        sim.endpoint_mut(a).skew += client;
        sim.endpoint_mut(b).skew += server;
    });
    world.pass(SECOND);
    assert!(!is_echoed(world.sim.endpoint(a), id), "the echo is in progress");
    (world, id)
}

const HOUR: i64 = 3600 * SECOND as i64;

#[test]
fn clocks_that_jump_forward_end_the_connection_cleanly_or_not_at_all() {
    for_seeds(0..6, |seed| {
        for (client, server) in [(HOUR, 0), (0, HOUR), (HOUR, HOUR)] {
            let (mut world, id) = jump(seed, client, server);
            assert_eq!(echo_or_silence(&mut world, id, 60 * SECOND), Ending::Silent);
        }
        for (client, server) in [(SECOND as i64, 0), (0, 5 * SECOND as i64)] {
            let (mut world, id) = jump(seed, client, server);
            expect_echo(&mut world, id, 60 * SECOND);
        }
    });
}

#[test]
fn clocks_that_jump_backward_change_nothing() {
    for_seeds(0..6, |seed| {
        let second = SECOND as i64;
        for (client, server) in [(-HOUR, 0), (0, -HOUR), (-HOUR, -HOUR), (-second, 0), (0, -second)] {
            let (mut world, id) = jump(seed, client, server);
            expect_echo(&mut world, id, 60 * SECOND);
        }
    });
}

#[test]
fn timers_continue_after_a_clock_jumped_backward() {
    let (mut world, id) = jump(1, -HOUR, -HOUR);
    expect_echo(&mut world, id, 60 * SECOND);
    let before = world.sim.now();
    world.wait("silence", 60 * SECOND, |client, server| {
        client.driver.connections.is_empty() && server.driver.connections.is_empty()
    });
    let waited = (world.sim.now() - before) / MILLISECOND;
    assert!((29_900..31_000).contains(&waited), "{waited} ms until the idle timeout");
}

#[test]
fn a_restarted_peer_with_the_same_reset_key_resets_old_connections() {
    for_seeds(0..10, |seed| {
        let (mut world, _) = established(seed, &network());
        world.pass(SECOND);
        let (address, config) = (world.server_address, Arc::clone(&world.server_config));
        let key = CidFactory::new(8, 0, &[(seed ^ 2) as u8; 32]);
        *world.server_host() = Host::with_cids(seed ^ 99, address, Some(config), key);
        // The reset takes a round trip and an acknowledgment, not an idle timeout.
        world.wait("the reset", SECOND, |client, _| {
            client.driver.connections.values().all(|peer| peer.error.is_some())
        });
        assert_eq!(world.client().error, Some(ConnectionError::StatelessReset));
        world.wait("the end", 10 * SECOND, |client, _| client.driver.connections.is_empty());
        world.establish();
        let id = start(&mut world);
        expect_echo(&mut world, id, 60 * SECOND);
    });
}

#[test]
fn a_rebinding_ends_in_silence_at_both_ends_or_is_survived() {
    for_seeds(0..10, |seed| {
        let (mut world, id) = established(seed, &network());
        let inside = world.client_address;
        let at = world.sim.now() + SECOND;
        world.sim.at(at, move |sim| sim.rebind(inside, "198.51.100.7:61000".parse().expect("an address")));
        echo_or_silence(&mut world, id, 120 * SECOND);
    });
}

/// Whichever of two probes arrives, it has the data that the handshake needs.
#[test]
fn the_second_probe_is_as_good_as_the_first() {
    for (there, back) in [(vec![0, 1], vec![]), (vec![], vec![0, 1, 2]), (vec![1, 2], vec![])] {
        let link = |lost: &[u64]| {
            LinkConfig::new().delay(20 * MILLISECOND).loss(netsim::Loss::Indexes(lost.to_vec()))
        };
        let setup = Setup { back: Some(link(&back)), ..Setup::default() };
        let mut world = World::with(1, &link(&there), &setup);
        world.establish();
        // One probe timeout of a second, not two: the next probe would be sent at three seconds.
        let took = world.sim.now() / MILLISECOND;
        assert!(took < 1500, "{took} ms without {there:?} and {back:?}");
    }
}

#[test]
fn keep_alive_brings_a_connection_through_a_quiet_hour_on_a_lossy_path() {
    let transport = TransportConfig::new().keep_alive(Some(Duration::from_secs(10)));
    let setup = Setup { client: transport, ..Setup::default() };
    let mut world = World::with(5, &network().bernoulli(0.05), &setup);
    world.establish();
    world.pass(3600 * SECOND);
    let id = start(&mut world);
    expect_echo(&mut world, id, 60 * SECOND);
    assert!(world.client().has(&Event::HandshakeConfirmed));
}

#[test]
fn fifty_connections_leave_no_more_in_their_endpoints_than_five() {
    let mut world = World::new(1, &network());
    let mut held = Vec::new();
    let measure = heap_meter::Measure::start();
    for round in 0..50 {
        world.establish();
        let id = world.client().connection.open(Dir::Bidi).expect("credit");
        world.client().send(id, content(round, 10_000), true);
        world.wait("the echo", 10 * SECOND, |client, _| is_echoed(client, id));
        let clock = soak::time(world.sim.now());
        world.client().connection.close(clock, 0, b"");
        world.wait("both gone", 60 * SECOND, |client, server| {
            client.driver.endpoint.connections() + server.driver.endpoint.connections() == 0
        });
        world.client_host().gone.clear();
        world.server_host().gone.clear();
        held.push(measure.growth());
    }
    // The TLS configuration keeps sessions, up to its limit, so the heap grows by a few hundred bytes per
    // connection. A connection that is not dropped holds tens of kilobytes.
    let per_connection = (held[49] - held[4]) / 45;
    assert!(per_connection < 2048, "{per_connection} bytes each: {held:?}");
}
