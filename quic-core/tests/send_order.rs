//! Streams and datagrams share one order of sending.

use std::time::Duration;

use bytes::Bytes;
use netsim::{LinkConfig, MILLISECOND, SECOND};
use quic_core::{ConnectionStats, DatagramOptions, Dir, Priority, StreamId};
use soak::{Setup, World, pattern, time};

const SIZE: usize = 1_000;

/// 4 Mbit/s and a round trip of 100 ms, so that all data waits for the window. The way back carries echoes
/// and acknowledgments with ease.
fn slow() -> World {
    let link = |rate: u64| LinkConfig::new().rate(rate).delay(50 * MILLISECOND);
    let setup = Setup { back: Some(link(100_000_000)), ..Setup::default() };
    let mut world = World::with(1, &link(4_000_000), &setup);
    world.establish();
    world
}

fn rank(group: u32, order: i64) -> Priority {
    Priority::new().group(group).order(order)
}

fn stream(world: &mut World, priority: Priority, size: usize) -> StreamId {
    let client = world.client();
    let id = client.connection.open(Dir::Uni).expect("credit");
    assert!(client.connection.set_priority(id, priority));
    client.send(id, pattern(size), true);
    id
}

/// Queues as many datagrams as there is room for, at most `count`. Returns how many.
fn datagrams(world: &mut World, options: DatagramOptions, count: usize) -> usize {
    let now = time(world.sim.now());
    let connection = &mut world.client().connection;
    let data = Bytes::from(vec![7; SIZE]);
    (0..count).take_while(|_| connection.send_datagram(now, data.clone(), options).is_ok()).count()
}

fn stats(world: &mut World) -> ConnectionStats {
    world.client().connection.stats()
}

/// Lets time pass in steps of a millisecond until `done`.
fn watch(world: &mut World, mut done: impl FnMut(&ConnectionStats) -> bool) {
    for _ in 0..20_000 {
        if done(&stats(world)) {
            return;
        }
        world.pass(MILLISECOND);
    }
    panic!("not within 20 s: {:?}", stats(world));
}

#[test]
fn a_higher_order_goes_first_strictly_whichever_of_both_has_it() {
    let mut world = slow();
    stream(&mut world, rank(1, 0), 100_000);
    let options = DatagramOptions::default().with_priority(rank(1, 5));
    assert_eq!(datagrams(&mut world, options, 200), 200);
    let mut held_back = 0;
    watch(&mut world, |stats| {
        if stats.dgrams_sent < 200 {
            assert_eq!(stats.stream_bytes_sent, 0, "{stats:?}");
            held_back += 1;
        }
        stats.stream_bytes_sent == 100_000
    });
    assert!(held_back > 100, "the datagrams took their time: {held_back} ms");

    let mut world = slow();
    let options = DatagramOptions::default().with_priority(rank(1, -5));
    assert_eq!(datagrams(&mut world, options, 200), 200);
    stream(&mut world, rank(1, 0), 200_000);
    let mut held_back = 0;
    watch(&mut world, |stats| {
        if stats.stream_bytes_sent < 200_000 {
            assert_eq!(stats.dgrams_sent, 0, "{stats:?}");
            held_back += 1;
        }
        stats.dgrams_sent == 200
    });
    assert!(held_back > 100, "the stream took its time: {held_back} ms");
}

#[test]
fn datagrams_of_the_default_rank_go_before_streams_of_the_default_rank() {
    let mut world = slow();
    stream(&mut world, Priority::default(), 200_000);
    assert_eq!(datagrams(&mut world, DatagramOptions::default(), 200), 200);
    let mut most = 0;
    watch(&mut world, |stats| {
        most = most.max(if stats.dgrams_sent < 200 { stats.stream_bytes_sent } else { 0 });
        stats.stream_bytes_sent == 200_000
    });
    // The room that datagrams leave in their packets is not wasted, and streams get no more than that.
    assert!(most > 0 && most < 200 * 500, "{most}");
}

#[test]
fn a_group_of_datagrams_only_and_a_group_of_streams_share_equally() {
    let mut world = slow();
    for _ in 0..4 {
        stream(&mut world, rank(1, 0), 4_000_000);
    }
    let options = DatagramOptions::default().with_priority(rank(2, -9));
    let start = world.sim.now();
    let mut before = (0, 0);
    while world.sim.now() < start + 12 * SECOND {
        datagrams(&mut world, options, usize::MAX);
        world.pass(10 * MILLISECOND);
        if before == (0, 0) && world.sim.now() >= start + 2 * SECOND {
            let stats = stats(&mut world);
            before = (stats.dgrams_sent, stats.stream_bytes_sent);
        }
    }
    let stats = stats(&mut world);
    let datagrams = (stats.dgrams_sent - before.0) * SIZE as u64;
    let streams = stats.stream_bytes_sent - before.1;
    assert!(datagrams > 1_000_000, "{datagrams} and {streams}");
    assert!(datagrams.abs_diff(streams) < datagrams / 10, "{datagrams} and {streams}");
}

#[test]
fn datagrams_that_wait_for_the_window_expire_when_their_turn_comes() {
    let mut world = slow();
    let options = DatagramOptions::default().with_max_age(Some(Duration::from_millis(60)));
    assert_eq!(datagrams(&mut world, options, 100), 100);
    let other = DatagramOptions::default().with_max_age(Some(Duration::from_secs(60)));
    assert_eq!(datagrams(&mut world, other, 1), 1);
    // The first flight is in flight, the rest is too old by now, and the window is full.
    world.pass(90 * MILLISECOND);
    let blocked = stats(&mut world);
    assert!(blocked.dgrams_sent > 5 && blocked.dgrams_sent < 90, "{blocked:?}");
    assert_eq!(blocked.dgrams_expired_outgoing, 0, "decided when the packet is built");
    world.pass(200 * MILLISECOND);
    let after = stats(&mut world);
    assert_eq!(after.dgrams_sent, blocked.dgrams_sent + 1, "none that was too old, and the one that was not");
    assert_eq!(after.dgrams_sent + after.dgrams_expired_outgoing, 101);
}
