//! When a program had better look at what came before it hands in more: `should_poll_events`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use netsim::{Random, SECOND, for_seeds};
use quic_core::{DatagramMeta, Dir, Event, base::Timestamp};
use soak::{World, lan, time};

/// Datagrams of the client, which the test hands in one by one.
fn burst(
    world: &mut World,
    now: Timestamp,
    random: &mut Random,
    streams: usize,
    size: usize,
) -> Vec<BytesMut> {
    let client = &mut world.client().connection;
    for _ in 0..streams {
        let id = client.open(Dir::Uni).expect("there is credit");
        let size = 1 + random.below(size as u64) as usize;
        assert_eq!(client.write(id, &mut Bytes::from(vec![7; size])), Ok(size));
        client.finish(id).unwrap();
    }
    let mut buffer = vec![0; 64 << 10];
    let mut datagrams = Vec::new();
    while let Some(train) = client.poll_transmit(now, &mut buffer) {
        datagrams.extend(buffer[..train.size].chunks(train.segment_size).map(BytesMut::from));
    }
    datagrams
}

#[test]
fn events_are_to_be_taken_once_there_are_half_as_many_as_streams() {
    for_seeds(0..60, |seed| {
        let mut random = Random::new(seed);
        let streams = 1 + random.below(90) as usize;
        let mut world = World::new(seed, &lan());
        world.establish();
        world.pass(SECOND);
        let now = time(world.sim.now()) + Duration::from_millis(1);
        let datagrams = burst(&mut world, now, &mut random, streams, 100);
        let server = &mut world.server().connection;
        while server.poll_event().is_some() {}
        let (mut live, mut rounds) = (0, 0);
        let mut take = |server: &mut quic_core::Connection, asked: bool| {
            let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
            live += events.iter().filter(|event| matches!(event, Event::StreamOpened(_))).count();
            // No stream ends here, so all that came are alive.
            let enough = events.len() >= 8 && events.len() >= (live / 2).min(64);
            assert_eq!(asked, enough, "{} events, {live} streams", events.len());
            assert!(!server.should_poll_events(), "all of them have been taken");
        };
        for datagram in datagrams {
            let meta = DatagramMeta::new(server.remote_address()).allocation(datagram.len());
            server.handle_datagram(now, &meta, datagram);
            let asked = server.should_poll_events();
            if asked || random.chance(0.1) {
                take(server, asked);
                rounds += usize::from(asked);
            }
        }
        take(server, server.should_poll_events());
        assert!(streams < 40 || rounds > 1, "{streams} streams came in {rounds} rounds");
    });
}
