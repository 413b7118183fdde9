//! Copa (Arun and Balakrishnan, NSDI 2018), with the competitive mode of the paper.
//!
//! The target rate is one datagram per `delta` times the queueing delay. The window moves towards it, at
//! first by one datagram per `delta` in a round trip, and faster while it keeps its direction. If the queue
//! is not nearly empty at least once in five round trips, other flows fill it. Then `delta` falls: its
//! inverse grows by one in each round trip without a loss, and is halved by a loss.
//!
//! Where we depart from the paper: the window moves by at most an eighth of itself in a round trip. The
//! effect of a step shows one and a half round trips later, and steps that double until then would overshoot
//! as far as they had to go. Against the direction of the last round trip it moves slowly at once. A round
//! trip that loses more than a sixteenth reduces the window by three tenths, because delay shows neither
//! short queues nor policers. Persistent congestion counts as in RFC 9002 §7.6, packets are not ECN-capable,
//! and the window grows no further than what is used of it permits.

use std::time::Duration;

use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    episode::Meter, initial_window, minimum_window, recent::Recent,
};
use crate::base::{Ecn, Rate, Timestamp};

/// The inverse of `delta` if nobody else fills the queue.
const CALM: f64 = 2.0;
/// The largest inverse of `delta`. A queue of a thousand datagrams is nobody's fair share.
const MOST: f64 = 1_024.0;
/// The shortest round-trip time is taken over ten seconds, in periods of this length.
const BASE_PART: Duration = Duration::from_secs(2);
const BASE_PARTS: usize = 5;
/// The standing round-trip time is the shortest within half a smoothed one, in this many periods.
const STANDING_PARTS: usize = 4;
/// A queue is nearly empty below a tenth of its range over four round trips.
const MOST_PARTS: usize = 4;
const NEARLY_EMPTY: u32 = 10;
/// Other flows fill the queue if it was not nearly empty for this many round trips.
const CROWDED: u32 = 5;
/// After how many round trips in one direction the window moves faster.
const STEADY: u32 = 3;
/// The most that the window moves in a round trip, as a share of itself.
const FASTEST: f64 = 1.0 / 8.0;
/// A larger share of losses is not due to chance,
const MOST_LOST: f64 = 1.0 / 16.0;
/// and leaves this share of the window.
const LEFT: f64 = 0.7;
/// The shortest round-trip time, because zero would give an unbounded rate.
const MIN_RTT: Duration = Duration::from_micros(10);

/// The direction in which the window moves, and how fast.
#[derive(Clone, Copy, Debug)]
struct Velocity {
    factor: f64,
    up: bool,
    /// How many round trips it has moved in this direction.
    rounds: u32,
    /// The window when the round trip began.
    from: f64,
}

impl Velocity {
    /// A round trip is over, with this window. In the next one it may move by `most` steps.
    fn on_round(&mut self, window: f64, most: f64) {
        let up = window > self.from;
        if up == self.up {
            self.rounds = self.rounds.saturating_add(1);
            if self.rounds >= STEADY {
                self.factor = (self.factor * 2.0).min(most.max(1.0));
            }
        } else {
            (self.factor, self.rounds) = (1.0, 0);
        }
        (self.up, self.from) = (up, window);
    }

    /// Takes a step up or down. A step against the direction of the round trip is slow.
    fn on_step(&mut self, up: bool, window: f64) {
        if up != self.up && self.factor > 1.0 {
            *self = Self { factor: 1.0, up, rounds: 0, from: window };
        }
    }
}

/// The Copa controller.
#[derive(Clone, Debug)]
pub struct Copa {
    mtu: u16,
    window: f64,
    slow_start: bool,
    untouched: bool,
    velocity: Velocity,
    /// The inverse of `delta`.
    greed: f64,
    base: Recent<BASE_PARTS>,
    standing: Recent<STANDING_PARTS>,
    most: Recent<MOST_PARTS>,
    /// When the running round trip began, how many there were, and in which one the queue was last nearly
    /// empty.
    round: Timestamp,
    rounds: u32,
    emptied: u32,
    /// Losses of packets sent before this time do not halve again.
    halved: Timestamp,
    /// How many bytes of this round trip were lost, and how many arrived.
    lost: u64,
    arrived: u64,
    peak: FlightPeak,
    meter: Meter,
    reductions: u64,
}

impl Copa {
    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn new(path: &NewPath) -> Self {
        let (now, window) = (path.now, initial_window(path.mtu));
        let velocity = Velocity { factor: 1.0, up: true, rounds: 0, from: window as f64 };
        let mut new = Self {
            mtu: path.mtu,
            window: window as f64,
            slow_start: true,
            untouched: true,
            velocity,
            greed: CALM,
            base: Recent::new(now),
            standing: Recent::new(now),
            most: Recent::new(now),
            round: now,
            rounds: 0,
            emptied: 0,
            halved: now,
            lost: 0,
            arrived: 0,
            peak: FlightPeak::new(window),
            meter: Meter::default(),
            reductions: 0,
        };
        if let Some(before) = &path.predecessor {
            let window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
            (new.window, new.velocity.from) = (window as f64, window as f64);
            (new.slow_start, new.untouched) = (before.in_slow_start, false);
            new.peak.raise(window);
            if let Some(min_rtt) = before.min_rtt {
                new.base.push(now, min_rtt, BASE_PART);
            }
        }
        new
    }

    /// Whether other flows fill the queue.
    fn is_crowded(&self) -> bool {
        self.rounds.saturating_sub(self.emptied) > CROWDED
    }

    fn set_window(&mut self, window: f64) {
        let before = self.window();
        let limit = self.peak.slow_start_limit().max(self.peak.avoidance_limit(self.mtu)) as f64;
        let window = if window > self.window { window.min(limit).max(self.window) } else { window };
        self.window = window.clamp(minimum_window(self.mtu) as f64, MAX_WINDOW as f64);
        if self.window() < before {
            self.peak.on_reduced();
        }
    }

    /// Takes a sample into account. Returns the standing round-trip time and the queueing delay in it.
    fn look(&mut self, event: &CongestionEvent<'_>) -> Option<(Duration, Duration)> {
        let (now, smoothed) = (event.now, event.rtt.smoothed().max(MIN_RTT));
        if let Some(sample) = event.rtt_sample {
            self.base.push(now, sample, BASE_PART);
            self.standing.push(now, sample, smoothed / 2 / STANDING_PARTS as u32);
            self.most.push(now, sample, smoothed);
        }
        let (base, standing) = (self.base.least()?, self.standing.least()?);
        let queue = standing.saturating_sub(base);
        let varied = self.most.most()?.saturating_sub(base);
        if queue <= varied / NEARLY_EMPTY {
            self.emptied = self.rounds;
        }
        Some((standing, queue))
    }

    /// A round trip is over.
    fn on_round(&mut self, now: Timestamp) {
        self.round = now;
        self.rounds = self.rounds.saturating_add(1);
        let step = self.greed * f64::from(self.mtu);
        self.velocity.on_round(self.window, self.window * FASTEST / step);
        self.greed = if self.is_crowded() { (self.greed + 1.0).min(MOST) } else { CALM };
        let (lost, arrived) = (std::mem::take(&mut self.lost), std::mem::take(&mut self.arrived));
        if lost as f64 > MOST_LOST * (lost + arrived) as f64 {
            self.slow_start = false;
            self.reductions += 1;
            self.set_window(self.window * LEFT);
            self.velocity = Velocity { factor: 1.0, up: false, rounds: 0, from: self.window };
        }
    }

    /// Takes one step towards the target rate.
    fn steer(&mut self, event: &CongestionEvent<'_>, standing: Duration, queue: Duration) {
        let (mtu, acked) = (f64::from(self.mtu), event.bytes_acked as f64);
        let (standing, queue) = (standing.max(MIN_RTT).as_secs_f64(), queue.as_secs_f64());
        // Compares, in datagrams, what the window sends with one datagram per `delta` of the queueing delay.
        let below = self.window / mtu * queue <= self.greed * standing;
        if self.slow_start {
            if below {
                return self.set_window(self.window + acked);
            }
            self.slow_start = false;
        }
        self.velocity.on_step(below, self.window);
        let step = self.velocity.factor * self.greed * mtu * acked / self.window;
        self.set_window(if below { self.window + step } else { self.window - step });
    }
}

impl Controller for Copa {
    fn on_sent(&mut self, _now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
    }

    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        self.untouched = false;
        self.lost = self.lost.saturating_add(event.bytes_lost);
        if event.persistent {
            self.slow_start = true;
            self.reductions += 1;
            return self.set_window(0.0);
        }
        if self.is_crowded() && event.newest_lost_sent.is_none_or(|sent| sent > self.halved) {
            (self.greed, self.halved) = ((self.greed / 2.0).max(CALM), event.now);
            self.reductions += 1;
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        self.untouched = false;
        self.arrived = self.arrived.saturating_add(event.bytes_acked);
        let Some((standing, queue)) = self.look(event) else { return };
        if event.persistent {
            return;
        }
        if event.newest_acked_sent.is_some_and(|sent| sent >= self.round) {
            self.on_round(event.now);
        }
        self.steer(event, standing, queue);
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.meter.on_app_limited();
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        if self.untouched {
            self.window = initial_window(mtu) as f64;
            self.peak.raise(initial_window(mtu));
        }
        self.window = self.window.max(minimum_window(mtu) as f64);
    }

    fn window(&self) -> u64 {
        self.window as u64
    }

    /// Twice what the window sends, so that only the window limits.
    fn pacing_rate(&self) -> Option<Rate> {
        let standing = self.standing.least()?;
        let rate = Rate::from_bytes_in(self.window(), standing.max(MIN_RTT)).scaled(2, 1);
        Some(rate.max(Rate::from_bytes_per_second(1)))
    }

    fn ecn(&self) -> Ecn {
        Ecn::NotEct
    }

    fn estimate(&self) -> Estimate {
        self.meter.estimate(self.window())
    }

    fn snapshot(&self) -> Snapshot {
        let phase = if self.slow_start { Phase::SlowStart } else { Phase::CongestionAvoidance };
        Snapshot { reductions: self.reductions, ..Snapshot::new("copa", self.window(), phase) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::congestion::{LimitedBy, Rtt};

    const MTU: u16 = 1_200;
    /// The link sends a datagram every half millisecond, and a round trip takes 40 ms without a queue. So it
    /// holds 80 datagrams.
    const STEP: Duration = Duration::from_micros(500);
    const BASE: Duration = Duration::from_millis(40);

    /// A link whose queue is the part of the window that it does not hold, and what other flows put there.
    struct Link {
        copa: Copa,
        rtt: Rtt,
        now: Timestamp,
        /// How long packets waited in our own queue, for each datagram of the last call.
        queues: Vec<Duration>,
        /// The same for datagrams whose acknowledgments are on their way.
        on_the_way: VecDeque<Duration>,
    }

    impl Link {
        fn new() -> Self {
            let now = Timestamp::from_nanos(1_000_000_000);
            let copa = Copa::new(&NewPath::new(now, MTU));
            Self { copa, rtt: Rtt::default(), now, queues: Vec::new(), on_the_way: VecDeque::new() }
        }

        /// Runs for `ms`, with a queue of other flows.
        fn run(&mut self, ms: u64, others: impl Fn(u64) -> Duration) {
            self.queues.clear();
            let begin = self.now;
            while self.now - begin < Duration::from_millis(ms) {
                let window = self.copa.window();
                let packet =
                    SentPacket { bytes: MTU.into(), in_flight: window, limited_by: LimitedBy::Window };
                self.copa.on_sent(self.now, &packet);
                // Each step delivers a part of the window that the link holds, and that part waits for
                // nothing.
                let full = 80 * u64::from(MTU);
                let queue = STEP.mul_f64(window.saturating_sub(full) as f64 / f64::from(MTU));
                self.queues.push(queue);
                self.on_the_way.push_back(queue);
                let arrived = BASE.as_nanos() / STEP.as_nanos();
                let waited = match self.on_the_way.len() as u128 > arrived {
                    true => self.on_the_way.pop_front().unwrap_or_default(),
                    false => Duration::ZERO,
                };
                self.now += STEP;
                let sample = BASE + waited + others((self.now - begin).as_millis() as u64);
                self.rtt.on_sample(sample, Duration::ZERO, true, Duration::ZERO, self.now);
                let event = CongestionEvent {
                    rtt_sample: Some(sample),
                    bytes_acked: u64::from(MTU) * window.min(full) / full,
                    newest_acked_sent: Some(self.now.saturating_sub(sample)),
                    ..CongestionEvent::new(self.now, &self.rtt)
                };
                self.copa.on_congestion_event(&event);
            }
        }

        fn mean_queue(&self) -> Duration {
            self.queues.iter().sum::<Duration>() / self.queues.len() as u32
        }
    }

    #[test]
    fn alone_it_keeps_a_few_datagrams_in_the_queue_and_lets_it_drain() {
        let mut link = Link::new();
        link.run(2_000, |_| Duration::ZERO);
        link.run(10_000, |_| Duration::ZERO);
        assert!(!link.copa.is_crowded());
        let most = link.queues.iter().max().copied().unwrap_or_default();
        assert!(link.mean_queue() < Duration::from_millis(3) && most < Duration::from_millis(8), "{most:?}");
        let least = link.queues.iter().min().copied().unwrap_or_default();
        assert!(least < Duration::from_millis(1), "it drains once in five round trips: {least:?}");
        assert!(link.copa.window() >= 79 * u64::from(MTU), "and the link is full: {}", link.copa.window());
    }

    #[test]
    fn beside_a_queue_that_never_drains_it_takes_more_until_something_is_lost() {
        let mut link = Link::new();
        link.run(2_000, |_| Duration::ZERO);
        // Other loss-based flows fill the queue, yield and come back.
        let others = |ms: u64| Duration::from_millis(40 + ms % 1_000 / 25);
        link.run(3_000, others);
        assert!(link.copa.is_crowded() && link.copa.greed > 10.0, "{}", link.copa.greed);
        let greed = link.copa.greed;
        let lost = CongestionEvent {
            bytes_lost: 1_200,
            packets_lost: 1,
            newest_lost_sent: Some(link.now),
            ..CongestionEvent::new(link.now, &link.rtt)
        };
        link.copa.on_congestion_event(&lost);
        assert_eq!(link.copa.greed, greed / 2.0);
        link.copa.on_congestion_event(&lost);
        assert_eq!(link.copa.greed, greed / 2.0, "one loss in one round trip");
        link.run(2_000, |_| Duration::ZERO);
        assert_eq!((link.copa.is_crowded(), link.copa.greed), (false, CALM), "the others are gone");
    }

    #[test]
    fn the_window_moves_faster_once_it_went_one_way_for_three_round_trips() {
        let mut velocity = Velocity { factor: 1.0, up: true, rounds: 0, from: 10.0 };
        let factors = [11.0, 12.0, 13.0, 14.0, 15.0, 13.0, 12.0, 11.0, 10.0].map(|window| {
            velocity.on_round(window, 4.0);
            velocity.factor
        });
        assert_eq!(factors, [1.0, 1.0, 2.0, 4.0, 4.0, 1.0, 1.0, 1.0, 2.0]);
        velocity.on_step(false, 9.0);
        assert_eq!(velocity.factor, 2.0);
        velocity.on_step(true, 9.0);
        assert_eq!((velocity.factor, velocity.up), (1.0, true));
    }

    /// This also holds where no delay shows the congestion.
    #[test]
    fn a_round_trip_with_many_losses_takes_a_part_of_the_window_once() {
        let mut link = Link::new();
        link.run(2_000, |_| Duration::ZERO);
        let before = link.copa.window();
        for lost in [4, 8] {
            let event = CongestionEvent {
                bytes_lost: lost * 1_200,
                packets_lost: lost as u32,
                newest_lost_sent: Some(link.now),
                ..CongestionEvent::new(link.now, &link.rtt)
            };
            link.copa.on_congestion_event(&event);
            link.run(45, |_| Duration::ZERO);
            let left = link.copa.window() as f64 / before as f64;
            assert!(if lost == 4 { left > 0.9 } else { (0.6..0.8).contains(&left) }, "{lost}: {left}");
        }
    }

    #[test]
    fn single_losses_change_nothing_and_persistent_congestion_begins_anew() {
        let mut link = Link::new();
        link.run(2_000, |_| Duration::ZERO);
        let before = link.copa.window();
        let lost = CongestionEvent {
            bytes_lost: 1_200,
            packets_lost: 1,
            newest_lost_sent: Some(link.now),
            ..CongestionEvent::new(link.now, &link.rtt)
        };
        link.copa.on_congestion_event(&lost);
        assert_eq!(link.copa.window(), before);
        link.copa.on_congestion_event(&CongestionEvent { persistent: true, ..lost });
        assert_eq!((link.copa.window(), link.copa.snapshot().phase), (2_400, Phase::SlowStart));
    }
}
