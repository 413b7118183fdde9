//! Restart after idle time (draft §5.4): the estimate of the path stays, and the pacing rate is exactly that.

use super::{model::State, state::Bbr3};
use crate::base::Timestamp;

impl Bbr3 {
    /// The first packet after idle time is sent.
    pub(super) fn restart_from_idle(&mut self, now: Timestamp) {
        self.idle_restart = true;
        self.aggregation.restart(now);
        if self.state.is_probe_bw() {
            self.set_pacing_rate(1.0);
        } else if self.state == State::ProbeRtt {
            // The idle time may have been all that `ProbeRTT` needed.
            self.check_probe_rtt_done(now);
            self.bound_bw();
            self.set_pacing_rate(self.state.pacing_gain());
        }
    }
}
