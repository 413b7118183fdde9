//! A sender with its sampler and pacer, and a bottleneck with a queue. Each packet is acknowledged.

use std::{collections::VecDeque, time::Duration};

use super::super::{Bbr3, State};
use crate::{
    base::{Rate, Timestamp},
    congestion::{
        CongestionEvent, Controller, LimitedBy, LostPacket, NewPath, Pacer, PacketRate, RateSampler, Rtt,
        SentPacket, SpuriousLoss,
    },
};

pub(super) const MTU: u16 = 1_200;
const BYTES: u64 = MTU as u64;
/// A packet is lost once this many packets that were sent later have arrived (RFC 9002 §6.1.1).
const THRESHOLD: u64 = 3;

/// What the application sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum App {
    Greedy,
    /// This many bytes per second, a packet at a time.
    Paced(u64),
    Silent,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    number: u64,
    sent: Timestamp,
    /// When its acknowledgment arrives; `None` if it is lost.
    acked_at: Option<Timestamp>,
    rate: PacketRate,
}

/// A token bucket: packets that find no token are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policer {
    pub(super) rate: Rate,
    pub(super) burst: u64,
    tokens: u64,
    at: Timestamp,
}

impl Policer {
    pub(super) fn new(rate: Rate, burst: u64) -> Self {
        Self { rate, burst, tokens: burst, at: Timestamp::from_nanos(1) }
    }

    fn admits(&mut self, now: Timestamp) -> bool {
        let earned = self.rate.bytes_in(now.saturating_since(self.at));
        self.tokens = self.tokens.saturating_add(earned).min(self.burst);
        self.at = now;
        let admits = self.tokens >= BYTES;
        self.tokens -= if admits { BYTES } else { 0 };
        admits
    }
}

/// A sender on its path. A test may change the visible fields while it runs.
pub(super) struct Net {
    pub(super) bbr: Bbr3,
    pub(super) now: Timestamp,
    pub(super) rate: Rate,
    pub(super) round_trip: Duration,
    /// How many bytes may wait at the bottleneck.
    pub(super) queue: u64,
    /// How many of a thousand packets are lost.
    pub(super) loss_per_mille: u64,
    /// One of this many packets is late by this duration.
    pub(super) late: Option<(u64, Duration)>,
    /// Acknowledgments arrive at multiples of this.
    pub(super) ack_period: Duration,
    pub(super) policer: Option<Policer>,
    pub(super) app: App,
    pub(super) delivered: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    rtt: Rtt,
    sampler: RateSampler,
    pacer: Pacer,
    flight: VecDeque<Packet>,
    declared: Vec<(Packet, Timestamp)>,
    link_free: Timestamp,
    next_number: u64,
    app_sent_at: Timestamp,
    limited_by: LimitedBy,
    dice: u64,
}

impl Net {
    /// A path with a rate of `megabits` per second, a round trip of `millis`, and a queue of `bdps`
    /// bandwidth-delay products.
    pub(super) fn new(megabits: f64, millis: f64, bdps: f64) -> Self {
        let now = Timestamp::from_nanos(1_000_000_000);
        let rate = Rate::from_bytes_per_second((megabits * 125_000.0) as u64);
        let round_trip = Duration::from_secs_f64(millis / 1e3);
        Self {
            bbr: Bbr3::new(&NewPath::new(now, MTU).with_seed(7)),
            now,
            rate,
            round_trip,
            queue: (rate.bytes_in(round_trip) as f64 * bdps) as u64,
            loss_per_mille: 0,
            late: None,
            ack_period: Duration::ZERO,
            policer: None,
            app: App::Greedy,
            delivered: 0,
            sent: 0,
            dropped: 0,
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            pacer: Pacer::new(now, MTU),
            flight: VecDeque::new(),
            declared: Vec::new(),
            link_free: now,
            next_number: 0,
            app_sent_at: now,
            limited_by: LimitedBy::Application,
            dice: 1,
        }
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.flight.len() as u64 * BYTES
    }

    /// The bandwidth-delay product in bytes.
    pub(super) fn bdp(&self) -> u64 {
        self.rate.bytes_in(self.round_trip)
    }

    /// `bytes_per_second` as a share of the link's rate.
    pub(super) fn share(&self, bytes_per_second: f64) -> f64 {
        bytes_per_second / self.rate.bytes_per_second() as f64
    }

    /// Runs until `done`, for at most `seconds`.
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, seconds: f64, done: impl Fn(&Self) -> bool) -> &mut Self {
        let end = self.now + Duration::from_secs_f64(seconds);
        while !done(self) {
            assert!(self.now < end, "{what}: not after {seconds} s, {:?}", self.bbr);
            self.step(end + Duration::from_nanos(1));
        }
        self
    }

    #[track_caller]
    pub(super) fn until_state(&mut self, state: State, seconds: f64) -> &mut Self {
        self.until(&format!("{state:?}"), seconds, |net| net.bbr.state == state)
    }

    pub(super) fn run(&mut self, seconds: f64) -> &mut Self {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.step(end);
        }
        self
    }

    /// The share of the link that is used during the next `seconds`.
    pub(super) fn utilization(&mut self, seconds: f64) -> f64 {
        let before = self.delivered;
        self.run(seconds);
        self.share((self.delivered - before) as f64 / seconds)
    }

    /// Does what happens at this instant. Then time advances to the next event, at most to `end`.
    fn step(&mut self, end: Timestamp) {
        self.receive();
        let wake = self.send();
        let next_ack = self.flight.iter().filter_map(|packet| packet.acked_at);
        let next_late = self.declared.iter().filter_map(|(packet, _)| packet.acked_at);
        let next = next_ack.chain(next_late).chain(wake).filter(|at| *at > self.now).min();
        let probe = self.now + Duration::from_millis(300);
        if next.is_none() && !self.flight.is_empty() {
            // Nothing that is in flight will arrive, so a probe packet is sent.
            self.now = probe.min(end);
            self.transmit();
            return;
        }
        self.now = next.unwrap_or(probe).min(end).max(self.now);
    }

    fn receive(&mut self) {
        let now = self.now;
        self.take_late();
        let prior_in_flight = self.in_flight();
        let (mut bytes_acked, mut newest) = (0, None);
        let is_due = |packet: &Packet| packet.acked_at.is_some_and(|at| at <= now);
        for packet in self.flight.iter().filter(|packet| is_due(packet)) {
            bytes_acked += BYTES;
            self.sampler.on_acked(now, packet.sent, BYTES, &packet.rate);
            newest = newest.max(Some((packet.number, packet.sent)));
        }
        let Some((largest, sent)) = newest else { return };
        self.delivered += bytes_acked;
        self.flight.retain(|packet| !is_due(packet));
        let lost: Vec<Packet> =
            self.flight.iter().copied().filter(|p| p.number + THRESHOLD <= largest).collect();
        self.flight.retain(|packet| packet.number + THRESHOLD > largest);
        let told = self.declare(&lost);
        let mut rtt = self.rtt.clone();
        rtt.on_sample(now - sent, Duration::ZERO, true, Duration::ZERO, now);
        let event = CongestionEvent {
            rtt_sample: Some(now - sent),
            bytes_acked,
            bytes_lost: lost.len() as u64 * BYTES,
            packets_lost: lost.len() as u32,
            lost: &told,
            newest_acked_sent: Some(sent),
            newest_lost_sent: lost.iter().map(|packet| packet.sent).max(),
            largest_acked: Some(largest),
            rate: self.sampler.finish(rtt.min()),
            prior_in_flight,
            in_flight: self.in_flight(),
            limited_by: self.limited_by,
            ..CongestionEvent::new(now, &rtt)
        };
        self.bbr.on_congestion_event(&event);
        self.pacer.on_control(now, &self.bbr, &rtt, MTU);
        self.rtt = rtt;
    }

    fn declare(&mut self, lost: &[Packet]) -> Vec<LostPacket> {
        self.declared.extend(lost.iter().map(|packet| (*packet, self.now)));
        lost.iter()
            .map(|packet| {
                self.sampler.on_lost(BYTES);
                LostPacket::new(BYTES, packet.sent, packet.rate)
            })
            .collect()
    }

    /// Receives packets that were declared lost.
    fn take_late(&mut self) {
        let now = self.now;
        let is_due = |packet: &Packet| packet.acked_at.is_some_and(|at| at <= now);
        let late: Vec<_> = self.declared.iter().copied().filter(|(packet, _)| is_due(packet)).collect();
        let Some(oldest_lost_at) = late.iter().map(|(_, at)| *at).min() else { return };
        self.declared.retain(|(packet, _)| !is_due(packet));
        let packets = late.len() as u32;
        let spurious = SpuriousLoss { packets, bytes: u64::from(packets) * BYTES, oldest_lost_at };
        self.bbr.on_spurious_loss(now, &spurious);
    }

    /// The loss timer declares everything in flight lost, as persistent congestion.
    pub(super) fn lose_all_persistently(&mut self) {
        let lost: Vec<Packet> = self.flight.drain(..).collect();
        let prior_in_flight = lost.len() as u64 * BYTES;
        let told = self.declare(&lost);
        let event = CongestionEvent {
            bytes_lost: prior_in_flight,
            packets_lost: lost.len() as u32,
            lost: &told,
            newest_lost_sent: lost.iter().map(|packet| packet.sent).max(),
            prior_in_flight,
            persistent: true,
            ..CongestionEvent::new(self.now, &self.rtt)
        };
        self.bbr.on_congestion_event(&event);
        self.pacer.on_control(self.now, &self.bbr, &self.rtt, MTU);
    }

    /// Sends what may leave now. Returns when more may.
    fn send(&mut self) -> Option<Timestamp> {
        loop {
            let (limited_by, wake) = self.limit();
            let Some(limited_by) = limited_by else {
                self.transmit();
                continue;
            };
            self.pacer.set_waiting(limited_by == LimitedBy::Pacer);
            self.limited_by = limited_by;
            if limited_by == LimitedBy::Application {
                self.sampler.on_app_limited(self.in_flight());
                self.bbr.on_app_limited(self.now);
            }
            return wake;
        }
    }

    /// What blocks the next packet, and until when.
    fn limit(&mut self) -> (Option<LimitedBy>, Option<Timestamp>) {
        if self.in_flight() + BYTES > self.bbr.window() {
            return (Some(LimitedBy::Window), None);
        }
        let app_due = match self.app {
            App::Greedy => self.now,
            App::Silent => return (Some(LimitedBy::Application), None),
            App::Paced(rate) => self.app_sent_at + Rate::from_bytes_per_second(rate).time_for(BYTES),
        };
        if app_due > self.now {
            return (Some(LimitedBy::Application), Some(app_due));
        }
        if self.pacer.budget(self.now) < BYTES {
            return (Some(LimitedBy::Pacer), self.pacer.next_release(self.now, BYTES));
        }
        (None, None)
    }

    fn transmit(&mut self) {
        let (now, in_flight) = (self.now, self.in_flight());
        self.pacer.on_sent(BYTES);
        self.bbr.on_sent(now, &SentPacket { bytes: BYTES, in_flight, limited_by: self.limited_by });
        if in_flight == 0 {
            self.pacer.on_control(now, &self.bbr, &self.rtt, MTU);
        }
        let rate = self.sampler.on_sent(now, BYTES, in_flight);
        let acked_at = self.arrival();
        self.flight.push_back(Packet { number: self.next_number, sent: now, acked_at, rate });
        self.next_number += 1;
        self.sent += 1;
        self.dropped += u64::from(acked_at.is_none());
        self.app_sent_at = now;
    }

    fn arrival(&mut self) -> Option<Timestamp> {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (self.dice >> 33) % 1_000 < self.loss_per_mille {
            return None;
        }
        if self.policer.as_mut().is_some_and(|policer| !policer.admits(self.now)) {
            return None;
        }
        let backlog = self.rate.bytes_in(self.link_free.saturating_since(self.now));
        if backlog + BYTES > self.queue.max(BYTES) {
            return None;
        }
        self.link_free = self.link_free.max(self.now) + self.rate.time_for(BYTES);
        let mut at = self.link_free + self.round_trip;
        if let Some((each, by)) = self.late
            && self.next_number.is_multiple_of(each)
        {
            at += by;
        }
        let period = self.ack_period.as_nanos() as u64;
        let delayed = if period == 0 { at.as_nanos() } else { at.as_nanos().div_ceil(period) * period };
        Some(Timestamp::from_nanos(delayed))
    }
}
