//! Prague (draft-briscoe-iccrg-prague-congestion-control-04): a scalable reaction to marks of low-latency
//! queues (RFC 9331).
//!
//! Packets carry ECT(1). The share of marked packets is smoothed over sixteen virtual round trips, and once
//! in each of them the window is reduced by half of that share. A virtual round trip lasts at least 25 ms,
//! and the window grows and shrinks at that pace, so that short round trips get no advantage. A loss is
//! handled as in `NewReno`, and so is everything without marks.
//!
//! Where we depart from the draft: this controller does not try to tell marks of classic queues from others,
//! which the draft leaves to research. On a path with a classic queue it takes more than its share.
//! `low-latency` does distinguish them.

use std::time::Duration;

use super::{
    CongestionEvent, Controller, Estimate, NewPath, NewReno, Phase, SentPacket, Snapshot, SpuriousLoss,
    episode::Meter, newreno::Saved,
};
use crate::base::{Ecn, Rate, Timestamp};

/// The share of marks is smoothed over this many virtual round trips.
const GAIN: f64 = 1.0 / 16.0;
/// The shortest virtual round trip.
const LEAST_RTT: Duration = Duration::from_millis(25);
/// The longest train at the pacing rate. Longer trains get marks (RFC 9331 §4.3).
const TRAIN: Duration = Duration::from_micros(250);
const MAX_TRAIN: u64 = 64 * 1024;
/// The shortest round-trip time, because zero would give an unbounded rate.
const MIN_RTT: Duration = Duration::from_micros(10);

/// The Prague controller.
#[derive(Clone, Debug)]
pub struct Prague {
    reno: NewReno,
    mtu: u16,
    /// The smoothed share of marked packets; 1 until something is known.
    alpha: f64,
    /// When the running virtual round trip began, how many of its packets were sent with an ECN codepoint,
    /// and how many were marked.
    began: Timestamp,
    packets: u64,
    marked: u64,
    meter: Meter,
    /// Marks of packets sent before this time have had their reduction.
    answered: Option<Timestamp>,
    /// The state from before the first of the marks since the last loss.
    unmarked: Option<Saved>,
    reductions: u64,
}

impl Prague {
    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn new(path: &NewPath) -> Self {
        Self {
            reno: NewReno::for_path(path),
            mtu: path.mtu,
            alpha: 1.0,
            began: path.now,
            packets: 0,
            marked: 0,
            meter: Meter::default(),
            answered: None,
            unmarked: None,
            reductions: 0,
        }
    }

    /// Counts marks, and updates the share when a virtual round trip is over.
    fn count(&mut self, event: &CongestionEvent<'_>) {
        let smoothed = event.rtt.smoothed();
        self.meter.on_event(event);
        self.packets += event.ecn_acked.max(event.ce_delta);
        self.marked += event.ce_delta;
        if self.packets == 0 || event.now.saturating_since(self.began) < smoothed.max(LEAST_RTT) {
            return;
        }
        // Before the first mark there is no share to smooth. That mark is handled like a loss.
        if self.alpha < 1.0 || self.marked > 0 {
            let share = (self.marked as f64 / self.packets as f64).min(1.0);
            self.alpha += GAIN * (share - self.alpha);
        }
        (self.began, self.packets, self.marked) = (event.now, 0, 0);
    }

    /// The share of an acknowledgment that counts for growth: the unmarked part, scaled to a virtual round
    /// trip.
    fn share_of_growth(&self, event: &CongestionEvent<'_>) -> f64 {
        let packets = event.ecn_acked.max(event.ce_delta).max(1);
        let unmarked = 1.0 - event.ce_delta as f64 / packets as f64;
        let short = event.rtt.smoothed().as_secs_f64() / LEAST_RTT.as_secs_f64();
        unmarked * short.min(1.0).powi(2)
    }
}

impl Controller for Prague {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        self.reno.on_sent(now, packet);
    }

    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        self.count(event);
        if event.bytes_lost > 0 || event.persistent {
            self.unmarked = None;
            self.reno.on_loss(event);
        }
        if event.ce_delta > 0 && !event.persistent {
            self.on_ecn_ce(event);
        }
        if event.bytes_acked > 0 {
            self.on_ack(event);
        }
    }

    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        let sent = event.newest_acked_sent.unwrap_or(event.now);
        // Marks of packets sent before, or in the same virtual round trip.
        let recent = |answered| sent <= answered || event.now.saturating_since(answered) < LEAST_RTT;
        if self.answered.is_some_and(recent) {
            return;
        }
        if let Some(before) = self.reno.on_scalable_mark(event, 1.0 - self.alpha / 2.0) {
            self.answered = Some(event.now);
            self.unmarked.get_or_insert(before);
            self.reductions += 1;
        }
    }

    fn on_marks_void(&mut self, _now: Timestamp) {
        self.alpha = 1.0;
        if let Some(before) = self.unmarked.take() {
            self.reno.restore(&before);
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        if self.reno.snapshot().phase != Phase::CongestionAvoidance {
            return self.reno.on_ack(event);
        }
        // The window also grows in the round trip of a mark, because the reductions are small and frequent.
        self.reno.avoid((event.bytes_acked as f64 * self.share_of_growth(event)) as u64);
    }

    fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        self.reno.on_spurious_loss(now, spurious);
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.meter.on_app_limited();
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.reno.on_mtu_changed(mtu);
    }

    fn window(&self) -> u64 {
        self.reno.window()
    }

    /// A little more than what the window sends, so that only the window limits; twice that in slow start.
    fn pacing_rate(&self) -> Option<Rate> {
        let base = Rate::from_bytes_in(self.window(), self.meter.smoothed()?.max(MIN_RTT));
        let rate = match self.reno.snapshot().phase {
            Phase::SlowStart => base.scaled(2, 1),
            _ => base.scaled(17, 16),
        };
        Some(rate.max(Rate::from_bytes_per_second(1)))
    }

    fn send_quantum(&self) -> Option<u64> {
        let least = u64::from(self.mtu);
        Some(self.pacing_rate()?.bytes_in(TRAIN).clamp(least, MAX_TRAIN.max(least)))
    }

    fn ecn(&self) -> Ecn {
        Ecn::Ect1
    }

    fn estimate(&self) -> Estimate {
        self.meter.estimate(self.window())
    }

    fn snapshot(&self) -> Snapshot {
        let reno = self.reno.snapshot();
        Snapshot { name: "prague", reductions: reno.reductions + self.reductions, ..reno }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Rtt;

    const MTU: u16 = 1_000;

    struct Path {
        prague: Prague,
        rtt: Rtt,
        now: Timestamp,
        delay: Duration,
    }

    impl Path {
        /// A path with round trips of `ms`, on which a loss ended slow start with a window of `window`.
        fn new(ms: u64, window: u64) -> Self {
            let (now, delay) = (Timestamp::from_nanos(1_000_000_000), Duration::from_millis(ms));
            let mut rtt = Rtt::default();
            rtt.on_sample(delay, Duration::ZERO, true, Duration::ZERO, now);
            let mut path = Self { prague: Prague::new(&NewPath::new(now, MTU)), rtt, now, delay };
            while path.prague.window() < 2 * window {
                path.round(0);
            }
            path.lose();
            path.round(0);
            path
        }

        /// Loses a datagram.
        fn lose(&mut self) {
            let window = self.prague.window();
            let lost = CongestionEvent {
                bytes_lost: 1_000,
                packets_lost: 1,
                newest_lost_sent: Some(self.now),
                prior_in_flight: window,
                in_flight: window - 1_000,
                ..CongestionEvent::new(self.now, &self.rtt)
            };
            self.prague.on_congestion_event(&lost);
        }

        /// Passes a round trip in which the window arrives in bunches of ten datagrams, `marked` of which are
        /// marked.
        fn round(&mut self, marked: u64) {
            let sent = self.now + Duration::from_nanos(1);
            self.now += self.delay;
            let window = self.prague.window();
            let packet =
                SentPacket { bytes: 1_000, in_flight: window - 1_000, limited_by: Default::default() };
            self.prague.on_sent(sent, &packet);
            for _ in 0..window / 10_000 {
                let event = CongestionEvent {
                    bytes_acked: 10_000,
                    newest_acked_sent: Some(sent),
                    ce_delta: marked,
                    ecn_acked: 10,
                    prior_in_flight: window,
                    in_flight: window,
                    ..CongestionEvent::new(self.now, &self.rtt)
                };
                self.prague.on_congestion_event(&event);
            }
        }
    }

    #[test]
    fn half_of_the_smoothed_share_of_marks_is_taken_off_once_in_a_round_trip() {
        let mut path = Path::new(50, 1_000_000);
        path.prague.alpha = 0.2;
        let before = path.prague.window();
        path.round(2);
        let taken = 1.0 - path.prague.window() as f64 / before as f64;
        // The round trip before had no marks, which reduces the share by a sixteenth.
        assert!((0.093..0.095).contains(&taken), "{taken}");
        for _ in 0..200 {
            path.round(2);
        }
        assert!((path.prague.alpha - 0.2).abs() < 0.01, "{}", path.prague.alpha);
        assert_eq!(path.prague.ecn(), Ecn::Ect1);
    }

    #[test]
    fn marks_are_answered_once_in_a_virtual_round_trip() {
        let mut path = Path::new(5, 200_000);
        path.prague.alpha = 0.2;
        let before = path.prague.snapshot().reductions;
        for _ in 0..50 {
            path.round(1);
        }
        assert_eq!(path.prague.snapshot().reductions - before, 10);
    }

    #[test]
    fn a_round_trip_of_a_fifth_of_the_virtual_one_grows_by_a_twenty_fifth() {
        let grown = |ms, rounds| {
            let mut path = Path::new(ms, 200_000);
            let before = path.prague.window();
            for _ in 0..rounds {
                path.round(0);
            }
            (path.prague.window() - before) / 1_000
        };
        assert!((9..=11).contains(&grown(25, 10)) && (9..=11).contains(&grown(100, 10)));
        assert!((9..=11).contains(&grown(5, 250)), "{}", grown(5, 250));
    }

    #[test]
    fn the_first_mark_ends_slow_start_and_a_loss_halves_whatever_the_share_is() {
        let mut path = Path::new(50, 100_000);
        assert_eq!(path.prague.snapshot().phase, Phase::CongestionAvoidance);
        path.prague.alpha = 0.01;
        let before = path.prague.window();
        path.lose();
        assert_eq!(path.prague.snapshot().ssthresh, Some(before / 2));
        let mut new = Prague::new(&NewPath::new(path.now, MTU));
        let marked = CongestionEvent {
            bytes_acked: 1_000,
            ce_delta: 1,
            ecn_acked: 1,
            newest_acked_sent: Some(path.now),
            ..CongestionEvent::new(path.now + Duration::from_millis(50), &path.rtt)
        };
        new.on_congestion_event(&marked);
        assert_eq!((new.window(), new.snapshot().phase), (5_000, Phase::CongestionAvoidance));
    }

    #[test]
    fn a_mark_makes_the_loss_before_it_final_and_void_marks_are_undone() {
        let mut path = Path::new(50, 100_000);
        path.lose();
        path.round(0);
        path.prague.alpha = 0.2;
        let before = path.prague.window();
        path.round(5);
        let marked = path.prague.window();
        assert!(marked < before);
        let spurious = SpuriousLoss { packets: 9, bytes: 9_000, oldest_lost_at: path.now };
        path.prague.on_spurious_loss(path.now, &spurious);
        assert_eq!(path.prague.window(), marked);
        path.prague.on_marks_void(path.now);
        assert_eq!(path.prague.window(), before);
    }

    #[test]
    fn trains_are_a_quarter_of_a_millisecond() {
        let path = Path::new(50, 1_000_000);
        let (rate, train) = (path.prague.pacing_rate().unwrap(), path.prague.send_quantum().unwrap());
        assert_eq!(train, rate.bytes_in(Duration::from_micros(250)));
        assert_eq!(Path::new(50, 20_000).prague.send_quantum(), Some(1_000));
    }
}
