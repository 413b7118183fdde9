//! Handshakes and transfers of whole endpoints on good and bad networks.

use bytes::Bytes;
use netsim::{LinkConfig, MILLISECOND, SECOND, for_seeds};
use quic_core::{Dir, Event, TransportConfig};
use soak::{Setup, World, lan, pattern};

/// Echoes `size` bytes on a bidirectional stream, on a unidirectional stream in each direction, and some
/// datagrams.
fn exchange(world: &mut World, size: usize) {
    world.establish();
    let data = pattern(size);
    let client = world.client();
    let bidi = client.connection.open(Dir::Bidi).expect("credit");
    let uni = client.connection.open(Dir::Uni).expect("credit");
    client.send(bidi, data.clone(), true);
    client.send(uni, data.slice(..size / 2), true);
    world.wait("both echoes", 600 * SECOND, |client, _| client.peer().finished.len() == 2);
    let client = world.client();
    assert!(client.received[&bidi] == data);
    let answer = *client.finished.iter().find(|id| id.dir() == Dir::Uni).expect("an answer");
    assert!(client.received[&answer] == data.slice(..size / 2));
    assert_eq!(client.error, None);
}

#[test]
fn a_handshake_takes_one_round_trip_and_a_half() {
    let mut world = World::new(1, &LinkConfig::new().delay(50 * MILLISECOND));
    world.establish();
    assert_eq!(world.sim.now() / MILLISECOND, 200, "two round trips until HANDSHAKE_DONE arrives");
    assert!(world.client().has(&Event::HandshakeComplete));
    assert_eq!(world.client().connection.alpn_protocol(), Some(soak::ALPN));
    assert_eq!(world.server().connection.server_name(), Some("localhost"));
    let stats = world.client().connection.stats();
    assert_eq!(stats.packets_lost, 0);
    assert!(world.client().connection.peer_parameters().reset_stream_at);
    assert!(world.server().connection.peer_parameters().reset_stream_at);
}

#[test]
fn data_flows_both_ways() {
    let mut world = World::new(2, &lan());
    exchange(&mut world, 1 << 20);
    let stats = world.client().connection.stats();
    assert_eq!(stats.packets_lost, 0, "{stats:?}");
    assert!(stats.memory_peak < 4 << 20, "{stats:?}");
}

#[test]
fn datagrams_are_echoed() {
    let mut world = World::new(3, &lan());
    world.establish();
    let max = world.client().connection.max_datagram_size().expect("offered");
    let now = soak::time(world.sim.now());
    for size in [0, 1, 100, max] {
        world
            .client()
            .connection
            .send_datagram(now, Bytes::from(vec![7; size]), Default::default())
            .expect("room");
    }
    let too_large =
        world.client().connection.send_datagram(now, Bytes::from(vec![7; max + 1]), Default::default());
    assert_eq!(too_large, Err(quic_core::error::call::DatagramError::TooLarge { max }));
    world.wait("echoes", SECOND, |client, _| client.peer().datagrams.len() == 4);
    let mut sizes: Vec<_> = world.client().datagrams.iter().map(Bytes::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 1, 100, max]);
}

#[test]
fn a_limit_of_streams_that_is_raised_lets_the_waiting_peer_go_on() {
    let server = TransportConfig::new().max_streams_bidi(3);
    let mut world = World::with(4, &lan(), &Setup { server, ..Setup::default() });
    world.establish();
    let open_all = |world: &mut World| {
        let connection = &mut world.client().connection;
        std::iter::from_fn(|| connection.open(Dir::Bidi)).count()
    };
    assert_eq!(open_all(&mut world), 3);
    world.server().connection.set_max_streams(Dir::Bidi, 2);
    world.server().connection.set_max_streams(Dir::Bidi, 8);
    world.wait("credit", SECOND, |client, _| client.peer().has(&Event::StreamsAvailable(Dir::Bidi)));
    assert_eq!(open_all(&mut world), 5);
    assert_eq!(world.client().connection.stream_limit(quic_core::Side::Client, Dir::Bidi), 8);
}

#[test]
fn transfers_survive_loss_reordering_and_duplication() {
    for_seeds(0..30, |seed| {
        let loss = (seed % 4) as f64 * 0.05;
        let link = LinkConfig::new()
            .rate(20_000_000 / 8)
            .delay(20 * MILLISECOND)
            .jitter(5 * MILLISECOND)
            .bernoulli(loss)
            .reorder(0.05, 10 * MILLISECOND)
            .duplicate(0.03);
        exchange(&mut World::new(seed, &link), 200_000);
    });
}

#[test]
fn handshakes_survive_heavy_loss() {
    for_seeds(100..140, |seed| {
        let link = LinkConfig::new().delay(20 * MILLISECOND).bernoulli(0.3);
        World::new(seed, &link).establish();
    });
}

#[test]
fn many_streams_at_once() {
    let mut world = World::new(4, &lan());
    world.establish();
    let ids: Vec<_> = (0..500).map(|_| world.client().connection.open(Dir::Bidi).expect("credit")).collect();
    for (i, id) in ids.iter().enumerate() {
        world.client().send(*id, pattern(i * 7), true);
    }
    world.wait("all echoes", 60 * SECOND, |client, _| client.peer().finished.len() == 500);
    for (i, id) in ids.iter().enumerate() {
        assert!(world.client().received.get(id).is_none_or(|data| *data == pattern(i * 7)), "{id}");
    }
}

#[test]
fn more_streams_than_the_limit_wait_for_credit() {
    let mut world = World::new(5, &lan());
    world.establish();
    let mut opened = 0;
    while opened < 3000 {
        while let Some(id) = world.client().connection.open(Dir::Bidi) {
            world.client().send(id, Bytes::from_static(b"x"), true);
            opened += 1;
            if opened == 3000 {
                break;
            }
        }
        let seen = world.client().events.len();
        world.wait("progress", 10 * SECOND, |client, _| client.peer().events.len() > seen);
    }
    world.wait("all echoes", 60 * SECOND, |client, _| client.peer().finished.len() == 3000);
}

#[test]
fn damaged_packets_are_lost_packets() {
    for_seeds(200..215, |seed| {
        let link = LinkConfig::new().rate(20_000_000 / 8).delay(10 * MILLISECOND).corrupt(0.1);
        let mut world = World::new(seed, &link);
        exchange(&mut world, 100_000);
        assert!(world.server().connection.stats().packets_dropped > 0);
    });
}

#[test]
fn a_transfer_outlives_an_outage_of_five_seconds() {
    for_seeds(300..310, |seed| {
        let start = 300 * MILLISECOND;
        let link =
            LinkConfig::new().rate(2_000_000 / 8).delay(20 * MILLISECOND).outage(start..start + 5 * SECOND);
        exchange(&mut World::new(seed, &link), 200_000);
    });
}

#[test]
fn congestion_marks_slow_the_sender_without_loss() {
    let link = LinkConfig::new().rate(10_000_000 / 8).delay(20 * MILLISECOND).mark_above(20_000);
    let mut world = World::new(6, &link);
    exchange(&mut world, 4 << 20);
    let stats = world.client().connection.stats();
    assert_eq!(stats.packets_lost, 0, "{stats:?}");
    assert_eq!(stats.ecn, quic_core::base::Ecn::Ect0);
    assert!(stats.congestion_window < 200_000, "{stats:?}");
}

#[test]
fn a_path_that_clears_marks_is_not_marked_any_more() {
    let mut world = World::new(7, &lan().bleach());
    exchange(&mut world, 1 << 20);
    assert_eq!(world.client().connection.stats().ecn, quic_core::base::Ecn::NotEct);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let link = LinkConfig::new().rate(20_000_000 / 8).delay(20 * MILLISECOND).bernoulli(0.05);
        let mut world = World::new(seed, &link);
        exchange(&mut world, 100_000);
        (world.sim.digest(), world.sim.now())
    };
    // Ciphertext differs from run to run, because TLS draws its own randomness: times are compared.
    assert_eq!(run(8).1, run(8).1);
}

#[test]
fn the_send_capacity_is_what_both_limits_leave() {
    let transport = TransportConfig::new().stream_receive_window(10_000).receive_window(15_000);
    let mut world =
        World::with(77, &lan(), &Setup { server: transport.clone(), client: transport, ..Setup::default() });
    world.establish();
    let client = &mut world.client().connection;
    let (one, two) = (client.open(Dir::Uni).expect("credit"), client.open(Dir::Uni).expect("credit"));
    assert_eq!(client.send_capacity(one), Some(10_000));
    client.write(one, &mut pattern(9_000)).expect("open");
    assert_eq!(client.send_capacity(one), Some(1_000));
    assert_eq!(client.send_capacity(two), Some(6_000), "what waits on the other stream comes first");
    client.reset(one, 1, 0).expect("open");
    assert_eq!(client.send_capacity(two), Some(10_000), "what was given up takes nothing");
}
