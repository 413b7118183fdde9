//! Trains: the batches that `poll_transmit` returns. UDP segmentation offload accepts equal datagrams and a
//! shorter last one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use quic_core::{Connection, DatagramMeta, DatagramOptions, Dir, Transmit, base::Timestamp};
use soak::{World, lan, pattern, time};

/// How many packets window and pacer release at once at first.
const BURST: usize = 4;
/// How many datagrams of the path's size the buffer holds.
const HOLDS: usize = 45;

/// Both ends of an established connection. The test passes their datagrams on, not a network.
///
/// The test drives the connections directly and not with `testing::Driver`, because it is about the result of
/// a single call of `poll_transmit`.
struct Hands {
    world: World,
    now: Timestamp,
    buffer: Vec<u8>,
    /// The trains that the client has sent since this was last read.
    trains: Vec<Transmit>,
}

/// All datagrams that one end sends now, train by train.
fn take(from: &mut Connection, now: Timestamp, buffer: &mut [u8]) -> Vec<(Transmit, Vec<BytesMut>)> {
    let mut trains = Vec::new();
    while let Some(train) = from.poll_transmit(now, buffer) {
        assert!(train.segment_size <= from.datagram_size() && train.size <= buffer.len());
        let datagrams: Vec<_> = buffer[..train.size].chunks(train.segment_size).map(BytesMut::from).collect();
        assert!(datagrams.len() <= HOLDS, "no more than the buffer holds of full ones");
        trains.push((train, datagrams));
    }
    trains
}

fn give(to: &mut Connection, now: Timestamp, trains: Vec<(Transmit, Vec<BytesMut>)>) {
    for (train, datagrams) in trains {
        let remote = to.remote_address();
        let meta = DatagramMeta::new(remote).ecn(train.ecn).allocation(train.segment_size);
        for data in datagrams {
            to.handle_datagram(now, &meta, data);
        }
    }
}

impl Hands {
    fn new() -> Self {
        let mut world = World::new(1, &lan());
        world.establish();
        // Path MTU discovery finishes, and all acknowledgments arrive.
        world.pass(netsim::SECOND);
        let size = world.client().connection.datagram_size();
        let now = time(world.sim.now());
        let mut hands = Self { world, now, buffer: vec![0; size * HOLDS], trains: Vec::new() };
        // The last packets are acknowledged in the first packet, which would therefore be larger than the
        // next.
        assert!(hands.send(1));
        hands.pass();
        assert_eq!(hands.receive(), [1]);
        hands.now = now + Duration::from_millis(20);
        hands
    }

    /// Passes on what the client sends now. Returns the number of its datagrams.
    fn pass(&mut self) -> usize {
        let trains = take(&mut self.world.client().connection, self.now, &mut self.buffer);
        self.trains = trains.iter().map(|(train, _)| *train).collect();
        give(&mut self.world.server().connection, self.now, trains);
        self.trains.iter().map(|train| train.size.div_ceil(train.segment_size)).sum()
    }

    /// Lets half a second pass. Returns how many datagrams the client sent meanwhile.
    fn settle(&mut self) -> usize {
        let mut count = 0;
        for _ in 0..50 {
            count += self.pass();
            let trains = take(&mut self.world.server().connection, self.now, &mut self.buffer);
            give(&mut self.world.client().connection, self.now, trains);
            self.now += Duration::from_millis(10);
            self.world.client().connection.handle_timeout(self.now);
            self.world.server().connection.handle_timeout(self.now);
        }
        count
    }

    fn send(&mut self, size: usize) -> bool {
        let (now, data) = (self.now, Bytes::from(vec![7; size]));
        let options = DatagramOptions::default();
        self.world.client().connection.send_datagram(now, data, options).is_ok()
    }

    fn receive(&mut self) -> Vec<usize> {
        let now = self.now;
        let server = &mut self.world.server().connection;
        std::iter::from_fn(|| server.receive_datagram(now)).map(|data| data.len()).collect()
    }

    fn packets_received(&mut self) -> u64 {
        self.world.server().connection.stats().packets_received
    }
}

#[test]
fn equal_datagrams_smaller_than_the_path_leave_as_one_train() {
    for size in [300, 600, 1000, 1300] {
        let mut hands = Hands::new();
        // The datagrams fill whole packets, as many as leave at once.
        let per_packet = hands.world.client().connection.datagram_size() / (size + 8);
        let count = BURST * per_packet;
        assert!((0..count).all(|_| hands.send(size)));
        assert_eq!(hands.pass(), BURST);
        assert_eq!(hands.trains.len(), 1, "{:?}", hands.trains);
        assert_eq!(hands.receive(), vec![size; count]);
    }
}

#[test]
fn a_larger_or_a_shorter_datagram_begins_or_ends_a_train() {
    let mut hands = Hands::new();
    for size in [1000, 1000, 900, 1100] {
        assert!(hands.send(size));
    }
    assert_eq!(hands.pass(), BURST);
    let segments: Vec<usize> =
        hands.trains.iter().map(|train| train.size.div_ceil(train.segment_size)).collect();
    assert_eq!(segments, [3, 1]);
    assert_eq!(hands.receive(), [1000, 1000, 900, 1100]);
}

#[test]
fn stream_data_behind_small_datagrams_goes_in_full_packets() {
    let mut hands = Hands::new();
    assert!(hands.send(700) && hands.send(700));
    let client = hands.world.client();
    let id = client.connection.open(Dir::Uni).expect("credit");
    client.send(id, pattern(6_000), true);
    let full = client.connection.datagram_size();
    let packets = hands.settle();
    assert!(packets <= 2 + 6_000_usize.div_ceil(full - 40) + 1, "{packets} packets");
}

#[derive(Clone, Debug)]
enum Step {
    /// This many datagrams of one size.
    Datagrams(usize, usize),
    Stream(usize),
    /// Sends everything, then lets the network carry acknowledgments.
    Pass,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1_usize..1400, 1_usize..12).prop_map(|(size, count)| Step::Datagrams(size, count)),
        1 => (1_usize..20_000).prop_map(Step::Stream),
        2 => Just(Step::Pass),
    ];
    proptest::collection::vec(step, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A train that is cut at its segment size holds whole packets, whatever is queued: the peer opens each
    /// of them.
    #[test]
    fn every_segment_is_a_packet(steps in steps()) {
        let mut hands = Hands::new();
        let before = hands.packets_received();
        let (mut sent, mut packets, mut streams) = (Vec::new(), 0, Vec::new());
        let mut received = Vec::new();
        for step in steps.into_iter().chain([Step::Pass]) {
            match step {
                Step::Datagrams(size, count) => {
                    sent.extend((0..count).filter(|_| hands.send(size)).map(|_| size));
                }
                Step::Stream(size) => {
                    let client = hands.world.client();
                    if let Some(id) = client.connection.open(Dir::Uni) {
                        client.send(id, pattern(size), true);
                        streams.push(id);
                    }
                }
                Step::Pass => {
                    packets += hands.settle();
                    received.extend(hands.receive());
                }
            }
        }
        let opened = hands.packets_received() - before;
        prop_assert_eq!(opened as usize, packets);
        prop_assert_eq!(sent, received, "all, and in order");
        let client = hands.world.client();
        prop_assert!(streams.iter().all(|id| client.connection.send_stream_stats(*id).is_none()), "acknowledged");
    }
}

/// If a timer is late by milliseconds, the pacer makes up for the lost time, up to as much again, in trains
/// of a quantum.
#[test]
fn a_late_timer_makes_up_for_lost_time_in_trains_of_a_quantum() {
    let mut hands = Hands::new();
    let client = hands.world.client();
    let id = client.connection.open(Dir::Uni).expect("credit");
    client.send(id, pattern(4 << 20), false);
    let mut looked = 0;
    for _ in 0..200 {
        hands.pass();
        let acks = take(&mut hands.world.server().connection, hands.now, &mut hands.buffer);
        hands.now += Duration::from_millis(5);
        let now = hands.now;
        give(&mut hands.world.client().connection, now, acks);
        hands.world.client().connection.handle_timeout(now);
        hands.world.server().connection.handle_timeout(now);
        // All packets that may leave now have left, and the pacer delays what the window permits.
        hands.pass();
        let connection = &mut hands.world.client().connection;
        let release = connection.poll_timeout().expect("a clock");
        let stats = connection.stats();
        let room = stats.congestion_window.saturating_sub(stats.bytes_in_flight);
        // In slow start, packets leave at twice the rate of the window.
        let quantum =
            stats.estimated_send_rate.expect("a rate").scaled(2, 1).bytes_in(Duration::from_millis(1));
        let quantum = quantum.clamp(2 * 1_472, 64 << 10);
        if release > now + Duration::from_millis(2) || room < 3 * quantum {
            continue;
        }
        looked += 1;
        hands.now += Duration::from_millis(50);
        hands.pass();
        let sizes: Vec<_> = hands.trains.iter().map(|train| train.size as u64).collect();
        assert!(sizes.iter().all(|size| *size <= quantum), "{sizes:?}, a quantum is {quantum}");
        assert!(sizes.len() >= 2 && sizes.iter().sum::<u64>() <= 2 * quantum, "{sizes:?}, {quantum}");
    }
    assert!(looked > 3, "{looked}");
}
