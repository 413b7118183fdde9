//! `Drain` (draft §5.3.2): sends at half the path's rate until only as much is in flight as the path itself
//! holds.

use super::{
    model::{Sample, State},
    state::Bbr3,
};

/// After this many rounds the estimate of `Startup` must be wrong, and not the queue too long.
const MAX_ROUNDS: u64 = 3;

impl Bbr3 {
    pub(super) fn enter_drain(&mut self) {
        self.state = State::Drain;
        self.drain_start_round = self.rounds.count;
    }

    pub(super) fn check_drain_done(&mut self, sample: &Sample) {
        if self.state != State::Drain {
            return;
        }
        let drained = sample.in_flight <= self.inflight(self.rates.bw, 1.0);
        if drained || self.rounds.count > self.drain_start_round + MAX_ROUNDS {
            self.start_down(sample.now);
        }
    }
}
