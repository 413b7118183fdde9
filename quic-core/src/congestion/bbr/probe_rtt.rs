//! `ProbeRTT` (draft §5.3.4): the least round-trip time of the last ten seconds. If no sample came near it
//! for five seconds, the path is drained to measure it.

use std::time::Duration;

use super::{
    memory::{AckPhase, ProbeRtt},
    model::{Sample, State, WINDOW_GAIN},
    state::Bbr3,
};
use crate::base::Timestamp;

/// The least time for which the path is left half empty.
const DURATION: Duration = Duration::from_millis(200);
impl Bbr3 {
    pub(super) fn check_probe_rtt(&mut self, sample: &Sample, expired: bool) {
        if self.state != State::ProbeRtt && expired && !self.idle_restart {
            self.save_window();
            self.state = State::ProbeRtt;
            self.probe_rtt = ProbeRtt { rate: self.rates.latest, ..ProbeRtt::default() };
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.rounds.begin();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(sample);
        }
        if sample.delivered > 0 {
            self.idle_restart = false;
        }
    }

    fn handle_probe_rtt(&mut self, sample: &Sample) {
        let delivered = self.rounds.delivered;
        let from = self.probe_rtt.held_back.map_or(delivered, |(from, _)| from);
        self.probe_rtt.held_back = Some((from, delivered.saturating_add(sample.in_flight)));
        match self.probe_rtt.done_at {
            None if sample.in_flight <= self.probe_rtt_window() => {
                self.probe_rtt.done_at = Some(sample.now + DURATION);
                self.probe_rtt.round_done = false;
                self.rounds.begin();
            }
            None => {}
            Some(_) => {
                self.probe_rtt.round_done |= self.rounds.started;
                if self.probe_rtt.round_done {
                    self.check_probe_rtt_done(sample.now);
                }
            }
        }
    }

    pub(super) fn check_probe_rtt_done(&mut self, now: Timestamp) {
        if self.probe_rtt.done_at.is_none_or(|done_at| now <= done_at) {
            return;
        }
        self.min_rtt.short.at = now;
        self.probe_rtt.done_at = None;
        self.restore_window();
        // What was measured with the path half empty says nothing about it.
        self.reset_shortterm();
        if self.full_pipe.reached {
            self.start_down(now);
            self.start_cruise();
        } else {
            self.enter_startup();
        }
    }

    pub(super) fn probe_rtt_window(&self) -> u64 {
        self.bdp_multiple(self.probe_rtt.rate.min(self.rates.bw), WINDOW_GAIN).max(self.least_window())
    }
}
