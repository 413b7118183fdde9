//! Aggregation of acknowledgments (draft §5.5.9): how much more than expected arrives at once. That much must
//! be in flight in addition, to keep the path full until the next bunch of acknowledgments.

use super::{model::Sample, state::Bbr3};

/// How many round trips a bunch is remembered. In `Startup`, where the rate grows, it is one.
const ROUNDS: u64 = 10;

impl Bbr3 {
    pub(super) fn update_aggregation(&mut self, sample: &Sample) {
        let interval = sample.now.saturating_since(self.aggregation.start).as_secs_f64();
        let mut expected = (self.rates.bw * interval) as u64;
        if self.aggregation.delivered <= expected {
            self.aggregation.restart(sample.now);
            expected = 0;
        }
        let delivered = self.aggregation.delivered.saturating_add(sample.newly_acked);
        self.aggregation.delivered = delivered;
        self.aggregation.peak = self.aggregation.peak.max(sample.prior_in_flight);
        // Bytes that arrive at once were in flight, so the peak in flight bounds them. The draft uses the
        // window alone as a bound, and the window then grows by the value that it bounds.
        let most = self.control.window.min(self.aggregation.peak);
        let extra = delivered.saturating_sub(expected).min(most);
        let window = if self.full_pipe.reached { ROUNDS } else { 1 };
        self.aggregation.extra_acked = self.aggregation.filter.update(extra, self.rounds.count, window);
    }
}
