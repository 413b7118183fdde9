//! The rate that the path has shown to carry.
//!
//! When the application sends little, samples say nothing about the path's limit. Such samples raise the rate
//! and never lower it, and the estimate does not age meanwhile.

use std::time::Duration;

use crate::{
    base::{Rate, Timestamp},
    congestion::RateSample,
};

/// The nominal rate is the highest of this many to twice as many round trips.
const ROUNDS: u32 = 6;
/// The best recent rate is the highest of one to two of these times, but at least of this many round trips.
const LATE: Duration = Duration::from_secs(10);
const LATE_ROUNDS: u32 = 64;

/// The highest rate of two periods.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    now: Rate,
    before: Rate,
}

impl Highest {
    fn raise(&mut self, rate: Rate) {
        self.now = self.now.max(rate);
    }

    fn turn(&mut self) {
        (self.before, self.now) = (self.now, Rate::ZERO);
    }

    fn get(&self) -> Rate {
        self.now.max(self.before)
    }
}

/// What is known of a path's rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct NominalRate {
    nominal: Highest,
    rounds: u32,
    /// Whether the running round trip had a sample that the application did not limit.
    tested: bool,
    best: Highest,
    best_since: Timestamp,
}

impl NominalRate {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            nominal: Highest::default(),
            rounds: 0,
            tested: false,
            best: Highest::default(),
            best_since: now,
        }
    }

    pub(super) fn on_sample(&mut self, sample: &RateSample) {
        let Some(rate) = sample.rate else { return };
        self.tested |= !sample.is_app_limited;
        self.nominal.raise(rate);
        self.best.raise(rate);
    }

    /// A round trip is over; `smoothed` is the smoothed round-trip time.
    pub(super) fn on_round(&mut self, now: Timestamp, smoothed: Duration) {
        if !std::mem::take(&mut self.tested) {
            return;
        }
        self.rounds += 1;
        if self.rounds >= ROUNDS {
            self.rounds = 0;
            self.nominal.turn();
        }
        if now.saturating_since(self.best_since) > LATE.max(smoothed * LATE_ROUNDS) {
            self.best_since = now;
            self.best.turn();
        }
    }

    /// Forgets the nominal rate, which no longer holds.
    pub(super) fn forget(&mut self) {
        (self.nominal, self.rounds) = (Highest::default(), 0);
    }

    /// The rate that the path carries for this flow.
    pub(super) fn get(&self) -> Rate {
        self.nominal.get()
    }

    /// The best rate of the path during the last 10 to 20 s.
    pub(super) fn best(&self) -> Rate {
        self.best.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: u64, is_app_limited: bool) -> RateSample {
        RateSample {
            rate: Some(Rate::from_bytes_per_second(rate)),
            delivered: 1_000,
            interval: Duration::from_millis(40),
            lost: 0,
            prior_delivered: 0,
            in_flight: 1_000,
            is_app_limited,
        }
    }

    fn rounds(rate: &mut NominalRate, count: u64, value: u64, is_app_limited: bool) -> u64 {
        for round in 0..count {
            rate.on_sample(&sample(value, is_app_limited));
            rate.on_round(Timestamp::from_nanos(1 + round * 40_000_000), Duration::from_millis(40));
        }
        rate.get().bytes_per_second()
    }

    #[test]
    fn the_estimate_survives_idle_times_and_not_a_narrower_path() {
        let mut rate = NominalRate::new(Timestamp::ORIGIN);
        assert_eq!(rounds(&mut rate, 20, 1_000_000, false), 1_000_000);
        assert_eq!(rounds(&mut rate, 200, 10_000, true), 1_000_000, "idle times say nothing of the path");
        assert_eq!(rounds(&mut rate, 1, 2_000_000, true), 2_000_000, "but a higher rate counts");
        assert_eq!(rounds(&mut rate, 12, 500_000, false), 500_000);
        assert_eq!(rate.best().bytes_per_second(), 2_000_000);
    }
}
