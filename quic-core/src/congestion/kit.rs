//! The conformance kit: checks that a [`Controller`] keeps the invariants on which a path relies.
//!
//! It drives a controller through thousands of random events that a path could produce, from one seed. At the
//! first broken invariant it panics with that seed. Use it to test a controller of your own.

use std::{collections::VecDeque, time::Duration};

use super::{
    CongestionEvent, Controller, ControllerFactory, FlightPeak, LimitedBy, LostPacket, MAX_WINDOW, NewPath,
    PacketRate, Phase, RateSampler, Rtt, SentPacket, SpuriousLoss, dice::Dice, initial_window,
    minimum_window,
};
use crate::base::{Rate, Timestamp};

const STEPS: u32 = 3_000;

/// Checks what must hold for every controller.
///
/// - The window is at least two datagrams and at most [`MAX_WINDOW`].
/// - A pacing rate and a quantum, if given, are above zero. A deadline, if given, does not stay in the past.
/// - A window that is not filled does not grow beyond four times the most that was ever in flight, plus a
///   quantum, for any limit on the sender. Losses do not enlarge the window. (The factor allows for twice the
///   path's volume, bunched acknowledgments, and a probe. A model of the path outlives a reduction of the
///   window for a while, so what was in flight earlier still counts; [`check_loss_based_controller`] is
///   stricter.)
/// - The same calls give the same answers.
///
/// # Panics
/// If the controller breaks one of these invariants.
///
/// ```
/// use quic_core::congestion::{Algorithm, kit};
/// kit::check_controller(&Algorithm::Cubic, 1);
/// ```
pub fn check_controller(factory: &dyn ControllerFactory, seed: u64) {
    let first = Drive::new(factory, seed, false).run();
    let second = Drive::new(factory, seed, false).run();
    assert_eq!(first, second, "seed {seed}: two runs with the same calls differ");
}

/// Checks what [`check_controller`] does, and what holds for controllers that treat loss as congestion. The
/// first loss of a round trip reduces the window, further losses of the same round trip do not reduce it
/// again, and persistent congestion brings it to the minimum (RFC 9002 §7.3.2, §7.6.2). In recovery the check
/// looks at the threshold that the window is to reach (RFC 9937), not at the window on its way there. A
/// window that is not filled does not grow beyond twice what was in flight since it was last reduced
/// (draft-ietf-ccwg-ratelimited-increase).
///
/// # Panics
/// If the controller breaks one of these invariants.
pub fn check_loss_based_controller(factory: &dyn ControllerFactory, seed: u64) {
    check_controller(factory, seed);
    Drive::new(factory, seed, true).run();
}

struct Packet {
    number: u64,
    sent: Timestamp,
    bytes: u64,
    rate: PacketRate,
}

struct Drive {
    seed: u64,
    dice: Dice,
    controller: Box<dyn Controller>,
    loss_based: bool,
    now: Timestamp,
    mtu: u16,
    rtt: Rtt,
    sampler: RateSampler,
    flight: VecDeque<Packet>,
    in_flight: u64,
    /// The most in flight since the window was last reduced.
    peak: FlightPeak,
    /// The most that was ever in flight.
    ever: FlightPeak,
    limited_by: LimitedBy,
    next: u64,
    /// When the window was last reduced for losses.
    reduced: Option<Timestamp>,
    digest: u64,
}

impl Drive {
    fn new(factory: &dyn ControllerFactory, seed: u64, loss_based: bool) -> Self {
        let now = Timestamp::from_nanos(1_000_000_000);
        Self {
            seed,
            dice: Dice::new(seed),
            controller: factory.build(&NewPath::new(now, 1_200).with_seed(seed)),
            loss_based,
            now,
            mtu: 1_200,
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            flight: VecDeque::new(),
            in_flight: 0,
            peak: FlightPeak::new(initial_window(1_200)),
            ever: FlightPeak::new(initial_window(1_200)),
            limited_by: LimitedBy::Application,
            next: 0,
            reduced: None,
            digest: 0,
        }
    }

    fn run(mut self) -> u64 {
        for _ in 0..STEPS {
            self.now += Duration::from_micros(self.dice.below(20_000));
            match self.dice.below(100) {
                0 => self.change_mtu(),
                1 => self.now += Duration::from_secs(self.dice.below(100)),
                2..5 => self.controller.on_app_limited(self.now),
                5..8 => self.spurious(),
                8..14 => self.timer_loss(),
                14..60 => self.send(),
                _ => self.acknowledge(),
            }
            self.timers();
            self.check();
        }
        self.digest
    }

    fn send(&mut self) {
        let kinds = [LimitedBy::Application, LimitedBy::FlowControl, LimitedBy::Pacer];
        self.limited_by = kinds[self.dice.below(3) as usize];
        for _ in 0..self.dice.below(40) {
            if self.in_flight + u64::from(self.mtu) > self.controller.window().min(1 << 24) {
                self.limited_by = LimitedBy::Window;
                break;
            }
            let bytes = 1 + self.dice.below(u64::from(self.mtu));
            let rate = self.sampler.on_sent(self.now, bytes, self.in_flight);
            let packet = SentPacket { bytes, in_flight: self.in_flight, limited_by: self.limited_by };
            self.controller.on_sent(self.now, &packet);
            self.peak.on_sent(&packet);
            self.ever.on_sent(&packet);
            self.flight.push_back(Packet { number: self.next, sent: self.now, bytes, rate });
            self.next += 1;
            self.in_flight += bytes;
        }
    }

    /// Takes packets from the front as lost, then further ones as acknowledged, and reports both in one
    /// event.
    fn acknowledge(&mut self) {
        if self.flight.is_empty() {
            return;
        }
        let lost = if self.dice.below(8) == 0 { self.dice.below(4) } else { 0 };
        let acked = 1 + self.dice.below(30);
        let marked = if self.dice.below(30) == 0 { 1 + self.dice.below(3) } else { 0 };
        self.event(lost, acked, marked, false);
    }

    fn timer_loss(&mut self) {
        let persistent = self.dice.below(10) == 0;
        let lost = 1 + self.dice.below(5);
        self.event(lost, 0, 0, persistent);
    }

    fn event(&mut self, lost: u64, acked: u64, ce_delta: u64, persistent: bool) {
        let prior_in_flight = self.in_flight;
        let (mut bytes_lost, mut packets_lost, mut newest_lost_sent) = (0, 0, None);
        let lost: Vec<_> = self.take(lost);
        let told: Vec<_> =
            lost.iter().map(|packet| LostPacket::new(packet.bytes, packet.sent, packet.rate)).collect();
        for packet in &lost {
            bytes_lost += packet.bytes;
            packets_lost += 1;
            newest_lost_sent = Some(packet.sent);
        }
        self.sampler.on_lost(bytes_lost);
        let (mut bytes_acked, mut acked_count, mut newest) = (0, 0, None);
        for packet in self.take(acked) {
            bytes_acked += packet.bytes;
            acked_count += 1;
            self.sampler.on_acked(self.now, packet.sent, packet.bytes, &packet.rate);
            newest = Some((packet.number, packet.sent));
        }
        let rtt_sample = newest.map(|(_, sent)| self.now - sent);
        if let Some(sample) = rtt_sample {
            self.rtt.on_sample(sample, Duration::ZERO, true, Duration::ZERO, self.now);
        }
        let before = self.level();
        let event = CongestionEvent {
            rtt_sample,
            bytes_acked,
            bytes_lost,
            packets_lost,
            lost: &told,
            newest_acked_sent: newest.map(|(_, sent)| sent),
            newest_lost_sent,
            largest_acked: newest.map(|(number, _)| number),
            rate: self.sampler.finish(self.rtt.min()),
            ce_delta: if newest.is_some() { ce_delta } else { 0 },
            ecn_acked: acked_count,
            prior_in_flight,
            in_flight: self.in_flight,
            limited_by: self.limited_by,
            persistent: persistent && packets_lost > 1,
            ..CongestionEvent::new(self.now, &self.rtt)
        };
        self.controller.on_congestion_event(&event);
        let after = self.level();
        let used = if self.loss_based { self.peak } else { self.ever };
        let most = match self.loss_based {
            true => used.slow_start_limit().max(used.avoidance_limit(self.mtu)),
            false => (used.bytes().saturating_mul(4))
                .saturating_add(self.controller.send_quantum().unwrap_or_default()),
        };
        check_event(&event, (before, after), most, self.seed);
        if after < before {
            self.peak.on_reduced();
        }
        if self.loss_based {
            self.reduced = check_loss(&event, self.reduced, (before, after), self.mtu, self.seed);
        }
    }

    /// The window, or during recovery the window that it will be at the end.
    fn level(&self) -> u64 {
        let snapshot = self.controller.snapshot();
        snapshot.ssthresh.filter(|_| snapshot.phase == Phase::Recovery).unwrap_or(snapshot.window)
    }

    fn take(&mut self, count: u64) -> Vec<Packet> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.flight.len());
        let taken: Vec<_> = self.flight.drain(..count).collect();
        self.in_flight -= taken.iter().map(|packet| packet.bytes).sum::<u64>();
        taken
    }

    fn spurious(&mut self) {
        let (before, undone) = (self.level(), self.controller.snapshot().undone);
        let packets = 1 + self.dice.below(4) as u32;
        let back = Duration::from_millis(self.dice.below(200));
        let oldest_lost_at = self.now.saturating_sub(back);
        let bytes = u64::from(packets) * 1_000;
        self.controller.on_spurious_loss(self.now, &SpuriousLoss { packets, bytes, oldest_lost_at });
        let after = self.level();
        assert!(after >= before, "seed {}: a spurious loss reduced {before} to {after}", self.seed);
        // This also counts as undone where the window has outgrown the old one. The next loss is then a new
        // one, whenever the packet was sent.
        if after > before || self.controller.snapshot().undone > undone {
            self.reduced = None;
            self.peak.raise(after);
            self.ever.raise(after);
        }
    }

    fn change_mtu(&mut self) {
        let before = self.controller.window();
        self.mtu = 1_200 + self.dice.below(300) as u16;
        self.controller.on_mtu_changed(self.mtu);
        if self.controller.window() > before {
            // A new initial window counts as used.
            self.peak.raise(self.controller.window());
            self.ever.raise(self.controller.window());
        }
    }

    fn timers(&mut self) {
        for _ in 0..10 {
            match self.controller.deadline() {
                Some(deadline) if deadline <= self.now => self.controller.on_timeout(self.now),
                _ => return,
            }
        }
        panic!("seed {}: the deadline stays in the past after ten timeouts", self.seed);
    }

    fn check(&mut self) {
        let (seed, window) = (self.seed, self.controller.window());
        assert!(window >= minimum_window(self.mtu), "seed {seed}: window {window} at MTU {}", self.mtu);
        assert!(window <= MAX_WINDOW, "seed {seed}: window {window}");
        assert_ne!(self.controller.pacing_rate(), Some(Rate::ZERO), "seed {seed}: nothing would ever leave");
        assert_ne!(self.controller.send_quantum(), Some(0), "seed {seed}: nothing would ever leave");
        let snapshot = self.controller.snapshot();
        assert_eq!(snapshot.window, window, "seed {seed}: the snapshot has another window");
        let rate = self.controller.pacing_rate().map_or(0, Rate::bytes_per_second);
        for value in [window, rate, snapshot.reductions] {
            self.digest = Dice::new(self.digest ^ value).roll();
        }
    }
}

/// Checks what holds for every controller during one event.
fn check_event(event: &CongestionEvent<'_>, (before, after): (u64, u64), most: u64, seed: u64) {
    assert!(
        after <= before.max(most),
        "seed {seed}: an unused window grew from {before} to {after}, beyond the limit {most}"
    );
    if event.bytes_lost > 0 && event.bytes_acked == 0 {
        assert!(after <= before, "seed {seed}: losses raised the window from {before} to {after}");
    }
}

/// Checks what holds for a loss-based controller during one event. Returns when it was last reduced.
fn check_loss(
    event: &CongestionEvent<'_>,
    reduced: Option<Timestamp>,
    (before, after): (u64, u64),
    mtu: u16,
    seed: u64,
) -> Option<Timestamp> {
    let floor = minimum_window(mtu);
    if event.persistent {
        assert_eq!(after, floor, "seed {seed}: persistent congestion leaves the minimum window");
        return None;
    }
    let covered = |sent: Option<Timestamp>| match (reduced, sent) {
        (Some(reduced), Some(sent)) => sent <= reduced,
        _ => false,
    };
    let news = (event.bytes_lost > 0 && !covered(event.newest_lost_sent))
        || (event.ce_delta > 0 && !covered(event.newest_acked_sent));
    if news {
        assert!(after < before || after == floor, "seed {seed}: a loss left {before} at {after}");
        return Some(event.now);
    }
    assert!(after >= before, "seed {seed}: reduced from {before} to {after} without news");
    reduced
}
