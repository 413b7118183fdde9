//! `HyStart++` (RFC 9406): leaves slow start when the round-trip time rises, before packets are lost.
//!
//! A round is detected by send times instead of packet numbers: it ends when a packet is acknowledged that
//! was sent after the round began. That is equivalent on one path, and needs no packet number space.
//!
//! The current delay is the minimum of the last eight samples, not of the running round. A paced round begins
//! with a short queue, so its minimum would hide the growing queue until the next round, which is too late
//! for buffers of one bandwidth-delay product.

use std::time::Duration;

use super::{Quarters, SlowStart, Step};
use crate::{base::Timestamp, congestion::CongestionEvent};

/// RFC 9406 §4.3. With pacing, L is infinite: growth per ACK is not limited.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: usize = 8;
const CSS_ROUNDS: u32 = 5;

#[derive(Clone, Copy, Debug)]
struct Conservative {
    /// The round-trip time that looked like a rise of the delay.
    baseline: Duration,
    /// How many rounds this phase has had, the running one included.
    rounds: u32,
}

/// The state of a path's first slow start.
#[derive(Clone, Debug, Default)]
pub(crate) struct HyStart {
    round_start: Option<Timestamp>,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    /// The latest samples of the round, as a ring buffer.
    recent: [Duration; N_RTT_SAMPLE],
    samples: usize,
    conservative: Option<Conservative>,
}

impl HyStart {
    /// Handles one acknowledgment; `sent` is when the newest newly acknowledged packet was sent.
    fn observe(&mut self, now: Timestamp, sent: Option<Timestamp>, sample: Option<Duration>) -> Step {
        let new_round = self.round_start.is_none_or(|start| sent.is_some_and(|sent| sent >= start));
        if new_round {
            self.round_start = Some(now);
            self.last_min = self.current_min.take();
            self.samples = 0;
            if let Some(conservative) = &mut self.conservative {
                if conservative.rounds >= CSS_ROUNDS {
                    return Step::Exit;
                }
                conservative.rounds += 1;
            }
        }
        if let Some(sample) = sample {
            self.current_min = Some(self.current_min.map_or(sample, |min| min.min(sample)));
            self.recent[self.samples % N_RTT_SAMPLE] = sample;
            self.samples += 1;
        }
        self.judge()
    }

    /// The shortest of the last eight samples; zero while there were fewer.
    pub(super) fn recent(&self) -> Duration {
        self.recent.iter().min().copied().unwrap_or_default()
    }

    fn judge(&mut self) -> Step {
        if self.samples < N_RTT_SAMPLE {
            return self.growth();
        }
        let current = self.recent();
        match (self.conservative, self.last_min) {
            // The delay fell again, so the rise was noise.
            (Some(conservative), _) if current < conservative.baseline => self.conservative = None,
            (None, Some(last)) => {
                let threshold = (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
                if current >= last + threshold {
                    self.conservative = Some(Conservative { baseline: current, rounds: 1 });
                }
            }
            _ => {}
        }
        self.growth()
    }

    fn growth(&self) -> Step {
        Step::Grow(if self.is_conservative() { Quarters::CAREFULLY } else { Quarters::DOUBLE })
    }
}

impl SlowStart for HyStart {
    fn on_ack(&mut self, event: &CongestionEvent<'_>, _window: u64, _mtu: u16) -> Step {
        self.observe(event.now, event.newest_acked_sent, event.rtt_sample)
    }

    fn is_conservative(&self) -> bool {
        self.conservative.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW_START: Step = Step::Grow(Quarters::DOUBLE);
    const CONSERVATIVE: Step = Step::Grow(Quarters::CAREFULLY);

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Passes a round of `samples` equal samples. Returns the last answer.
    fn round(hystart: &mut HyStart, now: &mut Timestamp, rtt: Duration, samples: u32) -> Step {
        let mut growth = SLOW_START;
        let sent = *now;
        *now += rtt;
        for nth in 0..samples {
            *now += Duration::from_micros(1);
            // The first acknowledgment is of a packet of the new round. The others are of older packets.
            let sent = if nth == 0 { *now } else { sent };
            growth = hystart.observe(*now, Some(sent), Some(rtt));
            if growth == Step::Exit {
                break;
            }
        }
        growth
    }

    #[test]
    fn a_flat_delay_never_leaves_slow_start() {
        let (mut hystart, mut now) = (HyStart::default(), Timestamp::from_nanos(1));
        for _ in 0..20 {
            assert_eq!(round(&mut hystart, &mut now, ms(40), 8), SLOW_START);
        }
    }

    #[test]
    fn a_rise_needs_eight_samples_and_five_rounds() {
        let (mut hystart, mut now) = (HyStart::default(), Timestamp::from_nanos(1));
        round(&mut hystart, &mut now, ms(40), 8);
        assert_eq!(round(&mut hystart, &mut now, ms(46), 7), SLOW_START);
        // Seven samples decide nothing, but their minimum is the new baseline.
        assert_eq!(round(&mut hystart, &mut now, ms(51), 8), SLOW_START);
        assert_eq!(round(&mut hystart, &mut now, ms(58), 8), CONSERVATIVE);
        for _ in 0..4 {
            assert_eq!(round(&mut hystart, &mut now, ms(58), 8), CONSERVATIVE);
        }
        assert_eq!(round(&mut hystart, &mut now, ms(58), 8), Step::Exit);
    }

    #[test]
    fn slow_start_resumes_when_the_delay_falls_again() {
        let (mut hystart, mut now) = (HyStart::default(), Timestamp::from_nanos(1));
        round(&mut hystart, &mut now, ms(40), 8);
        assert_eq!(round(&mut hystart, &mut now, ms(60), 8), CONSERVATIVE);
        assert_eq!(round(&mut hystart, &mut now, ms(41), 8), SLOW_START);
        assert_eq!(round(&mut hystart, &mut now, ms(41), 8), SLOW_START);
    }

    #[test]
    fn thresholds_are_clamped() {
        for (base, rise, expected) in
            [(8, 3, SLOW_START), (8, 4, CONSERVATIVE), (400, 15, SLOW_START), (400, 16, CONSERVATIVE)]
        {
            let (mut hystart, mut now) = (HyStart::default(), Timestamp::from_nanos(1));
            round(&mut hystart, &mut now, ms(base), 8);
            assert_eq!(round(&mut hystart, &mut now, ms(base + rise), 8), expected, "{base}+{rise}");
        }
    }
}
