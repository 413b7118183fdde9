//! Congestion control of whole endpoints: windows, rates and times on simulated links.

use std::time::Duration;

use bytes::Bytes;
use netsim::{LinkConfig, MILLISECOND, SECOND};
use quic_core::{
    DatagramOptions, Dir, Priority, TransportConfig,
    congestion::{Algorithm, CongestionConfig},
};
use soak::{Setup, World, pattern, time};

/// Settings with this controller at both ends.
fn with(algorithm: &Algorithm, base: &TransportConfig) -> Setup {
    let config = base.clone().congestion(CongestionConfig::new(algorithm.clone()));
    Setup { client: config.clone(), server: config, back: None }
}

fn both(test: impl Fn(Algorithm)) {
    [Algorithm::NewReno, Algorithm::Cubic].into_iter().for_each(test);
}

/// The client's window. Updates the most that was in flight when this was called.
fn window_and_peak(world: &mut World, peak: &mut u64) -> u64 {
    let stats = world.client().connection.stats();
    *peak = (*peak).max(stats.bytes_in_flight);
    stats.congestion_window
}

/// The client sends 3,600 bytes every 50 ms, and the third packet waits for the pacer each time.
#[test]
fn a_window_does_not_grow_unused_when_the_pacer_holds_packets_back() {
    both(|algorithm| {
        let link = LinkConfig::new().rate(1_000_000_000).delay(50 * MILLISECOND);
        let mut world = World::with(1, &link, &with(&algorithm, &TransportConfig::default()));
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        let mut peak = 0;
        for _ in 0..60 * 20 {
            world.client().send(id, pattern(3_600), false);
            world.pass(MILLISECOND);
            window_and_peak(&mut world, &mut peak);
            world.pass(49 * MILLISECOND);
        }
        let window = window_and_peak(&mut world, &mut peak);
        assert!(peak < 15_000, "{peak}");
        // Up to twice the initial window counts as used.
        assert!(window <= 2 * 14_720, "{}: {window}", algorithm.name());
    });
}

/// The peer's flow control permits 1 MiB in flight.
#[test]
fn a_window_does_not_grow_unused_when_flow_control_holds_data_back() {
    both(|algorithm| {
        let link = LinkConfig::new().rate(1_000_000_000).delay(50 * MILLISECOND);
        let narrow = TransportConfig::new()
            .stream_receive_window(1 << 20)
            .max_stream_receive_window(1 << 20)
            .receive_window(1 << 20)
            .max_receive_window(1 << 20);
        let mut world = World::with(2, &link, &with(&algorithm, &narrow));
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(120 << 20), false);
        let mut peak = 0;
        for _ in 0..10 * 100 {
            world.pass(10 * MILLISECOND);
            window_and_peak(&mut world, &mut peak);
        }
        let window = window_and_peak(&mut world, &mut peak);
        assert!(peak > 900_000 && window <= 2 * peak, "{}: {window} {peak}", algorithm.name());
    });
}

/// Sends for `seconds`. Returns the share of `rate` bits per second that reached the server's application.
fn goodput(world: &mut World, rate: u64, seconds: u64) -> f64 {
    let before = world.server().connection.stats().stream_bytes_read;
    world.pass(seconds * SECOND);
    let bytes = world.server().connection.stats().stream_bytes_read - before;
    (bytes * 8) as f64 / (rate * seconds) as f64
}

/// A path that marks every packet says nothing about congestion by its marks.
#[test]
fn a_path_that_marks_every_packet_is_used_without_marks() {
    both(|algorithm| {
        let rate = 20_000_000;
        let link = LinkConfig::new().rate(rate).delay(20 * MILLISECOND).queue(100_000).mark_all();
        let mut setup = with(&algorithm, &TransportConfig::default());
        setup.back = Some(LinkConfig::new().delay(20 * MILLISECOND));
        let mut world = World::with(3, &link, &setup);
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(60 << 20), false);
        let shares = [2, 8, 10].map(|seconds| goodput(&mut world, rate, seconds));
        assert!(shares[1] > 0.8, "{}: {shares:?}", algorithm.name());
    });
}

/// How long `size` bytes take to reach the server, in microseconds.
fn transfer_time(seed: u64, link: &LinkConfig, config: &TransportConfig, size: usize) -> u64 {
    let setup = Setup { client: config.clone(), server: config.clone(), back: None };
    let mut world = World::with(seed, link, &setup);
    world.establish();
    let start = world.sim.now();
    let id = world.client().connection.open(Dir::Uni).expect("credit");
    world.client().send(id, pattern(size), true);
    world.wait("all of it", 60 * SECOND, |_, server| server.peer().finished.contains(&id));
    (world.sim.now() - start) / 1_000
}

/// Auto-tuned windows lead the sender by a round trip, so it never waits for them.
#[test]
fn flow_control_does_not_slow_slow_start() {
    // There is one stream, and the sender's memory has its default bound: 30 MiB fit only in parts.
    let link = LinkConfig::new().delay(50 * MILLISECOND);
    let usual = transfer_time(4, &link, &TransportConfig::default(), 30 << 20);
    // This sender's own memory does not slow it.
    let narrow = TransportConfig::new().send_buffer(64 << 20).max_send_memory(64 << 20);
    let wide = narrow
        .clone()
        .stream_receive_window(256 << 20)
        .max_stream_receive_window(256 << 20)
        .receive_window(256 << 20)
        .max_receive_window(256 << 20);
    for (rate, delay, size) in [
        (None, 50, 30),
        (Some(1_000_000_000), 50, 30),
        (Some(1_000_000_000), 10, 10),
        (None, 150, 10),
        (Some(100_000_000), 300, 4),
    ] {
        let mut link = LinkConfig::new().delay(delay * MILLISECOND);
        link.rate = rate;
        let [tuned, ideal] = [&narrow, &wide].map(|config| transfer_time(4, &link, config, size << 20));
        assert!(tuned * 100 <= ideal * 103, "{rate:?} {delay}: {tuned} {ideal}");
        if (rate, delay) == (None, 50) {
            assert!(usual * 100 <= ideal * 105, "{usual} {ideal}");
        }
    }
}

/// A route becomes longer and then shorter again: more than a thousand packets come late, and none is lost.
#[test]
fn a_reduction_is_undone_when_more_than_a_thousand_packets_come_late() {
    both(|algorithm| {
        let link = LinkConfig::new().rate(600_000_000).delay(50 * MILLISECOND);
        let wide = TransportConfig::new()
            .stream_receive_window(64 << 20)
            .max_stream_receive_window(64 << 20)
            .receive_window(64 << 20)
            .max_receive_window(64 << 20)
            .max_send_memory(64 << 20);
        let mut world = World::with(5, &link, &with(&algorithm, &wide));
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(50 << 20), false);
        world.wait("a large window", 10 * SECOND, |client, _| {
            client.peer().connection.stats().congestion_window > 7_000_000
        });
        let there = world.links[0];
        world.sim.link_mut(there).reorder = Some(netsim::Reorder::new(1.0, 60 * MILLISECOND));
        world.pass(40 * MILLISECOND);
        let before = world.client().connection.stats();
        world.sim.link_mut(there).reorder = None;
        world.pass(200 * MILLISECOND);
        let stats = world.client().connection.stats();
        assert!(stats.spurious_losses > 1_500, "{stats:?}");
        assert_eq!(stats.spurious_losses, stats.packets_lost);
        assert!(stats.congestion_window >= before.congestion_window, "{before:?} {stats:?}");
    });
}

/// One packet of a steady flow is lost. The flight then shrinks over a round trip, without a pause and
/// without a burst.
#[test]
fn after_a_loss_the_flight_comes_down_over_a_round_trip() {
    both(|algorithm| {
        let link = LinkConfig::new().rate(50_000_000).delay(50 * MILLISECOND);
        let mut world = World::with(6, &link, &with(&algorithm, &TransportConfig::default()));
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(10 << 20), false);
        // The window is larger than what the path holds, so each acknowledgment releases packets.
        world.wait("a full window", 10 * SECOND, |client, _| {
            client.peer().connection.stats().congestion_window > 700_000
        });
        world.sim.link_mut(world.links[0]).loss = netsim::Loss::Bernoulli(1.0);
        world.pass(MILLISECOND / 4);
        world.sim.link_mut(world.links[0]).loss = netsim::Loss::None;
        world.wait("a loss", SECOND, |client, _| client.peer().connection.stats().packets_lost > 0);
        let mut sent = Vec::new();
        let mut before = world.client().connection.stats().packets_sent;
        // This covers the time in which half of the flight before the loss is acknowledged.
        for _ in 0..8 {
            world.pass(6 * MILLISECOND);
            let stats = world.client().connection.stats();
            assert!(stats.packets_lost < 4, "{stats:?}");
            sent.push(stats.packets_sent - std::mem::replace(&mut before, stats.packets_sent));
        }
        // About 25 packets are acknowledged in 6 ms. From the first on, half of that number (or seven tenths)
        // are sent.
        let share = if matches!(algorithm, Algorithm::NewReno) { 8..=17 } else { 13..=22 };
        assert!(sent.iter().all(|count| share.contains(count)), "{}: {sent:?}", algorithm.name());
    });
}

/// A datagram is put into a packet only when the pacer releases that packet. A datagram that has become too
/// old by then is not sent, and a more urgent one that was queued meanwhile goes first.
#[test]
fn datagrams_that_wait_for_the_pacer_are_ranked_and_age_until_it_lets_them_go() {
    let link = LinkConfig::new().rate(20_000_000).delay(50 * MILLISECOND);
    let mut world = World::new(7, &link);
    world.establish();
    // The initial burst is used up, and the window has room for the following datagrams.
    let id = world.client().connection.open(Dir::Uni).expect("credit");
    world.client().send(id, pattern(60_000), true);
    world.pass(2 * SECOND);
    let send = |world: &mut World, tag: u8, order: i64, max_age: Option<u64>| {
        let priority = Priority::new().urgency(0).order(order);
        let max_age = max_age.map(Duration::from_millis);
        let options = DatagramOptions::default().with_priority(priority).with_max_age(max_age);
        let now = soak::time(world.sim.now());
        world.client().connection.send_datagram(now, Bytes::from(vec![tag; 1_100]), options).expect("room");
    };
    // The window has room for all of them; the pacer releases about one per millisecond.
    for tag in 0..40 {
        send(&mut world, tag, 0, Some(if tag < 34 { 1_000 } else { 15 }));
    }
    world.pass(MILLISECOND);
    let sent = world.client().connection.stats().dgrams_sent;
    assert!((1..8).contains(&sent), "{sent} sent at once");
    send(&mut world, 100, 1, None);
    world.pass(SECOND);
    let order: Vec<u8> = world.client().datagrams.iter().map(|datagram| datagram[0]).collect();
    let stats = world.client().connection.stats();
    let urgent = order.iter().position(|tag| *tag == 100).expect("sent");
    assert_eq!(urgent as u64, sent, "right behind those that had left: {order:?}");
    assert_eq!((stats.dgrams_expired_outgoing, stats.dgrams_lost_outgoing), (6, 0), "{order:?}");
    assert_eq!(order.len(), 35, "{order:?}");
}

/// Each controller takes over from each other one, in the middle of a transfer and while nothing is sent.
#[test]
fn another_controller_takes_over_without_a_pause() {
    let all: Vec<Algorithm> = Algorithm::names().map(|name| name.parse().expect("its name")).collect();
    let pairs = all.iter().flat_map(|first| all.iter().map(move |second| (first, second)));
    for (first, second) in pairs.filter(|(first, second)| first.name() != second.name()) {
        let link = LinkConfig::new().rate(20_000_000).delay(20 * MILLISECOND);
        // The echoes of the server do not delay acknowledgments.
        let back = Some(link.clone().rate(1_000_000_000));
        let setup = Setup { back, ..with(first, &TransportConfig::default()) };
        let mut world = World::with(7, &link, &setup);
        world.establish();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(20 << 20), false);
        world.pass(2 * SECOND);
        for algorithm in [second.clone(), first.clone(), second.clone()] {
            let before = world.client().connection.stats();
            let now = time(world.sim.now());
            world.client().connection.set_congestion(now, CongestionConfig::new(algorithm.clone()));
            let after = world.client().connection.stats();
            assert_eq!(after.congestion_controller, algorithm.name());
            assert_eq!(after.congestion_window, before.congestion_window);
            assert_eq!(after.bytes_in_flight, before.bytes_in_flight);
            world.pass(SECOND);
            let sent = world.client().connection.stats().stream_bytes_acked - before.stream_bytes_acked;
            // The bound is four fifths of 20 Mbit/s: the change may happen during a probe or a drain, whose
            // window stays.
            assert!(sent > 2_000_000, "{} to {}: {sent}", before.congestion_controller, algorithm.name());
        }
    }
}
