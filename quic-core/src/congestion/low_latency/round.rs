//! Round trips, counted by what is delivered.

use crate::congestion::RateSample;

/// Tells where one round trip ends and the next begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// A packet that was sent after so many bytes had been delivered ends the round trip.
    until: u64,
    count: u64,
}

impl Rounds {
    /// Whether this sample ends a round trip.
    pub(super) fn on_sample(&mut self, sample: &RateSample) -> bool {
        if sample.prior_delivered < self.until {
            return false;
        }
        self.until = sample.prior_delivered.saturating_add(sample.delivered);
        self.count += 1;
        true
    }

    /// Round trips so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
