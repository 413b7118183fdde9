//! The controller in a closed loop with one bottleneck, alone and with other flows.

use std::collections::VecDeque;

use super::*;
use crate::congestion::{
    Algorithm, CongestionConfig, LimitedBy, LostPacket, Pacer, PacketRate, RateSampler, Rtt, kit,
};

const MTU: u16 = 1_200;
const BYTES: u64 = MTU as u64;
/// The time step.
const TICK: Duration = Duration::from_micros(200);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// One bottleneck with a drop-tail queue. Each packet is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Link {
    rate: Rate,
    delay: Duration,
    queue: Duration,
    /// One in this many packets is lost on the wire; none if 0.
    lost_one_in: u64,
    /// Packets that waited longer than this are marked.
    step: Option<Duration>,
    /// Every 100 ms, all arriving packets are held for this long.
    silence: Duration,
    /// Each acknowledgment is late by up to this, without reordering.
    jitter: Duration,
}

impl Link {
    fn megabits(rate: u64, delay: u64, queue: u64) -> Self {
        Self {
            rate: Rate::from_bytes_per_second(rate * 125_000),
            delay: ms(delay),
            queue: ms(queue),
            lost_one_in: 0,
            step: None,
            silence: Duration::ZERO,
            jitter: Duration::ZERO,
        }
    }
}

struct Packet {
    sent: Timestamp,
    /// When its acknowledgment arrives, and whether it is marked; `None` if it is lost.
    acked: Option<(Timestamp, bool)>,
    rate: PacketRate,
}

/// What a flow has to send.
#[derive(Clone, Copy)]
enum Source {
    Bulk,
    /// Sends only between these two times.
    During(Duration, Duration),
    /// Sends this many packets every 33 ms.
    Frames(u64),
}

struct Flow {
    controller: AnyFlow,
    source: Source,
    backlog: u64,
    next_frame: Timestamp,
    rtt: Rtt,
    sampler: RateSampler,
    pacer: Pacer,
    flight: VecDeque<Packet>,
    limited_by: LimitedBy,
    delivered: u64,
    lost: u64,
    /// The queueing delays of its packets, after the first five seconds.
    waits: Vec<Duration>,
}

type AnyFlow = crate::congestion::AnyController;

impl Flow {
    fn new(algorithm: Algorithm, source: Source, start: Timestamp, seed: u64) -> Self {
        let path = NewPath::new(start, MTU).with_seed(seed);
        Self {
            controller: CongestionConfig::new(algorithm).build(&path),
            source,
            backlog: 0,
            next_frame: start,
            rtt: Rtt::default(),
            sampler: RateSampler::new(start),
            pacer: Pacer::new(start, MTU),
            flight: VecDeque::new(),
            limited_by: LimitedBy::Application,
            delivered: 0,
            lost: 0,
            waits: Vec::new(),
        }
    }

    fn produce(&mut self, now: Timestamp, since: Duration) {
        match self.source {
            Source::Bulk => self.backlog = u64::MAX,
            Source::During(from, to) => {
                self.backlog = if (from..to).contains(&since) { u64::MAX } else { 0 };
            }
            Source::Frames(packets) => {
                if now >= self.next_frame {
                    self.next_frame += ms(33);
                    self.backlog += packets;
                }
            }
        }
    }

    fn receive(&mut self, now: Timestamp) {
        let arrived = |packet: &Packet| packet.acked.is_some_and(|(at, _)| at <= now);
        let Some(last) = self.flight.iter().rposition(arrived) else { return };
        let prior_in_flight = self.flight.len() as u64 * BYTES;
        let (mut acked, mut lost, mut marked, mut newest) = (0, Vec::new(), 0, None);
        for packet in self.flight.drain(..=last) {
            match packet.acked {
                Some((_, is_marked)) => {
                    acked += BYTES;
                    marked += u64::from(is_marked);
                    newest = Some(packet.sent);
                    self.sampler.on_acked(now, packet.sent, BYTES, &packet.rate);
                }
                None => {
                    self.sampler.on_lost(BYTES);
                    lost.push(LostPacket::new(BYTES, packet.sent, packet.rate));
                }
            }
        }
        let sample = newest.map(|sent| now - sent);
        if let Some(sample) = sample {
            self.rtt.on_sample(sample, Duration::ZERO, true, Duration::ZERO, now);
        }
        let event = CongestionEvent {
            rtt_sample: sample,
            bytes_acked: acked,
            bytes_lost: lost.len() as u64 * BYTES,
            packets_lost: lost.len() as u32,
            lost: &lost,
            newest_acked_sent: newest,
            newest_lost_sent: lost.last().map(|packet| packet.sent),
            rate: self.sampler.finish(self.rtt.min()),
            ce_delta: marked,
            ecn_acked: acked / BYTES,
            prior_in_flight,
            in_flight: self.flight.len() as u64 * BYTES,
            limited_by: self.limited_by,
            ..CongestionEvent::new(now, &self.rtt)
        };
        self.controller.on_congestion_event(&event);
        self.pacer.on_control(now, &self.controller, &self.rtt, MTU);
        self.delivered += acked;
        self.lost += lost.len() as u64;
    }
}

struct World {
    link: Link,
    start: Timestamp,
    now: Timestamp,
    free: Timestamp,
    packets: u64,
    dice: Dice,
    /// When the latest acknowledgment arrives.
    latest: Timestamp,
    flows: Vec<Flow>,
}

impl World {
    fn new(link: Link, flows: &[(Algorithm, Source)]) -> Self {
        let start = Timestamp::from_nanos(1_000_000_000);
        let flows = (1..)
            .zip(flows)
            .map(|(seed, (algorithm, source))| Flow::new(algorithm.clone(), *source, start, seed))
            .collect();
        Self { link, start, now: start, free: start, packets: 0, dice: Dice::new(1), latest: start, flows }
    }

    fn run(&mut self, duration: Duration) -> &mut Self {
        let end = self.now + duration;
        while self.now < end {
            self.now += TICK;
            for index in 0..self.flows.len() {
                self.flows[index].produce(self.now, self.now - self.start);
                self.flows[index].receive(self.now);
                self.send(index);
            }
        }
        self
    }

    fn send(&mut self, index: usize) {
        let now = self.now;
        loop {
            let flow = &mut self.flows[index];
            let in_flight = flow.flight.len() as u64 * BYTES;
            let by = if flow.backlog == 0 {
                Some(LimitedBy::Application)
            } else if in_flight + BYTES > flow.controller.window() {
                Some(LimitedBy::Window)
            } else if flow.pacer.budget(now) < BYTES {
                Some(LimitedBy::Pacer)
            } else {
                None
            };
            if let Some(by) = by {
                flow.pacer.set_waiting(by == LimitedBy::Pacer);
                flow.limited_by = by;
                if by == LimitedBy::Application {
                    flow.sampler.on_app_limited(in_flight);
                    flow.controller.on_app_limited(now);
                }
                return;
            }
            flow.backlog -= 1;
            flow.pacer.on_sent(BYTES);
            let packet = SentPacket { bytes: BYTES, in_flight, limited_by: flow.limited_by };
            flow.controller.on_sent(now, &packet);
            let rate = flow.sampler.on_sent(now, BYTES, in_flight);
            let acked = self.transmit(index);
            self.flows[index].flight.push_back(Packet { sent: now, acked, rate });
        }
    }

    /// When the acknowledgment of a packet sent now arrives, and whether it is marked.
    fn transmit(&mut self, index: usize) -> Option<(Timestamp, bool)> {
        let Link { rate, delay, queue, lost_one_in, step, silence, jitter } = self.link;
        self.packets += 1;
        let wait = self.free.saturating_since(self.now);
        if wait > queue {
            return None;
        }
        if self.now - self.start > ms(5_000) {
            self.flows[index].waits.push(wait);
        }
        self.free = self.free.max(self.now) + rate.time_for(BYTES);
        let mut arrives = self.free + delay;
        let phase = Duration::from_nanos(arrives.as_nanos() % 100_000_000);
        if phase < silence {
            arrives += silence - phase;
        }
        if !jitter.is_zero() {
            arrives = self.latest.max(arrives + jitter.mul_f64(self.dice.unit()));
            self.latest = arrives;
        }
        let is_lost = lost_one_in > 0 && self.packets.is_multiple_of(lost_one_in);
        (!is_lost).then_some((arrives, step.is_some_and(|step| wait > step)))
    }

    fn megabits(&self, index: usize, duration: Duration) -> f64 {
        self.flows[index].delivered as f64 * 8.0 / duration.as_secs_f64() / 1e6
    }

    /// The longest queueing delay of this share of its packets, in milliseconds.
    fn wait(&self, index: usize, share: f64) -> f64 {
        let mut waits = self.flows[index].waits.clone();
        waits.sort_unstable();
        waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }

    /// A description of the flows for messages.
    fn told(&self) -> String {
        let tell = |flow: &Flow| match &flow.controller {
            AnyFlow::LowLatency(controller) => {
                let path = controller.path_state(self.now);
                format!("{:?}\n{path:?}\n", controller.mode)
            }
            other => format!("{:?}\n", other.snapshot()),
        };
        self.flows.iter().map(tell).collect()
    }

    fn low_latency(&self, index: usize) -> &LowLatency {
        match &self.flows[index].controller {
            AnyFlow::LowLatency(controller) => controller,
            other => panic!("{other:?}"),
        }
    }
}

fn alone(link: Link, source: Source, duration: Duration) -> World {
    let mut world = World::new(link, &[(Algorithm::LowLatency, source)]);
    world.run(duration);
    world
}

#[test]
fn the_path_is_full_and_the_queue_short_whatever_the_buffer() {
    for (megabits, delay) in [(2, 30), (10, 40), (20, 40), (50, 20), (100, 80)] {
        for queue in [20, 200] {
            let world = alone(Link::megabits(megabits, delay, queue), Source::Bulk, ms(20_000));
            let used = world.megabits(0, ms(20_000)) / megabits as f64;
            let (p50, p99) = (world.wait(0, 0.5), world.wait(0, 0.99));
            // Five milliseconds, a tenth of the round trip, or the time for two datagrams.
            let most = 5.0_f64.max(delay as f64 / 10.0).max(2.0 * 1.2 * 8.0 / megabits as f64);
            let told = format!("{megabits} Mbit/s, {delay} ms, {queue} ms: {used} {p50} {p99}");
            assert!(used > 0.93, "{told}");
            assert!(p50 < most && p99 < 2.0 * most, "{told}");
        }
    }
}

#[test]
fn random_losses_cost_little_and_those_of_a_policer_count() {
    let link = Link { lost_one_in: 100, ..Link::megabits(20, 40, 40) };
    let world = alone(link, Source::Bulk, ms(20_000));
    assert!(world.megabits(0, ms(20_000)) > 18.0, "{}", world.megabits(0, ms(20_000)));
    // With almost no buffer, losses are the only signal.
    let world = alone(Link::megabits(20, 40, 1), Source::Bulk, ms(20_000));
    let flow = &world.flows[0];
    assert!(world.megabits(0, ms(20_000)) > 17.0);
    assert!(flow.lost * BYTES * 20 < flow.delivered, "{} of {}", flow.lost, flow.delivered / BYTES);
}

#[test]
fn flows_of_a_kind_come_to_equal_shares() {
    for count in [2_u64, 5] {
        // They start one after the other.
        let begins = |index: u64| Source::During(ms(index * 700), ms(600_000));
        let flows: Vec<_> = (0..count).map(|index| (Algorithm::LowLatency, begins(index))).collect();
        let mut world = World::new(Link::megabits(20, 40, 100), &flows);
        world.run(ms(15_000));
        let before: Vec<u64> = world.flows.iter().map(|flow| flow.delivered).collect();
        world.run(ms(15_000));
        let got: Vec<u64> =
            world.flows.iter().zip(before).map(|(flow, before)| flow.delivered - before).collect();
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        assert!(least * 3 > most * 2, "{got:?} {}", world.told());
        assert!(world.wait(0, 0.95) < 15.0, "{}", world.wait(0, 0.95));
    }
}

#[test]
fn beside_cubic_it_competes_and_afterwards_it_yields() {
    let cubic = Source::During(ms(5_000), ms(40_000));
    let mut world = World::new(
        Link::megabits(20, 40, 40),
        &[(Algorithm::LowLatency, Source::Bulk), (Algorithm::Cubic, cubic)],
    );
    world.run(ms(10_000));
    let before = [0, 1].map(|index| world.flows[index].delivered);
    world.run(ms(30_000));
    let [ours, theirs] = [0, 1].map(|index| world.flows[index].delivered - before[index]);
    let share = ours as f64 / (ours + theirs) as f64;
    assert!((0.3..0.65).contains(&share), "{share}");
    world.run(ms(20_000));
    world.flows[0].waits.clear();
    world.run(ms(10_000));
    assert!(matches!(world.low_latency(0).mode, Mode::Steering(_)), "{:?}", world.low_latency(0).mode);
    assert!(world.wait(0, 0.95) < 6.0, "{}", world.wait(0, 0.95));
}

#[test]
fn marks_keep_the_queue_at_the_step_and_the_path_full() {
    let link = Link { step: Some(ms(1)), ..Link::megabits(50, 20, 200) };
    let world = alone(link, Source::Bulk, ms(20_000));
    assert!(world.megabits(0, ms(20_000)) > 46.0, "{}", world.megabits(0, ms(20_000)));
    assert!(world.wait(0, 0.99) < 2.5, "{}", world.wait(0, 0.99));
    assert!(world.low_latency(0).marks.are_recent());
}

#[test]
fn the_estimate_of_the_path_survives_idle_times() {
    let mut world = alone(Link::megabits(20, 40, 100), Source::Bulk, ms(10_000));
    let (rate, window) = (world.low_latency(0).rate.get(), world.low_latency(0).window());
    world.flows[0].source = Source::Frames(3);
    world.flows[0].backlog = 0;
    world.run(ms(20_000));
    let controller = world.low_latency(0);
    assert!(controller.rate.get().bytes_per_second() * 10 > rate.bytes_per_second() * 9);
    assert!(controller.window() * 4 > window * 3, "{} of {window}", controller.window());
    assert!(!controller.estimate().at_capacity);
}

#[test]
fn a_path_that_falls_silent_again_and_again_is_used() {
    let link = Link { silence: ms(30), ..Link::megabits(20, 40, 100) };
    let world = alone(link, Source::Bulk, ms(20_000));
    assert!(world.megabits(0, ms(20_000)) > 12.0, "{}", world.megabits(0, ms(20_000)));
}

/// Jitter below a round trip looks like a queue that no smaller window shortens. Without the trials, 3 to 20
/// percent of such links were used.
#[test]
fn jitter_does_not_count_as_a_queue() {
    for (megabits, delay, jitter, floor) in [(20, 15, 10, 10.0), (50, 20, 10, 14.0), (100, 15, 5, 50.0)] {
        for seed in 1..=3 {
            let link = Link { jitter: ms(jitter), ..Link::megabits(megabits, delay, 100) };
            let mut world = World::new(link, &[(Algorithm::LowLatency, Source::Bulk)]);
            world.dice = Dice::new(seed);
            world.run(ms(30_000));
            let got = world.megabits(0, ms(30_000));
            assert!(
                got > floor,
                "{got} of {megabits}, {jitter} in {delay} ms, seed {seed}\n{}",
                world.told()
            );
            assert!(world.wait(0, 0.9) < 15.0, "{} ms, {link:?}, seed {seed}", world.wait(0, 0.9));
        }
    }
}

#[test]
fn a_longer_path_is_found_and_a_narrower_one_leaves_no_queue() {
    let mut world = alone(Link::megabits(20, 30, 100), Source::Bulk, ms(10_000));
    world.link.delay = ms(100);
    world.run(ms(40_000));
    let before = world.flows[0].delivered;
    world.flows[0].waits.clear();
    world.run(ms(10_000));
    let megabits = (world.flows[0].delivered - before) as f64 * 8e-7;
    assert!(megabits > 17.0 && world.wait(0, 0.9) < 15.0, "{megabits} {}", world.wait(0, 0.9));
    world.link.rate = Rate::from_bytes_per_second(250_000);
    world.run(ms(10_000));
    world.flows[0].waits.clear();
    world.run(ms(10_000));
    assert!(world.wait(0, 0.9) < 30.0, "{} {}", world.wait(0, 0.9), world.told());
}

#[test]
fn taking_over_from_cubic_empties_its_queue() {
    let mut world = World::new(Link::megabits(20, 40, 100), &[(Algorithm::Cubic, Source::Bulk)]);
    world.run(ms(10_000));
    let flow = &mut world.flows[0];
    let predecessor = crate::congestion::Predecessor::of(&flow.controller, &flow.rtt);
    let path = NewPath::new(world.now, MTU).with_predecessor(predecessor);
    flow.controller = CongestionConfig::new(Algorithm::LowLatency).build(&path);
    assert_eq!(flow.controller.window(), predecessor.window);
    world.run(ms(5_000));
    world.flows[0].waits.clear();
    world.run(ms(5_000));
    assert!(world.wait(0, 0.95) < 6.0, "{}", world.wait(0, 0.95));
}

#[test]
fn the_same_seed_and_calls_give_the_same_answers() {
    let flows = [(Algorithm::LowLatency, Source::Bulk), (Algorithm::Cubic, Source::Bulk)];
    let runs = [0; 2].map(|_| {
        let mut world = World::new(Link::megabits(10, 40, 80), &flows);
        world.run(ms(10_000));
        world.flows.iter().map(|flow| flow.delivered).collect::<Vec<_>>()
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn many_seeds_pass_the_kit() {
    for seed in 0..150 {
        kit::check_controller(&Algorithm::LowLatency, seed);
    }
}
