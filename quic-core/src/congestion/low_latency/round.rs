//! Round trips, counted by delivered bytes.

use crate::congestion::RateSample;

/// Detects where one round trip ends and the next begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// A packet that was sent after this many bytes had been delivered ends the round trip.
    until: u64,
    count: u64,
}

impl Rounds {
    /// Returns whether this sample ends a round trip.
    pub(super) fn on_sample(&mut self, sample: &RateSample) -> bool {
        if sample.prior_delivered < self.until {
            return false;
        }
        self.until = sample.prior_delivered.saturating_add(sample.delivered);
        self.count += 1;
        true
    }

    /// How many round trips there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
