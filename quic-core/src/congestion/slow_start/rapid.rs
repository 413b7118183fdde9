//! Rapid start (draft-kazuho-ccwg-rapid-start-02). The first flight is twice the usual size, and spread over
//! a round trip. Then the window triples each round trip as long as no queue grows, and doubles from then on.
//!
//! A rising delay ends it as it ends `HyStart++`, which the draft permits. A loss or a mark reduces the
//! window to a share of what was delivered ([`Landing`]). Where we depart from the draft: the usual initial
//! window of the first flight leaves at once, as in RFC 9002 §7.7, and only the second half is spread.

use std::time::Duration;

use super::{HyStart, Landing, Quarters, SlowStart, Step};
use crate::{
    base::Rate,
    congestion::{CongestionEvent, FlightPeak, initial_window},
};

/// A queue counts as growing if no recent sample is within this, or within a tenth, of the shortest.
const QUEUE: Duration = Duration::from_millis(4);

/// The state of one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct RapidStart {
    hystart: HyStart,
    /// How much of the usual initial window has arrived.
    arrived: Arrived,
    /// Whether packets wait in a queue.
    queued: bool,
}

/// The progress of the first flight.
#[derive(Clone, Copy, Debug)]
enum Arrived {
    /// This many bytes of the usual initial window have arrived.
    Bytes(u64),
    /// The whole initial window has arrived.
    All,
}

impl Default for Arrived {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl RapidStart {
    /// The state for a path that is in use.
    pub(super) fn in_use() -> Self {
        Self { arrived: Arrived::All, ..Self::default() }
    }

    fn is_spreading(&self) -> bool {
        matches!(self.arrived, Arrived::Bytes(_))
    }
}

impl SlowStart for RapidStart {
    fn initial_window(&self, mtu: u16) -> u64 {
        2 * initial_window(mtu)
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step {
        if let Arrived::Bytes(bytes) = &mut self.arrived {
            *bytes = bytes.saturating_add(event.bytes_acked);
            if *bytes >= initial_window(mtu) {
                self.arrived = Arrived::All;
            }
        }
        let step = self.hystart.on_ack(event, window, mtu);
        let shortest = event.rtt.min();
        self.queued = self.hystart.recent() > shortest + QUEUE.min(shortest / 10);
        match step {
            Step::Grow(Quarters::DOUBLE) if !self.queued => Step::Grow(Quarters::TRIPLE),
            step => step,
        }
    }

    fn on_congestion(
        &mut self,
        event: &CongestionEvent<'_>,
        window: u64,
        mtu: u16,
        beta: f64,
    ) -> Option<Landing> {
        Some(Landing::converging(window, event.prior_in_flight, mtu, beta))
    }

    fn limit(&self, peak: FlightPeak) -> u64 {
        if self.queued { peak.slow_start_limit() } else { peak.bytes().saturating_mul(3) }
    }

    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        Some(Rate::from_bytes_in(window, smoothed.filter(|_| self.is_spreading())?))
    }

    fn is_conservative(&self) -> bool {
        self.hystart.is_conservative()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Timestamp, congestion::Rtt};

    const MTU: u16 = 1_000;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Passes a round trip of `samples` acknowledgments of a datagram each, all after `delay`.
    fn round(start: &mut RapidStart, rtt: &mut Rtt, now: &mut Timestamp, delay: u64, samples: u32) -> Step {
        let mut step = Step::Exit;
        let sent = *now;
        *now += ms(delay);
        rtt.on_sample(ms(delay), Duration::ZERO, true, Duration::ZERO, *now);
        for nth in 0..samples {
            *now += Duration::from_micros(1);
            let event = CongestionEvent {
                bytes_acked: 1_000,
                rtt_sample: Some(ms(delay)),
                newest_acked_sent: Some(if nth == 0 { *now } else { sent }),
                ..CongestionEvent::new(*now, rtt)
            };
            step = start.on_ack(&event, 0, MTU);
        }
        step
    }

    #[test]
    fn the_first_flight_is_spread_over_a_round_trip() {
        let (mut start, mut rtt) = (RapidStart::default(), Rtt::default());
        assert_eq!(start.initial_window(MTU), 20_000);
        let rate = start.pacing_rate(20_000, Some(ms(40))).unwrap();
        assert_eq!(rate.bytes_per_second(), 500_000);
        assert_eq!(start.pacing_rate(20_000, None), None, "there is no sample yet");
        round(&mut start, &mut rtt, &mut Timestamp::from_nanos(1), 40, 9);
        assert!(start.pacing_rate(20_000, Some(ms(40))).is_some());
        round(&mut start, &mut rtt, &mut Timestamp::from_nanos(1), 40, 1);
        assert_eq!(start.pacing_rate(20_000, Some(ms(40))), None, "the usual initial window has arrived");
        assert_eq!(RapidStart::in_use().pacing_rate(20_000, Some(ms(40))), None);
    }

    #[test]
    fn a_queue_of_four_milliseconds_or_a_tenth_ends_only_tripling() {
        for (base, queue) in [(200, 4), (20, 2)] {
            let (mut start, mut rtt, mut now) =
                (RapidStart::default(), Rtt::default(), Timestamp::from_nanos(1));
            let peak = FlightPeak::new(10_000);
            for _ in 0..5 {
                let step = round(&mut start, &mut rtt, &mut now, base, 8);
                assert_eq!((step, start.limit(peak)), (Step::Grow(Quarters::TRIPLE), 30_000));
            }
            let step = round(&mut start, &mut rtt, &mut now, base + queue, 8);
            assert_eq!(step, Step::Grow(Quarters::TRIPLE), "{base}");
            let step = round(&mut start, &mut rtt, &mut now, base + queue + 1, 8);
            assert_eq!((step, start.limit(peak)), (Step::Grow(Quarters::DOUBLE), 20_000), "{base}");
            let step = round(&mut start, &mut rtt, &mut now, base, 8);
            assert_eq!(step, Step::Grow(Quarters::TRIPLE), "the queue is gone");
        }
    }

    #[test]
    fn a_rising_delay_ends_it_like_hystart() {
        let (mut start, mut rtt, mut now) = (RapidStart::default(), Rtt::default(), Timestamp::from_nanos(1));
        round(&mut start, &mut rtt, &mut now, 40, 8);
        for _ in 0..5 {
            let step = round(&mut start, &mut rtt, &mut now, 60, 8);
            assert_eq!((step, start.is_conservative()), (Step::Grow(Quarters::CAREFULLY), true));
        }
        // The first acknowledgment of the sixth round.
        assert_eq!(round(&mut start, &mut rtt, &mut now, 60, 1), Step::Exit);
    }
}
