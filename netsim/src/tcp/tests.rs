//! Checks the models against published properties of the algorithms.

use std::net::SocketAddr;

use crate::{Datagram, Endpoint, LinkConfig, LinkId, Loss, MILLISECOND, NodeId, SECOND, Simulation};

use super::{
    wire::{Ack, Segment},
    *,
};

enum End {
    Sender(Box<TcpSender>),
    Receiver(TcpReceiver),
}

impl Endpoint for End {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        match self {
            Self::Sender(end) => end.handle_datagram(now, from, to, ecn, data),
            Self::Receiver(end) => end.handle_datagram(now, from, to, ecn, data),
        }
    }
    fn handle_timeout(&mut self, now: u64) {
        match self {
            Self::Sender(end) => end.handle_timeout(now),
            Self::Receiver(end) => end.handle_timeout(now),
        }
    }
    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        match self {
            Self::Sender(end) => end.poll_transmit(now),
            Self::Receiver(end) => end.poll_transmit(now),
        }
    }
    fn poll_timeout(&self) -> Option<u64> {
        match self {
            Self::Sender(end) => end.poll_timeout(),
            Self::Receiver(end) => end.poll_timeout(),
        }
    }
}

/// Flows that share a link.
struct Bench {
    sim: Simulation<End>,
    link: LinkId,
    ends: Vec<(NodeId, NodeId)>,
}

impl Bench {
    fn new(seed: u64, link: &LinkConfig, flows: &[TcpConfig]) -> Self {
        let mut sim = Simulation::new(seed);
        let back = sim.add_link(LinkConfig::new().delay(link.delay));
        let link = sim.add_link(link.clone());
        let mut ends = Vec::new();
        for (number, config) in flows.iter().enumerate() {
            let address = move |side: u8| SocketAddr::from(([10, side, 0, number as u8], 80));
            let sender = TcpSender::new(address(1), *config, seed + number as u64);
            let sender = sim.add_node(End::Sender(Box::new(sender)), address(1));
            let receiver = sim.add_node(End::Receiver(TcpReceiver::new(address(2))), address(2));
            sim.set_path(sender, receiver, &[link]);
            sim.set_path(receiver, sender, &[back]);
            let start = number as u64 * 10 * MILLISECOND;
            sim.at(start, move |sim| {
                if let End::Sender(end) = sim.endpoint_mut(sender) {
                    end.start(start, address(2));
                }
            });
            ends.push((sender, receiver));
        }
        Self { sim, link, ends }
    }

    fn run(&mut self, until: u64) {
        self.sim.run_until(|_| false, until);
    }

    fn sender(&self, flow: usize) -> &TcpSender {
        match self.sim.endpoint(self.ends[flow].0) {
            End::Sender(end) => end,
            End::Receiver(_) => unreachable!("the first of two"),
        }
    }

    fn bytes(&self, flow: usize) -> u64 {
        match self.sim.endpoint(self.ends[flow].1) {
            End::Receiver(end) => end.bytes(),
            End::Sender(_) => unreachable!("the second of two"),
        }
    }

    /// Bits per second of each flow from `from` on.
    fn rates(&mut self, from: u64, until: u64) -> Vec<f64> {
        self.run(from);
        let before: Vec<u64> = (0..self.ends.len()).map(|flow| self.bytes(flow)).collect();
        self.run(until);
        let rate = |(flow, before)| (self.bytes(flow) - before) as f64 * 8e9 / (until - from) as f64;
        before.into_iter().enumerate().map(rate).collect()
    }
}

fn bulk(flavour: Flavour) -> TcpConfig {
    TcpConfig { flavour, demand: Demand::Bulk }
}

/// Loses one packet of every `every`, at equal distances.
fn losing(every: u64, delay: u64) -> LinkConfig {
    let lost = (1..3_000).map(|n| n * every).collect();
    LinkConfig::new().rate(1_000_000_000).delay(delay).loss(Loss::Indexes(lost))
}

/// The rate of a window, in bits per second.
fn rate(window: f64, round_trip: u64) -> f64 {
    window * SEGMENT as f64 * 8e9 / round_trip as f64
}

/// Mathis et al.: 1.22 segments per round trip, divided by the square root of the loss.
#[test]
fn renos_rate_follows_from_the_loss() {
    for (every, delay) in [(400, 20), (2_000, 20), (1_000, 50)] {
        let mut bench = Bench::new(1, &losing(every, delay * MILLISECOND), &[bulk(Flavour::Reno)]);
        let got = bench.rates(15 * SECOND, 60 * SECOND)[0];
        let law = rate(1.22 * (every as f64).sqrt(), 2 * delay * MILLISECOND);
        assert!((0.85..1.15).contains(&(got / law)), "1 of {every}, {delay} ms: {got} is not {law}");
    }
}

/// RFC 9438 §5.2: 1.054 times the fourth root of the cube of (round trip / loss).
#[test]
fn cubics_rate_follows_from_the_loss_and_is_never_below_renos() {
    let (every, delay) = (20_000, 50);
    let mut bench = Bench::new(1, &losing(every, delay * MILLISECOND), &[bulk(Flavour::Cubic)]);
    let got = bench.rates(60 * SECOND, 200 * SECOND)[0];
    let law = rate(1.054 * (0.1 * every as f64).powf(0.75), 2 * delay * MILLISECOND);
    assert!((0.85..1.15).contains(&(got / law)), "{got} is not {law}");
    // Where Reno is faster, CUBIC is as fast (§4.3).
    let [reno, cubic] = [Flavour::Reno, Flavour::Cubic].map(|flavour| {
        Bench::new(1, &losing(400, 5 * MILLISECOND), &[bulk(flavour)]).rates(10 * SECOND, 60 * SECOND)[0]
    });
    assert!((0.85..1.3).contains(&(cubic / reno)), "{cubic} and {reno}");
}

fn bottleneck() -> LinkConfig {
    LinkConfig::new().rate(20_000_000).delay(20 * MILLISECOND).queue(100_000)
}

#[test]
fn a_flow_fills_a_link_and_two_share_it() {
    for flavour in [Flavour::Reno, Flavour::Cubic] {
        let mut alone = Bench::new(1, &bottleneck(), &[bulk(flavour)]);
        alone.run(60 * SECOND);
        let used = alone.sim.link_stats(alone.link).utilization(20_000_000, 60 * SECOND);
        assert!(used > 0.97, "{flavour:?} uses {used}");
        let (sent, again) = alone.sender(0).segments();
        assert!(again * 100 < sent, "{flavour:?} retransmitted {again} of {sent}");
        // Recovery does not fill a bloated buffer at once.
        let mut bloated = Bench::new(1, &bottleneck().queue(500_000), &[bulk(flavour)]);
        bloated.run(60 * SECOND);
        let (sent, again) = bloated.sender(0).segments();
        assert!(again * 50 < sent, "{flavour:?} retransmitted {again} of {sent}");
        for seed in 1..=2 {
            let mut both = Bench::new(seed, &bottleneck(), &[bulk(flavour), bulk(flavour)]);
            let rates = both.rates(30 * SECOND, 90 * SECOND);
            let jain =
                rates.iter().sum::<f64>().powi(2) / (2.0 * rates.iter().map(|rate| rate * rate).sum::<f64>());
            assert!(jain > 0.9, "{flavour:?}, seed {seed}: {rates:?}");
        }
    }
}

/// A link with an outage, and one that loses a packet in ten: this tests the timer and lost retransmissions.
#[test]
fn a_flow_survives_silence_and_heavy_loss() {
    let silent = bottleneck().outage(5 * SECOND..8 * SECOND);
    let mut bench = Bench::new(1, &silent, &[bulk(Flavour::Cubic)]);
    bench.run(5 * SECOND);
    let before = bench.bytes(0);
    bench.run(20 * SECOND);
    assert!(bench.bytes(0) - before > 15_000_000, "{}", bench.bytes(0) - before);
    let mut bench = Bench::new(1, &bottleneck().bernoulli(0.1), &[bulk(Flavour::Reno)]);
    let rate = bench.rates(0, 60 * SECOND)[0];
    assert!((300_000.0..3_000_000.0).contains(&rate), "{rate}");
    let (window, flying) = bench.sender(0).window();
    assert!(flying <= window.max(20), "{flying} of {window}");
}

#[test]
fn each_burst_has_its_own_connection() {
    let demand = Demand::Bursts { mean: 200_000, pause: SECOND };
    let web = TcpConfig { flavour: Flavour::Cubic, demand };
    let mut bench = Bench::new(3, &bottleneck(), &[web]);
    bench.run(300 * SECOND);
    let bursts = bench.sender(0).bursts();
    let mean = bench.bytes(0) as f64 / bursts.count() as f64;
    assert!((150..300).contains(&bursts.count()), "{}", bursts.count());
    assert!((130_000.0..280_000.0).contains(&mean), "{mean}");
    // At least two round trips: one opens the connection, one transfers the smallest burst.
    assert!(bursts.quantile(0.01) >= 80 * MILLISECOND && bursts.quantile(0.5) < SECOND);
    assert!(bench.sender(0).round_trip() >= 40 * MILLISECOND);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let demand = Demand::Bursts { mean: 100_000, pause: SECOND };
        let flows = [bulk(Flavour::Cubic), TcpConfig { flavour: Flavour::Reno, demand }];
        let mut bench = Bench::new(seed, &bottleneck(), &flows);
        bench.run(20 * SECOND);
        bench.sim.digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn encoding_round_trips_and_invalid_datagrams_are_ignored() {
    let segment = Segment { connection: 3, number: 70_000, sent: 5 * SECOND };
    assert_eq!(Segment::read(&segment.write()), Some(segment));
    assert_eq!(segment.write().len() + 28, 1_500, "an IP packet");
    let ack = Ack { connection: 3, next: 9, echo: SECOND, blocks: vec![(11, 15), (20, 21)] };
    assert_eq!(Ack::read(&ack.write()), Some(ack.clone()));
    assert_eq!(Ack { blocks: Vec::new(), ..ack.clone() }.write().len() + 28, 52, "IP, TCP and timestamps");
    for length in 0..ack.write().len() {
        assert_eq!(Ack::read(&ack.write()[..length]), None);
    }
    // An acknowledgment of segments that were never sent has no effect.
    let own = SocketAddr::from(([10, 0, 0, 1], 80));
    let mut sender = TcpSender::new(own, bulk(Flavour::Reno), 1);
    sender.start(0, own);
    assert!(sender.poll_transmit(0).is_some());
    let wild = Ack { connection: 1, next: 1 << 40, echo: 0, blocks: vec![(1 << 40, 1 << 41)] };
    sender.handle_datagram(MILLISECOND, own, own, 0, &wild.write());
    assert_eq!(sender.window().1, 0);
}

/// Acknowledgments wait for the second segment or 40 ms, but not if a segment is missing.
#[test]
fn acknowledgments_are_delayed_only_in_order() {
    let [own, peer] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 80)));
    let mut end = TcpReceiver::new(own);
    let take = |end: &mut TcpReceiver, now, number| {
        let segment = Segment { connection: 1, number, sent: now };
        end.handle_datagram(now, peer, own, 0, &segment.write());
        end.poll_transmit(now).and_then(|datagram| Ack::read(&datagram.payload))
    };
    for number in 0..16 {
        assert_eq!(
            take(&mut end, number, number).map(|ack| ack.next),
            Some(number + 1),
            "the first ones come at once"
        );
    }
    assert_eq!(take(&mut end, 100, 16), None);
    assert_eq!(take(&mut end, 101, 17).map(|ack| (ack.next, ack.echo)), Some((18, 100)));
    assert_eq!(take(&mut end, 102, 18), None);
    assert_eq!(end.poll_timeout(), Some(102 + 40 * MILLISECOND));
    end.handle_timeout(102 + 40 * MILLISECOND);
    assert!(end.poll_transmit(0).is_some() && end.poll_timeout().is_none());
    for (number, blocks) in [(20, vec![(20, 21)]), (22, vec![(22, 23), (20, 21)]), (21, vec![(20, 23)])] {
        let ack = take(&mut end, 200, number).unwrap();
        assert_eq!((ack.next, ack.blocks), (19, blocks));
    }
    let ack = take(&mut end, 201, 19).unwrap();
    assert_eq!((ack.next, ack.blocks, end.bytes()), (23, vec![], 22 * SEGMENT));
    assert_eq!(take(&mut end, 202, 5).map(|ack| ack.next), Some(23), "a duplicate is acknowledged again");
    assert_eq!(end.bytes(), 22 * SEGMENT);
}
