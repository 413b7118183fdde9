//! Acknowledgments that come in heaps (draft §5.5.9): how much more than expected arrives at once, and is hence missing in flight
//! until the next heap.

use super::{model::Sample, state::Bbr3};

/// For so many round trips a heap is remembered; in `Startup`, where the rate grows, for one.
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
        // What arrives at once was in flight, which the draft does not ask for: it bounds this by the window alone, which then
        // grows by what it is bounded by.
        let most = self.control.window.min(self.aggregation.peak);
        let extra = delivered.saturating_sub(expected).min(most);
        let window = if self.full_pipe.reached { ROUNDS } else { 1 };
        self.aggregation.extra_acked = self.aggregation.filter.update(extra, self.rounds.count, window);
    }
}
