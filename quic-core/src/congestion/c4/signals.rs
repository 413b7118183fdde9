//! What counts as congestion, and by how much it lowers the rate (draft-huitema-ccwg-c4-spec-02 §5).
//!
//! Flows with a higher rate react to less, so that flows that share a bottleneck come to similar rates. Owns
//! the smoothed shares of losses and marks. It must never know the states.

use std::time::Duration;

use crate::{base::Rate, congestion::CongestionEvent};

/// The largest reduction at once.
const MOST: f64 = 0.25;
/// Over how many packets losses are smoothed, and over how many evaluations marks are.
const SMOOTHING: f64 = 1.0 / 16.0;
/// How many packets one evaluation of marks covers. The draft evaluates each ACK frame, for senders whose ACK
/// frames cover a good part of a round trip. Here an ACK frame covers two packets, and a single mark would be
/// half of them.
const LOOK: u64 = 16;
const MOST_DELAY: Duration = Duration::from_millis(25);

/// Congestion, and the share of the rate to take off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Signal {
    /// A round-trip time longer than the path's longest.
    Delay(f64),
    /// More losses than chance explains.
    Loss(f64),
    /// Marks.
    Marks(f64),
}

impl Signal {
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Delay(share) | Self::Loss(share) | Self::Marks(share) => share,
        }
    }
}

/// How strongly a flow of this rate reacts, from 0 to 1.
fn sensitivity(rate: Rate) -> f64 {
    let rate = rate.bytes_per_second() as f64;
    let between = |from: f64, to: f64| ((rate - from) / (to - from)).clamp(0.0, 1.0);
    0.92 * between(50e3, 1e6) + 0.08 * between(1e6, 10e6)
}

/// The smoothed shares of losses and marks on one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signals {
    losses: f64,
    marks: f64,
    /// The packets since the last evaluation that were sent with an ECN codepoint, and how many of them were
    /// marked.
    packets: u64,
    marked: u64,
}

impl Signals {
    /// Handles an event. `longest` is the longest round-trip time that the path has without a queue.
    pub(super) fn on_event(
        &mut self,
        event: &CongestionEvent<'_>,
        rate: Rate,
        longest: Option<Duration>,
        mtu: u16,
    ) -> Option<Signal> {
        let sensitivity = sensitivity(rate);
        // All three keep their counts. Losses take precedence over marks, and marks over delay.
        let delay = longest.and_then(|longest| on_delay(event, sensitivity, longest));
        let marks = self.on_marks(event, sensitivity);
        self.on_losses(event, sensitivity, mtu).or(marks).or(delay)
    }

    /// The rate was lowered for a mark or a loss.
    pub(super) fn on_answered(&mut self) {
        (self.marks, self.packets, self.marked) = (0.0, 0, 0);
    }

    /// How close marks are to their limit, from 0 for none to 1.
    pub(super) fn marked(&self, rate: Rate) -> f64 {
        (self.marks / most_marks(sensitivity(rate))).min(1.0)
    }

    fn on_losses(&mut self, event: &CongestionEvent<'_>, sensitivity: f64, mtu: u16) -> Option<Signal> {
        // A packet that a timer declares lost may just be late (§5.3.1).
        if event.bytes_acked == 0 {
            return None;
        }
        for _ in 0..event.packets_lost.min(256) {
            self.losses += SMOOTHING * (1.0 - self.losses);
        }
        let news = event.packets_lost > 0 && self.losses > 0.02 + 0.5 * (1.0 - sensitivity);
        let arrived = event.bytes_acked.div_ceil(u64::from(mtu.max(1))).min(256);
        self.losses *= (1.0 - SMOOTHING).powi(arrived as i32);
        news.then_some(Signal::Loss(MOST))
    }

    fn on_marks(&mut self, event: &CongestionEvent<'_>, sensitivity: f64) -> Option<Signal> {
        self.packets += event.ecn_acked.max(event.ce_delta);
        self.marked += event.ce_delta;
        if self.packets < LOOK {
            return None;
        }
        let share = self.marked as f64 / self.packets as f64;
        (self.packets, self.marked) = (0, 0);
        if share >= 0.5 {
            self.marks = share;
        } else {
            self.marks += SMOOTHING * (share - self.marks);
        }
        let most = most_marks(sensitivity);
        (self.marks > most).then(|| Signal::Marks(MOST.min((self.marks - most) / most)))
    }
}

fn most_marks(sensitivity: f64) -> f64 {
    (2.0 - sensitivity) * 3.0 / 32.0
}

fn on_delay(event: &CongestionEvent<'_>, sensitivity: f64, longest: Duration) -> Option<Signal> {
    let margin = longest.mul_f64((1.0 + 3.0 * (1.0 - sensitivity)) / 16.0).min(MOST_DELAY);
    let excess = event.rtt_sample?.checked_sub(longest + margin).filter(|excess| !excess.is_zero())?;
    Some(Signal::Delay(MOST.min(excess.as_secs_f64() / margin.as_secs_f64().max(1e-6))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Timestamp, congestion::Rtt};

    const SLOW: Rate = Rate::from_bytes_per_second(10_000);
    const FAST: Rate = Rate::from_bytes_per_second(20_000_000);

    fn event(rtt: &Rtt, sample: u64) -> CongestionEvent<'_> {
        let rtt_sample = Some(Duration::from_micros(sample));
        CongestionEvent { rtt_sample, bytes_acked: 2_000, ..CongestionEvent::new(Timestamp::ORIGIN, rtt) }
    }

    #[test]
    fn faster_flows_react_to_less_delay_in_proportion_to_its_excess() {
        let (rtt, longest) = (Rtt::default(), Some(Duration::from_millis(64)));
        let mut signals = Signals::default();
        // The limit is a sixteenth of the longest round-trip time for fast flows, and a quarter for slow
        // ones.
        assert_eq!(signals.on_event(&event(&rtt, 68_000), FAST, longest, 1_000), None);
        assert_eq!(signals.on_event(&event(&rtt, 68_400), FAST, longest, 1_000), Some(Signal::Delay(0.1)));
        assert_eq!(signals.on_event(&event(&rtt, 90_000), FAST, longest, 1_000), Some(Signal::Delay(0.25)));
        assert_eq!(signals.on_event(&event(&rtt, 80_000), SLOW, longest, 1_000), None);
        assert_eq!(signals.on_event(&event(&rtt, 90_000), SLOW, None, 1_000), None);
        let (mut last, most) = (-1.0, [10_000, 50_000, 525_000, 1_000_000, 5_500_000, 10_000_000]);
        for rate in most.map(Rate::from_bytes_per_second) {
            assert!(sensitivity(rate) >= last);
            last = sensitivity(rate);
        }
        assert!((last - 1.0).abs() < 1e-9);
    }

    #[test]
    fn single_losses_are_chance_for_slow_flows_and_timer_losses_do_not_count() {
        let rtt = Rtt::default();
        let lost = |packets| CongestionEvent { bytes_lost: 1_000, packets_lost: packets, ..event(&rtt, 0) };
        let mut signals = Signals::default();
        assert_eq!(signals.on_event(&lost(2), SLOW, None, 1_000), None);
        assert_eq!(signals.on_event(&lost(20), SLOW, None, 1_000), Some(Signal::Loss(0.25)));
        let mut signals = Signals::default();
        let timer = CongestionEvent { bytes_acked: 0, ..lost(20) };
        assert_eq!(signals.on_event(&timer, FAST, None, 1_000), None);
        assert_eq!(signals.on_event(&lost(1), FAST, None, 1_000), Some(Signal::Loss(0.25)));
    }

    #[test]
    fn marks_count_above_a_share_and_many_of_them_at_once() {
        let rtt = Rtt::default();
        let marked = |ce_delta| CongestionEvent { ce_delta, ecn_acked: 8, ..event(&rtt, 0) };
        let mut signals = Signals::default();
        assert_eq!(signals.on_event(&marked(8), FAST, None, 1_000), None, "too few packets for a share");
        assert_eq!(signals.on_event(&marked(0), FAST, None, 1_000), Some(Signal::Marks(0.25)));
        signals.on_answered();
        assert_eq!(signals.on_event(&marked(4), FAST, None, 1_000), None);
        assert_eq!(signals.on_event(&marked(3), FAST, None, 1_000), None);
        assert!((signals.marked(FAST) - 7.0 / 256.0 / 0.09375).abs() < 1e-9);
        signals.on_answered();
        assert_eq!(signals.marked(FAST), 0.0);
    }
}
