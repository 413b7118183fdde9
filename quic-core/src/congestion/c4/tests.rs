//! C4 on a link with a rate, a round-trip time and a queue.

use super::*;
use crate::congestion::{LimitedBy, PacketRate, RateSampler, Rtt};

const MTU: u16 = 1_200;

/// A flow on a link, a datagram at a time. Every second datagram is acknowledged.
struct Link {
    c4: C4,
    rtt: Rtt,
    sampler: RateSampler,
    now: Timestamp,
    rate: Rate,
    delay: Duration,
    /// When the link will have sent everything in its queue.
    free: Timestamp,
    next: Timestamp,
    flight: std::collections::VecDeque<(Timestamp, Timestamp, PacketRate)>,
    /// The longest wait of a packet since this was last set to zero.
    queue: Duration,
    delivered: u64,
}

impl Link {
    fn new(mbit: u64, ms: u64) -> Self {
        let now = Timestamp::from_nanos(1_000_000_000);
        Self {
            c4: C4::new(&NewPath::new(now, MTU)),
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            now,
            rate: Rate::from_bytes_per_second(mbit * 125_000),
            delay: Duration::from_millis(ms),
            free: now,
            next: now,
            flight: std::collections::VecDeque::new(),
            queue: Duration::ZERO,
            delivered: 0,
        }
    }

    fn in_flight(&self) -> u64 {
        self.flight.len() as u64 * u64::from(MTU)
    }

    fn run(&mut self, ms: u64, limited_by: LimitedBy) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            while self.flight.get(1).is_some_and(|second| second.1 <= self.now) {
                self.acknowledge(limited_by);
            }
            if self.in_flight() + u64::from(MTU) <= self.c4.window() && self.next <= self.now {
                self.send(limited_by);
            }
            self.now += Duration::from_micros(50);
        }
    }

    fn send(&mut self, limited_by: LimitedBy) {
        let (bytes, in_flight) = (u64::from(MTU), self.in_flight());
        self.c4.on_sent(self.now, &SentPacket { bytes, in_flight, limited_by });
        let rate = self.sampler.on_sent(self.now, bytes, in_flight);
        self.queue = self.queue.max(self.free.saturating_since(self.now));
        self.free = self.free.max(self.now) + self.rate.time_for(bytes);
        self.flight.push_back((self.now, self.free + self.delay, rate));
        let pause = self.c4.pacing_rate().map_or(Duration::ZERO, |rate| rate.time_for(bytes));
        self.next = self.next.max(self.now.saturating_sub(Duration::from_millis(1))) + pause;
    }

    fn acknowledge(&mut self, limited_by: LimitedBy) {
        let prior_in_flight = self.in_flight();
        let mut newest = self.now;
        for (sent, _, rate) in self.flight.drain(..2) {
            self.sampler.on_acked(self.now, sent, u64::from(MTU), &rate);
            newest = sent;
        }
        self.delivered += 2 * u64::from(MTU);
        let sample = self.now - newest;
        self.rtt.on_sample(sample, Duration::ZERO, true, Duration::ZERO, self.now);
        let event = CongestionEvent {
            rtt_sample: Some(sample),
            bytes_acked: 2 * u64::from(MTU),
            newest_acked_sent: Some(newest),
            rate: self.sampler.finish(self.rtt.min()),
            prior_in_flight,
            in_flight: self.in_flight(),
            limited_by,
            ..CongestionEvent::new(self.now, &self.rtt)
        };
        self.c4.on_congestion_event(&event);
    }

    fn megabits(&mut self, ms: u64) -> f64 {
        (self.delivered, self.queue) = (0, Duration::ZERO);
        self.run(ms, LimitedBy::Window);
        self.delivered as f64 * 8.0 / 1e3 / ms as f64
    }
}

#[test]
fn it_finds_the_rate_and_keeps_the_queue_short() {
    for (mbit, ms) in [(10, 20), (20, 40), (100, 80)] {
        let mut link = Link::new(mbit, ms);
        link.run(3_000, LimitedBy::Window);
        let got = link.megabits(3_000);
        assert!(got > 0.93 * mbit as f64, "{mbit} {ms}: {got}");
        assert!(link.queue < Duration::from_millis(ms / 2), "{mbit} {ms}: {:?}", link.queue);
    }
}

#[test]
fn it_finds_more_when_there_is_more_and_less_when_there_is_less() {
    let mut link = Link::new(10, 40);
    link.run(3_000, LimitedBy::Window);
    link.rate = Rate::from_bytes_per_second(40 * 125_000);
    link.run(6_000, LimitedBy::Window);
    let got = link.megabits(2_000);
    assert!(got > 30.0, "{got}");
    link.rate = Rate::from_bytes_per_second(20 * 125_000);
    link.run(6_000, LimitedBy::Window);
    let got = link.megabits(2_000);
    // The queue from the fall counts as jitter for a while. The draft attributes up to 250 ms of it to the
    // path.
    assert!(got > 18.0 && link.queue < Duration::from_secs(1), "{got} {:?}", link.queue);
}

/// A rate that was found stays while the application sends little, and no push begins.
#[test]
fn an_application_that_sends_little_lowers_nothing() {
    let mut link = Link::new(20, 40);
    link.run(3_000, LimitedBy::Window);
    let before = link.c4.rate;
    link.run(3_000, LimitedBy::Application);
    assert!(link.c4.rate >= before.scaled(9, 10), "{before:?} {:?}", link.c4.rate);
    assert!(matches!(link.c4.state, State::Cruising { .. }), "{:?}", link.c4.state);
}

#[test]
fn the_states_follow_each_other_and_a_push_is_larger_after_one_that_found_more() {
    let mut c4 = C4::new(&NewPath::new(Timestamp::from_nanos(1), MTU));
    let now = Timestamp::from_nanos(2);
    (c4.app_limited, c4.rate) = (false, Rate::from_bytes_per_second(1_000_000));
    c4.era.rate = c4.rate;
    for flat in 1..3 {
        c4.on_era(now);
        assert_eq!(c4.state, State::Initial { flat });
    }
    c4.on_era(now);
    assert_eq!(c4.state, State::Recovery { congested: false });
    for _ in 0..2 {
        for eras in 0..4 {
            c4.on_era(now);
            assert_eq!(c4.state, State::Cruising { eras });
        }
        c4.on_era(now);
        let larger = c4.found > 0;
        assert_eq!(c4.state, State::Pushing { alpha: if larger { 1.25 } else { 1.0625 } });
        c4.rate = c4.rate.scaled(11, 10);
        c4.on_era(now);
    }
    c4.on_era(now);
    assert_eq!(c4.found, 2);
    c4.on_signal(now, Signal::Delay(0.25));
    assert_eq!(c4.rate, Rate::from_bytes_per_second(1_100_000).scaled(11, 10).scaled(3, 4));
    assert_eq!(c4.state, State::Recovery { congested: true });
}

#[test]
fn persistent_congestion_leaves_the_least_window_and_begins_anew() {
    let mut link = Link::new(20, 40);
    link.run(2_000, LimitedBy::Window);
    let lost = CongestionEvent {
        bytes_lost: 10_000,
        packets_lost: 9,
        persistent: true,
        ..CongestionEvent::new(link.now, &link.rtt)
    };
    link.c4.on_congestion_event(&lost);
    assert_eq!((link.c4.window(), link.c4.state), (2_400, State::Initial { flat: 0 }));
    link.run(4_000, LimitedBy::Window);
    let got = link.megabits(1_000);
    assert!(got > 18.0, "{got}");
}
