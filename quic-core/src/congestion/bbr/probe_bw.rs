//! `ProbeBW` (draft §5.3.3): the cycle of down, cruise, refill and up. Most of a long transfer happens here.

use super::{
    memory::AckPhase,
    model::{Sample, State, UNBOUNDED},
    state::Bbr3,
};
use crate::base::Timestamp;

/// On short paths the next probe comes after as many rounds as `NewReno` needs for one sawtooth, but at most
/// this many.
const MAX_RENO_ROUNDS: u64 = 63;
/// The share of `inflight_longterm` that is left to others while nothing is probed.
const HEADROOM: f64 = 0.15;
const MAX_UP_ROUNDS: u32 = 30;

impl Bbr3 {
    pub(super) fn start_down(&mut self, now: Timestamp) {
        self.reset_congestion_signals();
        self.cycle.up_acked_per_step = UNBOUNDED;
        self.cycle.pick_wait();
        self.cycle.start = now;
        self.cycle.ack_phase = AckPhase::ProbeStopping;
        self.rounds.begin();
        self.state = State::Down;
    }

    pub(super) fn start_cruise(&mut self) {
        self.state = State::Cruise;
    }

    pub(super) fn start_refill(&mut self) {
        self.reset_shortterm();
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.rounds.begin();
        self.state = State::Refill;
    }

    fn start_up(&mut self, sample: &Sample) {
        self.cycle.is_probe_sample = true;
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.rounds.begin();
        self.full_pipe.restart(sample.rate);
        self.state = State::Up;
        self.raise_slope();
    }

    /// Runs the state machine on each acknowledgment (draft §5.3.3.9).
    pub(super) fn update_cycle(&mut self, sample: &Sample) {
        if !self.full_pipe.reached || self.adapt_longterm(sample) {
            return;
        }
        let state = self.state;
        match state {
            State::Down | State::Cruise if self.is_time_to_probe(sample.now) => self.start_refill(),
            State::Down if self.is_time_to_cruise(sample) => self.start_cruise(),
            State::Refill if self.rounds.started => self.start_up(sample),
            State::Up if self.is_time_to_go_down(sample) => {
                self.cycle.too_high = false;
                self.start_down(sample.now);
            }
            _ => {}
        }
    }

    fn is_time_to_probe(&self, now: Timestamp) -> bool {
        let reno_rounds = (self.target_inflight() / u64::from(self.mtu.max(1))).min(MAX_RENO_ROUNDS);
        now.saturating_since(self.cycle.start) > self.cycle.wait
            || self.cycle.rounds_since_probe >= reno_rounds
    }

    fn is_time_to_cruise(&self, sample: &Sample) -> bool {
        sample.in_flight <= self.inflight_with_headroom()
            && sample.in_flight <= self.inflight(self.rates.max.get(), 1.0)
    }

    fn is_time_to_go_down(&mut self, sample: &Sample) -> bool {
        // Checked before the acknowledgment, and to within a datagram, because the window keeps the bytes in
        // flight from going beyond.
        let reached = sample.prior_in_flight.saturating_add(u64::from(self.mtu)) > self.volumes.longterm;
        if self.cycle.too_high && reached {
            self.cycle.precautionary = true;
            return true;
        }
        if self.is_held_by_longterm() {
            // The path may deliver more than the bound permits, so a flat rate is not a plateau of the path.
            self.full_pipe.restart(sample.rate);
            return false;
        }
        self.full_pipe.now
    }

    fn is_held_by_longterm(&self) -> bool {
        self.control.is_limited() && self.control.window >= self.volumes.longterm
    }

    /// The volume to keep while nothing is probed. It leaves room in the buffer for others.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        if self.volumes.longterm == UNBOUNDED {
            return UNBOUNDED;
        }
        let headroom = ((self.volumes.longterm as f64 * HEADROOM) as u64).max(u64::from(self.mtu));
        self.volumes.longterm.saturating_sub(headroom).max(self.least_window())
    }

    /// How much should be in flight: the path's volume, unless congestion reduced the window below it.
    pub(super) fn target_inflight(&self) -> u64 {
        self.bdp().min(self.control.window)
    }

    /// Doubles, from round to round, how many datagrams are added to `inflight_longterm`.
    fn raise_slope(&mut self) {
        let steps = 1_u64 << self.cycle.up_rounds;
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(MAX_UP_ROUNDS);
        self.cycle.up_acked_per_step = (self.control.window / steps).max(u64::from(self.mtu)).max(1);
    }

    fn probe_longterm_upward(&mut self, sample: &Sample) {
        if !self.is_held_by_longterm() {
            return;
        }
        let step = self.cycle.up_acked_per_step;
        self.cycle.up_acked = self.cycle.up_acked.saturating_add(sample.newly_acked);
        let steps = self.cycle.up_acked / step;
        self.cycle.up_acked %= step;
        self.volumes.longterm =
            self.volumes.longterm.saturating_add(steps.saturating_mul(u64::from(self.mtu)));
        if self.rounds.started {
            self.raise_slope();
        }
    }

    /// Follows the acknowledgments of a probe, and raises the bound that it showed to be safe. Returns
    /// whether the state changed.
    fn adapt_longterm(&mut self, sample: &Sample) -> bool {
        let started = self.rounds.started;
        if self.cycle.ack_phase == AckPhase::ProbeStarting && started {
            self.cycle.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.cycle.ack_phase == AckPhase::ProbeStopping && started {
            self.cycle.is_probe_sample = false;
            self.cycle.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() && !sample.is_app_limited {
                self.rates.max.advance();
            }
            if self.state.is_probe_bw() && self.cycle.precautionary && !self.cycle.too_high {
                self.start_refill();
                return true;
            }
        }
        if self.is_too_high(sample.lost, sample.tx_in_flight) {
            return self.on_probe_marks(sample);
        }
        if self.volumes.longterm != UNBOUNDED {
            self.volumes.longterm = self.volumes.longterm.max(sample.tx_in_flight);
            if self.state == State::Up {
                self.probe_longterm_upward(sample);
            }
        }
        false
    }
}
