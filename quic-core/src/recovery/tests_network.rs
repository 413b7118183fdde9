//! Recovery, a controller and the pacer over simulated links: transfers must end in good time, and everything
//! settled as acknowledged must have arrived.

use std::net::SocketAddr;

use netsim::{Datagram, Endpoint, LinkConfig, MILLISECOND, NodeId, SECOND, Simulation, for_seeds};

use super::tests::MAX_ACK_DELAY;
use super::*;
use crate::{
    base::Ecn,
    congestion::{
        Algorithm, AnyController, CongestionConfig, Controller, LimitedBy, NewPath, Pacer, RateSampler,
        SentPacket,
    },
};

const MTU: u16 = 1_200;
const SPACE: Space = Space::Data;

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 1))
}

/// Sends `total` pieces of data, each until it is acknowledged.
struct Sender {
    recovery: Recovery<u32>,
    rtt: Rtt,
    sampler: RateSampler,
    in_flight: u64,
    controller: AnyController,
    pacer: Pacer,
    next_pn: u64,
    /// The pieces to send; the next one is last.
    wanted: Vec<u32>,
    acked: Vec<bool>,
    left: usize,
    probes: u8,
    release: Option<Timestamp>,
    now: Timestamp,
}

impl Sender {
    fn new(algorithm: Algorithm, total: u32) -> Self {
        let now = Timestamp::ORIGIN;
        Self {
            recovery: Recovery::new(),
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            in_flight: 0,
            controller: CongestionConfig::new(algorithm).build(&NewPath::new(now, MTU)),
            pacer: Pacer::new(now, MTU),
            next_pn: 0,
            wanted: (0..total).rev().collect(),
            acked: vec![false; total as usize],
            left: total as usize,
            probes: 0,
            release: None,
            now,
        }
    }

    fn conditions() -> Conditions {
        Conditions {
            max_ack_delay: MAX_ACK_DELAY,
            handshake_confirmed: true,
            peer_completed_address_validation: true,
            has_handshake_keys: true,
            crypto_waits: None,
            amplification_limited: false,
            scarce_memory: false,
            elsewhere_rtt: Duration::ZERO,
        }
    }

    /// Runs `call` with the ledger, a context and the settling of pieces.
    fn with<T>(
        &mut self,
        call: impl FnOnce(&mut Recovery<u32>, &mut Context<'_>, &mut dyn FnMut(u32, Outcome)) -> T,
    ) -> T {
        let mut context = Context {
            now: self.now,
            path: PathId::FIRST,
            rtt: &mut self.rtt,
            sampler: &mut self.sampler,
            in_flight: &mut self.in_flight,
            conditions: Self::conditions(),
        };
        let (acked, wanted, left) = (&mut self.acked, &mut self.wanted, &mut self.left);
        call(&mut self.recovery, &mut context, &mut |piece, outcome| match outcome {
            Outcome::Acked | Outcome::Recovered => {
                *left -= usize::from(!std::mem::replace(&mut acked[piece as usize], true));
            }
            Outcome::Lost if acked[piece as usize] => {}
            Outcome::Lost => wanted.push(piece),
        })
    }

    fn send(&mut self, piece: u32) -> Datagram {
        let bytes = u64::from(MTU);
        let in_flight = self.in_flight;
        self.controller.on_sent(self.now, &SentPacket { bytes, in_flight, limited_by: LimitedBy::Window });
        let rate = self.sampler.on_sent(self.now, bytes, in_flight);
        let info = SentInfo {
            level: SPACE.level(),
            time: self.now,
            bytes: MTU,
            ack_eliciting: true,
            in_flight: true,
            rate,
            ecn: Ecn::NotEct,
            mtu_probe: false,
        };
        self.in_flight += bytes;
        self.recovery.on_packet_sent(self.next_pn, info, &[piece], PathId::FIRST, PathId::FIRST);
        let mut payload = vec![0; usize::from(MTU)];
        payload[..8].copy_from_slice(&self.next_pn.to_be_bytes());
        self.next_pn += 1;
        Datagram { from: address(1), to: address(2), ecn: 0, payload }
    }
}

impl Endpoint for Sender {
    /// An ACK frame: pairs of bounds, the highest range first.
    fn handle_datagram(&mut self, now: u64, _from: SocketAddr, _to: SocketAddr, _ecn: u8, data: &[u8]) {
        self.now = Timestamp::from_nanos(now);
        let bounds: Vec<u64> =
            data.chunks_exact(8).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap())).collect();
        let ranges = bounds.chunks_exact(2).map(|bounds| bounds[0]..=bounds[1]);
        let delay = Duration::ZERO;
        let result = self
            .with(|recovery, context, mut settle| recovery.on_ack(SPACE, ranges, delay, context, &mut settle))
            .unwrap();
        let event = congestion_event(self.now, &result, &self.rtt, &mut self.sampler);
        self.controller.on_congestion_event(&event);
        if let Some(spurious) = result.spurious {
            self.controller.on_spurious_loss(self.now, &spurious);
        }
        self.pacer.on_control(self.now, &self.controller, &self.rtt, MTU);
    }

    fn handle_timeout(&mut self, now: u64) {
        self.now = Timestamp::from_nanos(now);
        let result = self.with(|recovery, context, mut settle| recovery.on_timeout(context, &mut settle));
        self.probes += result.probe.map_or(0, |probe| probe.count);
        if result.loss.packets > 0 {
            self.controller.on_congestion_event(&timeout_event(self.now, &result, &self.rtt));
            self.pacer.on_control(self.now, &self.controller, &self.rtt, MTU);
        }
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        self.now = Timestamp::from_nanos(now);
        self.release = None;
        let bytes = u64::from(MTU);
        if self.left == 0 {
            return None;
        }
        if self.probes > 0 {
            self.probes -= 1;
            // New data goes first, then whatever is not acknowledged.
            let missing = self.acked.iter().position(|acked| !acked).unwrap_or(0) as u32;
            let piece = self.wanted.pop().unwrap_or(missing);
            return Some(self.send(piece));
        }
        if self.wanted.is_empty() || self.in_flight + bytes > self.controller.window() {
            return None;
        }
        if self.pacer.budget(self.now) < bytes {
            self.release = self.pacer.next_release(self.now, bytes);
            return None;
        }
        self.pacer.on_sent(bytes);
        let piece = self.wanted.pop()?;
        Some(self.send(piece))
    }

    fn poll_timeout(&self) -> Option<u64> {
        let timer = self.recovery.deadline(&self.rtt, &Self::conditions()).map(|(at, _)| at);
        let next = timer.into_iter().chain(self.release).min();
        next.filter(|_| self.left > 0).map(Timestamp::as_nanos)
    }
}

/// Acknowledges every packet at once, with up to 32 ranges.
#[derive(Default)]
struct Receiver {
    /// The received ranges, lowest first.
    got: Vec<(u64, u64)>,
    answer: Option<Datagram>,
}

impl Endpoint for Receiver {
    fn handle_datagram(&mut self, _now: u64, from: SocketAddr, to: SocketAddr, _ecn: u8, data: &[u8]) {
        let pn = u64::from_be_bytes(data[..8].try_into().unwrap());
        let at = self.got.partition_point(|range| range.1 < pn);
        match self.got.get(at) {
            Some(range) if range.0 <= pn => {}
            _ => self.got.insert(at, (pn, pn)),
        }
        self.got.dedup_by(|next, range| {
            let joins = next.0 == range.1 + 1;
            range.1 = if joins { next.1 } else { range.1 };
            joins
        });
        let payload = self.got.iter().rev().take(32).flat_map(|range| [range.0, range.1]);
        let payload = payload.flat_map(u64::to_be_bytes).collect();
        self.answer = Some(Datagram { from: to, to: from, ecn: 0, payload });
    }
    fn handle_timeout(&mut self, _now: u64) {}
    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        self.answer.take()
    }
    fn poll_timeout(&self) -> Option<u64> {
        None
    }
}

#[expect(clippy::large_enum_variant, reason = "one of each")]
enum Host {
    Sender(Sender),
    Receiver(Receiver),
}

macro_rules! each {
    ($self:ident, $host:ident => $call:expr) => {
        match $self {
            Host::Sender($host) => $call,
            Host::Receiver($host) => $call,
        }
    };
}

impl Endpoint for Host {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        each!(self, host => host.handle_datagram(now, from, to, ecn, data));
    }
    fn handle_timeout(&mut self, now: u64) {
        each!(self, host => host.handle_timeout(now));
    }
    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        each!(self, host => host.poll_transmit(now))
    }
    fn poll_timeout(&self) -> Option<u64> {
        each!(self, host => host.poll_timeout())
    }
}

fn sender(sim: &Simulation<Host>, node: NodeId) -> &Sender {
    match sim.endpoint(node) {
        Host::Sender(sender) => sender,
        Host::Receiver(_) => unreachable!("the first node sends"),
    }
}

/// Moves `total` pieces over `config`. Returns the time it took and the totals.
fn transfer(seed: u64, algorithm: Algorithm, config: &LinkConfig, total: u32, limit: u64) -> (u64, Counters) {
    let mut sim = Simulation::new(seed);
    let left = sim.add_node(Host::Sender(Sender::new(algorithm, total)), address(1));
    let right = sim.add_node(Host::Receiver(Receiver::default()), address(2));
    sim.connect(left, right, config);
    sim.expect_until("the transfer", |sim| sender(sim, left).left == 0, limit);
    let Host::Receiver(receiver) = sim.endpoint(right) else { unreachable!("the second node receives") };
    let got: u64 = receiver.got.iter().map(|range| range.1 - range.0 + 1).sum();
    assert!(got >= u64::from(total), "what was acknowledged must have arrived");
    (sim.now(), sender(&sim, left).recovery.counters())
}

fn both(mut test: impl FnMut(Algorithm)) {
    [Algorithm::NewReno, Algorithm::Cubic].into_iter().for_each(&mut test);
}

#[test]
fn a_clean_link_is_filled() {
    // A piece takes 1228 bytes: 4000 pieces take 3.93 s at 10 Mbit/s.
    let config = LinkConfig::new().rate(10_000_000).delay(20 * MILLISECOND).queue(50_000);
    both(|algorithm| {
        let (time, counters) = transfer(1, algorithm.clone(), &config, 4_000, 10 * SECOND);
        assert!(time < 4_400 * MILLISECOND, "{}: {time} {counters:?}", algorithm.name());
        assert_eq!(counters.spurious_losses, 0);
        assert!(counters.packets_lost < 250, "{}: {counters:?}", algorithm.name());
    });
}

#[test]
fn losses_both_ways_are_repaired() {
    let config = LinkConfig::new().rate(20_000_000).delay(10 * MILLISECOND).queue(50_000).bernoulli(0.05);
    for_seeds(0..10, |seed| {
        both(|algorithm| {
            let (_, counters) = transfer(seed, algorithm, &config, 1_000, 60 * SECOND);
            assert!((20..200).contains(&counters.packets_lost), "{counters:?}");
        });
    });
}

#[test]
fn reordering_costs_little_once_it_is_learnt() {
    let config = LinkConfig::new().rate(20_000_000).delay(20 * MILLISECOND).queue(200_000);
    let config = config.reorder(0.02, 6 * MILLISECOND);
    for_seeds(0..5, |seed| {
        both(|algorithm| {
            let (time, counters) = transfer(seed, algorithm.clone(), &config, 4_000, 60 * SECOND);
            // 80 packets are each overtaken by about 12 others.
            assert!(counters.spurious_losses > 0, "{counters:?}");
            assert!(counters.spurious_losses < 40, "{counters:?}");
            assert!(time < 2_900 * MILLISECOND, "{} {time} {counters:?}", algorithm.name());
        });
    });
}

#[test]
fn an_outage_ends_in_persistent_congestion_and_then_it_goes_on() {
    let config = LinkConfig::new().rate(20_000_000).delay(20 * MILLISECOND).queue(100_000);
    let config = config.outage(500 * MILLISECOND..4_000 * MILLISECOND);
    both(|algorithm| {
        let (time, counters) = transfer(1, algorithm.clone(), &config, 3_000, 60 * SECOND);
        assert!(counters.persistent_congestions > 0, "{counters:?}");
        assert!(time < 9 * SECOND, "{} {time} {counters:?}", algorithm.name());
    });
}

#[test]
fn every_fault_at_once_ends_too() {
    let config = LinkConfig::new().rate(5_000_000).delay(15 * MILLISECOND).jitter(5 * MILLISECOND);
    let config = config.queue(20_000).bernoulli(0.1).reorder(0.1, 20 * MILLISECOND).duplicate(0.1);
    for_seeds(0..10, |seed| {
        both(|algorithm| {
            transfer(seed, algorithm, &config, 300, 300 * SECOND);
        });
    });
}
